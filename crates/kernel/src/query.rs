//! What can be read: one link, and lists.

use rustix::io::Errno;

use crate::netlink::Dump;
use crate::uapi::*;
use crate::wire::Writer;
use crate::{
    Address, Error, Family, Filter, Forwarding, Link, Neighbour, Netlink, Qdisc, Result, Route, RouteFilter,
    Rule, address, forwarding, link_wire, neighbour, route_wire, rule, tc_wire,
};

impl Netlink {
    /// The link of a name or of an alternative name, which may be longer than 15 bytes.
    pub fn link_by_name(&mut self, name: &str) -> Result<Option<Link>> {
        if name.is_empty() || name.len() > ALTNAME_MAX || name.contains('\0') {
            return Ok(None);
        }
        self.link(&|w| link_wire::encode_get(w, 0, 0, Some(name)), || name.to_owned())
    }

    /// The link of an index.
    pub fn link_by_index(&mut self, index: u32) -> Result<Option<Link>> {
        if index == 0 {
            return Ok(None);
        }
        self.link(&|w| link_wire::encode_get(w, 0, index, None), || index.to_string())
    }

    fn link(
        &mut self,
        encode: &dyn Fn(&mut Writer) -> Result<()>,
        object: impl Fn() -> String,
    ) -> Result<Option<Link>> {
        let mut link = None;
        match self.get(encode, &mut |raw| link = Link::decode(raw.body))? {
            Ok(()) if link.is_none() => Err(Error::Malformed { op: "read link", what: "not a link" }),
            Ok(()) => Ok(link),
            Err(Errno::NODEV) => Ok(None),
            Err(errno) => Err(Error::new("read link", object(), errno)),
        }
    }

