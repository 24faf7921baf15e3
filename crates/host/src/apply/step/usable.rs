//! When an IPv6 address can be used.
//!
//! The kernel answers before a worker of its own has made the local route of the address. Until then it takes no frame to
//! the address, not even the answer of a neighbour, which costs a second: an address that takes over must be waited for.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use kernel::uapi::{IFA_F_NODAD, RT_TABLE_LOCAL};
use kernel::{Family, Groups, Monitor, Netlink, RouteFilter};

use crate::Result;

/// The worker may be late, and a link without a carrier never gets the route.
const PATIENCE: Duration = Duration::from_secs(1);

/// An address that can be used as soon as its route is there: one that is not looked for on the LAN first.
pub(super) struct Usable {
    monitor: Monitor,
    ip: IpAddr,
}

impl Usable {
    pub(super) fn soon(net: IpNet, flags: u32) -> Result<Option<Self>> {
        if net.addr().is_ipv4() || flags & IFA_F_NODAD == 0 {
            return Ok(None);
        }
        let monitor = Monitor::open(Groups { routes: true, links: true, ..Groups::default() })?;
        Ok(Some(Self { monitor, ip: net.addr() }))
    }

    pub(super) fn wait(mut self, netlink: &mut Netlink, index: u32) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let filter = RouteFilter {
            family: Some(Family::V6),
            table: Some(RT_TABLE_LOCAL),
            oif: Some(index),
            ..RouteFilter::default()
        };
        loop {
            let routes = netlink.routes(&filter)?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || routes.iter().any(|route| route.dst.is_some_and(|dst| dst.addr() == self.ip))
            {
                return Ok(());
            }
            // On a link that is down it comes when the link goes up.
            if !netlink.link_by_index(index)?.is_some_and(|link| link.is_up()) {
                return Ok(());
            }
            self.monitor.wait(Some(left))?;
        }
    }
}
