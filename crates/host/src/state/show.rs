//! A network in the language's words (`show`).

use kernel::uapi::*;
use kernel::{Family, VlanProtocol};

use super::interface::*;
use super::merge::{declared_route, is_passthru, type_of};
use super::routes::{Prefix, RouteType, RuleEntry, RuleFamily};
use super::{BondMode, BondOption, BondOptions, State};
use crate::same::counts;
use crate::{Kind, Link, Network};

impl State {
    /// All that a network has, as far as the language has words for it; what it prints can be applied again.
    pub fn of(network: &Network) -> Self {
        let mut state = Self::default();
        state.interfaces.extend(network.links.iter().map(|(name, link)| interface(network, name, link)));
        let routes = network
            .routes
            .iter()
            .filter(|route| counts(route) && route.hops.is_empty() && route.route.tos == 0);
        let routes =
            routes.filter(|route| matches!(route.route.kind, RTN_UNICAST | RTN_BLACKHOLE..=RTN_PROHIBIT));
        for route in routes.map(declared_route) {
            // Of several ways of one metric the kernel takes the first, and the language can say one.
            if !state.routes.config.iter().any(|first| route.replaces(first)) {
                state.routes.config.push(route);
            }
        }
        let rules = network.rules.iter().filter(|rule| rule.protocol != RTPROT_KERNEL && has_words(rule));
        state.route_rules.config.extend(rules.map(rule));
        state
    }
}

fn interface(network: &Network, name: &str, link: &Link) -> Interface {
    let parent = || link.parent.clone();
    let mut shown = Interface {
        name: name.to_owned(),
        kind: Some(type_of(&link.kind)),
        state: Some(if link.up { InterfaceState::Up } else { InterfaceState::Down }),
        description: link.alias.clone(),
        mac_address: link.mac.filter(|mac| !mac.is_zero() && link.kind != Kind::Loopback),
        mtu: Some(link.mtu).filter(|mtu| *mtu != 0 && link.kind != Kind::Loopback),
        accept_all_mac_addresses: Some(link.promiscuous),
        controller: link.controller.clone(),
        ..Interface::default()
    };
    let port = crate::same::is_port(network, link);
    if port {
        // Both are the bond's.
        shown.mac_address = None;
        shown.mtu = None;
    } else if crate::same::mac_follows(link) || is_passthru(&link.kind) {
        // Its active port's, its parent's.
        shown.mac_address = None;
    }
    if !port {
        shown.ipv4 = Some(ip(link, Declared::V4));
        shown.ipv6 = Some(ip(link, Declared::V6));
    }
    if link.kind == Kind::Veth && link.parent.is_some() {
        shown.veth = Some(Veth { peer: parent() });
    }
    let mut llano = Llano::default();
    match &link.kind {
        Kind::Bond(bond) => {
            let ports = network.links.iter().filter(|(_, link)| link.controller.as_deref() == Some(name));
            let mode = BondMode::from_number(bond.options.mode());
            let mut options = BondOptions { values: bond.options.clone(), primary: bond.primary.clone() };
            options.values.remove(IFLA_BOND_MODE);
            options.retain_allowed(mode);
            let unset = |number: u16, value: &kernel::BondValue| match value {
                kernel::BondValue::Addresses(list) => list.is_empty(),
                kernel::BondValue::Mac(mac) => mac.is_zero(),
                kernel::BondValue::Number(_) => BondOption::of_number(number).is_none(),
            };
            let empty: Vec<u16> = options
                .values
                .options()
                .filter(|(number, value)| unset(*number, value))
                .map(|(number, _)| number)
                .collect();
            empty.into_iter().for_each(|number| options.values.remove(number));
            shown.link_aggregation = Some(LinkAggregation {
                mode,
                options,
                port: Some(ports.map(|(name, _)| name.clone()).collect()),
            });
        }
        Kind::Vlan(vlan) => {
            let on = |bit| vlan.flags & bit != 0;
            shown.vlan = Some(VlanTag {
                base_iface: parent(),
                id: Some(vlan.id),
                protocol: Some(if vlan.protocol == VlanProtocol::Ieee8021Ad { Tag::Ad } else { Tag::Q }),
                registration_protocol: Some(match (on(VLAN_FLAG_GVRP), on(VLAN_FLAG_MVRP)) {
                    (true, _) => Registration::Gvrp,
                    (_, true) => Registration::Mvrp,
                    _ => Registration::None,
                }),
                reorder_headers: Some(on(VLAN_FLAG_REORDER_HDR)),
                loose_binding: Some(on(VLAN_FLAG_LOOSE_BINDING)),
            });
        }
        Kind::Macvlan(macvlan) | Kind::Macvtap(macvlan) => {
            let part = MacVlan {
                base_iface: parent(),
                mode: Some(MacVlanMode(macvlan.mode)),
                promiscuous: Some(!macvlan.nopromisc),
            };
            let slot =
                if matches!(link.kind, Kind::Macvlan(_)) { &mut shown.mac_vlan } else { &mut shown.mac_vtap };
            *slot = Some(part);
            llano.source_macs = Some(macvlan.source_macs.clone()).filter(|macs| !macs.is_empty());
            // The kernel's own choice says nothing.
            llano.bc_queue_len = macvlan.bc_queue_len.filter(|len| *len != 1000);
        }
        _ => {}
    }
    shown.llano = Some(llano).filter(|llano| *llano != Llano::default());
    shown
}