    /// All links of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let encode = |w: &mut Writer| link_wire::encode_get(w, NLM_F_DUMP, 0, None);
        let mut all = Vec::new();
        self.dump("read links", &encode, &mut |part| collect(&mut all, &part, Link::decode))?;
        Ok(all)
    }

    /// Addresses of both families, of one interface or of all.
    pub fn addresses(&mut self, index: Option<u32>) -> Result<Vec<Address>> {
        let encode = |w: &mut Writer| address::encode_dump(w, index.unwrap_or(0));
        let mut all = Vec::new();
        self.dump("read addresses", &encode, &mut |part| collect(&mut all, &part, Address::decode))?;
        all.retain(|address| index.is_none_or(|index| index == address.index));
        Ok(all)
    }

    /// Routes. A table that does not exist has none.
    pub fn routes(&mut self, filter: &RouteFilter) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for family in Family::ALL {
            if filter.family.is_none_or(|wanted| wanted == family) {
                self.routes_of(family, filter, RTN_UNSPEC, &mut routes)?;
            }
        }
        Ok(routes)
    }

    fn routes_of(
        &mut self,
        family: Family,
        filter: &RouteFilter,
        kind: u8,
        routes: &mut Vec<Route>,
    ) -> Result<()> {
        let encode = |w: &mut Writer| route_wire::encode_dump(w, family, filter, kind);
        let mut all = Vec::new();
        let result = self.dump("read routes", &encode, &mut |part| collect(&mut all, &part, Route::decode));
        match result {
            // ENOENT: no such table; ENODEV: no such interface.
            Err(error) if matches!(error.errno(), Some(Errno::NOENT | Errno::NODEV)) => return Ok(()),
            result => result?,
        }
        all.retain(|route| route.family == family && route.matches(filter));
        routes.append(&mut all);
        Ok(())
    }

    /// Rules of both families.
    pub fn rules(&mut self) -> Result<Vec<Rule>> {
        let mut all = Vec::new();
        self.dump("read rules", &rule::encode_dump, &mut |part| collect(&mut all, &part, Rule::decode))?;
        Ok(all)
    }

    /// Neighbours of both families, of one interface or of all. Those that need no resolution are left out by the
    /// kernel only when they are multicast or broadcast.
    pub fn neighbours(&mut self, index: Option<u32>) -> Result<Vec<Neighbour>> {
        let encode = |w: &mut Writer| neighbour::encode_dump(w, index);
        let mut all = Vec::new();
        self.dump("read neighbours", &encode, &mut |part| collect(&mut all, &part, Neighbour::decode))?;
        all.retain(|neighbour| index.is_none_or(|index| index == neighbour.index));
        Ok(all)
    }

    /// The forwarding database of a VXLAN or bridge: where frames for a MAC are sent.
    pub fn forwarding(&mut self, index: u32) -> Result<Vec<Forwarding>> {
        let mut all = Vec::new();
        let encode: fn(&mut Writer) -> Result<()> = forwarding::encode_dump;
        self.dump("read forwarding database", &encode, &mut |part| {
            collect(&mut all, &part, Forwarding::decode);
        })?;
        all.retain(|entry| entry.index == index);
        Ok(all)
    }

    /// Queueing disciplines, of one interface or of all.
    pub fn qdiscs(&mut self, index: Option<u32>) -> Result<Vec<Qdisc>> {
        let encode = |w: &mut Writer| tc_wire::encode_dump(w, RTM_GETQDISC, 0, 0);
        let mut all = Vec::new();
        self.dump("read qdiscs", &encode, &mut |part| collect(&mut all, &part, Qdisc::decode))?;
        all.retain(|qdisc| index.is_none_or(|index| index == qdisc.index));
        Ok(all)
    }

    /// Filters of an interface at one place (see [`Filter::parent`]).
    pub fn filters(&mut self, index: u32, parent: u32) -> Result<Vec<Filter>> {
        let encode = |w: &mut Writer| tc_wire::encode_dump(w, RTM_GETTFILTER, index, parent);
        let mut all = Vec::new();
        self.dump("read filters", &encode, &mut |part| collect(&mut all, &part, Filter::decode))?;
        Ok(all)
    }

    /// The interface of the default route: IPv4 before IPv6, the lowest metric first, main table only; of a multipath
    /// route the first hop.
    pub fn default_route_parent(&mut self) -> Result<Option<u32>> {
        let filter = RouteFilter { table: Some(RT_TABLE_MAIN), ..RouteFilter::default() };
        for family in Family::ALL {
            let mut best = None;
            let encode = |w: &mut Writer| route_wire::encode_dump(w, family, &filter, RTN_UNICAST);
            let result = self.dump("read routes", &encode, &mut |part| match part {
                Dump::Begin => best = None,
                // The destination's length is looked at first: the other routes, which may be many, are not decoded.
                Dump::Item(raw) if raw.kind == RTM_NEWROUTE && raw.body.get(1) == Some(&0) => {
                    let Some(route) = Route::decode(raw.body) else { return };
                    if route.family != family || route.kind != RTN_UNICAST || !route.matches(&filter) {
                        return;
                    }
                    let oif = route.oif.or(route.nexthops.first().map(|hop| hop.oif));
                    let metric = route.priority.unwrap_or(0);
                    if let Some(oif) = oif
                        && best.is_none_or(|(lowest, _)| metric < lowest)
                    {
                        best = Some((metric, oif));
                    }
                }
                Dump::Item(_) => {}
            });
            match result {
                Err(error) if error.errno() == Some(Errno::NOENT) => {}
                result => result?,
            }
            if let Some((_, oif)) = best {
                return Ok(Some(oif));
            }
        }
        Ok(None)
    }
}

/// Adds what a message says to a list. Messages of families that are not ours are left out.
fn collect<T>(all: &mut Vec<T>, part: &Dump<'_>, decode: fn(&[u8]) -> Option<T>) {
    match part {
        Dump::Begin => all.clear(),
        Dump::Item(raw) => all.extend(decode(raw.body)),
    }
}
