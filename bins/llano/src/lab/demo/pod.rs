//! A running container, and what the kernel says about its interface.

use std::net::IpAddr;
use std::process::Child;
use std::time::Duration;

use anyhow::Context;
use kernel::{Family, NetNs, Netlink, RouteFilter};

/// The interface a runtime gives a container.
const INTERFACE: &str = "eth0";

/// A running container.
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) net: NetNs,
    pub(super) facts: Facts,
    /// How long its start took; for a network namespace that is the plugin's ADD alone.
    pub(super) took: Duration,
    /// The process to wait for when it has been ended.
    pub(super) process: Child,
}

/// What the kernel says about `eth0` in a container.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Facts {
    pub(super) address: IpAddr,
    pub(super) mac: String,
    pub(super) routes: Vec<String>,
}

impl Facts {
    /// Reads them in the container's namespace.
    pub(super) fn read(net: &NetNs) -> anyhow::Result<Self> {
        let mut netlink = Netlink::open_in(net)?;
        let link = netlink.link_by_name(INTERFACE)?.context("the container has no eth0")?;
        let addresses = netlink.addresses(Some(link.index))?;
        let address = addresses.iter().find(|address| address.net.addr().is_ipv4());
        let filter = RouteFilter {
            family: Some(Family::V4),
            table: Some(254),
            oif: Some(link.index),
            ..RouteFilter::default()
        };
        let routes = netlink.routes(&filter)?.into_iter().map(|route| {
            let to = route.dst.map_or_else(|| "default".to_owned(), |dst| dst.to_string());
            match route.gateway {
                Some(via) => format!("{to} via {via}"),
                None => format!("{to} direct"),
            }
        });
        Ok(Facts {
            address: address.context("eth0 has no address")?.net.addr(),
            mac: link.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            routes: routes.collect(),
        })
    }
}
