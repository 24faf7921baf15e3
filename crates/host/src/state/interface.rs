//! One interface of a declared state.

use std::net::IpAddr;

use kernel::{MacAddr, MacvlanMode};
use serde::{Deserialize, Serialize};

use super::values::{length, number, switch, upper};
use super::{BondMode, BondOptions};

/// One interface; what is `None` is not said.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Interface {
    /// Its name, 1 to 15 bytes.
    pub name: String,
    /// Its type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<InterfaceType>,
    /// Up, down, absent or ignored; up when it is not said and the interface is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<InterfaceState>,
    /// How the interface is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Identifier>,
    /// Free text, kept as the link's alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its MAC.
    #[serde(default, with = "upper", skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<MacAddr>,
    /// It takes the MAC of this interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_mac_from: Option<String>,
    /// Bytes.
    #[serde(default, deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Promiscuous.
    #[serde(default, deserialize_with = "switch", skip_serializing_if = "Option::is_none")]
    pub accept_all_mac_addresses: Option<bool>,
    /// The bond it is a port of; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<String>,
    /// IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ip>,
    /// IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ip>,
    /// Of a bond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_aggregation: Option<LinkAggregation>,
    /// Of a VLAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<VlanTag>,
    /// Of a macvlan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_vlan: Option<MacVlan>,
    /// Of a macvtap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_vtap: Option<MacVlan>,
    /// Of one end of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub veth: Option<Veth>,
    /// Our own keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llano: Option<Llano>,
}

/// `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceType {
    /// Hardware or virtio; a veth is one too, as in nmstate.
    Ethernet,
    /// `bond`.
    Bond,
    /// `vlan`.
    Vlan,
    /// `mac-vlan`.
    MacVlan,
    /// `mac-vtap`.
    MacVtap,
    /// One end of a pair; pairs are not made.
    Veth,
    /// `dummy`.
    Dummy,
    /// A bridge; bridges are not made or changed in what bridges have of their own.
    LinuxBridge,
    /// A VXLAN; only addresses and the like are changed.
    Vxlan,
    /// `lo`.
    Loopback,
    /// Any other; only addresses and the like are changed.
    Unknown,
}

/// `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceState {
    /// Set up.
    Up,
    /// Set down.
    Down,
    /// Removed; hardware is set down and stripped of its addresses.
    Absent,
    /// Left as it is.
    Ignore,
}

/// `identifier`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Identifier {
    /// By its name.
    Name,
    /// By its MAC, whatever its name.
    MacAddress,
}

/// `ipv4`, `ipv6`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Ip {
    /// Off takes all addresses away; IPv6 is then disabled.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "switch")]
    pub enabled: Option<bool>,
    /// A DHCP client of another tool holds an address here.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "switch")]
    pub dhcp: Option<bool>,
    /// The kernel takes addresses from router advertisements.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "switch")]
    pub autoconf: Option<bool>,
    /// In order: the first of a subnet is its primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Vec<IpAddress>>,
    /// How the kernel makes its link-local address: eui64, none, stable-privacy, random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr_gen_mode: Option<String>,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IpAddress {
    /// The address.
    pub ip: IpAddr,
    /// The length of its prefix.
    #[serde(deserialize_with = "length")]
    pub prefix_length: u8,
    /// How long it stays; `forever`, `30sec`, or seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_life_time: Option<Lifetime>,
    /// How long it is preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_life_time: Option<Lifetime>,
}

/// Seconds, or for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(pub Option<u32>);

/// `link-aggregation`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct LinkAggregation {
    /// The mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<BondMode>,
    /// Options.
    #[serde(skip_serializing_if = "BondOptions::is_empty")]
    pub options: BondOptions,
    /// Its ports; the whole list.
    #[serde(alias = "slaves", alias = "ports", skip_serializing_if = "Option::is_none")]
    pub port: Option<Vec<String>>,
}

