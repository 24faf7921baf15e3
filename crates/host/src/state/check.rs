//! What a declared state must be in itself, whatever the host has.

mod routes;

use std::collections::{BTreeMap, BTreeSet};

use kernel::uapi::{
    IFLA_BOND_ARP_INTERVAL, IFLA_BOND_ARP_VALIDATE, IFLA_BOND_DOWNDELAY, IFLA_BOND_MIIMON,
    IFLA_BOND_PEER_NOTIF_DELAY, IFLA_BOND_UPDELAY, IFNAME_MAX,
};
use kernel::{BondValue, MacAddr, MacvlanMode};

use super::bond::{BondOption, has_primary};
use super::interface::{Declared, Interface, InterfaceType, Ip, LinkAggregation};
use super::{State, keys_of};
use crate::{Error, Result};

impl State {
    /// What may be written in two ways is kept in one.
    ///
    /// # Errors
    /// When the two ways are both there and differ.
    pub(super) fn normalize(&mut self) -> Result<()> {
        for interface in &mut self.interfaces {
            if let Some(llano) = &mut interface.llano {
                let contrary = |key: &str, other: &str| {
                    let path = format!("{}.llano.{key}", keys_of(&interface.name));
                    Err(Error::key(path, format!("says the contrary of {other}; take one of the two out")))
                };
                if let (Some(ours), Some(theirs)) = (llano.promiscuity, interface.accept_all_mac_addresses)
                    && ours != theirs
                {
                    return contrary("promiscuity", "accept-all-mac-addresses");
                }
                let promiscuous = interface
                    .mac_vlan
                    .as_ref()
                    .or(interface.mac_vtap.as_ref())
                    .and_then(|part| part.promiscuous);
                if let (Some(ours), Some(theirs)) = (llano.nopromisc, promiscuous)
                    && ours == theirs
                {
                    return contrary("nopromisc", "promiscuous");
                }
                interface.accept_all_mac_addresses =
                    interface.accept_all_mac_addresses.or(llano.promiscuity.take());
                let macvlan = interface.mac_vlan.as_mut().or(interface.mac_vtap.as_mut());
                if let (Some(macvlan), Some(nopromisc)) = (macvlan, llano.nopromisc) {
                    macvlan.promiscuous = macvlan.promiscuous.or(Some(!nopromisc));
                    llano.nopromisc = None;
                }
                if *llano == super::Llano::default() {
                    interface.llano = None;
                }
            }
        }
        self.routes.config.iter_mut().for_each(super::RouteEntry::normalize);
        Ok(())
    }

    pub(super) fn check(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        let mut ports: BTreeMap<&str, &str> = BTreeMap::new();
        for interface in &self.interfaces {
            let path = keys_of(&interface.name);
            check_name(&interface.name).map_err(|what| Error::key(format!("{path}.name"), what))?;
            if !names.insert(interface.name.as_str()) {
                return Err(Error::key(path, "is declared twice; keep one of the two"));
            }
            interface.check(&path)?;
            for port in interface.ports().into_iter().flatten() {
                if let Some(other) = ports.insert(port, &interface.name) {
                    let what = format!("names {port}, which is a port of {other} already");
                    return Err(Error::key(format!("{path}.link-aggregation.port"), what));
                }
            }
        }
        for interface in &self.interfaces {
            if let (Some(said), Some(bond)) =
                (interface.controller.as_deref(), ports.get(interface.name.as_str()))
                && said != *bond
            {
                let what = format!("says {said:?}, but it is in the list of ports of {bond}");
                return Err(Error::key(format!("{}.controller", keys_of(&interface.name)), what));
            }
        }
        self.check_routes()?;
        self.check_rules()
    }
}

