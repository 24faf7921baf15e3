//! Where an attachment is: an interface in a namespace. The namespace is opened for each thing done in it; an idle
//! lease holds no descriptor.

use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv6Net};
use kernel::uapi::{IFA_F_NODAD, IFA_F_NOPREFIXROUTE};
use kernel::{Address, Change, NetNs, Netlink, Route, SetLink, sysctl};

use crate::settings::Settings;
use crate::{Error, Result, answer, v4, v6};

/// An interface that was there when it was looked up.
#[derive(Debug, Clone)]
pub(super) struct Place {
    netns: PathBuf,
    ifname: String,
    /// Device and inode of the namespace.
    pub(super) id: (u64, u64),
    /// The interface's Ethernet address.
    pub(super) mac: [u8; 6],
    /// The interface's index.
    pub(super) index: u32,
}

impl Place {
    /// Looks an interface up and sets it up, as the reference plugin does.
    ///
    /// # Errors
    /// [`Error::Gone`] when namespace or interface are not there.
    pub(super) fn find(netns: &Path, ifname: &str) -> Result<Place> {
        let what = || format!("interface {ifname} in {}", netns.display());
        let ns = match NetNs::open(netns) {
            Err(e) if e.is_not_found() => {
                return Err(Error::Gone { what: format!("namespace {}", netns.display()) });
            }
            ns => ns?,
        };
        let id = ns.id()?;
        let mut netlink = Netlink::open_in(&ns)?;
        let link = netlink.link_by_name(ifname)?.ok_or_else(|| Error::Gone { what: what() })?;
        let mac = link
            .mac
            .filter(|m| !m.is_zero())
            .ok_or_else(|| Error::NotEthernet { ifname: ifname.to_owned() })?;
        if !link.is_up() {
            netlink.apply(&Change::SetLink { index: link.index, set: SetLink::up() })?;
        }
        Ok(Place { netns: netns.to_owned(), ifname: ifname.to_owned(), id, mac: mac.0, index: link.index })
    }

    /// The interface's name and namespace, for messages.
    pub(super) fn describe(&self) -> String {
        format!("interface {} in {}", self.ifname, self.netns.display())
    }

    /// The namespace's path as the daemon sees it.
    pub(super) fn netns(&self) -> &Path {
        &self.netns
    }

    /// The namespace; [`Error::Gone`] when its path names another or none.
    pub(super) fn open(&self) -> Result<NetNs> {
        match NetNs::open(&self.netns) {
            Ok(ns) if ns.id()? == self.id => Ok(ns),
            Ok(_) => Err(Error::Gone {
                what: format!("namespace {} (its path names another now)", self.netns.display()),
            }),
            Err(e) if e.is_not_found() || matches!(e, kernel::Error::NotANamespace { .. }) => {
                Err(Error::Gone { what: format!("namespace {}", self.netns.display()) })
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Runs `f` inside.
    pub(super) fn run<T>(&self, f: impl FnOnce() -> T) -> Result<T> {
        Ok(self.open()?.run(f)?)
    }

    /// [`Error::Gone`] unless the interface is there.
    pub(super) fn check(&self) -> Result<()> {
        let ns = self.open()?;
        let found = Netlink::open_in(&ns)?.index_of(&self.ifname)?;
        if found == Some(self.index) { Ok(()) } else { Err(Error::Gone { what: self.describe() }) }
    }

    /// Moves the link from one IPv4 lease to another: the new address comes before the old one goes. What the kernel
    /// refuses is logged; the rest is done all the same.
    pub(super) fn readdress_v4(
        &self,
        settings: &Settings,
        old: Option<&v4::Lease>,
        new: Option<&v4::Lease>,
    ) -> Result<()> {
        let address = |lease: &v4::Lease| {
            answer::net(lease).map(|net| Address::new(self.index, IpNet::V4(net)).with_broadcast())
        };
        let routes = |lease: &v4::Lease| self.routes(settings, lease);
        let (old_routes, new_routes) =
            (old.map(routes).unwrap_or_default(), new.map(routes).unwrap_or_default());
        let gone = old.filter(|o| new.is_none_or(|n| (n.address, n.prefix) != (o.address, o.prefix)));
        if gone.is_none() && old_routes == new_routes && new.is_none() == old.is_none() {
            return Ok(());
        }
        let arrive = || {
            let address = new.and_then(address).map(Change::ReplaceAddress);
            address.into_iter().chain(new_routes.iter().cloned().map(Change::ReplaceRoute))
        };
        let mut changes: Vec<Change> = arrive().collect();
        let stale = old_routes.iter().filter(|r| !new_routes.contains(r));
        changes.extend(stale.cloned().map(Change::DeleteRoute));
        if let Some(address) = gone.and_then(address) {
            changes.push(Change::DeleteAddress(address));
            // Without promote_secondaries the kernel deletes the new address with an old one of the same subnet.
            changes.extend(arrive());
        }
        self.apply(&changes)
    }

    /// Moves the link from one IPv6 lease to another. Uniqueness was ensured by our own probes: no DAD again.
    pub(super) fn readdress_v6(&self, old: Option<&v6::Lease>, new: Option<&v6::Lease>) -> Result<()> {
        let addresses = |lease: Option<&v6::Lease>| -> Vec<Address> {
            let list = lease.map(|l| l.addresses.as_slice()).unwrap_or_default();
            let flags = IFA_F_NODAD | IFA_F_NOPREFIXROUTE;
            let net = |a: &v6::LeasedAddress| IpNet::V6(Ipv6Net::from(a.address));
            list.iter().map(|a| Address::new(self.index, net(a)).with_flags(flags)).collect()
        };
        let (old, new) = (addresses(old), addresses(new));
        let come = new.iter().filter(|a| !old.contains(a)).cloned().map(Change::ReplaceAddress);
        let go = old.iter().filter(|a| !new.contains(a)).cloned().map(Change::DeleteAddress);
        let changes: Vec<Change> = come.chain(go).collect();
        if changes.is_empty() { Ok(()) } else { self.apply(&changes) }
    }

    fn routes(&self, settings: &Settings, lease: &v4::Lease) -> Vec<Route> {
        let subnet = answer::net(lease);
        let route = |r: cni::Route| {
            let mut route = Route::to(r.dst).dev(self.index);
            (route.gateway, route.priority, route.mtu, route.scope) = (r.gw, r.priority, r.mtu, r.scope);
            // A gateway outside the subnet, as with a /32: it is on the link because the server says so.
            route.onlink = match (r.gw, subnet) {
                (Some(std::net::IpAddr::V4(gw)), Some(net)) => !net.contains(&gw),
                _ => false,
            };
            route
        };
        answer::routes(settings, lease).into_iter().map(route).collect()
    }

    fn apply(&self, changes: &[Change]) -> Result<()> {
        let mut netlink = Netlink::open_in(&self.open()?)?;
        for change in changes {
            match netlink.apply(change) {
                Err(e)
                    if e.is_not_found()
                        && matches!(change, Change::DeleteRoute(_) | Change::DeleteAddress(_)) => {}
                Err(e) => {
                    tracing::warn!(place = self.describe(), error = %e, "link not changed as the lease says")
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// IPv6 is needed: a runtime may have turned it off for new interfaces.
    pub(super) fn enable_ipv6(&self) -> Result<()> {
        let path = format!("net/ipv6/conf/{}/disable_ipv6", self.ifname);
        self.run(|| match sysctl::read(&path) {
            Ok(value) if value == "0" => Ok(()),
            Ok(_) => sysctl::write(&path, "0"),
            Err(e) => Err(e),
        })??;
        Ok(())
    }
}
