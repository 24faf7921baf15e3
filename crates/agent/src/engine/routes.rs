//! The default routes of a pod's interface, changed in the pod.

use std::path::Path;

use api::RouteChange;
use kernel::uapi::RT_TABLE_MAIN;
use kernel::{Change, NetNs, Netlink, Route, RouteFilter};

/// Makes the change; to do it twice does no harm.
pub(super) fn change(netns: &Path, change: &RouteChange) -> cni::Result<()> {
    let failed = |error: kernel::Error| {
        cni::Error::internal(format!("default route of interface {}: {error}", change.ifname))
    };
    let netns = NetNs::open(netns).map_err(|error| cni::Error::netns(error.to_string()))?;
    let mut socket = Netlink::open_in(&netns).map_err(failed)?;
    let index = socket.index_of(change.ifname.as_str()).map_err(failed)?;
    let Some(index) = index else {
        return Err(cni::Error::internal(format!(
            "default route: the pod has no interface {}",
            change.ifname
        )));
    };
    let mut changes = Vec::new();
    let filter = RouteFilter { table: Some(RT_TABLE_MAIN), oif: Some(index), ..RouteFilter::default() };
    let routes = socket.routes(&filter).map_err(failed)?;
    for route in routes.into_iter().filter(|route| route.dst.is_none_or(|dst| dst.prefix_len() == 0)) {
        let (v4, v6) = (change.remove.v4, change.remove.v6);
        if if route.family == kernel::Family::V4 { v4 } else { v6 } {
            changes.push(Change::DeleteRoute(route));
        }
    }
    for gateway in &change.add {
        changes.push(Change::ReplaceRoute(Route::default_via(*gateway).dev(index)));
    }
    socket.apply_all(&changes).map_err(|(_, error)| failed(error))
}
