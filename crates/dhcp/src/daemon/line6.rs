//! The IPv6 client on its wire. Messages go by a UDP socket on the link-local address, which may still be tentative
//! when the link is new: what is to be sent waits for it.

use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use kernel::uapi::{ETH_P_IPV6, IFA_F_DADFAILED, IFA_F_TENTATIVE};
use kernel::{BpfInsn, MacAddr, Netlink, PacketSocket, ndp};

use super::line4::lost_link;
use super::place::Place;
use crate::clock::{Millis, SECOND};
use crate::v6::{Action, Client, Held, Lease, Phase};
use crate::wire::v6::{CLIENT_PORT, Message, SERVER_PORT, SERVERS};
use crate::{Error, Result};

const PATIENCE: Millis = 15 * SECOND;
/// How often a link-local address is looked for.
const AGAIN: Millis = 50;

/// What concerns the owner: leases.
#[derive(Debug)]
pub(super) enum Event {
    /// See [`Action::Granted`].
    Granted(Held),
    /// See [`Action::Lost`].
    Lost(Lease, &'static str),
    /// See [`Action::Released`].
    Released,
}

/// A client with its sockets.
#[derive(Debug)]
pub(super) struct Line6 {
    /// The state machine.
    pub(super) client: Client,
    udp: Option<UdpSocket>,
    probes: Option<PacketSocket>,
    /// What waits for a link-local address, and when it is looked for again.
    waiting: Option<(Message, Millis)>,
    patient_until: Millis,
    /// The last thing that the kernel refused.
    pub(super) trouble: Option<String>,
}

impl Line6 {
    /// A line for a client that was just started.
    pub(super) fn new(client: Client) -> Self {
        Line6 { client, udp: None, probes: None, waiting: None, patient_until: 0, trouble: None }
    }

    /// When [`Line6::on_time`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let close = (self.udp.is_some() && self.renewing()).then_some(self.patient_until);
        let waiting = self.waiting.as_ref().map(|(_, at)| *at);
        [self.client.deadline(), close, waiting].into_iter().flatten().min()
    }

    fn renewing(&self) -> bool {
        matches!(self.client.phase(), Phase::Bound | Phase::Renewing | Phase::Rebinding)
    }

    /// The descriptors to wait for.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.udp.iter().map(AsFd::as_fd).chain(self.probes.iter().map(AsFd::as_fd))
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self, now: Millis) {
        self.client.on_time(now);
        if self.renewing() && now >= self.patient_until {
            self.udp = None;
        }
    }

    /// Reads all that waits.
    pub(super) fn receive(&mut self, now: Millis, mac: [u8; 6]) {
        let mut buffer = [0u8; 4096];
        for _ in 0..64 {
            let Some(Ok((len, _))) = self.udp.as_ref().map(|s| s.recv_from(&mut buffer)) else { break };
            self.client.on_packet(now, &buffer[..len]);
        }
        for _ in 0..64 {
            let Some(Ok(Some(len))) = self.probes.as_ref().map(|s| s.recv(&mut buffer)) else { break };
            let Ok(packet) = ndp::parse(&buffer[..len]) else { continue };
            for address in self.client.probing() {
                if packet.conflicts_with(MacAddr(mac), address, None) {
                    self.client.on_conflict(now, address);
                }
            }
        }
    }

    /// Does what the client wants done on the wire, until it concerns the owner or there is nothing left.
    ///
    /// # Errors
    /// [`Error::Gone`]; everything else is remembered, and the client repeats by itself.
    pub(super) fn next_event(&mut self, now: Millis, place: &Place) -> Result<Option<Event>> {
        if let Some((message, _)) = self.waiting.take_if(|(_, at)| *at <= now) {
            let sent = self.send(now, place, message);
            self.note(place, sent)?;
        }
        while let Some(action) = self.client.next_action() {
            let done = match action {
                Action::Send(message) => self.send(now, place, message),
                Action::Probe(address) => self.probe(place, address),
                Action::Granted(held) => return Ok(Some(Event::Granted(held))),
                Action::Lost { lease, why } => return Ok(Some(Event::Lost(lease, why))),
                Action::Released => return Ok(Some(Event::Released)),
            };
            self.note(place, done)?;
        }
        match self.client.phase() {
            Phase::Init | Phase::Stopped | Phase::Bound => {
                (self.udp, self.probes, self.waiting) = (None, None, None);
            }
            Phase::Probing => self.udp = None,
            _ => self.probes = None,
        }
        Ok(None)
    }

    fn note(&mut self, place: &Place, done: Result<()>) -> Result<()> {
        match done {
            Ok(()) => Ok(()),
            Err(gone @ Error::Gone { .. }) => Err(gone),
            Err(e) => {
                tracing::debug!(place = place.describe(), error = %e, "not sent");
                self.trouble = Some(e.to_string());
                Ok(())
            }
        }
    }

    fn send(&mut self, now: Millis, place: &Place, message: Message) -> Result<()> {
        self.patient_until = now + PATIENCE;
        if self.udp.is_none() && !self.open_udp(place)? {
            self.trouble = Some(format!("{} has no usable link-local address", place.describe()));
            self.waiting = Some((message, now + AGAIN));
            return Ok(());
        }
        let target = SocketAddrV6::new(SERVERS, SERVER_PORT, 0, place.index);
        if let Some(socket) = &self.udp {
            socket.send_to(&message.encode(), target).map_err(Error::file("send to", SERVERS.to_string()))?;
        }
        Ok(())
    }

    /// False while there is no link-local address to send from.
    fn open_udp(&mut self, place: &Place) -> Result<bool> {
        let ns = place.open()?;
        let addresses = Netlink::open_in(&ns)?.addresses(Some(place.index))?;
        let local = addresses.iter().find_map(|a| match a.net.addr() {
            std::net::IpAddr::V6(ip)
                if ip.is_unicast_link_local() && a.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) == 0 =>
            {
                Some(ip)
            }
            _ => None,
        });
        let Some(local) = local else { return Ok(false) };
        let address = SocketAddrV6::new(local, CLIENT_PORT, 0, place.index);
        let socket =
            ns.run(|| UdpSocket::bind(address))?.map_err(Error::file("bind", format!("{address}")))?;
        socket.set_nonblocking(true).map_err(Error::file("set up", format!("{address}")))?;
        self.udp = Some(socket);
        self.trouble = None;
        Ok(true)
    }

    fn probe(&mut self, place: &Place, address: Ipv6Addr) -> Result<()> {
        if self.probes.is_none() {
            let open = || PacketSocket::open(place.index, ETH_P_IPV6, &BpfInsn::NEIGHBOUR_DISCOVERY);
            let socket = place.run(open)??;
            // Answers go to all nodes; a foreign probe goes to the address's own group.
            socket.join_multicast(ndp::multicast_mac(ndp::ALL_NODES))?;
            for address in self.client.probing() {
                socket.join_multicast(ndp::multicast_mac(ndp::solicited_node(address)))?;
            }
            self.probes = Some(socket);
        }
        let frame = ndp::NdpPacket::dad(MacAddr(place.mac), address, None).encode();
        let sent = self.probes.as_ref().map_or(Ok(()), |s| s.send(&frame));
        lost_link(sent, place)
    }
}
