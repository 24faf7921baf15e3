//! Routes on the wire: `struct rtmsg` and the `RTA_*` attributes.

use std::net::IpAddr;

use crate::link_wire::each_u32;
use crate::uapi::*;
use crate::wire::{Attr, Attrs, Writer, u16_at, u32_at};
use crate::{Error, Family, NextHop, Result, Route, RouteFilter};

/// Length of `struct rtmsg`.
const HEADER: usize = 12;

impl Route {
    /// `scope` is what is sent when the route does not say.
    fn encode(&self, kind: u16, flags: u16, scope: u8, w: &mut Writer) -> Result<()> {
        let wrong = self.dst.is_some_and(|net| Family::of_net(net) != self.family)
            || self.src.is_some_and(|ip| Family::of(ip) != self.family);
        if wrong {
            return Err(Error::Invalid {
                object: "route",
                value: self.to_string(),
                allowed: "addresses of the route's family",
            });
        }
        w.begin(kind, NLM_F_ACK | flags);
        let len = self.dst.map_or(0, |net| net.prefix_len());
        let table = u8::try_from(self.table).unwrap_or(0);
        let scope = self.scope.unwrap_or(scope);
        let from_len = self.from.map_or(0, |net| net.prefix_len());
        w.raw(&[self.family.number(), len, from_len, self.tos, table, self.protocol, scope, self.kind]);
        w.u32(if self.onlink { RTNH_F_ONLINK } else { 0 });
        if let Some(dst) = self.dst {
            w.attr_ip(RTA_DST, dst.network());
        }
        if let Some(from) = self.from {
            w.attr_ip(RTA_SRC, from.network());
        }
        if let Some(gateway) = self.gateway {
            encode_gateway(w, self.family, gateway);
        }
        if let Some(src) = self.src {
            w.attr_ip(RTA_PREFSRC, src);
        }
        each_u32(w, &[(RTA_OIF, self.oif), (RTA_PRIORITY, self.priority), (RTA_EXPIRES, self.expires)]);
        self.attributes.iter().for_each(|(kind, value)| w.attr(*kind, value));
        if self.table != RT_TABLE_UNSPEC {
            w.attr_u32(RTA_TABLE, self.table);
        }
        if self.mtu.is_some() || self.advmss.is_some() || !self.metrics.is_empty() {
            let at = w.nest(RTA_METRICS);
            each_u32(w, &[(RTAX_MTU, self.mtu), (RTAX_ADVMSS, self.advmss)]);
            self.metrics.iter().for_each(|(kind, value)| w.attr(*kind, value));
            w.close(at);
        }
        if !self.nexthops.is_empty() {
            let at = w.open(RTA_MULTIPATH);
            for hop in &self.nexthops {
                encode_hop(w, self.family, hop);
            }
            w.close(at);
        }
        w.end()
    }

    pub(crate) fn encode_new(&self, flags: u16, w: &mut Writer) -> Result<()> {
        let scope = match (self.family, self.kind) {
            (Family::V4, RTN_LOCAL) => RT_SCOPE_HOST,
            (Family::V4, RTN_UNICAST | RTN_BROADCAST | RTN_MULTICAST | RTN_ANYCAST)
                if self.gateway.is_none() && self.nexthops.iter().all(|hop| hop.gateway.is_none()) =>
            {
                RT_SCOPE_LINK
            }
            _ => RT_SCOPE_UNIVERSE,
        };
        self.encode(RTM_NEWROUTE, flags, scope, w)
    }

    pub(crate) fn encode_delete(&self, w: &mut Writer) -> Result<()> {
        self.encode(RTM_DELROUTE, 0, RT_SCOPE_NOWHERE, w)
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let &[family, dst_len, src_len, tos, table, protocol, scope, kind, ..] = body else { return None };
        let family = Family::from_number(family)?;
        let flags = u32_at(body, 8)?;
        let mut route = Self {
            table: u32::from(table),
            scope: Some(scope),
            protocol,
            kind,
            onlink: flags & RTNH_F_ONLINK != 0,
            flags,
            tos,
            ..Self::new(family)
        };
        for attr in Attrs::after(body, HEADER) {
            match attr.kind {
                RTA_DST => route.dst = Some(family.net(attr.ip()?, dst_len)?),
                RTA_GATEWAY | RTA_VIA => route.gateway = decode_gateway(attr),
                RTA_OIF => route.oif = attr.u32(),
                RTA_PREFSRC => route.src = attr.ip(),
                RTA_PRIORITY => route.priority = attr.u32(),
                RTA_TABLE => route.table = attr.u32()?,
                RTA_METRICS => {
                    for metric in attr.attrs() {
                        match metric.kind {
                            RTAX_MTU => route.mtu = metric.u32(),
                            RTAX_ADVMSS => route.advmss = metric.u32(),
                            kind => route.metrics.push((kind, metric.value.to_vec())),
                        }
                    }
                }
                RTA_MULTIPATH => route.nexthops = decode_hops(attr.value, &mut route.unknown),
                RTA_SRC => route.from = Some(family.net(attr.ip()?, src_len)?),
                // Hundredths of a second. A route that stays says 0.
                RTA_CACHEINFO => {
                    route.expires = u32_at(attr.value, 8).filter(|left| *left != 0).map(|left| left / 100);
                }
                // Medium is what a route has that says nothing.
                RTA_PREF if attr.value == [0] => {}
                RTA_FLOW | RTA_PREF | RTA_TTL_PROPAGATE => {
                    route.attributes.push((attr.kind, attr.value.to_vec()));
                }
                kind => route.unknown.push(kind),
            }
        }
        Some(route)
    }

