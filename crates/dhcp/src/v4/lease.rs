//! What a DHCPACK or DHCPOFFER grants, read once and checked.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::clock::Random;
use crate::wire::names::{parse_domain, parse_names};
use crate::wire::v4::{Message, option};

/// The reference plugin's lease time when the server names none: an hour.
const DEFAULT_SECONDS: u32 = 3600;
/// RFC 2132: a lease without end.
const INFINITE: u32 = u32::MAX;
/// IPv4's least MTU (RFC 791); what is below comes from a mistake.
const LEAST_MTU: u16 = 576;

/// A granted address with everything that came along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Its prefix length, from option 1.
    pub prefix: u8,
    /// Who granted it, from option 54.
    pub server: Ipv4Addr,
    /// The Ethernet source of the frame: the server, or the relay before it. A RELEASE goes there at once, without
    /// waiting for ARP, because the link is deleted right after.
    pub server_mac: Option<[u8; 6]>,
    /// Seconds it lasts; nothing for ever.
    pub seconds: Option<u32>,
    /// Seconds until renewing, below `t2`.
    pub t1: u32,
    /// Seconds until rebinding, below `seconds`.
    pub t2: u32,
    /// Routers of option 3, best first.
    pub routers: Vec<Ipv4Addr>,
    /// Routes to install.
    pub routes: Vec<Route>,
    /// DNS servers.
    pub dns: Vec<Ipv4Addr>,
    /// Domain name.
    pub domain: Option<String>,
    /// Search list.
    pub search: Vec<String>,
    /// MTU, at least 576.
    pub mtu: Option<u16>,
}

/// A route of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to; host bits zero.
    pub to: Ipv4Net,
    /// Through whom; nothing for what is on the link itself.
    pub via: Option<Ipv4Addr>,
}

impl Lease {
    /// Reads an offer or acknowledgement. `fallback` is the offer that led to an acknowledgement: a server may leave
    /// out there what it said before. Nothing when the address cannot be used, or server or mask are not named.
    pub fn read(
        message: &Message,
        server_mac: Option<[u8; 6]>,
        fallback: Option<&Lease>,
        random: &mut Random,
    ) -> Option<Lease> {
        let address = message.yiaddr;
        if !usable(address) {
            return None;
        }
        let server = message.address(option::SERVER_ID).or(fallback.map(|f| f.server))?;
        let mask = message.address(option::SUBNET_MASK).and_then(|m| ipnet::ipv4_mask_to_prefix(m).ok());
        let prefix = mask.or(fallback.map(|f| f.prefix))?;
        let told = message.number(option::LEASE_TIME).or(fallback.map(|f| f.seconds.unwrap_or(INFINITE)));
        let seconds = match told.unwrap_or(DEFAULT_SECONDS) {
            INFINITE => None,
            // A lease of no time would have us ask for ever without pause.
            s => Some(s.max(1)),
        };
        let (t1, t2) = timers(
            seconds.unwrap_or(INFINITE),
            message.number(option::RENEWAL),
            message.number(option::REBINDING),
            random,
        );
        let routers: Vec<_> = message.addresses(option::ROUTERS).into_iter().filter(|r| usable(*r)).collect();
        Some(Lease {
            address,
            prefix,
            server,
            server_mac: server_mac.or(fallback.and_then(|f| f.server_mac)),
            seconds,
            t1,
            t2,
            routes: routes(message, &routers),
            routers,
            dns: message.addresses(option::DNS_SERVERS).into_iter().filter(|a| !a.is_unspecified()).collect(),
            domain: message.option(option::DOMAIN_NAME).and_then(parse_domain),
            search: message.option(option::DOMAIN_SEARCH).map(parse_names).unwrap_or_default(),
            mtu: message
                .option(option::INTERFACE_MTU)
                .and_then(|d| Some(u16::from_be_bytes(d.try_into().ok()?)))
                .filter(|m| *m >= LEAST_MTU),
        })
    }

