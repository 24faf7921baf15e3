//! Is an address in use on the LAN? RFC 5227 ARP probes and RFC 4862 DAD solicitations for both families at once,
//! and the announcements that follow.
//!
//! The link is up, the addresses are not on it yet. All addresses are probed in parallel; each one that answers is
//! handed to the caller, who may give another in its place, which then gets probes of its own.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use kernel::arp::{self, ArpPacket};
use kernel::ndp::{self, NdpPacket};
use kernel::{BpfInsn, MacAddr, PacketSocket};

use crate::link::PodLink;
use crate::{Error, Result};

/// How to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Probes per address, 1 to 10.
    pub count: u32,
    /// Time between probes, and of listening after the last one.
    pub interval: Duration,
    /// How long a conflicting address stays out of the choice.
    pub quarantine: Duration,
    /// Ask from a MAC that nobody knows where the interface's own is given: whoever has that one as well would not be told from us.
    pub temporary_mac: bool,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            count: 3,
            interval: Duration::from_millis(100),
            quarantine: Duration::from_secs(600),
            temporary_mac: true,
        }
    }
}

/// Conflicts after which an ADD gives up: a LAN where so many addresses are taken is not what the range says.
const MOST_CONFLICTS: usize = 32;

/// `ETH_P_ALL` (linux/if_ether.h): the socket's filter chooses.
const ETH_P_ALL: u16 = 3;

/// One address under probe.
struct Probing {
    address: IpAddr,
    sent: u32,
    due: Instant,
}

impl Probing {
    fn new(address: IpAddr, now: Instant) -> Self {
        Self { address, sent: 0, due: now }
    }
}

/// Probes `addresses` on `link`, which must be up. `replace` is told of each conflict and returns the address to try
/// instead, or an error that ends the probing.
///
/// # Errors
/// What `replace` says, [`Error::TooManyConflicts`], or a socket's error.
pub fn probe(
    link: &PodLink,
    how: Probe,
    addresses: &[IpAddr],
    mut replace: impl FnMut(IpAddr, MacAddr) -> Result<IpAddr>,
) -> Result<()> {
    let socket = link.netns.run(|| open(link.index))??;
    let mut now = Instant::now();
    let mut probing: Vec<Probing> = addresses.iter().map(|address| Probing::new(*address, now)).collect();
    let mut conflicts = 0;
    let mut buffer = [0u8; 2048];
    for target in &probing {
        listen_for(&socket, target.address)?;
    }
    while !probing.is_empty() {
        for target in probing.iter_mut().filter(|target| target.due <= now) {
            if target.sent < how.count {
                send(&socket, &question(link.mac, target.address))?;
            }
            target.sent += 1;
            target.due = now + how.interval;
        }
        probing.retain(|target| target.sent <= how.count);
        let Some(next) = probing.iter().map(|target| target.due).min() else { break };
        if let Some(length) = socket.recv_timeout(&mut buffer, next.saturating_duration_since(now))? {
            let answer = Answer::parse(buffer.get(..length).unwrap_or_default());
            let against = |target: &Probing| answer.as_ref()?.holder(link.mac, target.address);
            if let Some((target, holder)) =
                probing.iter_mut().find_map(|target| against(target).map(|holder| (target, holder)))
            {
                conflicts += 1;
                if conflicts > MOST_CONFLICTS {
                    return Err(Error::TooManyConflicts { tried: conflicts, address: target.address });
                }
                let instead = replace(target.address, holder)?;
                listen_for(&socket, instead)?;
                *target = Probing::new(instead, Instant::now());
            }
        }
        now = Instant::now();
    }
    Ok(())
}

/// Tells the LAN whose `addresses` are: gratuitous ARP and unsolicited neighbour advertisements, `count` times.
///
/// # Errors
/// A socket's error.
pub fn announce(link: &PodLink, addresses: &[IpAddr], count: u32, interval: Duration) -> Result<()> {
    let socket = link.netns.run(|| open(link.index))??;
    for round in 0..count {
        if round > 0 {
            std::thread::sleep(interval);
        }
        for address in addresses {
            send(&socket, &announcement(link.mac, *address))?;
        }
    }
    Ok(())
}

/// A socket on the link that sees ARP and neighbour discovery only. The thread is in the link's namespace.
fn open(index: u32) -> kernel::Result<PacketSocket> {
    let socket = PacketSocket::open(index, ETH_P_ALL, &BpfInsn::ARP_AND_NEIGHBOUR_DISCOVERY)?;
    socket.ignore_outgoing()?;
    Ok(socket)
}

/// Other machines' DAD solicitations go to the address's solicited-node group.
fn listen_for(socket: &PacketSocket, address: IpAddr) -> Result<()> {
    if let IpAddr::V6(address) = address {
        socket.join_multicast(ndp::multicast_mac(ndp::solicited_node(address)))?;
    }
    Ok(())
}

/// A frame that a full queue of the parent drops is lost as on any LAN: that is why there are several.
fn send(socket: &PacketSocket, frame: &[u8]) -> kernel::Result<()> {
    match socket.send(frame) {
        Err(error) if error.errno() == Some(kernel::Errno::NOBUFS) => Ok(()),
        other => other,
    }
}

fn question(mac: MacAddr, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => ArpPacket::probe(mac, address).encode().to_vec(),
        IpAddr::V6(address) => NdpPacket::dad(mac, address, None).encode(),
    }
}

fn announcement(mac: MacAddr, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => ArpPacket::announcement(mac, address).encode().to_vec(),
        IpAddr::V6(address) => NdpPacket::announcement(mac, address).encode(),
    }
}

/// A frame that may speak against an address.
enum Answer {
    Arp(ArpPacket),
    Ndp(NdpPacket),
}

impl Answer {
    fn parse(frame: &[u8]) -> Option<Self> {
        arp::parse(frame).map(Self::Arp).or_else(|_| ndp::parse(frame).map(Self::Ndp)).ok()
    }

    /// Who uses or wants `address`, when it is another than `own`.
    fn holder(&self, own: MacAddr, address: IpAddr) -> Option<MacAddr> {
        match (self, address) {
            (Self::Arp(packet), IpAddr::V4(ip)) => {
                packet.conflicts_with(own, ip).then_some(packet.sender_mac)
            }
            (Self::Ndp(packet), IpAddr::V6(ip)) => {
                packet.conflicts_with(own, ip, None).then_some(packet.eth_src)
            }
            _ => None,
        }
    }
}