impl LinkAggregation {
    /// Keeps these ports. A primary that is not among them goes too: a bond whose primary is none of its ports is refused.
    pub(crate) fn retain_ports(&mut self, mut stays: impl FnMut(&str) -> bool) {
        let Some(ports) = &mut self.port else {
            self.options.primary.take_if(|primary| !stays(primary));
            return;
        };
        ports.retain(|port| stays(port));
        let ports = &*ports;
        // An empty one says that there is none.
        self.options.primary.take_if(|primary| !primary.is_empty() && !ports.contains(primary));
    }
}

/// `vlan`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct VlanTag {
    /// The parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_iface: Option<String>,
    /// 0 to 4094.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub id: Option<u16>,
    /// The tag's protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Tag>,
    /// Whether switches are told of the VLAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_protocol: Option<Registration>,
    /// Whether the tag is taken out of the frame before others see it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "switch")]
    pub reorder_headers: Option<bool>,
    /// Whether it stays up when its parent goes down.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "switch")]
    pub loose_binding: Option<bool>,
}

/// `vlan.protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tag {
    /// 0x8100.
    #[serde(rename = "802.1q")]
    Q,
    /// 0x88a8.
    #[serde(rename = "802.1ad")]
    Ad,
}

/// `vlan.registration-protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Registration {
    /// None.
    None,
    /// GVRP.
    Gvrp,
    /// MVRP.
    Mvrp,
}

/// `veth`: pairs are not made, and the other end must be as it is said.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Veth {
    /// The other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
}

/// `mac-vlan`, `mac-vtap`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct MacVlan {
    /// The parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_iface: Option<String>,
    /// How its siblings and the LAN reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<MacVlanMode>,
    /// In mode passthru, whether the parent is made promiscuous.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "switch")]
    pub promiscuous: Option<bool>,
}

/// `mac-vlan.mode`: nmstate says passthru, the kernel too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacVlanMode(pub MacvlanMode);

/// `llano`: what nmstate has no word for.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Llano {
    /// The same as `accept-all-mac-addresses`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "switch")]
    pub promiscuity: Option<bool>,
    /// How the host reaches the containers on this parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_access: Option<HostAccess>,
    /// Mode source: from which senders it receives; the whole list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_macs: Option<Vec<MacAddr>>,
    /// How many broadcast frames may wait for this macvlan.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub bc_queue_len: Option<u32>,
    /// Mode passthru: the parent is not made promiscuous; the contrary of `mac-vlan.promiscuous`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "switch")]
    pub nopromisc: Option<bool>,
}

/// `llano.host-access`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAccess {
    /// How; `None` is off.
    pub way: Option<HostAccessWay>,
    /// The name of the macvlan that the address moves to.
    pub name: Option<String>,
    /// Whether that macvlan takes the parent's MAC.
    pub keep_mac: bool,
}

/// A way to reach containers from their host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostAccessWay {
    /// Routes by a macvlan beside them.
    Shim,
    /// The host's address moves onto a macvlan.
    Move,
}

/// An address list of one family with what is around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// `ipv4`.
    V4,
    /// `ipv6`.
    V6,
}

impl Interface {
    /// Whether it shall not be.
    pub fn is_absent(&self) -> bool {
        self.state == Some(InterfaceState::Absent)
    }

    /// Whether it is of a kind that is made, not found.
    pub fn is_made(&self) -> bool {
        use InterfaceType::{Bond, Dummy, MacVlan, MacVtap, Vlan};
        matches!(self.kind, Some(Bond | Vlan | MacVlan | MacVtap | Dummy))
    }

    /// Whether it is left alone.
    pub fn is_ignored(&self) -> bool {
        self.state == Some(InterfaceState::Ignore)
    }

    /// The ports of a bond, when they are said.
    pub fn ports(&self) -> Option<&Vec<String>> {
        self.link_aggregation.as_ref()?.port.as_ref()
    }

    /// The macvlan's or macvtap's part.
    pub fn macvlan(&self) -> Option<&MacVlan> {
        self.mac_vlan.as_ref().or(self.mac_vtap.as_ref())
    }

