//! Echo requests over raw ICMP and ICMPv6 sockets, sent from inside a namespace.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use kernel::NetNs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};

/// How to ping.
#[derive(Debug, Clone, Copy)]
pub struct Ping {
    /// Whom.
    pub to: IpAddr,
    /// From which of our addresses; the kernel's choice when not given.
    pub from: Option<IpAddr>,
    /// How many requests, one after the other.
    pub count: u16,
    /// How long to wait for each answer.
    pub timeout: Duration,
    /// Bytes of payload in each request.
    pub size: usize,
    /// The interface's index, needed for a link-local IPv6 address.
    pub scope: u32,
    /// Never in fragments, whatever the kernel has learned of the path: a request too large is lost or refused.
    pub whole: bool,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Echo {
    /// Requests sent.
    pub sent: u16,
    /// Answers received in time.
    pub received: u16,
    /// The shortest round trip.
    pub best: Duration,
    /// The longest round trip.
    pub worst: Duration,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    /// No answer in time.
    #[error("no answer")]
    Silence,
    /// The kernel has no route to the address.
    #[error("no route")]
    NoRoute,
    /// A router or the own kernel says that the address cannot be reached.
    #[error("unreachable")]
    Unreachable,
    /// The packet is larger than the interface sends.
    #[error("too large for the interface")]
    TooLarge,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl Ping {
    /// One request with 56 bytes, one second of patience.
    pub fn new(to: IpAddr) -> Self {
        Ping { to, from: None, count: 1, timeout: Duration::from_secs(1), size: 56, scope: 0, whole: false }
    }

    /// So many requests.
    #[must_use]
    pub fn count(mut self, count: u16) -> Self {
        self.count = count;
        self
    }

    /// So much patience for each.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// From this address.
    #[must_use]
    pub fn from(mut self, from: IpAddr) -> Self {
        self.from = Some(from);
        self
    }

    /// With this many bytes of payload.
    #[must_use]
    pub fn size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// As IP packets of this many bytes that are never cut into fragments.
    #[must_use]
    pub fn whole(mut self, packet: u32) -> Self {
        let headers = if self.to.is_ipv4() { 20 + 8 } else { 40 + 8 };
        self.size = usize::try_from(packet).unwrap_or(usize::MAX).saturating_sub(headers);
        self.whole = true;
        self
    }

    /// Sends the requests from inside `net`. At least one answer is a success.
    ///
    /// # Errors
    /// The last [`PingError`] when no answer came at all.
    pub fn run(&self, net: &NetNs) -> Result<Echo, PingError> {
        let socket = net.run(|| self.socket()).map_err(|error| PingError::Failed(error.to_string()))??;
        let id = next_id();
        let mut trips = Vec::new();
        let mut last = PingError::Silence;
        for sequence in 0..self.count {
            match self.once(&socket, id, sequence) {
                Ok(trip) => trips.push(trip),
                Err(error) => last = error,
            }
        }
        let (Some(best), Some(worst)) = (trips.iter().min(), trips.iter().max()) else { return Err(last) };
        let received = u16::try_from(trips.len()).unwrap_or(u16::MAX);
        Ok(Echo { sent: self.count, received, best: *best, worst: *worst })
    }

    fn socket(&self) -> Result<OwnedFd, PingError> {
        let (family, protocol) = match self.to {
            IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
            IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let flags = SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(family, SocketType::RAW, flags, Some(protocol)).map_err(explain)?;
        if self.whole {
            match self.to {
                IpAddr::V4(_) => sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE),
                IpAddr::V6(_) => sockopt::set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE),
            }
            .map_err(explain)?;
        }
        if let Some(from) = self.from {
            rustix::net::bind(&socket, &self.endpoint(from)).map_err(explain)?;
        }
        rustix::net::connect(&socket, &self.endpoint(self.to)).map_err(explain)?;
        Ok(socket)
    }

    fn endpoint(&self, address: IpAddr) -> SocketAddr {
        match address {
            IpAddr::V4(_) => SocketAddr::new(address, 0),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, 0, 0, self.scope).into(),
        }
    }

