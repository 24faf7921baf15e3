//! The IPv4 client on its wire. Sockets are open only while an answer is awaited.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use kernel::uapi::{ETH_P_ARP, ETH_P_IP};
use kernel::{BpfInsn, MacAddr, PacketSocket, arp};

use super::place::Place;
use crate::clock::{Millis, SECOND};
use crate::v4::{Action, Client, Held, Lease, Phase};
use crate::wire::frame::{BROADCAST, Datagram};
use crate::wire::v4::{CLIENT_PORT, Message, MessageType, SERVER_PORT};
use crate::{Error, Result};

/// How long an answer to a renewal is awaited with an open socket.
const PATIENCE: Millis = 15 * SECOND;

/// What concerns the owner: leases.
#[derive(Debug)]
pub(super) enum Event {
    /// See [`Action::Granted`].
    Granted(Held),
    /// See [`Action::Lost`].
    Lost(Lease, &'static str),
}

/// A client with its sockets.
#[derive(Debug)]
pub(super) struct Line4 {
    /// The state machine.
    pub(super) client: Client,
    frames: Option<PacketSocket>,
    arp: Option<PacketSocket>,
    udp: Option<UdpSocket>,
    /// Until when sockets for a renewal stay open.
    patient_until: Millis,
    /// Where the last lease came from.
    server_mac: Option<[u8; 6]>,
    /// The last thing that the kernel refused, for the message of a failed ADD.
    pub(super) trouble: Option<String>,
}

impl Line4 {
    /// A line for a client that was just started.
    pub(super) fn new(client: Client) -> Self {
        Line4 {
            client,
            frames: None,
            arp: None,
            udp: None,
            patient_until: 0,
            server_mac: None,
            trouble: None,
        }
    }

    /// Gives the lease back.
    pub(super) fn release(&mut self) -> Option<Lease> {
        let lease = self.client.release()?;
        self.server_mac = lease.server_mac;
        Some(lease)
    }

    /// When [`Line4::on_time`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let close =
            (self.udp.is_some() || self.renewing() && self.frames.is_some()).then_some(self.patient_until);
        [self.client.deadline(), close].into_iter().flatten().min()
    }

    fn renewing(&self) -> bool {
        matches!(self.client.phase(), Phase::Bound | Phase::Renewing | Phase::Rebinding)
    }