    /// Whether a route read is one that was asked for; old kernels send more.
    pub(crate) fn matches(&self, filter: &RouteFilter) -> bool {
        self.flags & RTM_F_CLONED == 0
            && filter.family.is_none_or(|family| family == self.family)
            && filter.table.is_none_or(|table| table == self.table)
            && filter.protocol.is_none_or(|protocol| protocol == self.protocol)
            && filter
                .oif
                .is_none_or(|oif| self.oif == Some(oif) || self.nexthops.iter().any(|hop| hop.oif == oif))
    }
}

/// `10.0.0.0/8 via 10.1.2.1 on interface 3`, for errors.
impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.dst {
            Some(dst) => write!(f, "{dst}")?,
            None => f.write_str("default")?,
        }
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(oif) = self.oif {
            write!(f, " on interface {oif}")?;
        }
        if self.table != RT_TABLE_MAIN {
            write!(f, " in table {}", self.table)?;
        }
        Ok(())
    }
}

/// A next hop of the other family goes into `struct rtvia`.
fn encode_gateway(w: &mut Writer, family: Family, gateway: IpAddr) {
    let its = Family::of(gateway);
    if its == family {
        w.attr_ip(RTA_GATEWAY, gateway);
        return;
    }
    let at = w.open(RTA_VIA);
    w.u16(u16::from(its.number()));
    match gateway {
        IpAddr::V4(ip) => w.raw(&ip.octets()),
        IpAddr::V6(ip) => w.raw(&ip.octets()),
    }
    w.close(at);
}

fn decode_gateway(attr: Attr<'_>) -> Option<IpAddr> {
    if attr.kind == RTA_VIA { Attr { value: attr.value.get(2..)?, ..attr }.ip() } else { attr.ip() }
}

/// `struct rtnexthop`, whose own length counts itself and its attributes.
fn encode_hop(w: &mut Writer, family: Family, hop: &NextHop) {
    let weight = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    // An attribute begins with its length in 16 bits too; what follows there is its type.
    let at = w.open(u16::from_ne_bytes([hop.flags, weight]));
    w.u32(hop.oif);
    if let Some(gateway) = hop.gateway {
        encode_gateway(w, family, gateway);
    }
    w.close(at);
}

fn decode_hops(mut bytes: &[u8], unknown: &mut Vec<u16>) -> Vec<NextHop> {
    let mut hops = Vec::new();
    while let Some(hop) = u16_at(bytes, 0).and_then(|len| bytes.get(..usize::from(len))) {
        let (Some(&[flags, weight]), Some(oif)) =
            (hop.get(2..4).and_then(|b| b.first_chunk()), u32_at(hop, 4))
        else {
            break;
        };
        let mut gateway = None;
        for attr in Attrs::after(hop, 8) {
            match attr.kind {
                RTA_GATEWAY | RTA_VIA => gateway = decode_gateway(attr),
                kind => unknown.push(kind),
            }
        }
        hops.push(NextHop { oif, gateway, weight: u16::from(weight) + 1, flags });
        bytes = bytes.get(hop.len().next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

/// Asks for the routes of a family. The kernel leaves out what the filter leaves out.
pub(crate) fn encode_dump(w: &mut Writer, family: Family, filter: &RouteFilter, kind: u8) -> Result<()> {
    w.begin(RTM_GETROUTE, NLM_F_DUMP);
    w.raw(&[family.number(), 0, 0, 0, 0, filter.protocol.unwrap_or(0), 0, kind]);
    w.u32(0);
    each_u32(w, &[(RTA_TABLE, filter.table), (RTA_OIF, filter.oif)]);
    w.end()
}
