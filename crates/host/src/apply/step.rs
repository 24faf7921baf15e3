//! One step as changes of the kernel.

mod usable;

use std::net::IpAddr;

use attach::paths::Paths;
use kernel::arp::ArpPacket;
use kernel::ndp::NdpPacket;
use kernel::uapi::*;
use kernel::{
    BondValue, Change, Errno, LinkKind, MacvlanSet, Netlink, NewLink, PacketSocket, SetLink, SourceMacs,
    sysctl,
};

use crate::host_access;
use crate::{Error, Hop, Kind, Link, LinkChange, Result, Route, Step};

/// Does one step.
pub(super) fn run(netlink: &mut Netlink, step: &Step) -> Result<()> {
    match step {
        Step::AddLink { name, link } => add_link(netlink, step, name, link),
        Step::ChangeLink { name, change } => change_link(netlink, step, name, change),
        Step::DeleteLink { name } => match netlink.apply(&Change::DeleteLinkByName(name.clone())) {
            // It went with its parent.
            Err(error) if error.is_not_found() => Ok(()),
            result => result.map_err(|source| failed(step, source)),
        },
        Step::AddAddress { dev, address } => {
            let address = kernel::Address { index: index(netlink, dev)?, ..address.clone() };
            let (at, net, flags) = (address.index, address.net, address.flags);
            // Before the kernel: what is heard is not older.
            let usable = usable::Usable::soon(net, flags)?;
            done(netlink, step, &Change::ReplaceAddress(address))?;
            usable.map_or(Ok(()), |usable| usable.wait(netlink, at))
        }
        // What was on a link that went with its parent went with it.
        Step::DeleteAddress { dev, address } => match index(netlink, dev) {
            Err(Error::NoLink(_)) => Ok(()),
            index => {
                let address = kernel::Address { index: index?, ..address.clone() };
                gone(netlink, step, &Change::DeleteAddress(address))
            }
        },
        Step::AddRoute(route) => {
            let route = by_number(netlink, route)?;
            done(netlink, step, &Change::ReplaceRoute(route))
        }
        Step::AppendRoute(route) => {
            let route = by_number(netlink, route)?;
            match netlink.apply(&Change::AppendRoute(route)) {
                Err(error) if error.is_exists() => Ok(()),
                result => result.map_err(|source| failed(step, source)),
            }
        }
        Step::DeleteRoute(route) => match by_number(netlink, route) {
            Err(Error::NoLink(_)) => Ok(()),
            route => gone(netlink, step, &Change::DeleteRoute(route?)),
        },
        Step::AddRule(rule) => done(netlink, step, &Change::AddRule(rule.clone())),
        Step::DeleteRule(rule) => gone(netlink, step, &Change::DeleteRule(rule.clone())),
        Step::SetNeighbour { dev, neighbour } => {
            let neighbour = kernel::Neighbour { index: index(netlink, dev)?, ..neighbour.clone() };
            done(netlink, step, &Change::SetNeighbour(neighbour))
        }
        Step::DeleteNeighbour { dev, neighbour } => match index(netlink, dev) {
            Err(Error::NoLink(_)) => Ok(()),
            index => {
                let neighbour = kernel::Neighbour { index: index?, ..neighbour.clone() };
                gone(netlink, step, &Change::DeleteNeighbour(neighbour))
            }
        },
        Step::SetSysctl { path, value } => sysctl::write(path, value).map_err(|source| failed(step, source)),
        Step::AddShim { parent } => host_access::on(&Paths::from_env(), netlink, parent).map(drop),
        Step::RemoveShim { parent } => host_access::off(&Paths::from_env(), netlink, parent).map(drop),
        Step::Announce { dev, addresses } => {
            // The LAN also learns by the next frame: no reason to fail.
            if let Err(error) = announce(netlink, dev, addresses) {
                tracing::warn!(%dev, %error, "addresses could not be announced");
            }
            Ok(())
        }
    }
}

fn failed(step: &Step, source: kernel::Error) -> Error {
    Error::Step { step: step.to_string(), source }
}