impl Interface {
    fn check(&self, path: &str) -> Result<()> {
        let refuse = |key: &str, what: String| Err(Error::key(format!("{path}.{key}"), what));
        if self.is_absent()
            && (self.ipv4.is_some()
                || self.ipv6.is_some()
                || self.link_aggregation.is_some()
                || self.vlan.is_some()
                || self.macvlan().is_some())
        {
            return refuse("state", "is absent: nothing else but name and type can be said".to_owned());
        }
        let parts = [
            ("link-aggregation", self.link_aggregation.is_some(), InterfaceType::Bond),
            ("vlan", self.vlan.is_some(), InterfaceType::Vlan),
            ("mac-vlan", self.mac_vlan.is_some(), InterfaceType::MacVlan),
            ("mac-vtap", self.mac_vtap.is_some(), InterfaceType::MacVtap),
        ];
        for (key, there, of) in parts {
            if there && self.kind.is_some_and(|kind| kind != of) {
                return refuse(
                    key,
                    "is of another type than the interface; mend type or take it out".to_owned(),
                );
            }
        }
        if self.parent() == Some(self.name.as_str()) {
            return refuse("base-iface", "is the interface itself".to_owned());
        }
        if let Some(mac) = self.mac_address {
            if mac.is_multicast() || mac.is_zero() {
                return refuse(
                    "mac-address",
                    format!("{mac} cannot be an interface's: it must be unicast and not zero"),
                );
            }
            if self.copy_mac_from.is_some() {
                return refuse("copy-mac-from", "cannot be said together with mac-address".to_owned());
            }
        }
        if self.identifier == Some(super::Identifier::MacAddress) && self.mac_address.is_none() {
            return refuse("identifier", "is mac-address: say which, as mac-address".to_owned());
        }
        if let Some(mtu) = self.mtu
            && !(68..=65535).contains(&mtu)
        {
            return refuse("mtu", format!("{mtu} cannot be: allowed are 68 to 65535"));
        }
        if let Some(mtu) = self.mtu
            && mtu < 1280
            && self.ipv6.as_ref().is_some_and(|ip| ip.enabled != Some(false) && ip.address.is_some())
        {
            return refuse("mtu", format!("{mtu} is too small for IPv6, which needs 1280"));
        }
        if self.description.as_ref().is_some_and(|text| text.len() > 255) {
            return refuse("description", "is longer than 255 bytes".to_owned());
        }
        for (family, key) in [(Declared::V4, "ipv4"), (Declared::V6, "ipv6")] {
            if let Some(ip) = self.ip(family) {
                ip.check(family, &format!("{path}.{key}"))?;
            }
        }
        if let Some(vlan) = &self.vlan
            && vlan.id.is_some_and(|id| id > 4094)
        {
            return refuse("vlan.id", "allowed are 0 to 4094".to_owned());
        }
        let mode = self.macvlan().and_then(|macvlan| macvlan.mode).map(|mode| mode.0);
        if let Some(llano) = &self.llano {
            if llano.source_macs.is_some() && mode.is_some_and(|mode| mode != MacvlanMode::Source) {
                return refuse("llano.source-macs", "are of mode source only".to_owned());
            }
            let wrong = |mac: &&MacAddr| mac.is_multicast() || mac.is_zero();
            if let Some(mac) = llano.source_macs.iter().flatten().find(wrong) {
                return refuse(
                    "llano.source-macs",
                    format!("{mac} is no sender's: it must be unicast and not zero"),
                );
            }
            if self.host_access_name().is_some_and(|name| check_name(name).is_err()) {
                return refuse("llano.host-access.name", "is no name of an interface".to_owned());
            }
        }
        match &self.link_aggregation {
            Some(bond) => bond.check(&self.name, &format!("{path}.link-aggregation")),
            None => Ok(()),
        }
    }

    fn host_access_name(&self) -> Option<&str> {
        self.llano.as_ref()?.host_access.as_ref()?.name.as_deref()
    }
}

impl Ip {
    fn check(&self, family: Declared, path: &str) -> Result<()> {
        let refuse = |key: &str, what: &str| Err(Error::key(format!("{path}.{key}"), what));
        if self.enabled == Some(false)
            && (self.address.as_ref().is_some_and(|list| !list.is_empty())
                || self.dhcp == Some(true)
                || self.autoconf == Some(true))
        {
            return refuse("enabled", "is false: no address can be said");
        }
        if family == Declared::V4 && self.autoconf.is_some() {
            return refuse("autoconf", "is of ipv6 only");
        }
        match self.addr_gen_mode.as_deref() {
            Some(_) if family == Declared::V4 => return refuse("addr-gen-mode", "is of ipv6 only"),
            None | Some("eui64" | "none" | "stable-privacy" | "random") => {}
            Some(_) => return refuse("addr-gen-mode", "allowed are eui64, none, stable-privacy and random"),
        }
        let mut seen = BTreeSet::new();
        for address in self.address.iter().flatten() {
            let path = format!("{path}.address[{}]", address.ip);
            if address.ip.is_ipv4() != (family == Declared::V4) {
                return Err(Error::key(path, "is of the other family"));
            }
            if ipnet::IpNet::new(address.ip, address.prefix_length).is_err() {
                return Err(Error::key(format!("{path}.prefix-length"), "is longer than the address"));
            }
            if address.ip.is_unspecified() || address.ip.is_multicast() {
                return Err(Error::key(path, "cannot be an interface's"));
            }
            if !seen.insert((address.ip, if address.ip.is_ipv4() { address.prefix_length } else { 0 })) {
                return Err(Error::key(path, "is there twice"));
            }
            let seconds = |life: Option<super::Lifetime>| life.and_then(|life| life.0).unwrap_or(u32::MAX);
            if seconds(address.valid_life_time) == 0
                || seconds(address.preferred_life_time) > seconds(address.valid_life_time)
            {
                return Err(Error::key(
                    format!("{path}.preferred-life-time"),
                    "is longer than valid-life-time, or that is 0",
                ));
            }
        }
        Ok(())
    }
}