    fn once(&self, socket: &OwnedFd, id: u16, sequence: u16) -> Result<Duration, PingError> {
        let request = request(self.to.is_ipv4(), id, sequence, self.size);
        let sent = Instant::now();
        rustix::net::send(socket, &request, SendFlags::empty()).map_err(explain)?;
        let mut buffer = vec![0; self.size + 128];
        loop {
            let left = self.timeout.checked_sub(sent.elapsed()).ok_or(PingError::Silence)?;
            let wait = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&wait)) {
                Ok(0) => return Err(PingError::Silence),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(explain(errno)),
            }
            let (length, _) =
                rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT).map_err(explain)?;
            let packet = buffer.get(..length).unwrap_or_default();
            match answer(self.to.is_ipv4(), packet, id, sequence) {
                Answer::Echo => return Ok(sent.elapsed()),
                Answer::Unreachable => return Err(PingError::Unreachable),
                Answer::Other => {}
            }
        }
    }
}

fn explain(errno: Errno) -> PingError {
    match errno {
        Errno::NETUNREACH => PingError::NoRoute,
        Errno::HOSTUNREACH => PingError::Unreachable,
        Errno::MSGSIZE => PingError::TooLarge,
        other => PingError::Failed(std::io::Error::from(other).to_string()),
    }
}

/// Different for every ping of this process, and most likely for two processes.
fn next_id() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [low, high, ..] = std::process::id().to_le_bytes();
    u16::from_le_bytes([low, high]).wrapping_mul(251).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An echo request (RFC 792, RFC 4443 section 4.1). The kernel fills in the checksum of ICMPv6.
fn request(v4: bool, id: u16, sequence: u16, size: usize) -> Vec<u8> {
    let mut packet = vec![if v4 { 8 } else { 128 }, 0, 0, 0];
    packet.extend(id.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(b"llano ".iter().cycle().take(size));
    if v4 {
        let checksum = checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&checksum);
    }
    packet
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Echo,
    Unreachable,
    Other,
}

/// Whether a received packet answers our request. A raw IPv4 socket gives the IP header too, an IPv6 one does not.
fn answer(v4: bool, packet: &[u8], id: u16, sequence: u16) -> Answer {
    let (echo, unreachable) = if v4 { (0, 3) } else { (129, 1) };
    let icmp = if v4 { after_ipv4_header(packet) } else { packet };
    // The offending packet is quoted behind eight bytes of ICMP header, with its own IP header.
    let ours =
        |echo: &[u8]| echo.get(4..8) == Some([id.to_be_bytes(), sequence.to_be_bytes()].concat().as_slice());
    let quoted = || {
        let inner = icmp.get(8..).unwrap_or_default();
        if v4 { after_ipv4_header(inner) } else { inner.get(40..).unwrap_or_default() }
    };
    match icmp.first() {
        Some(kind) if *kind == echo && ours(icmp) => Answer::Echo,
        Some(kind) if *kind == unreachable && ours(quoted()) => Answer::Unreachable,
        _ => Answer::Other,
    }
}

fn after_ipv4_header(packet: &[u8]) -> &[u8] {
    let length = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    packet.get(length..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_a_valid_checksum() {
        let packet = request(true, 7, 1, 57);
        assert_eq!(packet.len(), 65);
        assert_eq!(checksum(&packet), 0);
    }

    #[test]
    fn only_our_own_answer_counts() {
        let mut packet = vec![0x45; 20];
        packet.extend([0, 0, 0, 0, 0, 7, 0, 1]);
        assert_eq!(answer(true, &packet, 7, 1), Answer::Echo);
        assert_eq!(answer(true, &packet, 7, 2), Answer::Other);
        assert_eq!(answer(true, &[], 7, 1), Answer::Other);
        let mut refusal = vec![0x45; 20];
        refusal.extend([3, 1, 0, 0, 0, 0, 0, 0]);
        refusal.extend([0x45; 20]);
        refusal.extend([8, 0, 0, 0, 0, 7, 0, 1]);
        assert_eq!(answer(true, &refusal, 7, 1), Answer::Unreachable);
        assert_eq!(answer(true, &refusal, 8, 1), Answer::Other);
    }

    proptest::proptest! {
        #[test]
        fn no_packet_breaks_the_reader(v4: bool, packet: Vec<u8>) {
            let _ = answer(v4, &packet, 1, 2);
        }

        #[test]
        fn the_own_request_is_no_answer(v4: bool, id: u16, sequence: u16, size in 0usize..200) {
            proptest::prop_assert_eq!(answer(v4, &request(v4, id, sequence, size), id, sequence), Answer::Other);
        }
    }
}
