//! `link-aggregation`: modes and options, one row each.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kernel::uapi::*;
use kernel::{Bond, BondValue, BondWidth};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::values::Scalar;

/// `link-aggregation.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BondMode(u8);

impl BondMode {
    /// All names, at the place of the kernel's number.
    pub const NAMES: [&'static str; 7] =
        ["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];

    /// The mode of a kernel's number.
    pub fn from_number(number: u8) -> Option<Self> {
        (usize::from(number) < Self::NAMES.len()).then_some(Self(number))
    }

    /// The kernel's number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.get(usize::from(self.0)).copied().unwrap_or_default()
    }
}

impl Serialize for BondMode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for BondMode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scalar = Scalar::deserialize(from)?;
        let number = match &scalar {
            Scalar::Number(number) => u8::try_from(*number).ok(),
            Scalar::Text(word) => {
                (0..).zip(Self::NAMES).find(|(_, name)| name == word).map(|(number, _)| number)
            }
            Scalar::Bool(_) => None,
        };
        let allowed = || format!("is no mode of a bond: allowed are {}", Self::NAMES.join(", "));
        number.and_then(Self::from_number).ok_or_else(|| serde::de::Error::custom(allowed()))
    }
}

/// One option of a bond.
#[derive(Clone, Copy, Debug)]
pub struct BondOption {
    /// nmstate's name, which is the kernel's in `/sys` but for few.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// `IFLA_BOND_*`.
    pub number: u16,
    /// The least number.
    pub least: u32,
    /// The greatest number.
    pub most: u32,
    /// The words for 0, 1, 2 …; empty when it is a plain number.
    pub words: &'static [&'static str],
    /// Whether words are printed as true and false.
    pub switch: bool,
    /// In which modes, one bit each.
    pub modes: u8,
    /// What the bond must be to change it.
    pub needs: Needs,
}

/// What a bond must be for an option to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Down.
    Down,
    /// Without ports.
    Empty,
}

const ANY: u8 = 0x7f;
const ACTIVE_BACKUP: u8 = 1 << 1;
const AD: u8 = 1 << 4;
const TLB: u8 = 1 << 5;
const ALB: u8 = 1 << 6;
/// Modes with the ARP monitor.
const ARP: u8 = ANY & !(AD | TLB | ALB);
const INT: u32 = i32::MAX as u32;

const fn number(name: &'static str, number: u16, least: u32, most: u32) -> BondOption {
    BondOption {
        name,
        aliases: &[],
        number,
        least,
        most,
        words: &[],
        switch: false,
        modes: ANY,
        needs: Needs::Nothing,
    }
}

#[allow(clippy::cast_possible_truncation)] // Never more than seven.
const fn words(name: &'static str, option: u16, words: &'static [&'static str]) -> BondOption {
    BondOption { words, ..number(name, option, 0, words.len() as u32 - 1) }
}

const fn switch(name: &'static str, option: u16) -> BondOption {
    BondOption { switch: true, ..words(name, option, &["off", "on"]) }
}

impl BondOption {
    const fn modes(self, modes: u8) -> Self {
        Self { modes, ..self }
    }

    const fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// The option of a name; dashes are as good as underscores.
    pub fn of_name(name: &str) -> Option<&'static Self> {
        let name = name.replace('-', "_");
        BOND_OPTIONS.iter().find(|option| option.name == name || option.aliases.contains(&name.as_str()))
    }

    /// The option of a kernel's number.
    pub fn of_number(number: u16) -> Option<&'static Self> {
        BOND_OPTIONS.iter().find(|option| option.number == number)
    }

    /// Whether it is of a mode.
    pub fn is_of(&self, mode: BondMode) -> bool {
        self.modes & (1 << mode.0) != 0
    }

    /// What may be written, for an error.
    fn allowed(&self) -> String {
        match BondWidth::of(self.number) {
            Some(BondWidth::Mac) => "a unicast MAC".to_owned(),
            Some(BondWidth::V4) => "at most 16 IPv4 addresses with commas between".to_owned(),
            Some(BondWidth::V6) => "at most 16 IPv6 addresses with commas between".to_owned(),
            _ if self.switch => "true and false".to_owned(),
            _ if !self.words.is_empty() => self.words.join(", "),
            _ => format!("{} to {}", self.least, self.most),
        }
    }

    /// Reads a value.
    fn parse(&self, value: &Scalar) -> Option<BondValue> {
        let addresses = |text: &str, v4: bool| {
            let list: Option<Vec<IpAddr>> = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| part.parse().ok())
                .collect();
            list.filter(|list| list.len() <= 16 && list.iter().all(|ip| ip.is_ipv4() == v4))
                .map(BondValue::Addresses)
        };
        let number = match (BondWidth::of(self.number)?, value) {
            (BondWidth::Mac, Scalar::Text(text)) => {
                return text
                    .parse()
                    .ok()
                    .filter(|mac: &kernel::MacAddr| !mac.is_multicast())
                    .map(BondValue::Mac);
            }
            (BondWidth::V4, Scalar::Text(text)) => return addresses(text, true),
            (BondWidth::V6, Scalar::Text(text)) => return addresses(text, false),
            (BondWidth::Mac | BondWidth::V4 | BondWidth::V6, _) => return None,
            (_, Scalar::Number(number)) => u32::try_from(*number).ok()?,
            (_, Scalar::Bool(on)) if self.words.len() == 2 => u32::from(*on),
            (_, Scalar::Bool(_)) => return None,
            (_, Scalar::Text(text)) => {
                let word = (0..).zip(self.words).find(|(_, word)| *word == text).map(|(number, _)| number);
                word.or_else(|| text.parse().ok())?
            }
        };
        (self.least..=self.most).contains(&number).then_some(BondValue::Number(number))
    }

    /// Writes a value as nmstate does.
    pub(crate) fn print(&self, value: &BondValue) -> String {
        match value {
            BondValue::Number(number) if self.switch => (*number != 0).to_string(),
            BondValue::Number(number) => {
                let word = usize::try_from(*number).ok().and_then(|at| self.words.get(at));
                word.map_or_else(|| number.to_string(), |word| (*word).to_owned())
            }
            BondValue::Mac(mac) => mac.to_string(),
            BondValue::Addresses(list) => list.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(","),
        }
    }
}

