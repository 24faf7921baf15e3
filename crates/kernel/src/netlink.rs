//! The netlink socket.

use std::os::fd::OwnedFd;

use crate::{
    Address, Change, Error, Filter, Link, Neighbour, NetNs, Qdisc, Result, Route, RouteFilter, Rule,
};

const SOON: Error = Error::Malformed { op: "anything", what: "stub" };

/// A blocking `NETLINK_ROUTE` socket. It stays bound to the namespace it was opened in, whatever the thread does later.
#[derive(Debug)]
pub struct Netlink {
    #[allow(dead_code)]
    fd: OwnedFd,
}

impl Netlink {
    /// Opens a socket in the calling thread's namespace.
    pub fn open() -> Result<Self> {
        Err(SOON)
    }

    /// Opens a socket in a namespace. The calling thread visits it and comes back.
    pub fn open_in(ns: &NetNs) -> Result<Self> {
        ns.run(Self::open)?
    }

    /// Makes one change.
    pub fn apply(&mut self, change: &Change) -> Result<()> {
        self.apply_all(std::slice::from_ref(change)).map_err(|(_, error)| error)
    }

    /// Makes changes in order with one send; every answer is read. The error is the first failure with its place.
    /// The changes after a failed one were made all the same: the kernel does not stop.
    pub fn apply_all(&mut self, _changes: &[Change]) -> std::result::Result<(), (usize, Error)> {
        Err((0, SOON))
    }

    /// The link of a name.
    pub fn link_by_name(&mut self, _name: &str) -> Result<Option<Link>> {
        Err(SOON)
    }

    /// The link of an index.
    pub fn link_by_index(&mut self, _index: u32) -> Result<Option<Link>> {
        Err(SOON)
    }

    /// All links of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        Err(SOON)
    }

    /// Addresses of both families, of one interface or of all.
    pub fn addresses(&mut self, _index: Option<u32>) -> Result<Vec<Address>> {
        Err(SOON)
    }

    /// Routes.
    pub fn routes(&mut self, _filter: &RouteFilter) -> Result<Vec<Route>> {
        Err(SOON)
    }

    /// Rules of both families.
    pub fn rules(&mut self) -> Result<Vec<Rule>> {
        Err(SOON)
    }

    /// Neighbours of both families, of one interface or of all.
    pub fn neighbours(&mut self, _index: Option<u32>) -> Result<Vec<Neighbour>> {
        Err(SOON)
    }

    /// Queueing disciplines, of one interface or of all.
    pub fn qdiscs(&mut self, _index: Option<u32>) -> Result<Vec<Qdisc>> {
        Err(SOON)
    }

    /// Filters of an interface at one place (see [`Filter::parent`]).
    pub fn filters(&mut self, _index: u32, _parent: u32) -> Result<Vec<Filter>> {
        Err(SOON)
    }

    /// The interface of the default route with the lowest metric, IPv4 first, in the main table.
    pub fn default_route_parent(&mut self) -> Result<Option<u32>> {
        Err(SOON)
    }

    /// The index of a name, by the cheapest way (`SIOCGIFINDEX`).
    pub fn index_of(&self, _name: &str) -> Result<Option<u32>> {
        Err(SOON)
    }
}
