//! The host's own addresses, as pods may reach them.

use std::net::IpAddr;

use cni::CniResult;
use ipnet::IpNet;
use kernel::uapi::IFA_F_DADFAILED;
use kernel::{Address, Netlink};

use super::HostAccess;
use crate::Result;

/// `RT_SCOPE_UNIVERSE`: neither link-local nor the host's own loopback.
const SCOPE_GLOBAL: u8 = 0;

/// Every global address of the host, on whatever interface, that the configuration does not exclude.
pub(super) fn addresses(host: &mut Netlink, access: &HostAccess) -> Result<Vec<Address>> {
    let mut all = host.addresses(None)?;
    all.retain(|address| {
        let ip = address.net.addr();
        address.scope == SCOPE_GLOBAL
            && address.flags & IFA_F_DADFAILED == 0
            && !access.exclude.iter().any(|net| net.contains(&ip))
    });
    Ok(all)
}

/// The subnets that the pod has on other interfaces: a host address in one of them is reached there already.
pub(super) fn subnets_of_other_links(pod: &mut Netlink, index: u32) -> Result<Vec<IpNet>> {
    let all = pod.addresses(None)?;
    let others = all.into_iter().filter(|address| address.index != index && address.scope == SCOPE_GLOBAL);
    Ok(others.map(|address| address.net.trunc()).collect())
}

/// The address the host speaks from when it talks to `pod`: one in the pod's subnet on the parent, else in that
/// subnet, else on the parent, else any of the family.
pub(super) fn source_for(hosts: &[Address], parent: u32, result: &CniResult, pod: IpAddr) -> Option<IpAddr> {
    let subnet = result.ips.iter().find(|ip| ip.address.addr() == pod)?.address.trunc();
    let family = hosts.iter().filter(|host| host.net.addr().is_ipv4() == pod.is_ipv4());
    let rank =
        |host: &&Address| (u8::from(!subnet.contains(&host.net.addr())), u8::from(host.index != parent));
    family.min_by_key(rank).map(|host| host.net.addr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cni::IpConfig;

    #[test]
    fn the_source_is_the_nearest_address_of_the_family() {
        let host = |index, net: &str| Address::new(index, net.parse().unwrap());
        let result = CniResult {
            ips: vec![
                IpConfig { address: "10.1.2.9/24".parse().unwrap(), gateway: None, interface: None },
                IpConfig { address: "2001:db8::9/64".parse().unwrap(), gateway: None, interface: None },
            ],
            ..CniResult::default()
        };
        let pod: IpAddr = "10.1.2.9".parse().unwrap();
        let hosts = [host(1, "192.0.2.1/24"), host(2, "198.51.100.1/24"), host(3, "10.1.2.1/24")];
        assert_eq!(source_for(&hosts, 2, &result, pod), Some("10.1.2.1".parse().unwrap()));
        assert_eq!(source_for(&hosts[..2], 2, &result, pod), Some("198.51.100.1".parse().unwrap()));
        assert_eq!(source_for(&hosts[..1], 2, &result, pod), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(source_for(&hosts, 2, &result, "2001:db8::9".parse().unwrap()), None);
    }
}
