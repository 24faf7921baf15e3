//! What declared routes and rules must be in themselves.

use std::collections::BTreeSet;

use crate::state::State;
use crate::{Error, Result};

impl State {
    pub(super) fn check_routes(&self) -> Result<()> {
        for (at, route) in self.routes.config.iter().enumerate() {
            let path = format!("routes.config[{at}]");
            if route.state.is_some() {
                continue;
            }
            let Some(destination) = route.destination else {
                return Err(Error::key(
                    path,
                    "has no destination: say 0.0.0.0/0 or ::/0 for the default route",
                ));
            };
            if destination != destination.trunc() {
                let what = format!("{destination} has bits beyond its prefix: say {}", destination.trunc());
                return Err(Error::key(format!("{path}.destination"), what));
            }
            if route.route_type.is_some() == route.next_hop_interface.is_some() {
                let what = "needs next-hop-interface, or route-type for a route that leads nowhere; not both";
                return Err(Error::key(path, what));
            }
            if route.route_type.is_some() && (route.next_hop_address.is_some() || route.source.is_some()) {
                return Err(Error::key(
                    path,
                    "leads nowhere: it can have neither next-hop-address nor source",
                ));
            }
            let v4 = destination.addr().is_ipv4();
            if route.source.is_some_and(|source| source.is_ipv4() != v4)
                || (!v4 && route.next_hop_address.is_some_and(|via| via.is_ipv4()))
            {
                return Err(Error::key(path, "mixes IPv4 and IPv6"));
            }
            let first = self.routes.config[..at].iter().position(|other| route.replaces(other));
            if let Some(first) = first {
                let what = format!(
                    "is to {destination} with the metric of routes.config[{first}]: give it another metric; several ways are not declared"
                );
                return Err(Error::key(path, what));
            }
        }
        Ok(())
    }

    pub(super) fn check_rules(&self) -> Result<()> {
        for (at, rule) in self.route_rules.config.iter().enumerate() {
            let path = format!("route-rules.config[{at}]");
            let families: BTreeSet<bool> = [rule.ip_from, rule.ip_to]
                .iter()
                .flatten()
                .map(|net| net.0.addr().is_ipv4())
                .chain(rule.family.map(|family| family == crate::state::routes::RuleFamily::Ipv4))
                .collect();
            if families.len() > 1 {
                return Err(Error::key(path, "mixes IPv4 and IPv6"));
            }
            if rule.state.is_some() {
                continue;
            }
            for (key, net) in [("ip-from", rule.ip_from), ("ip-to", rule.ip_to)] {
                if let Some(net) = net.map(|net| net.0).filter(|net| *net != net.trunc()) {
                    let what = format!("{net} has bits beyond its prefix: say {}", net.trunc());
                    return Err(Error::key(format!("{path}.{key}"), what));
                }
            }
            if rule.fwmask == Some(0) {
                return Err(Error::key(
                    format!("{path}.fwmask"),
                    "is 0: no bit of a mark counts; leave it out",
                ));
            }
            if rule.fwmark == Some(0) && rule.fwmask.is_none() {
                let what = "is 0, which every packet has that nobody marked: say fwmask too, or leave it out";
                return Err(Error::key(format!("{path}.fwmark"), what));
            }
            if families.is_empty() {
                return Err(Error::key(path, "does not say its family: add family: ipv4 or ipv6"));
            }
            if rule.action.is_some() == rule.route_table.is_some() && rule.action.is_some() {
                return Err(Error::key(path, "has both route-table and action; keep one"));
            }
            if rule.priority.is_none() {
                return Err(Error::key(
                    path,
                    "has no priority: say one, 1 to 32765, so that it can be found again",
                ));
            }
        }
        Ok(())
    }
}
