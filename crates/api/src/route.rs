//! Who has the pod's default route: what `default-route` does to each interface, once all results are known.

use std::net::IpAddr;

use cni::CniResult;
use ipnet::IpNet;

use crate::{DefaultRoute, DelegateCall, Error, IfName, Result};

/// IPv4, IPv6, both or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Families {
    fn of<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> Families {
        let mut families = Families::default();
        for address in addresses {
            families.v4 |= address.is_ipv4();
            families.v6 |= address.is_ipv6();
        }
        families
    }

    /// Whether `address` is of one of them.
    pub fn has(self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Families::default()
    }
}

/// What is to be done to the default routes of one interface of the pod. To do it twice does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteChange {
    /// The attachment's place in the plan.
    pub position: usize,
    /// The interface.
    pub ifname: IfName,
    /// Its default routes of these families go.
    pub remove: Families,
    /// Default routes by these gateways come.
    pub add: Vec<IpAddr>,
}

impl RouteChange {
    /// The attachment's result after the change, for CHECK and for the runtime.
    pub fn amend(&self, result: &mut CniResult) {
        result.routes.retain(|route| !(is_default(route.dst) && self.remove.has(route.dst.addr())));
        for gateway in &self.add {
            let any: IpAddr = if gateway.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
            if let Ok(dst) = IpNet::new(any, 0) {
                result.routes.push(cni::Route::new(dst, Some(*gateway)));
            }
        }
    }
}

/// The changes for the attachments of one pod and their results, to be made in this order. None when nobody asked.
///
/// Differs: Multus removes the default routes of both families wherever one is asked for, also those of a `default-route`
/// that is `[]`, and since its version 4.2.2 none at all. Here only the families asked for change.
///
/// # Errors
/// A gateway that is in no subnet of its interface; `[]` for an attachment that has no default route.
pub fn default_routes(attached: &[(&DelegateCall, &CniResult)]) -> Result<Vec<RouteChange>> {
    let mut moving = Families::default();
    for (call, result) in attached {
        let families = match &call.default_route {
            DefaultRoute::Gateways(gateways) => {
                for gateway in gateways {
                    check_reachable(call, *gateway, result)?;
                }
                Families::of(gateways)
            }
            DefaultRoute::Own => own(call, result)?,
            DefaultRoute::Unasked | DefaultRoute::Yields => Families::default(),
        };
        moving = Families { v4: moving.v4 || families.v4, v6: moving.v6 || families.v6 };
    }
    if moving.is_empty() {
        return Ok(Vec::new());
    }
    let change = |call: &DelegateCall, remove, add| RouteChange {
        position: call.position,
        ifname: call.ifname.clone(),
        remove,
        add,
    };
    // The kernel has one default route of a metric: all must be gone before one can come.
    let mut changes = Vec::new();
    for (call, _) in attached.iter().filter(|(call, _)| call.default_route != DefaultRoute::Own) {
        changes.push(change(call, moving, Vec::new()));
    }
    for (call, _) in attached {
        if let DefaultRoute::Gateways(gateways) = &call.default_route {
            changes.push(change(call, Families::default(), gateways.clone()));
        }
    }
    Ok(changes)
}

fn is_default(dst: IpNet) -> bool {
    dst.prefix_len() == 0
}

fn own(call: &DelegateCall, result: &CniResult) -> Result<Families> {
    let defaults: Vec<IpAddr> =
        result.routes.iter().filter(|route| is_default(route.dst)).map(|route| route.dst.addr()).collect();
    if defaults.is_empty() {
        return Err(Error::NobodyHonours {
            path: format!("{}.default-route", call.asked_at),
            network: call.network.to_string(),
            why: "it is [], which keeps the network's own default route, and the network has none; name a gateway"
                .to_owned(),
        });
    }
    Ok(Families::of(&defaults))
}

fn check_reachable(call: &DelegateCall, gateway: IpAddr, result: &CniResult) -> Result<()> {
    let link_local = matches!(gateway, IpAddr::V6(gateway) if gateway.is_unicast_link_local());
    let subnets: Vec<IpNet> = result
        .ips
        .iter()
        .map(|ip| ip.address)
        .filter(|net| net.addr().is_ipv4() == gateway.is_ipv4())
        .collect();
    // A plugin that tells no address cannot be checked; the kernel will.
    let silent = result.ips.is_empty();
    let routed = result.routes.iter().any(|route| !is_default(route.dst) && route.dst.contains(&gateway));
    if link_local || silent || routed || subnets.iter().any(|net| net.contains(&gateway)) {
        return Ok(());
    }
    let subnets: Vec<String> = subnets.iter().map(IpNet::to_string).collect();
    Err(Error::GatewayElsewhere {
        path: format!("{}.default-route", call.asked_at),
        gateway,
        ifname: call.ifname.clone(),
        subnets: if subnets.is_empty() { "no address of that family".to_owned() } else { subnets.join(", ") },
    })
}