fn done(netlink: &mut Netlink, step: &Step, change: &Change) -> Result<()> {
    netlink.apply(change).map_err(|source| failed(step, source))
}

/// What is gone already is no error.
fn gone(netlink: &mut Netlink, step: &Step, change: &Change) -> Result<()> {
    match netlink.apply(change) {
        Err(error) if error.is_not_found() => Ok(()),
        result => result.map_err(|source| failed(step, source)),
    }
}

fn index(netlink: &mut Netlink, name: &str) -> Result<u32> {
    let link = netlink.link_by_name(name)?;
    link.map(|link| link.index).ok_or_else(|| Error::NoLink(name.to_owned()))
}

fn by_number(netlink: &mut Netlink, route: &Route) -> Result<kernel::Route> {
    let mut plain = route.route.clone();
    plain.oif = route.dev.as_ref().map(|dev| index(netlink, dev)).transpose()?;
    let number = |Hop { dev, hop }: &Hop| Ok(kernel::NextHop { oif: index(netlink, dev)?, ..hop.clone() });
    plain.nexthops = route.hops.iter().map(number).collect::<Result<_>>()?;
    Ok(plain)
}

fn add_link(netlink: &mut Netlink, step: &Step, name: &str, link: &Link) -> Result<()> {
    let kind = match &link.kind {
        Kind::Bond(bond) => {
            let mut options = bond.options.clone();
            // An empty list at birth is no list.
            let empty: Vec<u16> = options
                .options()
                .filter(|(_, value)| matches!(value, BondValue::Addresses(list) if list.is_empty()))
                .map(|(number, _)| number)
                .collect();
            empty.into_iter().for_each(|number| options.remove(number));
            let zero =
                matches!(options.get(IFLA_BOND_AD_ACTOR_SYSTEM), Some(BondValue::Mac(mac)) if mac.is_zero());
            if zero {
                options.remove(IFLA_BOND_AD_ACTOR_SYSTEM);
            }
            LinkKind::Bond(for_mode(options, bond.options.mode()))
        }
        Kind::Vlan(vlan) => LinkKind::Vlan(*vlan),
        Kind::Macvlan(macvlan) => LinkKind::Macvlan(macvlan.clone()),
        Kind::Macvtap(macvlan) => LinkKind::Macvtap(macvlan.clone()),
        Kind::Dummy => LinkKind::Dummy,
        Kind::Bridge => LinkKind::Bridge,
        kind => {
            let what = format!("llano makes no {}", kind.name());
            return Err(Error::CannotMake { name: name.to_owned(), what });
        }
    };
    let parent = match &link.kind {
        Kind::Vlan(_) | Kind::Macvlan(_) | Kind::Macvtap(_) => link.parent.as_ref(),
        _ => None,
    };
    let new = NewLink {
        parent: parent.map(|parent| index(netlink, parent)).transpose()?,
        mtu: Some(link.mtu).filter(|mtu| *mtu != 0),
        mac: link.mac,
        tx_queue_len: Some(link.tx_queue_len).filter(|len| *len != 0),
        ..NewLink::new(name, kind)
    };
    netlink.apply(&Change::AddLink(new)).map_err(|source| match (source.errno(), &link.kind) {
        (Some(Errno::OPNOTSUPP), kind) => match kind {
            Kind::Bond(_) => Error::Lacks { what: "bonds (bond)", module: "bonding", source },
            Kind::Vlan(_) => Error::Lacks { what: "802.1Q (vlan)", module: "8021q", source },
            Kind::Macvlan(_) => Error::Lacks { what: "macvlan", module: "macvlan", source },
            Kind::Macvtap(_) => Error::Lacks { what: "macvtap", module: "macvtap", source },
            Kind::Dummy => Error::Lacks { what: "dummy interfaces", module: "dummy", source },
            _ => failed(step, source),
        },
        _ => failed(step, source),
    })
}

