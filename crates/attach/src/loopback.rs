//! `loopback`: sets the pod's `lo` up.

use std::net::IpAddr;

use cni::{CniResult, Interface, IpConfig, Plugin, Request};
use kernel::{Address, Change, Netlink, SetLink};

use crate::link::{open_netns, open_netns_if_present};
use crate::{Error, Result};

/// The plugin type `loopback`. The interface name of the environment does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Loopback;

const NAME: &str = "lo";

impl Plugin for Loopback {
    fn about(&self) -> String {
        concat!("CNI loopback plugin llano-cni ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    fn add(&self, request: &Request) -> cni::Result<CniResult> {
        let prev_result = request.prev_result()?;
        let netns = open_netns(&request.env)?;
        let mut socket = Netlink::open_in(&netns).map_err(Error::from)?;
        let index = set(&mut socket, SetLink::up())?;
        let addresses = socket.addresses(Some(index)).map_err(Error::from)?;
        let ips = loopback_ips(&addresses)?;
        let sandbox = request.env.netns.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        Ok(prev_result.unwrap_or_else(|| CniResult {
            interfaces: vec![Interface {
                name: NAME.to_owned(),
                mac: kernel::MacAddr::ZERO.to_string(),
                sandbox,
                ..Interface::default()
            }],
            ips,
            ..CniResult::default()
        }))
    }

    fn del(&self, request: &Request) -> cni::Result<()> {
        let Some(netns) = open_netns_if_present(&request.env)? else { return Ok(()) };
        let mut socket = Netlink::open_in(&netns).map_err(Error::from)?;
        set(&mut socket, SetLink::down())?;
        Ok(())
    }

    fn check(&self, request: &Request) -> cni::Result<()> {
        request.prev_result()?;
        let netns = open_netns(&request.env)?;
        let mut socket = Netlink::open_in(&netns).map_err(Error::from)?;
        let link = socket.link_by_name(NAME).map_err(Error::from)?.ok_or_else(absent)?;
        if !link.is_up() {
            return Err(Error::Mismatch("loopback interface is down".to_owned()).into());
        }
        Ok(())
    }
}

/// Changes `lo`; returns its index.
fn set(socket: &mut Netlink, set: SetLink) -> Result<u32> {
    // The first device of every namespace, but nothing promises that its index is 1.
    let index = socket.index_of(NAME)?.ok_or_else(absent)?;
    socket.apply(&Change::SetLink { index, set })?;
    Ok(index)
}

fn absent() -> Error {
    Error::Mismatch("the namespace has no interface lo".to_owned())
}

/// The first address of each family, IPv4 first, as the reference shows them.
fn loopback_ips(addresses: &[Address]) -> Result<Vec<IpConfig>> {
    if let Some(foreign) = addresses.iter().find(|address| !address.net.addr().is_loopback()) {
        return Err(Error::Mismatch(format!(
            "loopback interface found with non-loopback address {}",
            foreign.net.addr()
        )));
    }
    let first =
        |is_family: fn(&IpAddr) -> bool| addresses.iter().find(|address| is_family(&address.net.addr()));
    Ok([first(IpAddr::is_ipv4), first(IpAddr::is_ipv6)]
        .into_iter()
        .flatten()
        .map(|address| IpConfig { address: address.net, gateway: None, interface: Some(0) })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(nets: &[&str]) -> Vec<Address> {
        nets.iter().map(|net| Address::new(1, net.parse().unwrap())).collect()
    }

    #[test]
    fn the_first_of_each_family_is_shown() {
        let ips = loopback_ips(&addresses(&["::1/128", "127.0.0.1/8", "127.0.0.2/8"])).unwrap();
        let shown: Vec<String> = ips.iter().map(|ip| ip.address.to_string()).collect();
        assert_eq!(shown, ["127.0.0.1/8", "::1/128"]);
        assert!(loopback_ips(&[]).unwrap().is_empty());
    }

    #[test]
    fn another_address_is_an_error() {
        for foreign in ["10.0.0.1/8", "2001:db8::1/64"] {
            let error = loopback_ips(&addresses(&["127.0.0.1/8", foreign])).unwrap_err();
            assert!(error.to_string().contains("non-loopback address"), "{error}");
        }
    }
}