/// Every option but the mode, `primary` and `active_slave`, which name interfaces.
pub static BOND_OPTIONS: [BondOption; 29] = [
    number("miimon", IFLA_BOND_MIIMON, 0, INT),
    number("updelay", IFLA_BOND_UPDELAY, 0, INT),
    number("downdelay", IFLA_BOND_DOWNDELAY, 0, INT),
    switch("use_carrier", IFLA_BOND_USE_CARRIER),
    number("arp_interval", IFLA_BOND_ARP_INTERVAL, 0, INT).modes(ARP),
    number("arp_ip_target", IFLA_BOND_ARP_IP_TARGET, 0, 0).aliases(&["arp_ip_targets"]),
    number("ns_ip6_target", IFLA_BOND_NS_IP6_TARGET, 0, 0),
    words(
        "arp_validate",
        IFLA_BOND_ARP_VALIDATE,
        &["none", "active", "backup", "all", "filter", "filter_active", "filter_backup"],
    )
    .modes(ARP),
    words("arp_all_targets", IFLA_BOND_ARP_ALL_TARGETS, &["any", "all"]),
    words("primary_reselect", IFLA_BOND_PRIMARY_RESELECT, &["always", "better", "failure"]),
    words("fail_over_mac", IFLA_BOND_FAIL_OVER_MAC, &["none", "active", "follow"]).needs(Needs::Empty),
    words(
        "xmit_hash_policy",
        IFLA_BOND_XMIT_HASH_POLICY,
        &["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"],
    ),
    number("resend_igmp", IFLA_BOND_RESEND_IGMP, 0, 255),
    number("num_grat_arp", IFLA_BOND_NUM_PEER_NOTIF, 0, 255).aliases(&["num_unsol_na", "num_peer_notif"]),
    words("all_slaves_active", IFLA_BOND_ALL_SLAVES_ACTIVE, &["dropped", "delivered"]),
    number("min_links", IFLA_BOND_MIN_LINKS, 0, INT),
    number("lp_interval", IFLA_BOND_LP_INTERVAL, 1, INT),
    number("packets_per_slave", IFLA_BOND_PACKETS_PER_SLAVE, 0, 65535).modes(1),
    words("lacp_rate", IFLA_BOND_AD_LACP_RATE, &["slow", "fast"]).modes(AD).needs(Needs::Down),
    switch("lacp_active", IFLA_BOND_AD_LACP_ACTIVE).modes(AD).needs(Needs::Down),
    words("ad_select", IFLA_BOND_AD_SELECT, &["stable", "bandwidth", "count"]).needs(Needs::Down),
    number("ad_actor_sys_prio", IFLA_BOND_AD_ACTOR_SYS_PRIO, 1, 65535).modes(AD),
    number("ad_user_port_key", IFLA_BOND_AD_USER_PORT_KEY, 0, 1023).modes(AD).needs(Needs::Down),
    number("ad_actor_system", IFLA_BOND_AD_ACTOR_SYSTEM, 0, 0).modes(AD),
    switch("tlb_dynamic_lb", IFLA_BOND_TLB_DYNAMIC_LB).modes(TLB | ALB).needs(Needs::Down),
    number("peer_notif_delay", IFLA_BOND_PEER_NOTIF_DELAY, 0, 300_000),
    number("missed_max", IFLA_BOND_MISSED_MAX, 1, 255).aliases(&["arp_missed_max"]).modes(ARP),
    switch("coupled_control", IFLA_BOND_COUPLED_CONTROL).modes(AD).needs(Needs::Down),
    switch("broadcast_neighbor", IFLA_BOND_BROADCAST_NEIGH).modes(AD).aliases(&["broadcast_neigh"]),
];