    /// The parent, when it is said.
    pub fn parent(&self) -> Option<&str> {
        let vlan = self.vlan.as_ref().and_then(|vlan| vlan.base_iface.as_deref());
        vlan.or_else(|| self.macvlan().and_then(|macvlan| macvlan.base_iface.as_deref()))
    }

    /// One family.
    pub fn ip(&self, family: Declared) -> Option<&Ip> {
        match family {
            Declared::V4 => self.ipv4.as_ref(),
            Declared::V6 => self.ipv6.as_ref(),
        }
    }

    /// Takes every key of the newer one that it has.
    pub(super) fn overlay(&mut self, newer: &Self) {
        macro_rules! take {
            ($old:expr, $new:expr; $($field:ident),*) => {
                $(if $new.$field.is_some() { $old.$field.clone_from(&$new.$field); })*
            };
        }
        macro_rules! within {
            ($field:ident; $($inner:ident),*) => {
                match (&mut self.$field, &newer.$field) {
                    (Some(old), Some(new)) => { take!(old, new; $($inner),*); }
                    (old @ None, Some(new)) => *old = Some(new.clone()),
                    (_, None) => {}
                }
            };
        }
        take!(self, newer; kind, state, identifier, description, mac_address, copy_mac_from, mtu,
            accept_all_mac_addresses, controller);
        // The newer of the two says where the MAC is from.
        if newer.mac_address.is_some() && newer.copy_mac_from.is_none() {
            self.copy_mac_from = None;
        } else if newer.copy_mac_from.is_some() && newer.mac_address.is_none() {
            self.mac_address = None;
        }
        // Addresses that are said now end that there are none.
        for (old, new) in [(&mut self.ipv4, &newer.ipv4), (&mut self.ipv6, &newer.ipv6)] {
            if let (Some(old), Some(new)) = (old, new)
                && new.enabled.is_none()
                && new.address.as_ref().is_some_and(|list| !list.is_empty())
            {
                old.enabled = Some(true);
            }
        }
        within!(ipv4; enabled, dhcp, autoconf, address, addr_gen_mode);
        within!(ipv6; enabled, dhcp, autoconf, address, addr_gen_mode);
        for ip in [&mut self.ipv4, &mut self.ipv6].into_iter().flatten() {
            if ip.enabled == Some(false) {
                *ip = Ip { enabled: Some(false), ..Ip::default() };
            }
        }
        if let (Some(old), Some(new)) = (&mut self.link_aggregation, &newer.link_aggregation) {
            // Options of the mode before may not be of the new one.
            if new.mode.is_some_and(|mode| old.mode.is_some_and(|before| before != mode)) {
                old.options.retain_allowed(new.mode);
            }
            old.options.without_other_monitor(&new.options);
            old.options.overlay(&new.options);
            // Of a list that has no longer the primary in it.
            if let (Some(ports), Some(primary), None) =
                (&new.port, &old.options.primary, &new.options.primary)
                && !ports.contains(primary)
            {
                old.options.primary = None;
            }
        }
        within!(link_aggregation; mode, port);
        within!(vlan; base_iface, id, protocol, registration_protocol, reorder_headers, loose_binding);
        self.without_other_modes(newer);
        within!(mac_vlan; base_iface, mode, promiscuous);
        within!(mac_vtap; base_iface, mode, promiscuous);
        within!(veth; peer);
        within!(llano; promiscuity, host_access, source_macs, bc_queue_len, nopromisc);
    }

    /// What is of one mode of a macvlan only ends with that mode.
    fn without_other_modes(&mut self, newer: &Self) {
        let Some(mode) = newer.macvlan().and_then(|macvlan| macvlan.mode).map(|mode| mode.0) else { return };
        if mode != MacvlanMode::Source
            && let Some(llano) = &mut self.llano
        {
            llano.source_macs = None;
        }
        if mode != MacvlanMode::Passthru {
            for macvlan in [&mut self.mac_vlan, &mut self.mac_vtap].into_iter().flatten() {
                macvlan.promiscuous = None;
            }
            if let Some(llano) = &mut self.llano {
                llano.nopromisc = None;
            }
        }
    }
}
