//! One declared interface: whether it is there, its kind and its plain properties.

use kernel::uapi::*;
use kernel::{BondValue, Macvlan, Vlan, VlanProtocol};

use super::{Merge, type_name};
use crate::state::check::check_options;
use crate::state::interface::{
    Interface, InterfaceState, InterfaceType, MacVlan, Registration, Tag, VlanTag,
};
use crate::state::{BondMode, BondOptions, keys_of};
use crate::{Bond, Error, Kind, Link, Result};

/// What is polled when nothing is said: a bond without a monitor never sees a cable pulled.
const MIIMON: u32 = 100;

impl Merge<'_> {
    pub(super) fn link(&mut self, interface: &Interface) -> Result<()> {
        let path = keys_of(&interface.name);
        let mut link = match self.wanted.network.links.get(&interface.name) {
            Some(link) => link.clone(),
            None => new(interface, &path)?,
        };
        let is = type_of(&link.kind);
        if let Some(kind) = interface.kind
            && kind != is
            && !matches!(
                (kind, is),
                (InterfaceType::Ethernet, InterfaceType::Veth) | (InterfaceType::Unknown, _)
            )
        {
            let what = format!(
                "is {}, but the interface is {}: declare it absent first",
                type_name(kind),
                type_name(is)
            );
            return Err(Error::key(format!("{path}.type"), what));
        }
        self.parts(interface, &mut link, &path)?;
        match interface.state {
            Some(InterfaceState::Up) => link.up = true,
            Some(InterfaceState::Down) => link.up = false,
            _ => {}
        }
        if let Some(text) = &interface.description {
            link.alias = Some(text.clone()).filter(|text| !text.is_empty());
        }
        link.mtu = interface.mtu.unwrap_or(link.mtu);
        link.mac = interface.mac_address.or(link.mac);
        link.promiscuous = interface.accept_all_mac_addresses.unwrap_or(link.promiscuous);
        if let Some(access) = interface.llano.as_ref().and_then(|llano| llano.host_access.clone()) {
            self.wanted.host_access.insert(interface.name.clone(), access);
        }
        self.wanted.network.links.insert(interface.name.clone(), link);
        self.touch(&interface.name);
        Ok(())
    }

    /// What belongs to its kind.
    fn parts(&self, interface: &Interface, link: &mut Link, path: &str) -> Result<()> {
        let wrong =
            |key: &str| Err(Error::key(format!("{path}.{key}"), "is of another type than the interface"));
        if let Some(parent) = interface.parent() {
            link.parent = Some(parent.to_owned());
        }
        match &mut link.kind {
            Kind::Bond(bond) => {
                if let Some(declared) = &interface.link_aggregation {
                    merge_bond(bond, declared.mode, &declared.options, path)?;
                }
            }
            _ if interface.link_aggregation.is_some() => return wrong("link-aggregation"),
            Kind::Vlan(vlan) => merge_vlan(vlan, interface.vlan.as_ref()),
            _ if interface.vlan.is_some() => return wrong("vlan"),
            Kind::Macvlan(macvlan) if interface.mac_vtap.is_none() => {
                merge_macvlan(macvlan, interface, path)?
            }
            Kind::Macvtap(macvlan) if interface.mac_vlan.is_none() => {
                merge_macvlan(macvlan, interface, path)?
            }
            _ if interface.mac_vlan.is_some() => return wrong("mac-vlan"),
            _ if interface.mac_vtap.is_some() => return wrong("mac-vtap"),
            _ => {}
        }
        if let Some(peer) = interface.veth.as_ref().and_then(|veth| veth.peer.as_ref()) {
            if link.kind != Kind::Veth {
                return wrong("veth");
            }
            if link.parent.as_ref() != Some(peer) {
                let what = match &link.parent {
                    Some(is) => format!("is {peer}, but the other end is {is}; llano makes no pairs"),
                    None => format!("is {peer}, but the other end is in another namespace; leave it out"),
                };
                return Err(Error::key(format!("{path}.veth.peer"), what));
            }
        }
        if let (false, Some(llano)) =
            (matches!(link.kind, Kind::Macvlan(_) | Kind::Macvtap(_)), &interface.llano)
        {
            for (key, there) in [
                ("source-macs", llano.source_macs.is_some()),
                ("bc-queue-len", llano.bc_queue_len.is_some()),
                ("nopromisc", llano.nopromisc.is_some()),
            ] {
                if there {
                    return Err(Error::key(format!("{path}.llano.{key}"), "is of a mac-vlan only"));
                }
            }
        }
        Ok(())
    }
}