    /// The descriptors to wait for.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let frames = [self.frames.as_ref(), self.arp.as_ref()].into_iter().flatten().map(AsFd::as_fd);
        frames.chain(self.udp.iter().map(AsFd::as_fd))
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self, now: Millis) {
        self.client.on_time(now);
        if self.renewing() && now >= self.patient_until {
            (self.udp, self.frames) = (None, None);
        }
    }

    /// Reads all that waits.
    pub(super) fn receive(&mut self, now: Millis, mac: [u8; 6]) {
        let mut buffer = [0u8; 4096];
        // A flood must not keep the loop here: the rest is read in the next round.
        for _ in 0..64 {
            let Some(Ok(Some(len))) = self.frames.as_ref().map(|s| s.recv(&mut buffer)) else { break };
            let Ok(datagram) = Datagram::parse(&buffer[..len]) else { continue };
            if datagram.target_port == CLIENT_PORT {
                self.client.on_packet(now, datagram.payload, Some(datagram.source_mac));
            }
        }
        for _ in 0..64 {
            let Some(Ok((len, _))) = self.udp.as_ref().map(|s| s.recv_from(&mut buffer)) else { break };
            self.client.on_packet(now, &buffer[..len], None);
        }
        for _ in 0..64 {
            let Some(Ok(Some(len))) = self.arp.as_ref().map(|s| s.recv(&mut buffer)) else { break };
            let Ok(packet) = arp::parse(&buffer[..len]) else { continue };
            if packet.sender_mac.0 != mac {
                self.client.on_arp(now, packet.sender_mac.0, packet.sender_ip, packet.target_ip);
            }
        }
    }

    /// Does what the client wants done on the wire, until it concerns the owner or there is nothing left.
    ///
    /// # Errors
    /// [`Error::Gone`]; everything else is remembered, and the client repeats by itself.
    pub(super) fn next_event(&mut self, now: Millis, place: &Place) -> Result<Option<Event>> {
        while let Some(action) = self.client.next_action() {
            let done = match action {
                Action::Send { message, from, to } => self.send(now, place, &message, from, to),
                Action::Probe(address) => self.probe(place, address),
                Action::Granted(held) => return Ok(Some(Event::Granted(held))),
                Action::Lost { lease, why } => return Ok(Some(Event::Lost(lease, why))),
            };
            match done {
                Ok(()) => {}
                Err(gone @ Error::Gone { .. }) => return Err(gone),
                Err(e) => {
                    tracing::debug!(place = place.describe(), error = %e, "not sent");
                    self.trouble = Some(e.to_string());
                }
            }
        }
        // Sockets that the new state does not need.
        match self.client.phase() {
            Phase::Init | Phase::Stopped => (self.frames, self.arp, self.udp) = (None, None, None),
            Phase::Probing => (self.frames, self.udp) = (None, None),
            Phase::Bound => (self.frames, self.arp, self.udp) = (None, None, None),
            Phase::Selecting | Phase::Requesting | Phase::Rebooting => (self.arp, self.udp) = (None, None),
            Phase::Renewing | Phase::Rebinding => self.arp = None,
        }
        Ok(None)
    }

    fn send(
        &mut self,
        now: Millis,
        place: &Place,
        message: &Message,
        from: Ipv4Addr,
        to: Option<Ipv4Addr>,
    ) -> Result<()> {
        match to {
            // A RELEASE goes out at once: the link may be deleted right after, before ARP would have an answer.
            Some(server) if message.kind() == Some(MessageType::Release) => {
                if let Some(mac) = self.server_mac {
                    self.send_frame(place, message, from, server, mac)?;
                }
                let _ = self.send_udp(place, message, from, server);
                Ok(())
            }
            Some(server) => {
                self.patient_until = now + PATIENCE;
                self.send_udp(place, message, from, server)
            }
            None => {
                if !from.is_unspecified() {
                    self.patient_until = now + PATIENCE;
                    // So that the kernel does not refuse the answer, which comes to the leased address.
                    let _ = self.open_udp(place, from);
                }
                self.send_frame(place, message, from, Ipv4Addr::BROADCAST, BROADCAST)
            }
        }
    }

    fn send_frame(
        &mut self,
        place: &Place,
        message: &Message,
        source: Ipv4Addr,
        target: Ipv4Addr,
        mac: [u8; 6],
    ) -> Result<()> {
        let payload = message.encode();
        let frame = Datagram {
            source_mac: place.mac,
            target_mac: mac,
            source,
            target,
            source_port: CLIENT_PORT,
            target_port: SERVER_PORT,
            payload: &payload,
        };
        if self.frames.is_none() {
            self.frames = Some(place.run(|| PacketSocket::open(place.index, ETH_P_IP, &TO_CLIENT))??);
        }
        let sent = self.frames.as_ref().map_or(Ok(()), |s| s.send(&frame.encode()));
        lost_link(sent, place)
    }

    fn send_udp(&mut self, place: &Place, message: &Message, from: Ipv4Addr, to: Ipv4Addr) -> Result<()> {
        self.open_udp(place, from)?;
        if let Some(socket) = &self.udp {
            let target = SocketAddrV4::new(to, SERVER_PORT);
            socket.send_to(&message.encode(), target).map_err(Error::file("send to", to.to_string()))?;
        }
        Ok(())
    }

    fn open_udp(&mut self, place: &Place, from: Ipv4Addr) -> Result<()> {
        let right = |s: &UdpSocket| s.local_addr().is_ok_and(|a| a.ip() == from);
        if self.udp.as_ref().is_some_and(right) {
            return Ok(());
        }
        let socket = place.run(|| UdpSocket::bind(SocketAddrV4::new(from, CLIENT_PORT)))?;
        let socket = socket.map_err(Error::file("bind", format!("{from}:{CLIENT_PORT}")))?;
        socket.set_nonblocking(true).map_err(Error::file("set up", from.to_string()))?;
        self.udp = Some(socket);
        Ok(())
    }

    fn probe(&mut self, place: &Place, address: Ipv4Addr) -> Result<()> {
        if self.arp.is_none() {
            self.arp = Some(place.run(|| PacketSocket::open(place.index, ETH_P_ARP, &BpfInsn::ARP))??);
        }
        let probe = arp::ArpPacket::probe(MacAddr(place.mac), address).encode();
        let sent = self.arp.as_ref().map_or(Ok(()), |s| s.send(&probe));
        lost_link(sent, place)
    }
}

/// A packet socket whose interface was deleted says ENXIO or ENODEV.
pub(super) fn lost_link(sent: kernel::Result<()>, place: &Place) -> Result<()> {
    sent.map_err(|e| match e.errno() {
        Some(kernel::Errno::NXIO | kernel::Errno::NODEV) => Error::Gone { what: place.describe() },
        _ => e.into(),
    })
}

/// Whole UDP datagrams over IPv4 to port 68.
const TO_CLIENT: [BpfInsn; 11] = {
    const fn op(code: u16, jump_true: u8, jump_false: u8, value: u32) -> BpfInsn {
        BpfInsn { code, jump_true, jump_false, value }
    }
    [
        op(0x28, 0, 0, 12),
        op(0x15, 0, 8, 0x0800),
        op(0x30, 0, 0, 23),
        op(0x15, 0, 6, 17),
        op(0x28, 0, 0, 20),
        op(0x45, 4, 0, 0x3fff),
        op(0xb1, 0, 0, 14),
        op(0x48, 0, 0, 16),
        op(0x15, 0, 1, CLIENT_PORT as u32),
        op(0x06, 0, 0, 0x4_0000),
        op(0x06, 0, 0, 0),
    ]
};