impl LinkAggregation {
    fn check(&self, name: &str, path: &str) -> Result<()> {
        let refuse = |key: &str, what: String| Err(Error::key(format!("{path}.{key}"), what));
        let mut seen = BTreeSet::new();
        for port in self.port.iter().flatten() {
            check_name(port)
                .map_err(|what| Error::key(format!("{path}.port"), format!("{port:?} {what}")))?;
            if port == name || !seen.insert(port) {
                return refuse("port", format!("names {port}, which is the bond itself or there twice"));
            }
        }
        if let (Some(primary), Some(ports)) = (&self.options.primary, &self.port)
            && !primary.is_empty()
            && !ports.contains(primary)
        {
            return refuse("options.primary", format!("{primary} is none of its ports"));
        }
        let Some(mode) = self.mode else { return Ok(()) };
        check_options(mode, &self.options, path)
    }
}

/// Whether options go with a mode and with each other.
pub(super) fn check_options(mode: super::BondMode, options: &super::BondOptions, path: &str) -> Result<()> {
    let refuse = |key: &str, what: String| Err(Error::key(format!("{path}.options.{key}"), what));
    if options.primary.as_ref().is_some_and(|primary| !primary.is_empty()) && !has_primary(mode) {
        return refuse("primary", format!("is no option of mode {}", mode.name()));
    }
    for (number, _) in options.values.options() {
        if let Some(option) = BondOption::of_number(number)
            && !option.is_of(mode)
        {
            return refuse(option.name, format!("is no option of mode {}; take it out", mode.name()));
        }
    }
    let number = |option| options.values.number(option);
    let miimon = number(IFLA_BOND_MIIMON).filter(|miimon| *miimon > 0);
    if let (Some(miimon), Some(arp)) = (miimon, number(IFLA_BOND_ARP_INTERVAL).filter(|arp| *arp > 0)) {
        return refuse(
            "arp_interval",
            format!("{arp} and miimon {miimon} cannot both be: set one of them to 0"),
        );
    }
    if let (Some(miimon), Some(1..)) = (miimon, number(IFLA_BOND_ARP_VALIDATE)) {
        return refuse(
            "arp_validate",
            format!(
                "is of the ARP monitor, and miimon is {miimon}: say arp_interval instead, or take it out"
            ),
        );
    }
    let delays = [
        ("updelay", IFLA_BOND_UPDELAY),
        ("downdelay", IFLA_BOND_DOWNDELAY),
        ("peer_notif_delay", IFLA_BOND_PEER_NOTIF_DELAY),
    ];
    for (name, option) in delays {
        let Some(delay) = number(option).filter(|delay| *delay > 0) else { continue };
        match miimon {
            None if number(IFLA_BOND_MIIMON) == Some(0) => return refuse(name, "needs miimon".to_owned()),
            Some(miimon) if !delay.is_multiple_of(miimon) => {
                return refuse(
                    name,
                    format!("{delay} is no multiple of miimon {miimon}: the kernel would round it down"),
                );
            }
            _ => {}
        }
    }
    if let Some(BondValue::Addresses(list)) = options.values.get(kernel::uapi::IFLA_BOND_ARP_IP_TARGET)
        && list.iter().collect::<BTreeSet<_>>().len() != list.len()
    {
        return refuse("arp_ip_target", "has an address twice".to_owned());
    }
    Ok(())
}

/// The kernel's rules, and no `%`, which would be a pattern.
fn check_name(name: &str) -> Result<(), &'static str> {
    let bad = |b: u8| b == b'/' || b == b':' || b == b'%' || b == 0 || b.is_ascii_whitespace() || b == 0x0b;
    if name.is_empty() || name.len() > IFNAME_MAX || name == "." || name == ".." || name.bytes().any(bad) {
        return Err("is no name of an interface: 1 to 15 bytes without white space, '/', ':' and '%'");
    }
    Ok(())
}