/// A link that is not there yet.
fn new(interface: &Interface, path: &str) -> Result<Link> {
    let missing = |key: &str| Error::key(path, format!("is new and has no {key}: declare it"));
    let parent = || interface.parent().map(str::to_owned);
    let kind = match interface.kind {
        None => return Err(Error::key(path, "is not there, and has no type by which it could be made")),
        Some(InterfaceType::Bond) => {
            let mode = interface.link_aggregation.as_ref().and_then(|bond| bond.mode);
            let mode = mode.ok_or_else(|| missing("link-aggregation.mode"))?;
            Kind::Bond(Box::new(Bond { options: kernel::Bond::new(mode.number()), primary: None }))
        }
        Some(InterfaceType::Vlan) => {
            parent().ok_or_else(|| missing("vlan.base-iface"))?;
            let id = interface.vlan.as_ref().and_then(|vlan| vlan.id).ok_or_else(|| missing("vlan.id"))?;
            Kind::Vlan(Vlan::new(id))
        }
        Some(kind @ (InterfaceType::MacVlan | InterfaceType::MacVtap)) => {
            parent().ok_or_else(|| missing("mac-vlan.base-iface"))?;
            let mode = interface.macvlan().and_then(|macvlan| macvlan.mode);
            let macvlan = Macvlan::new(mode.ok_or_else(|| missing("mac-vlan.mode"))?.0);
            if kind == InterfaceType::MacVlan { Kind::Macvlan(macvlan) } else { Kind::Macvtap(macvlan) }
        }
        Some(InterfaceType::Dummy) => Kind::Dummy,
        Some(InterfaceType::Ethernet) => {
            return Err(Error::key(
                path,
                "is not there: an ethernet interface cannot be made; mend the name, or find it by identifier: mac-address",
            ));
        }
        Some(kind) => {
            return Err(Error::key(
                format!("{path}.type"),
                format!(
                    "{}: llano makes none of these; allowed are ethernet, bond, vlan, mac-vlan, mac-vtap and dummy",
                    type_name(kind)
                ),
            ));
        }
    };
    Ok(Link {
        kind,
        parent: parent(),
        controller: None,
        mac: None,
        permanent_mac: None,
        mtu: 0,
        up: true,
        promiscuous: false,
        all_multicast: false,
        arp: true,
        tx_queue_len: 0,
        alias: None,
        ipv6_disabled: false,
        sysctls: std::collections::BTreeMap::new(),
        addr_gen_mode: None,
        addresses: Vec::new(),
        neighbours: Vec::new(),
    })
}

pub(crate) fn type_of(kind: &Kind) -> InterfaceType {
    match kind {
        Kind::Physical => InterfaceType::Ethernet,
        Kind::Loopback => InterfaceType::Loopback,
        Kind::Bond(_) => InterfaceType::Bond,
        Kind::Vlan(_) => InterfaceType::Vlan,
        Kind::Macvlan(_) => InterfaceType::MacVlan,
        Kind::Macvtap(_) => InterfaceType::MacVtap,
        Kind::Vxlan(_) => InterfaceType::Vxlan,
        Kind::Veth => InterfaceType::Veth,
        Kind::Bridge => InterfaceType::LinuxBridge,
        Kind::Dummy => InterfaceType::Dummy,
        Kind::Other(_) => InterfaceType::Unknown,
    }
}