/// Only options of the mode are sent; the others are refused even when they say what is.
fn for_mode(options: kernel::Bond, mode: u8) -> kernel::Bond {
    use crate::state::{BondMode, BondOption};
    let Some(mode) = BondMode::from_number(mode) else { return options };
    let mut sent = kernel::Bond::new(mode.number());
    for (number, value) in options.options() {
        let delay = matches!(number, IFLA_BOND_UPDELAY | IFLA_BOND_DOWNDELAY | IFLA_BOND_PEER_NOTIF_DELAY);
        // The kernel refuses delays without a monitor, even 0; and some kernels, to turn use_carrier on.
        let zero = *value == BondValue::Number(0)
            && (delay || matches!(number, IFLA_BOND_ARP_INTERVAL | IFLA_BOND_ARP_VALIDATE));
        if BondOption::of_number(number).is_some_and(|option| option.is_of(mode)) && !zero {
            sent.set(number, value.clone());
        }
    }
    sent
}

fn change_link(netlink: &mut Netlink, step: &Step, name: &str, change: &LinkChange) -> Result<()> {
    let at = index(netlink, name)?;
    let mut set = SetLink {
        up: change.up,
        mtu: change.mtu,
        mac: change.mac,
        tx_queue_len: change.tx_queue_len,
        promisc: change.promiscuous,
        allmulti: change.all_multicast,
        arp: change.arp,
        alias: change.alias.clone(),
        addr_gen_mode: change.addr_gen_mode,
        ..SetLink::default()
    };
    set.master = match &change.controller {
        Some(Some(controller)) => Some(index(netlink, controller)?),
        Some(None) => Some(0),
        None => None,
    };
    match &change.kind {
        Some(Kind::Bond(bond)) => {
            let mut options = bond.options.clone();
            if let Some(primary) = &bond.primary {
                let number = if primary.is_empty() { 0 } else { index(netlink, primary)? };
                options.set(IFLA_BOND_PRIMARY, BondValue::Number(number));
            }
            set.bond = Some(options);
        }
        Some(Kind::Vlan(vlan)) => set.vlan_flags = Some((vlan.flags, VLAN_FLAGS)),
        Some(kind @ (Kind::Macvlan(macvlan) | Kind::Macvtap(macvlan))) => {
            let source = macvlan.mode == kernel::MacvlanMode::Source;
            let list = match macvlan.source_macs.is_empty() {
                true => SourceMacs::Flush,
                false => SourceMacs::Set(macvlan.source_macs.clone()),
            };
            set.macvlan = Some(MacvlanSet {
                tap: matches!(kind, Kind::Macvtap(_)),
                mode: Some(macvlan.mode),
                nopromisc: (macvlan.mode == kernel::MacvlanMode::Passthru).then_some(macvlan.nopromisc),
                source_macs: source.then_some(list),
                bc_queue_len: macvlan.bc_queue_len,
            });
        }
        _ => {}
    }
    match netlink.apply(&Change::SetLink { index: at, set: set.clone() }) {
        // Some drivers change the MAC only while they are down.
        Err(error) if error.errno() == Some(Errno::BUSY) && change.mac.is_some() => {
            let up = netlink.link_by_index(at)?.is_some_and(|link| link.is_up());
            netlink.apply(&Change::SetLink { index: at, set: SetLink::down() })?;
            netlink.apply(&Change::SetLink { index: at, set }).map_err(|source| failed(step, source))?;
            if up {
                netlink.apply(&Change::SetLink { index: at, set: SetLink::up() })?;
            }
            Ok(())
        }
        result => result.map_err(|source| failed(step, source)),
    }
}

/// Once: the frame is not lost on the way to a queue of one's own.
fn announce(netlink: &mut Netlink, dev: &str, addresses: &[IpAddr]) -> kernel::Result<()> {
    let Some((index, mac)) = netlink.link_by_name(dev)?.and_then(|link| Some((link.index, link.mac?))) else {
        return Ok(());
    };
    let socket = PacketSocket::open(index, ETH_P_ARP, &[])?;
    for address in addresses {
        socket.send(&match address {
            IpAddr::V4(address) => ArpPacket::announcement(mac, *address).encode().to_vec(),
            IpAddr::V6(address) => NdpPacket::announcement(mac, *address).encode(),
        })?;
    }
    Ok(())
}
