//! How a link was before `llano link set`: what a refused change is taken back to.

use kernel::uapi::{IFF_ALLMULTI, IFF_PROMISC, NUD_PERMANENT, RTPROT_KERNEL};
use kernel::{
    Address, Change, Link, LinkKind, MacvlanSet, Neighbour, Route, RouteFilter, SetLink, SourceMacs,
};

use super::place::Place;

/// A link, and what goes with it when it is set down or loses an address.
pub(super) struct Before<'a> {
    pub(super) link: &'a Link,
    pub(super) addresses: Vec<Address>,
    /// Without those that the kernel makes of the addresses.
    routes: Vec<Route>,
    neighbours: Vec<Neighbour>,
}

impl<'a> Before<'a> {
    pub(super) fn read(link: &'a Link, place: &mut Place) -> kernel::Result<Self> {
        let addresses = place.socket.addresses(Some(link.index))?;
        let mut neighbours = place.socket.neighbours(Some(link.index))?;
        neighbours.retain(|neighbour| neighbour.state & NUD_PERMANENT != 0);
        Ok(Self { link, addresses, routes: routes(link.index, place)?, neighbours })
    }

    /// Takes back what was done of a change that was refused in its middle: the kernel keeps what came before the error.
    /// Each thing is tried for itself, and only where it is not as it was. The error that is told is the one that led
    /// here.
    pub(super) fn restore(&self, place: &mut Place) {
        let index = self.link.index;
        let Ok(Some(now)) = place.socket.link_by_index(index) else { return };
        for set in differences(self.link, &now) {
            let _ = place.socket.apply(&Change::SetLink { index, set });
        }
        let present = place.socket.addresses(Some(index)).unwrap_or_default();
        let has = |list: &[Address], address: &Address| list.iter().any(|known| known.net == address.net);
        for address in present.iter().filter(|address| !has(&self.addresses, address)) {
            let _ = place.socket.apply(&Change::DeleteAddress(address.clone()));
        }
        for address in self.addresses.iter().filter(|address| !has(&present, address)) {
            let _ = place.socket.apply(&Change::AddAddress(address.clone()));
        }
        let known = place.socket.neighbours(Some(index)).unwrap_or_default();
        for neighbour in self.neighbours.iter().filter(|neighbour| !known.contains(neighbour)) {
            let _ = place.socket.apply(&Change::SetNeighbour(neighbour.clone()));
        }
        let present: Vec<Route> = routes(index, place).unwrap_or_default().iter().map(plain).collect();
        let mut missing: Vec<&Route> =
            self.routes.iter().filter(|route| !present.contains(&plain(route))).collect();
        // A next hop may itself be reached by one of them: as long as any can be made.
        loop {
            let left = missing.len();
            missing.retain(|route| place.socket.apply(&Change::AddRoute((*route).clone())).is_err());
            if missing.len() == left {
                return;
            }
        }
    }
}

/// Routes by a link that somebody made.
fn routes(index: u32, place: &mut Place) -> kernel::Result<Vec<Route>> {
    let mut routes = place.socket.routes(&RouteFilter { oif: Some(index), ..RouteFilter::default() })?;
    routes.retain(|route| route.protocol != RTPROT_KERNEL);
    Ok(routes)
}

/// A route without what changes by itself.
fn plain(route: &Route) -> Route {
    let mut route = Route { flags: 0, expires: None, ..route.clone() };
    route.nexthops.iter_mut().for_each(|hop| hop.flags = 0);
    route
}

/// What must be set so that a link is as it was.
fn differences(before: &Link, now: &Link) -> Vec<SetLink> {
    let mut sets: Vec<SetLink> = Vec::new();
    let mut put = |differs: bool, set: SetLink| {
        if differs {
            sets.push(set);
        }
    };
    let empty = SetLink::default;
    put(now.name != before.name, SetLink { name: Some(before.name.clone()), ..empty() });
    put(now.mac != before.mac, SetLink { mac: before.mac, ..empty() });
    put(now.mtu != before.mtu, SetLink { mtu: Some(before.mtu), ..empty() });
    put(
        now.tx_queue_len != before.tx_queue_len,
        SetLink { tx_queue_len: Some(before.tx_queue_len), ..empty() },
    );
    put(
        now.alias != before.alias,
        SetLink { alias: Some(before.alias.clone().unwrap_or_default()), ..empty() },
    );
    put(now.master != before.master, SetLink { master: Some(before.master.unwrap_or(0)), ..empty() });
    if let (Some(was), Some(is)) = (before.kind.as_macvlan(), now.kind.as_macvlan()) {
        let macvlan = MacvlanSet {
            tap: matches!(before.kind, LinkKind::Macvtap(_)),
            mode: Some(was.mode),
            nopromisc: (was.nopromisc != is.nopromisc).then_some(was.nopromisc),
            bc_queue_len: was.bc_queue_len.filter(|_| was.bc_queue_len != is.bc_queue_len),
            source_macs: (was.source_macs != is.source_macs)
                .then(|| SourceMacs::Set(was.source_macs.clone())),
        };
        put(was != is, SetLink { macvlan: Some(macvlan), ..empty() });
    }
    let flag = |bit: u32| before.flags & bit != 0;
    let flags = SetLink {
        up: Some(before.is_up()),
        promisc: Some(flag(IFF_PROMISC)),
        allmulti: Some(flag(IFF_ALLMULTI)),
        arp: Some(!before.no_arp()),
        ..empty()
    };
    put(now.flags != before.flags, flags);
    sets
}
