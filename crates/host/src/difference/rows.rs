//! The properties of a link in words, one row each. What is not said in a wanted link has no row.

use kernel::Address;
use kernel::uapi::*;

use crate::same::{is_port, mac_follows};
use crate::state::{BondMode, BondOption};
use crate::{Kind, Link, Network};

pub(super) fn rows(network: &Network, link: &Link) -> Vec<(String, String)> {
    let on = |on: bool| if on { "on" } else { "off" }.to_owned();
    let none = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
    let mut rows = Vec::new();
    let mut row = |key: &str, value: String| rows.push((key.to_owned(), value));
    row("type", link.kind.name().to_owned());
    row("state", if link.up { "up" } else { "down" }.to_owned());
    row("controller", none(&link.controller));
    row("description", none(&link.alias));
    if crate::state::stands_on_parent(&link.kind) {
        row("base-iface", none(&link.parent));
    }
    if !is_port(network, link) {
        if link.mtu != 0 {
            row("mtu", link.mtu.to_string());
        }
        if let Some(mac) = link.mac.filter(|_| !mac_follows(link)) {
            row("mac-address", mac.to_string());
        }
        row("ipv6 disabled", on(link.ipv6_disabled));
        if let Some(mode) = link.addr_gen_mode {
            row("addr-gen-mode", mode.to_string());
        }
    }
    row("promiscuous", on(link.promiscuous));
    row("all multicast", on(link.all_multicast));
    row("arp", on(link.arp));
    if link.tx_queue_len != 0 {
        row("queue length", link.tx_queue_len.to_string());
    }
    kind(&link.kind, &mut row);
    rows
}

fn kind(kind: &Kind, row: &mut impl FnMut(&str, String)) {
    let on = |on: bool| if on { "on" } else { "off" }.to_owned();
    match kind {
        Kind::Bond(bond) => {
            let mode = BondMode::from_number(bond.options.mode());
            row("mode", mode.map_or("unknown", BondMode::name).to_owned());
            for (number, value) in bond.options.options() {
                if let Some(option) =
                    BondOption::of_number(number).filter(|option| mode.is_none_or(|mode| option.is_of(mode)))
                {
                    let text = option.print(value);
                    row(option.name, if text.is_empty() { "none".to_owned() } else { text });
                }
            }
            for (number, name) in
                [(IFLA_BOND_ARP_IP_TARGET, "arp_ip_target"), (IFLA_BOND_NS_IP6_TARGET, "ns_ip6_target")]
            {
                // The kernel tells of a list only when something is in it.
                if bond.options.get(number).is_none() {
                    row(name, "none".to_owned());
                }
            }
            row("primary", bond.primary.clone().unwrap_or_else(|| "none".to_owned()));
        }
        Kind::Vlan(vlan) => {
            row("id", vlan.id.to_string());
            row(
                "protocol",
                if vlan.protocol == kernel::VlanProtocol::Ieee8021Ad { "802.1ad" } else { "802.1q" }
                    .to_owned(),
            );
            let flags = [
                ("reorder-headers", VLAN_FLAG_REORDER_HDR),
                ("gvrp", VLAN_FLAG_GVRP),
                ("mvrp", VLAN_FLAG_MVRP),
                ("loose-binding", VLAN_FLAG_LOOSE_BINDING),
                ("bridge-binding", VLAN_FLAG_BRIDGE_BINDING),
            ];
            flags.iter().for_each(|(name, bit)| row(name, on(vlan.flags & bit != 0)));
        }
        Kind::Macvlan(macvlan) | Kind::Macvtap(macvlan) => {
            row("mode", macvlan.mode.to_string());
            row("nopromisc", on(macvlan.nopromisc));
            let mut macs: Vec<String> = macvlan.source_macs.iter().map(ToString::to_string).collect();
            macs.sort();
            macs.dedup();
            row("source-macs", macs.join(" "));
            if let Some(len) = macvlan.bc_queue_len {
                row("bc-queue-len", len.to_string());
            }
        }
        Kind::Vxlan(vxlan) => {
            row("id", vxlan.id.to_string());
            row("vxlan", format!("{vxlan:?}"));
        }
        _ => {}
    }
}

pub(super) fn address(address: &Address) -> String {
    let mut text = address.net.to_string();
    if let Some(peer) = address.peer {
        text.push_str(&format!(" peer {peer}"));
    }
    if let Some(valid) = address.valid {
        text.push_str(&format!(" for {valid} s"));
    }
    if address.flags & IFA_F_NOPREFIXROUTE != 0 {
        text.push_str(" noprefixroute");
    }
    text
}