    /// The gateway of the default route, if there is one; else the first router.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        let default = self.routes.iter().find(|r| r.to.prefix_len() == 0).and_then(|r| r.via);
        default.or(self.routers.first().copied())
    }
}

fn usable(address: Ipv4Addr) -> bool {
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.octets()[0] >= 240)
}

/// T1 and T2 with 0 < T1 < T2 < lease. What the server says is taken when it fits; else 0.5 and 0.875 of the lease
/// (RFC 2131, 4.4.5), up to a sixteenth earlier so that pods started together do not ask together.
fn timers(lease: u32, t1: Option<u32>, t2: Option<u32>, random: &mut Random) -> (u32, u32) {
    let mut early = |value: u32| {
        let value = u64::from(value);
        u32::try_from(value - random.below(value / 16 + 1)).unwrap_or(u32::MAX)
    };
    let t2 = match t2 {
        Some(t2) if t2 > 0 && t2 < lease => t2,
        _ => early((u64::from(lease) * 7 / 8).try_into().unwrap_or(lease)),
    };
    let t1 = match t1 {
        Some(t1) if t1 > 0 && t1 < t2 => t1,
        _ => early(lease / 2).min(t2),
    };
    (t1, t2)
}

/// RFC 3442: with option 121 there, 33 and 3 are not looked at.
fn routes(message: &Message, routers: &[Ipv4Addr]) -> Vec<Route> {
    let classless = message.option(option::CLASSLESS_ROUTES).map(classless).unwrap_or_default();
    if !classless.is_empty() {
        return classless;
    }
    let mut out = Vec::new();
    for pair in message.option(option::STATIC_ROUTES).unwrap_or_default().chunks_exact(8) {
        let to = Ipv4Addr::new(pair[0], pair[1], pair[2], pair[3]);
        let via = Ipv4Addr::new(pair[4], pair[5], pair[6], pair[7]);
        // RFC 2132, 5.8: the default route is not allowed here.
        if let (false, true, Ok(to)) = (to.is_unspecified(), usable(via), Ipv4Net::new(to, class_prefix(to)))
        {
            out.push(Route { to: to.trunc(), via: Some(via) });
        }
    }
    if let Some(router) = routers.first() {
        out.push(Route { to: Ipv4Net::default(), via: Some(*router) });
    }
    out
}

fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}

