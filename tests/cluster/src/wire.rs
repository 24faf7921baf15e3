//! The cables of the cluster's switches, and who answers for an address on the pods' LAN.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use cluster::Cluster;
use kernel::arp::{self, ArpOperation, ArpPacket};
use kernel::{BpfInsn, Change, MacAddr, Netlink, PacketSocket, SetLink, uapi};

use crate::networks::PARENT;

/// The switches with each node's interface on them: nodes and the control plane, and the pods' LAN.
pub const UPLINKS: [(&str, &str); 2] = [("lan", "eth0"), ("lan2", PARENT)];

/// Between two questions: 250 a second.
const PACE: Duration = Duration::from_millis(4);
/// After the last question of a round; far more than an idle machine needs.
const PATIENCE: Duration = Duration::from_secs(1);
const ROUNDS: u8 = 3;

/// Pulls a node's cable out of that switch, or puts it back. The node's own settings stay: it only has no carrier.
///
/// # Panics
/// When there is no such cable.
pub fn plug(cluster: &Cluster, node: &str, (switch, interface): (&str, &str), is_in: bool) {
    let switch = cluster.lab().switch(switch).unwrap();
    let mut netlink = Netlink::open_in(switch.net()).unwrap();
    let port = netlink.link_by_name(&format!("{node}-{interface}")).unwrap().expect("a port of the switch");
    let set = if is_in { SetLink::up() } else { SetLink::down() };
    netlink.apply(&Change::SetLink { index: port.index, set }).unwrap();
}

/// Asks on the pods' LAN, as the plain machine, who has these addresses: the MACs of those who answered one question. Two that
/// have an address answer twice, also with the same MAC. Nobody's neighbour cache changes.
///
/// # Panics
/// When it cannot ask.
pub fn answers(cluster: &Cluster, targets: &[Ipv4Addr]) -> BTreeMap<Ipv4Addr, Vec<MacAddr>> {
    let net = cluster.host("plain").unwrap().net();
    let link =
        Netlink::open_in(net).unwrap().link_by_name(PARENT).unwrap().expect("the plain machine's link");
    let open = || PacketSocket::open(link.index, uapi::ETH_P_ALL, &BpfInsn::ARP_AND_NEIGHBOUR_DISCOVERY);
    let socket = net.run(open).unwrap().unwrap();
    socket.ignore_outgoing().unwrap();
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let mut heard: BTreeMap<Ipv4Addr, Vec<MacAddr>> = BTreeMap::new();
        // A MAC for each round: an answer that comes late is none of the next round's.
        let own = MacAddr([0x02, 0, 0x5e, 0xff, 0, round]);
        for target in targets {
            let has_answered = |heard: &BTreeMap<Ipv4Addr, Vec<MacAddr>>| heard.contains_key(target);
            if !rounds.iter().any(has_answered) {
                socket.send(&ArpPacket::probe(own, *target).encode()).unwrap();
                listen(&socket, own, PACE, &mut heard);
            }
        }
        listen(&socket, own, PATIENCE, &mut heard);
        rounds.push(heard);
    }
    let mut all = BTreeMap::new();
    // The first round in which somebody answered counts.
    for heard in rounds.into_iter().rev() {
        all.extend(heard);
    }
    all.retain(|address, _| targets.contains(address));
    all
}

fn listen(
    socket: &PacketSocket,
    own: MacAddr,
    patience: Duration,
    heard: &mut BTreeMap<Ipv4Addr, Vec<MacAddr>>,
) {
    let mut buffer = [0; 2048];
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let Some(length) = socket.recv_timeout(&mut buffer, left).unwrap() else { return };
        if let Ok(packet) = arp::parse(&buffer[..length])
            && packet.operation == ArpOperation::Reply
            && packet.target_mac == own
        {
            heard.entry(packet.sender_ip).or_default().push(packet.sender_mac);
        }
        if left.is_zero() {
            return;
        }
    }
}