fn merge_bond(bond: &mut Bond, mode: Option<BondMode>, declared: &BondOptions, path: &str) -> Result<()> {
    let mode = mode.or_else(|| BondMode::from_number(bond.options.mode()));
    let mut options = BondOptions { values: bond.options.clone(), primary: bond.primary.clone() };
    options.values.remove(IFLA_BOND_MODE);
    options.retain_allowed(mode);
    // The kernel turns one monitor off when the other is turned on; so does this, with what hangs on it.
    let said = |option| declared.values.number(option);
    if said(IFLA_BOND_ARP_INTERVAL).is_some_and(|ms| ms > 0) && said(IFLA_BOND_MIIMON).is_none() {
        for option in [IFLA_BOND_MIIMON, IFLA_BOND_UPDELAY, IFLA_BOND_DOWNDELAY, IFLA_BOND_PEER_NOTIF_DELAY] {
            options.values.set(option, BondValue::Number(0));
        }
    } else if said(IFLA_BOND_MIIMON).is_some_and(|ms| ms > 0)
        && options.values.get(IFLA_BOND_ARP_INTERVAL).is_some()
    {
        options.values.set(IFLA_BOND_ARP_INTERVAL, BondValue::Number(0));
        options.values.set(IFLA_BOND_ARP_VALIDATE, BondValue::Number(0));
        options.retain_allowed(mode);
    }
    options.overlay(declared);
    let monitored = |option| options.values.number(option).is_some();
    if !monitored(IFLA_BOND_MIIMON) && !monitored(IFLA_BOND_ARP_INTERVAL) {
        options.values.set(IFLA_BOND_MIIMON, BondValue::Number(MIIMON));
    }
    options.primary = options.primary.filter(|primary| !primary.is_empty());
    if let Some(mode) = mode {
        check_options(mode, &options, &format!("{path}.link-aggregation"))?;
        options.values.set(IFLA_BOND_MODE, BondValue::Number(mode.number().into()));
    }
    *bond = Bond { options: options.values, primary: options.primary };
    Ok(())
}

fn merge_vlan(vlan: &mut Vlan, declared: Option<&VlanTag>) {
    let Some(declared) = declared else { return };
    vlan.id = declared.id.unwrap_or(vlan.id);
    match declared.protocol {
        Some(Tag::Q) => vlan.protocol = VlanProtocol::Ieee8021Q,
        Some(Tag::Ad) => vlan.protocol = VlanProtocol::Ieee8021Ad,
        None => {}
    }
    let mut flag = |bit: u32, on: Option<bool>| match on {
        Some(true) => vlan.flags |= bit,
        Some(false) => vlan.flags &= !bit,
        None => {}
    };
    flag(VLAN_FLAG_REORDER_HDR, declared.reorder_headers);
    flag(VLAN_FLAG_LOOSE_BINDING, declared.loose_binding);
    flag(VLAN_FLAG_GVRP, declared.registration_protocol.map(|protocol| protocol == Registration::Gvrp));
    flag(VLAN_FLAG_MVRP, declared.registration_protocol.map(|protocol| protocol == Registration::Mvrp));
}

fn merge_macvlan(macvlan: &mut Macvlan, interface: &Interface, path: &str) -> Result<()> {
    if let Some(MacVlan { mode, promiscuous, .. }) = interface.macvlan() {
        macvlan.mode = mode.map_or(macvlan.mode, |mode| mode.0);
        macvlan.nopromisc = promiscuous.map_or(macvlan.nopromisc, |on| !on);
    }
    if let Some(llano) = &interface.llano {
        macvlan.nopromisc = llano.nopromisc.unwrap_or(macvlan.nopromisc);
        macvlan.bc_queue_len = llano.bc_queue_len.or(macvlan.bc_queue_len);
        if let Some(macs) = &llano.source_macs {
            if macvlan.mode != kernel::MacvlanMode::Source {
                return Err(Error::key(format!("{path}.llano.source-macs"), "are of mode source only"));
            }
            macvlan.source_macs.clone_from(macs);
        }
    }
    if macvlan.mode != kernel::MacvlanMode::Source {
        macvlan.source_macs.clear();
    }
    if macvlan.nopromisc && macvlan.mode != kernel::MacvlanMode::Passthru {
        let said = interface.llano.as_ref().and_then(|llano| llano.nopromisc) == Some(true)
            || interface.macvlan().and_then(|macvlan| macvlan.promiscuous) == Some(false);
        if said {
            return Err(Error::key(
                format!("{path}.mac-vlan.promiscuous"),
                "can be false in mode passthru only",
            ));
        }
        macvlan.nopromisc = false;
    }
    Ok(())
}