fn classless(mut data: &[u8]) -> Vec<Route> {
    let mut out = Vec::new();
    while let [width @ 0..=32, rest @ ..] = data {
        let significant = usize::from(width.div_ceil(8));
        let Some((entry, after)) = rest.split_at_checked(significant + 4) else { break };
        let mut to = [0u8; 4];
        to[..significant].copy_from_slice(&entry[..significant]);
        let via = Ipv4Addr::new(
            entry[significant],
            entry[significant + 1],
            entry[significant + 2],
            entry[significant + 3],
        );
        if let Ok(to) = Ipv4Net::new(Ipv4Addr::from(to), *width)
            && (via.is_unspecified() || usable(via))
        {
            out.push(Route { to: to.trunc(), via: (!via.is_unspecified()).then_some(via) });
        }
        data = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v4::MessageType;
    use proptest::prelude::*;

    fn ack() -> Message {
        let mut m = Message::request(MessageType::Ack, 1, [2; 6]);
        m.op = 2;
        m.yiaddr = [10, 0, 0, 5].into();
        m.set(option::SUBNET_MASK, [255, 255, 255, 0]);
        m.set(option::SERVER_ID, [10, 0, 0, 1]);
        m.set(option::LEASE_TIME, 1000u32.to_be_bytes());
        m
    }

    fn read(m: &Message) -> Option<Lease> {
        Lease::read(m, None, None, &mut Random::new(1))
    }

    fn texts(lease: &Lease) -> Vec<String> {
        lease.routes.iter().map(|r| format!("{} {:?}", r.to, r.via)).collect()
    }

    #[test]
    fn option_121_excludes_33_and_3() {
        let mut m = ack();
        m.set(option::ROUTERS, [10, 0, 0, 254]);
        m.set(option::STATIC_ROUTES, [192, 168, 7, 9, 10, 0, 0, 2, 0, 0, 0, 0, 10, 0, 0, 2]);
        let lease = read(&m).unwrap();
        assert_eq!(texts(&lease), ["192.168.7.0/24 Some(10.0.0.2)", "0.0.0.0/0 Some(10.0.0.254)"]);
        m.set(option::CLASSLESS_ROUTES, [0, 10, 0, 0, 3, 20, 172, 16, 255, 0, 0, 0, 0, 33, 1, 2, 3, 4]);
        let lease = read(&m).unwrap();
        assert_eq!(texts(&lease), ["0.0.0.0/0 Some(10.0.0.3)", "172.16.240.0/20 None"]);
        assert_eq!(lease.gateway(), Some([10, 0, 0, 3].into()));
    }

    #[test]
    fn timers_that_do_not_fit_are_replaced() {
        for (t1, t2) in [(None, None), (Some(0), Some(0)), (Some(900), Some(500)), (Some(2000), Some(3000))] {
            let mut m = ack();
            if let (Some(a), Some(b)) = (t1, t2) {
                m.set(option::RENEWAL, u32::to_be_bytes(a));
                m.set(option::REBINDING, u32::to_be_bytes(b));
            }
            let lease = read(&m).unwrap();
            assert!(0 < lease.t1 && lease.t1 < lease.t2 && lease.t2 < 1000, "{t1:?} {t2:?}: {lease:?}");
        }
        let mut m = ack();
        m.set(option::RENEWAL, 300u32.to_be_bytes());
        m.set(option::REBINDING, 600u32.to_be_bytes());
        let lease = read(&m).unwrap();
        assert_eq!((lease.t1, lease.t2), (300, 600));
    }

    #[test]
    fn what_cannot_be_used_is_no_lease() {
        for address in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255]] {
            let mut m = ack();
            m.yiaddr = address.into();
            assert_eq!(read(&m), None);
        }
        let mut m = ack();
        m.set(option::SUBNET_MASK, [255, 0, 255, 0]);
        assert_eq!(read(&m), None);
        let mut m = ack();
        m.options.retain(|(c, _)| *c != option::SERVER_ID);
        assert_eq!(read(&m), None);
    }

    #[test]
    fn dns_mtu_and_infinite_leases_are_read() {
        let mut m = ack();
        m.set(option::LEASE_TIME, [0xff; 4]);
        m.set(option::INTERFACE_MTU, [0x05, 0x78]);
        m.set(option::DNS_SERVERS, [9, 9, 9, 9, 0, 0, 0, 0]);
        m.set(option::DOMAIN_NAME, *b"lan.example");
        m.set(option::DOMAIN_SEARCH, *b"\x01a\x03lan\0");
        let lease = read(&m).unwrap();
        assert_eq!((lease.seconds, lease.mtu), (None, Some(1400)));
        assert_eq!(lease.dns, [Ipv4Addr::new(9, 9, 9, 9)]);
        assert_eq!((lease.domain.as_deref(), lease.search), (Some("lan.example"), vec!["a.lan".to_owned()]));
        m.set(option::INTERFACE_MTU, [0, 68]);
        assert_eq!(read(&m).unwrap().mtu, None);
    }

    proptest! {
        #[test]
        fn timers_are_ordered_for_every_lease(
            lease: u32, t1 in proptest::option::of(any::<u32>()), t2 in proptest::option::of(any::<u32>()), seed: u64,
        ) {
            let (t1, t2) = timers(lease.max(1), t1, t2, &mut Random::new(seed));
            prop_assert!(t1 <= t2 && t2 <= lease.max(1));
        }

        #[test]
        fn any_options_are_read_without_panic(
            options in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..20),
        ) {
            let mut m = ack();
            for (code, data) in options {
                m.set(code, data);
            }
            let _ = read(&m);
        }
    }
}