/// Modes that have a primary port.
pub(crate) fn has_primary(mode: BondMode) -> bool {
    (ACTIVE_BACKUP | TLB | ALB) & (1 << mode.0) != 0
}

/// `link-aggregation.options`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Scalar>", into = "BTreeMap<String, Scalar>")]
pub struct BondOptions {
    /// All but the primary.
    pub values: Bond,
    /// The port that is used while it is up; empty for none.
    pub primary: Option<String>,
}

impl BondOptions {
    /// Whether none is said.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.primary.is_none()
    }

    pub(super) fn overlay(&mut self, newer: &Self) {
        newer.values.options().for_each(|(option, value)| self.values.set(option, value.clone()));
        if newer.primary.is_some() {
            self.primary.clone_from(&newer.primary);
        }
    }

    /// The kernel has one monitor: when the newer options turn one on, what was said of the other ends.
    pub(super) fn without_other_monitor(&mut self, newer: &Self) {
        let on = |option| newer.values.number(option).is_some_and(|ms| ms > 0);
        let other: &[u16] = if on(IFLA_BOND_ARP_INTERVAL) {
            &[IFLA_BOND_MIIMON, IFLA_BOND_UPDELAY, IFLA_BOND_DOWNDELAY, IFLA_BOND_PEER_NOTIF_DELAY]
        } else if on(IFLA_BOND_MIIMON) {
            &[IFLA_BOND_ARP_INTERVAL, IFLA_BOND_ARP_VALIDATE]
        } else {
            &[]
        };
        other.iter().for_each(|option| self.values.remove(*option));
    }

    /// Takes out what is not of the mode.
    pub(crate) fn retain_allowed(&mut self, mode: Option<BondMode>) {
        let Some(mode) = mode else { return };
        let other = |(number, _): (u16, &BondValue)| {
            BondOption::of_number(number).is_none_or(|option| !option.is_of(mode)).then_some(number)
        };
        let wrong: Vec<u16> = self.values.options().filter_map(other).collect();
        wrong.into_iter().for_each(|number| self.values.remove(number));
        if !has_primary(mode) {
            self.primary = None;
        }
    }
}

impl TryFrom<BTreeMap<String, Scalar>> for BondOptions {
    type Error = String;

    fn try_from(map: BTreeMap<String, Scalar>) -> Result<Self, String> {
        let mut options = Self::default();
        for (name, value) in map {
            if name == "primary" {
                let Scalar::Text(primary) = value else {
                    return Err("primary: the name of a port".to_owned());
                };
                options.primary = Some(primary);
                continue;
            }
            let option =
                BondOption::of_name(&name).ok_or_else(|| format!("{name} is no option of a bond"))?;
            let parsed = option.parse(&value).ok_or_else(|| {
                let value = match &value {
                    Scalar::Bool(word) => word.to_string(),
                    Scalar::Number(number) => number.to_string(),
                    Scalar::Text(text) => format!("{text:?}"),
                };
                format!("{name} cannot be {value}: allowed are {}", option.allowed())
            })?;
            if options.values.get(option.number).is_some_and(|old| *old != parsed) {
                return Err(format!("{name} and another name for it ({}) differ", option.name));
            }
            options.values.set(option.number, parsed);
        }
        Ok(options)
    }
}

impl From<BondOptions> for BTreeMap<String, Scalar> {
    fn from(options: BondOptions) -> Self {
        let row = |(number, value): (u16, &BondValue)| {
            let option = BondOption::of_number(number)?;
            let scalar = match value {
                BondValue::Number(number) if option.switch => Scalar::Bool(*number != 0),
                BondValue::Number(number) if option.words.is_empty() => Scalar::Number((*number).into()),
                value => Scalar::Text(option.print(value)),
            };
            Some((option.name.to_owned(), scalar))
        };
        let mut map: Self = options.values.options().filter_map(row).collect();
        map.extend(options.primary.map(|primary| ("primary".to_owned(), Scalar::Text(primary))));
        map
    }
}
