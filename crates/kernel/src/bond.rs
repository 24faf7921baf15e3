//! Bonds: their options and what a port of one tells.

use std::net::IpAddr;

use crate::uapi::*;
use crate::wire::{Attr, Attrs, Writer};
use crate::{Error, MacAddr, Result};

/// A bond's parameters, by `IFLA_BOND_*` number. Read, it has all that the kernel tells; made or changed, only what is
/// in it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Bond(Vec<(u16, BondValue)>);

/// The value of a bond's option.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(untagged))]
pub enum BondValue {
    /// A number, a choice or the index of a link (0 is none).
    Number(u32),
    /// `ad_actor_system`.
    Mac(MacAddr),
    /// `arp_ip_target`, `ns_ip6_target`.
    Addresses(Vec<IpAddr>),
}

/// How an option is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BondWidth {
    /// One byte.
    U8,
    /// Two bytes.
    U16,
    /// Four bytes.
    U32,
    /// Six bytes.
    Mac,
    /// A nest of IPv4 addresses.
    V4,
    /// A nest of IPv6 addresses.
    V6,
}

impl BondWidth {
    /// The width of an option; `None` for numbers that are none or only tell (`IFLA_BOND_AD_INFO`).
    pub fn of(option: u16) -> Option<Self> {
        Some(match option {
            1 | 6 | 12..=14 | 16 | 17 | 21 | 22 | 27 | 29 | 30 | 32 | 33 => Self::U8,
            24 | 25 => Self::U16,
            2..=5 | 7 | 9..=11 | 15 | 18..=20 | 28 => Self::U32,
            IFLA_BOND_AD_ACTOR_SYSTEM => Self::Mac,
            IFLA_BOND_ARP_IP_TARGET => Self::V4,
            IFLA_BOND_NS_IP6_TARGET => Self::V6,
            _ => return None,
        })
    }
}

impl Bond {
    /// A bond of a mode: 0 balance-rr, 1 active-backup, 2 balance-xor, 3 broadcast, 4 802.3ad, 5 balance-tlb,
    /// 6 balance-alb. Everything else is the kernel's choice.
    pub fn new(mode: u8) -> Self {
        Self::default().with(IFLA_BOND_MODE, mode)
    }

    /// With an option that is a number.
    #[must_use]
    pub fn with(mut self, option: u16, number: impl Into<u32>) -> Self {
        self.set(option, BondValue::Number(number.into()));
        self
    }

    /// The mode; 0, as the kernel's choice, when it is not said.
    pub fn mode(&self) -> u8 {
        self.number(IFLA_BOND_MODE).and_then(|mode| u8::try_from(mode).ok()).unwrap_or(0)
    }

    /// The value of an option.
    pub fn get(&self, option: u16) -> Option<&BondValue> {
        self.0.iter().find(|(number, _)| *number == option).map(|(_, value)| value)
    }

    /// The value of an option that is a number.
    pub fn number(&self, option: u16) -> Option<u32> {
        match self.get(option) {
            Some(BondValue::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// Sets an option.
    pub fn set(&mut self, option: u16, value: BondValue) {
        let at = self.0.partition_point(|(number, _)| *number < option);
        match self.0.get_mut(at) {
            Some((number, old)) if *number == option => *old = value,
            _ => self.0.insert(at, (option, value)),
        }
    }

    /// Takes an option out, so that it is not sent.
    pub fn remove(&mut self, option: u16) {
        self.0.retain(|(number, _)| *number != option);
    }

    /// The options in it, by number.
    pub fn options(&self) -> impl Iterator<Item = (u16, &BondValue)> {
        self.0.iter().map(|(number, value)| (*number, value))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn encode(&self, w: &mut Writer) -> Result<()> {
        for (option, value) in &self.0 {
            encode(w, *option, value).ok_or_else(|| Error::Invalid {
                object: "bond option",
                value: format!("{option}: {value:?}"),
                allowed: "a value of the option's width",
            })?;
        }
        Ok(())
    }

    pub(crate) fn decode(data: Attrs<'_>) -> Self {
        let mut bond = Self::default();
        for attr in data {
            if let Some(value) = decode(attr) {
                bond.set(attr.kind, value);
            }
        }
        bond
    }
}

/// `None`: the value is not of the option's width.
fn encode(w: &mut Writer, option: u16, value: &BondValue) -> Option<()> {
    match (BondWidth::of(option)?, value) {
        (BondWidth::U8, BondValue::Number(number)) => w.attr_u8(option, u8::try_from(*number).ok()?),
        (BondWidth::U16, BondValue::Number(number)) => w.attr_u16(option, u16::try_from(*number).ok()?),
        (BondWidth::U32, BondValue::Number(number)) => w.attr_u32(option, *number),
        (BondWidth::Mac, BondValue::Mac(mac)) => w.attr(option, &mac.0),
        (width @ (BondWidth::V4 | BondWidth::V6), BondValue::Addresses(addresses)) => {
            let at = w.nest(option);
            for (place, address) in (0..).zip(addresses) {
                if address.is_ipv4() != (width == BondWidth::V4) {
                    return None;
                }
                w.attr_ip(place, *address);
            }
            w.close(at);
        }
        _ => return None,
    }
    Some(())
}

fn decode(attr: Attr<'_>) -> Option<BondValue> {
    Some(match BondWidth::of(attr.kind)? {
        BondWidth::U8 => BondValue::Number(attr.u8()?.into()),
        BondWidth::U16 => BondValue::Number(attr.u16()?.into()),
        BondWidth::U32 => BondValue::Number(attr.u32()?),
        BondWidth::Mac => BondValue::Mac(MacAddr::from_slice(attr.value)?),
        BondWidth::V4 | BondWidth::V6 => {
            BondValue::Addresses(attr.attrs().filter_map(|target| target.ip()).collect())
        }
    })
}

/// What a bond's port tells (`IFLA_INFO_SLAVE_DATA`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BondPort {
    /// Whether frames go through it; not when it is a backup.
    pub active: bool,
    /// 0 up, 1 going down, 2 down, 3 coming back.
    pub mii_status: u8,
    /// How often its link was lost.
    pub failures: u32,
    /// The MAC it gets back when it leaves.
    pub permanent_mac: Option<MacAddr>,
    /// 802.3ad: the aggregator it belongs to.
    pub aggregator: Option<u16>,
}

impl BondPort {
    pub(crate) fn decode(data: Attrs<'_>) -> Self {
        let mut port = Self::default();
        for attr in data {
            match attr.kind {
                IFLA_BOND_SLAVE_STATE => port.active = attr.u8() == Some(0),
                IFLA_BOND_SLAVE_MII_STATUS => port.mii_status = attr.u8().unwrap_or_default(),
                IFLA_BOND_SLAVE_LINK_FAILURE_COUNT => port.failures = attr.u32().unwrap_or_default(),
                IFLA_BOND_SLAVE_PERM_HWADDR => port.permanent_mac = MacAddr::from_slice(attr.value),
                IFLA_BOND_SLAVE_AD_AGGREGATOR_ID => port.aggregator = attr.u16(),
                _ => {}
            }
        }
        port
    }
}
