//! Leases as a CNI result.

use std::net::IpAddr;

use cni::{CniResult, Dns, IpConfig, Route};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::settings::Settings;
use crate::{v4, v6};

/// rtnetlink's scope of what is on the link itself.
const SCOPE_LINK: u8 = 253;

/// The result of ADD and CHECK for what is held.
pub fn result(settings: &Settings, v4: Option<&v4::Lease>, v6: Option<&v6::Lease>) -> CniResult {
    let mut result = CniResult::default();
    let mut dns = Dns::default();
    if let Some(lease) = v4 {
        if let Some(address) = net(lease) {
            let gateway = lease.gateway().filter(|_| !settings.no_gateway).map(IpAddr::V4);
            result.ips.push(IpConfig { address: IpNet::V4(address), gateway, interface: None });
        }
        result.routes = routes(settings, lease);
        dns.nameservers.extend(lease.dns.iter().map(ToString::to_string));
        dns.domain = lease.domain.clone().unwrap_or_default();
        dns.search.clone_from(&lease.search);
    }
    if let Some(lease) = v6 {
        for address in &lease.addresses {
            let address = IpNet::V6(Ipv6Net::from(address.address));
            result.ips.push(IpConfig { address, gateway: None, interface: None });
        }
        dns.nameservers.extend(lease.dns.iter().map(ToString::to_string));
        for name in &lease.search {
            if !dns.search.contains(name) {
                dns.search.push(name.clone());
            }
        }
    }
    result.dns = dns;
    result
}

/// The address with its prefix.
pub fn net(lease: &v4::Lease) -> Option<Ipv4Net> {
    Ipv4Net::new(lease.address, lease.prefix).ok()
}

/// The routes of a lease with the configuration's metric. Option 26 is the MTU of the way beyond the link, so it
/// stands at each route.
pub fn routes(settings: &Settings, lease: &v4::Lease) -> Vec<Route> {
    let wanted = lease.routes.iter().filter(|r| !(settings.no_gateway && r.to.prefix_len() == 0));
    wanted
        .map(|r| Route {
            mtu: lease.mtu.map(u32::from),
            priority: settings.priority,
            scope: if r.via.is_none() { Some(SCOPE_LINK) } else { None },
            ..Route::new(IpNet::V4(r.to), r.via.map(IpAddr::V4))
        })
        .collect()
}
