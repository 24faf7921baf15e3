//! Asking the LAN who has an address.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use kernel::arp::{self, ArpPacket};
use kernel::{MacAddr, Netlink, PacketSocket};
use lab::Host;

/// `ETH_P_ARP`.
const ARP: u16 = 0x0806;
/// Answers on a lab's wire come within a millisecond; a machine that builds meanwhile may need more.
const PATIENCE: Duration = Duration::from_millis(300);

/// Broadcasts one ARP request from a host and collects the MACs that answer.
pub(super) fn who_has(host: &Host, address: IpAddr) -> anyhow::Result<Vec<MacAddr>> {
    let (IpAddr::V4(target), Some(IpAddr::V4(own))) = (address, host.address()) else {
        bail!("only IPv4 is asked for by ARP");
    };
    let link = Netlink::open_in(host.net())?.link_by_name("eth0")?.context("the node has no eth0")?;
    let mac = link.mac.context("eth0 has no MAC")?;
    let socket = host.net().run(|| PacketSocket::open(link.index, ARP, &[]))??;
    socket.send(&ArpPacket::request(mac, own, target).encode())?;
    collect(&socket, target)
}

fn collect(socket: &PacketSocket, target: Ipv4Addr) -> anyhow::Result<Vec<MacAddr>> {
    let end = Instant::now() + PATIENCE;
    let mut buffer = [0; 128];
    let mut answers: Vec<MacAddr> = Vec::new();
    while let Some(length) =
        socket.recv_timeout(&mut buffer, end.saturating_duration_since(Instant::now()))?
    {
        let Ok(packet) = arp::parse(buffer.get(..length).unwrap_or_default()) else { continue };
        if packet.sender_ip == target && !answers.contains(&packet.sender_mac) {
            answers.push(packet.sender_mac);
        }
    }
    Ok(answers)
}
