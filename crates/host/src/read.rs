//! Reading a namespace's network from the kernel.

use std::collections::BTreeMap;

use kernel::uapi::{
    IFF_ALLMULTI, IFF_LOOPBACK, IFF_PROMISC, IFLA_BOND_ACTIVE_SLAVE, IFLA_BOND_PRIMARY, NUD_PERMANENT,
    RT_TABLE_LOCAL, RTM_F_CLONED,
};
use kernel::{LinkKind, Netlink, RouteFilter};

use crate::sysctls;
use crate::{Bond, Hop, Kind, Link, Network, Result, Route};

impl Network {
    /// Reads what the socket's namespace has.
    ///
    /// # Errors
    /// When the kernel refuses a dump.
    pub fn read(netlink: &mut Netlink) -> Result<Self> {
        let links = netlink.links()?;
        let names: BTreeMap<u32, String> = links.iter().map(|link| (link.index, link.name.clone())).collect();
        let mut network = Self::default();
        for link in links {
            network.links.insert(link.name.clone(), read_link(link, &names));
        }
        for settings in netlink.settings()? {
            let link = names.get(&settings.index).and_then(|name| network.links.get_mut(name));
            link.into_iter().for_each(|link| link.sysctls = sysctls::of(&settings));
        }
        for mut address in netlink.addresses(None)? {
            let name = names.get(&address.index);
            // The kernel labels an address by its interface when nothing else was asked.
            address.label = address.label.filter(|label| Some(label) != name);
            let link = name.and_then(|name| network.links.get_mut(name));
            address.index = 0;
            link.into_iter().for_each(|link| link.addresses.push(address.clone()));
        }
        for mut neighbour in netlink.neighbours(None)? {
            if neighbour.state & NUD_PERMANENT != 0 && neighbour.mac.is_some_and(|mac| !mac.is_zero()) {
                let link = names.get(&neighbour.index).and_then(|name| network.links.get_mut(name));
                neighbour.index = 0;
                link.into_iter().for_each(|link| link.neighbours.push(neighbour.clone()));
            }
        }
        let routes = netlink.routes(&RouteFilter::default())?;
        network.routes = routes
            .into_iter()
            .filter(|route| route.table != RT_TABLE_LOCAL && route.flags & RTM_F_CLONED == 0)
            .map(|route| read_route(route, &names))
            .collect();
        network.rules = netlink.rules()?;
        Ok(network)
    }
}

fn read_link(link: kernel::Link, names: &BTreeMap<u32, String>) -> Link {
    let name = |index: Option<u32>| index.and_then(|index| names.get(&index)).cloned();
    Link {
        // The parent's number counts in its own namespace; a link may bear the same number here.
        parent: if link.parent_nsid.is_none() { name(link.parent) } else { None },
        controller: name(link.master),
        mac: link.mac,
        permanent_mac: link.perm_mac,
        mtu: link.mtu,
        up: link.is_up(),
        promiscuous: link.flags & IFF_PROMISC != 0,
        all_multicast: link.flags & IFF_ALLMULTI != 0,
        arp: !link.no_arp(),
        tx_queue_len: link.tx_queue_len,
        alias: link.alias,
        ipv6_disabled: link.ipv6_disabled,
        sysctls: BTreeMap::new(),
        addr_gen_mode: link.addr_gen_mode,
        addresses: Vec::new(),
        neighbours: Vec::new(),
        kind: match link.kind {
            LinkKind::Physical if link.flags & IFF_LOOPBACK != 0 => Kind::Loopback,
            LinkKind::Physical => Kind::Physical,
            LinkKind::Bond(bond) => Kind::Bond(Box::new(read_bond(bond, names))),
            LinkKind::Vlan(vlan) => Kind::Vlan(vlan),
            LinkKind::Macvlan(macvlan) => Kind::Macvlan(macvlan),
            LinkKind::Macvtap(macvlan) => Kind::Macvtap(macvlan),
            LinkKind::Vxlan(vxlan) => Kind::Vxlan(vxlan),
            LinkKind::Veth(_) => Kind::Veth,
            LinkKind::Bridge => Kind::Bridge,
            LinkKind::Dummy => Kind::Dummy,
            other => Kind::Other(other.name().unwrap_or_default().to_owned()),
        },
    }
}

fn read_bond(mut options: kernel::Bond, names: &BTreeMap<u32, String>) -> Bond {
    let primary = options.number(IFLA_BOND_PRIMARY).and_then(|index| names.get(&index)).cloned();
    options.remove(IFLA_BOND_PRIMARY);
    // The bond chooses.
    options.remove(IFLA_BOND_ACTIVE_SLAVE);
    Bond { options, primary }
}

fn read_route(mut route: kernel::Route, names: &BTreeMap<u32, String>) -> Route {
    // An index without a link is one that went between two dumps.
    let name = |index: u32| names.get(&index).cloned().unwrap_or_else(|| format!("if{index}"));
    let hops = std::mem::take(&mut route.nexthops);
    Route {
        dev: route.oif.take().map(name),
        hops: hops.into_iter().map(|mut hop| Hop { dev: name(std::mem::take(&mut hop.oif)), hop }).collect(),
        route,
    }
}
