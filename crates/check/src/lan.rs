//! Asking on a LAN who has an address, so that nobody's cache changes: RFC 5227 probes and DAD solicitations.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kernel::arp::{self, ArpOperation, ArpPacket};
use kernel::ndp::{self, NdpPacket};
use kernel::{
    BpfInsn, Change, Link, LinkKind, MacAddr, Macvlan, MacvlanMode, NetNs, Netlink, NewLink, PacketSocket,
    SetLink, Vlan, VlanProtocol, sysctl,
};
use topology::{Node, Topology};

use crate::context::Context;
use crate::error::{Error, Result};

/// Between two questions: 250 a second at most, whoever is asked.
const PACE: Duration = Duration::from_millis(4);
/// Between two rounds, and after the last one.
const PATIENCE: Duration = Duration::from_millis(300);
const ROUNDS: usize = 3;

/// What a link of ours is called.
const NAME: &str = "probe";

/// Who asks on a LAN.
pub(crate) struct Station {
    socket: PacketSocket,
    mac: MacAddr,
    /// A link of ours in a scratch namespace, deleted at the end.
    scratch: Option<Netlink>,
    /// An interface has each VLAN once, and checks are made side by side.
    turn: Option<MutexGuard<'static, ()>>,
}

static VLANS: Mutex<()> = Mutex::new(());

/// Who answered for an address.
pub(crate) type Answers = BTreeMap<IpAddr, BTreeSet<MacAddr>>;

impl Station {
    /// The interface itself, with its own MAC.
    pub(crate) fn own(context: &Context, link: &Link) -> Result<Self> {
        Self::at(&context.netns, link)
    }

    /// An interface of any namespace, with its own MAC.
    fn at(netns: &NetNs, link: &Link) -> Result<Self> {
        let mac =
            link.mac.ok_or_else(|| Error::NoInterface { name: format!("with a MAC: {}", link.name) })?;
        let socket = netns.run(|| open(link.index))??;
        Ok(Self { socket, mac, scratch: None, turn: None })
    }

    /// A VLAN of the interface, with the interface's MAC: the link there is, of the host or of a container, else one of
    /// ours in a namespace of its own.
    pub(crate) fn vlan(context: &Context, link: &Link, id: u16) -> Result<Self> {
        let turn = VLANS.lock().unwrap_or_else(PoisonError::into_inner);
        let topology = Topology::read().map_err(Error::Topology)?;
        let here = topology.namespaces.iter().find(|namespace| namespace.is_current);
        let parent = here.and_then(|here| topology.find(here.id, &link.name));
        let is_it = |node: &&Node| matches!(&node.link.kind, LinkKind::Vlan(vlan) if vlan.id == id && vlan.protocol == VlanProtocol::Ieee8021Q);
        let there = parent.and_then(|parent| topology.children_of(parent.id).find(is_it));
        if let Some(node) = there {
            let netns = topology.namespace_of(node).open().map_err(Error::Topology)?;
            return Self::at(&netns, &node.link);
        }
        let mut made = Self::scratch(context, link, LinkKind::Vlan(Vlan::new(id)), None)?;
        made.turn = Some(turn);
        Ok(made)
    }

    /// A macvlan on the interface, with a MAC that the LAN has never seen, in a namespace of its own: as a container.
    pub(crate) fn foreign(context: &Context, link: &Link) -> Result<Self> {
        let kind = LinkKind::Macvlan(Macvlan::new(MacvlanMode::Bridge));
        Self::scratch(context, link, kind, Some(MacAddr::random()?))
    }

