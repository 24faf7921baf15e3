//! `routes` and `route-rules`.

use std::net::IpAddr;

use ipnet::IpNet;
use kernel::uapi::RT_TABLE_MAIN;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::values::Scalar;
use crate::plan::routes::DEFAULT_METRIC_V6;

/// `routes`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Routes {
    /// Routes to be, and routes not to be.
    #[serde(deserialize_with = "list")]
    pub config: Vec<RouteEntry>,
}

/// One route; with `state: absent` a pattern, in which what is not said matches any.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RouteEntry {
    /// Absent, or to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Absent>,
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<IpNet>,
    /// By this interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_interface: Option<String>,
    /// By this router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_address: Option<IpAddr>,
    /// The lower wins.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "metric")]
    pub metric: Option<u32>,
    /// The table; main when it is not said.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "table")]
    pub table_id: Option<u32>,
    /// The source address that the host prefers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// The greatest packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// A route that leads nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_type: Option<RouteType>,
}

/// `state: absent` of a route or a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Absent {
    /// It shall not be.
    Absent,
}

/// `route-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteType {
    /// Dropped in silence.
    Blackhole,
    /// The sender is told that nobody is there.
    Unreachable,
    /// The sender is told that it is forbidden.
    Prohibit,
}

/// `route-rules`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RouteRules {
    /// Rules to be, and rules not to be.
    #[serde(deserialize_with = "list")]
    pub config: Vec<RuleEntry>,
}

/// One rule; with `state: absent` a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RuleEntry {
    /// Absent, or to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Absent>,
    /// ipv4 or ipv6; known by the addresses when there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<RuleFamily>,
    /// Packets from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_from: Option<Prefix>,
    /// Packets to here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_to: Option<Prefix>,
    /// Its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// The table.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "table")]
    pub route_table: Option<u32>,
    /// Packets with this mark.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "mark")]
    pub fwmark: Option<u32>,
    /// Which bits of the mark count.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "mark")]
    pub fwmask: Option<u32>,
    /// Packets that came in here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iif: Option<String>,
    /// What is done instead of a look into a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<RouteAction>,
    /// Routes of this prefix length or shorter do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppress_prefix_length: Option<u32>,
}

/// `family`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// `action`.
pub type RouteAction = RouteType;

/// A prefix, or an address for one of full length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix(pub IpNet);

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        net.map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no prefix such as 192.0.2.0/24")))
    }
}

impl Routes {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.config.is_empty()
    }

    /// Without what a later entry takes the place of.
    pub(super) fn without_the_replaced(&self) -> Self {
        let mut routes = Self::default();
        routes.overlay(self);
        routes
    }

    /// What is absent takes the earlier that it matches away and stays itself, so that it is still true later.
    pub(super) fn overlay(&mut self, newer: &Self) {
        for entry in &newer.config {
            self.config.retain(|old| {
                let taken = entry.state.is_some() && entry.matches(old);
                // A route that is wanted again is no longer unwanted.
                let back = old.state.is_some() && entry.state.is_none() && old.matches(entry);
                !taken && !back && !entry.replaces(old)
            });
            self.config.push(entry.clone());
        }
    }
}

impl RouteEntry {
    fn is_v6(&self) -> bool {
        self.destination.is_some_and(|to| to.addr().is_ipv6())
    }

    /// The metric by which the kernel knows it. Of IPv6 it takes 0 for none said.
    fn metric(&self, said: Option<u32>) -> u32 {
        if self.is_v6() {
            said.filter(|metric| *metric != 0).unwrap_or(DEFAULT_METRIC_V6)
        } else {
            said.unwrap_or(0)
        }
    }

    /// What the kernel does by itself is not said.
    pub(super) fn normalize(&mut self) {
        if self.state.is_none() {
            let plain = self.metric(None);
            self.metric = Some(self.metric(self.metric)).filter(|metric| *metric != plain);
            self.table_id.take_if(|table| *table == RT_TABLE_MAIN);
        }
    }

    /// Whether what it says agrees with another entry.
    pub(super) fn matches(&self, other: &Self) -> bool {
        fn agrees<T: PartialEq>(pattern: &Option<T>, value: &Option<T>) -> bool {
            pattern.is_none() || pattern == value
        }
        agrees(&self.destination, &other.destination)
            && agrees(&self.next_hop_interface, &other.next_hop_interface)
            && agrees(&self.next_hop_address, &other.next_hop_address)
            && self.metric.is_none_or(|metric| other.metric(Some(metric)) == other.metric(other.metric))
            && self.table_id.is_none_or(|table| table == other.table_id.unwrap_or(RT_TABLE_MAIN))
            && agrees(&self.source, &other.source)
            && agrees(&self.mtu, &other.mtu)
            && agrees(&self.route_type, &other.route_type)
    }

    /// The kernel keeps one route to a destination with one metric in one table.
    pub(super) fn replaces(&self, old: &Self) -> bool {
        self.state.is_none()
            && old.state.is_none()
            && self.destination == old.destination
            && self.metric == old.metric
            && self.table_id.unwrap_or(RT_TABLE_MAIN) == old.table_id.unwrap_or(RT_TABLE_MAIN)
    }
}

impl RouteRules {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.config.is_empty()
    }

    /// As of routes: a pattern takes away what it matches, and goes when that is wanted again.
    pub(super) fn overlay(&mut self, newer: &Self) {
        for entry in &newer.config {
            self.config.retain(|old| match (entry.state, old.state) {
                (Some(_), None) => !entry.matches(&old.rule()),
                (None, Some(_)) => !old.matches(&entry.rule()),
                (None, None) => old.rule() != entry.rule(),
                (Some(_), Some(_)) => old != entry,
            });
            self.config.push(entry.clone());
        }
    }
}

fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// -1 is nmstate's word for the default.
fn metric<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    number(from, "a metric: allowed are 0 to 4294967295, and -1 for the default", Some(-1))
}

/// 0 is nmstate's word for main.
fn table<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    Ok(number(from, "a table: allowed are 1 to 4294967295", None)?.filter(|table| *table != 0))
}

fn mark<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    number(from, "a mark: allowed are 0 to 0xffffffff", None)
}

fn number<'de, D: Deserializer<'de>>(
    from: D,
    what: &str,
    default: Option<i64>,
) -> Result<Option<u32>, D::Error> {
    let number = match Option::<Scalar>::deserialize(from)? {
        None => return Ok(None),
        Some(Scalar::Number(number)) if Some(number) == default => return Ok(None),
        Some(Scalar::Number(number)) => u32::try_from(number).ok(),
        Some(Scalar::Text(text)) => match text.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        },
        Some(Scalar::Bool(_)) => None,
    };
    number.map(Some).ok_or_else(|| serde::de::Error::custom(format!("is not {what}")))
}