fn ip(link: &Link, family: Declared) -> Ip {
    let ours = |address: &&kernel::Address| address.net.addr().is_ipv4() == (family == Declared::V4);
    let life = |seconds: Option<u32>| seconds.map(|seconds| Lifetime(Some(seconds)));
    let leased = |address: &&kernel::Address| address.valid.is_some() && address.flags & IFA_F_PERMANENT == 0;
    let list: Vec<IpAddress> = link
        .addresses
        .iter()
        .filter(ours)
        .map(|address| IpAddress {
            ip: address.net.addr(),
            prefix_length: address.net.prefix_len(),
            valid_life_time: life(address.valid),
            preferred_life_time: life(address.preferred),
        })
        .collect();
    let advertised =
        |address: &kernel::Address| address.proto == 2 || address.flags & IFA_F_MANAGETEMPADDR != 0;
    let mut held = link.addresses.iter().filter(ours).filter(leased);
    Ip {
        enabled: Some(if family == Declared::V4 { !list.is_empty() } else { !link.ipv6_disabled }),
        dhcp: held.clone().any(|address| !advertised(address)).then_some(true),
        autoconf: (family == Declared::V6 && held.any(advertised)).then_some(true),
        address: Some(list).filter(|list| !list.is_empty()),
        addr_gen_mode: None,
    }
}

/// Whether the language can say all of a rule: without a condition it would be of more packets.
fn has_words(rule: &kernel::Rule) -> bool {
    rule.oif.is_none()
        && !rule.invert
        && rule.tos == 0
        && rule.attributes.is_empty()
        && matches!(rule.action, FR_ACT_TO_TBL | FR_ACT_BLACKHOLE..=FR_ACT_PROHIBIT)
}

fn rule(rule: &kernel::Rule) -> RuleEntry {
    RuleEntry {
        state: None,
        family: Some(if rule.family == Family::V4 { RuleFamily::Ipv4 } else { RuleFamily::Ipv6 }),
        ip_from: rule.src.map(Prefix),
        ip_to: rule.dst.map(Prefix),
        priority: Some(rule.priority.unwrap_or(0)),
        route_table: (rule.action == FR_ACT_TO_TBL).then_some(rule.table),
        fwmark: rule.mark,
        fwmask: rule.mask.filter(|mask| *mask != u32::MAX),
        iif: rule.iif.clone(),
        action: match rule.action {
            FR_ACT_BLACKHOLE => Some(RouteType::Blackhole),
            FR_ACT_UNREACHABLE => Some(RouteType::Unreachable),
            FR_ACT_PROHIBIT => Some(RouteType::Prohibit),
            _ => None,
        },
        suppress_prefix_length: rule.suppress_prefix_len,
    }
}