    /// A link on the interface, in a scratch namespace.
    fn scratch(context: &Context, link: &Link, kind: LinkKind, mac: Option<MacAddr>) -> Result<Self> {
        let netns = NetNs::scratch()?;
        let mut child = NewLink::new(NAME, kind);
        child.parent = Some(link.index);
        child.mac = mac;
        child.netns = Some(netns.clone());
        Netlink::open_in(&context.netns)?.apply(&Change::AddLink(child))?;
        let mut netlink = Netlink::open_in(&netns)?;
        let made = netlink.link_by_name(NAME)?;
        let none = || Error::NoInterface { name: NAME.to_owned() };
        let (index, mac) = made.and_then(|made| Some((made.index, made.mac?))).ok_or_else(none)?;
        // It says nothing of its own accord. A kernel without IPv6 has no such setting.
        let _ = netns.run(|| sysctl::write("net/ipv6/conf/probe/disable_ipv6", "1"))?;
        netlink.apply(&Change::SetLink { index, set: SetLink::up() })?;
        let socket = netns.run(|| open(index))??;
        Ok(Self { socket, mac, scratch: Some(netlink), turn: None })
    }

    /// Asks for all, some rounds, and gives who answered. Only those who have not answered are asked again.
    pub(crate) fn ask(&self, targets: &[IpAddr]) -> Result<Answers> {
        let mut answers = Answers::new();
        for target in targets {
            if let IpAddr::V6(address) = target {
                self.socket.join_multicast(ndp::multicast_mac(ndp::solicited_node(*address)))?;
            }
        }
        for _ in 0..ROUNDS {
            for target in targets {
                if !answers.contains_key(target) {
                    self.send(*target)?;
                    self.listen(targets, PACE, &mut answers)?;
                }
            }
            if answers.len() == targets.len() {
                break;
            }
            self.listen(targets, PATIENCE, &mut answers)?;
        }
        Ok(answers)
    }

    fn send(&self, target: IpAddr) -> Result<()> {
        let frame = match target {
            IpAddr::V4(address) => ArpPacket::probe(self.mac, address).encode().to_vec(),
            IpAddr::V6(address) => NdpPacket::dad(self.mac, address, None).encode(),
        };
        match self.socket.send(&frame) {
            // A full queue: as lost as on any LAN.
            Err(error) if error.errno() == Some(kernel::Errno::NOBUFS) => Ok(()),
            sent => Ok(sent?),
        }
    }

    fn listen(&self, targets: &[IpAddr], patience: Duration, answers: &mut Answers) -> Result<()> {
        let mut buffer = [0; 2048];
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(length) = self.socket.recv_timeout(&mut buffer, left)? else { return Ok(()) };
            let frame = buffer.get(..length).unwrap_or_default();
            if let Some((address, mac)) =
                answer(frame, self.mac).filter(|(address, _)| targets.contains(address))
            {
                answers.entry(address).or_default().insert(mac);
            }
            if left.is_zero() {
                return Ok(());
            }
        }
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        if let Some(netlink) = &mut self.scratch {
            // The namespace, which ends now, would take it along a moment later.
            let _ = netlink.apply(&Change::DeleteLinkByName(NAME.to_owned()));
        }
    }
}

fn open(index: u32) -> kernel::Result<PacketSocket> {
    let socket = PacketSocket::open(index, kernel::uapi::ETH_P_ALL, &BpfInsn::ARP_AND_NEIGHBOUR_DISCOVERY)?;
    socket.ignore_outgoing()?;
    Ok(socket)
}

/// An answer to us: an ARP reply to our MAC, which a filter on the way may have swallowed when anything that is broadcast
/// comes through; a neighbour advertisement, which is multicast when a DAD solicitation is answered.
fn answer(frame: &[u8], own: MacAddr) -> Option<(IpAddr, MacAddr)> {
    if let Ok(packet) = arp::parse(frame) {
        let ours =
            packet.operation == ArpOperation::Reply && packet.target_mac == own && packet.eth_dst == own;
        return ours.then_some((packet.sender_ip.into(), packet.sender_mac));
    }
    let packet = ndp::parse(frame).ok()?;
    match packet.message {
        ndp::NdpMessage::Advertisement { target, .. } => Some((target.into(), packet.eth_src)),
        _ => None,
    }
}
