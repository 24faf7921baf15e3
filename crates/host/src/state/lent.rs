//! Addresses that another tool lends: a DHCP client, router advertisements. They are not declared, who lends them brings
//! them after a boot too.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::State;
use super::interface::Declared;
use crate::Network;

/// What one interface has of one family.
struct Side {
    name: String,
    lent: Vec<IpNet>,
    own: Vec<IpNet>,
}

impl State {
    /// Takes out `dhcp: true` and `autoconf: true`, the addresses that come by them, here or as the file says, and the routes
    /// that need those. The interfaces of which anything was taken out.
    pub(crate) fn without_lent(&mut self, network: Option<&Network>) -> BTreeSet<String> {
        let mut sides: Vec<Side> = Vec::new();
        for interface in &mut self.interfaces {
            let here = network.and_then(|network| network.links.get(&interface.name));
            for (family, ip) in [(Declared::V4, &mut interface.ipv4), (Declared::V6, &mut interface.ipv6)] {
                let Some(ip) = ip.as_mut().filter(|ip| ip.dhcp == Some(true) || ip.autoconf == Some(true))
                else {
                    continue;
                };
                ip.dhcp.take_if(|dhcp| *dhcp);
                ip.autoconf.take_if(|autoconf| *autoconf);
                let mine = |net: &IpNet| net.addr().is_ipv4() == (family == Declared::V4);
                let addresses = here.into_iter().flat_map(|link| &link.addresses).filter(|a| mine(&a.net));
                let (lent, own): (Vec<_>, Vec<_>) = addresses.partition(|address| address.valid.is_some());
                let net = |address: &&kernel::Address| address.net;
                let mut side = Side {
                    name: interface.name.clone(),
                    lent: lent.iter().map(net).collect(),
                    own: own.iter().map(net).collect(),
                };
                if let Some(list) = &mut ip.address {
                    list.retain(|address| {
                        let is_lent = address.valid_life_time.is_some_and(|life| life.0.is_some())
                            || side.lent.iter().any(|net| net.addr() == address.ip);
                        if let Ok(net) = IpNet::new(address.ip, address.prefix_length) {
                            if is_lent { &mut side.lent } else { &mut side.own }.push(net);
                        }
                        !is_lent
                    });
                }
                // An empty list would say that there is none.
                ip.address.take_if(|list| list.is_empty());
                sides.push(side);
            }
        }
        for side in &sides {
            let has = |nets: &[IpNet], ip: IpAddr| nets.iter().any(|net| net.addr() == ip);
            let reaches = |nets: &[IpNet], ip: IpAddr| nets.iter().any(|net| net.contains(&ip));
            self.routes.config.retain(|route| {
                let by_it = route.state.is_none() && route.next_hop_interface.as_ref() == Some(&side.name);
                let source = |ip| has(&side.lent, ip) && !has(&side.own, ip);
                let router = |ip| reaches(&side.lent, ip) && !reaches(&side.own, ip);
                !by_it || !(route.source.is_some_and(source) || route.next_hop_address.is_some_and(router))
            });
        }
        sides.into_iter().map(|side| side.name).collect()
    }
}
