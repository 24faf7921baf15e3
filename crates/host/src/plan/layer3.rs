//! Addresses, neighbours, routes and rules of a plan, split so that the host stays reachable: what takes over comes
//! before what it replaces goes.

use std::collections::BTreeSet;

use super::model::{Model, comes_with_address, uses};
use super::routes::Change;
use super::{Step, addresses, routes, rules};
use crate::{Error, Network, Result, Route, Wanted};

/// Steps in two halves, between which links that must wait for neither are free to change.
#[derive(Debug, Default, PartialEq)]
pub struct Layer3 {
    /// Addresses, neighbours, routes and rules added or replaced; deleted only what stands in their way.
    pub before: Vec<Step>,
    /// What is no longer wanted deleted, and what the kernel took along with it put back.
    pub after: Vec<Step>,
}

/// Plans from `current`, in which the wanted links are already there, up if they are to be up.
///
/// # Errors
/// [`Error::Route`] for a route that would have to be made again and cannot be.
pub fn plan(current: &Network, wanted: &Wanted) -> Result<Layer3> {
    let mut model = Model::of(current);
    let mut plan = Layer3::default();
    let mut late = Vec::new();
    for (dev, link) in links(wanted) {
        let Some(has) = current.links.get(dev) else { continue };
        let mac = link.mac.or(has.mac);
        let changes = addresses::plan(&has.addresses, &link.addresses, mac, has.promote_secondaries);
        let delete = |address| Step::DeleteAddress { dev: dev.clone(), address };
        let add = |address| Step::AddAddress { dev: dev.clone(), address };
        plan.before.extend(changes.before.into_iter().map(delete));
        plan.before.extend(changes.add.into_iter().map(add));
        late.extend(changes.after.into_iter().map(delete));
        for neighbour in link.neighbours.iter().filter(|neighbour| !has.neighbours.contains(neighbour)) {
            plan.before.push(Step::SetNeighbour { dev: dev.clone(), neighbour: neighbour.clone() });
        }
        let gone = |neighbour: &&kernel::Neighbour| {
            !link.neighbours.iter().any(|other| other.address == neighbour.address)
        };
        for neighbour in has.neighbours.iter().filter(gone) {
            late.push(Step::DeleteNeighbour { dev: dev.clone(), neighbour: neighbour.clone() });
        }
    }
    plan.before.iter().for_each(|step| model.step(step));

    let (before, after) = route_steps(&model.network, wanted);
    before.iter().chain(&after).for_each(|step| model.step(step));
    plan.before.extend(before);
    if wanted.rules {
        let changes = rules::plan(&current.rules, &wanted.network.rules);
        plan.before.extend(changes.into_iter().map(|change| match change {
            rules::Change::Add(rule) => Step::AddRule(rule),
            rules::Change::Delete(rule) => Step::DeleteRule(rule),
        }));
    }
    plan.after.extend(after);
    late.iter().for_each(|step| model.step(step));
    plan.after.extend(late);

    // What went with addresses.
    let (before, after) = route_steps(&model.network, wanted);
    plan.after.extend(before.into_iter().chain(after));
    refuse_what_cannot_be_made_again(&plan)?;
    Ok(plan)
}

fn links(wanted: &Wanted) -> impl Iterator<Item = (&String, &crate::Link)> {
    wanted.network.links.iter().filter(|(dev, _)| wanted.affected.contains(*dev))
}

fn route_steps(current: &Network, wanted: &Wanted) -> (Vec<Step>, Vec<Step>) {
    let named: BTreeSet<&String> = wanted.affected.iter().collect();
    let mine = |route: &Route| {
        route.dev.is_none() && route.hops.is_empty() || named.iter().any(|dev| uses(route, dev))
    };
    let kernels =
        |route: &Route| comes_with_address(current, route) || comes_with_address(&wanted.network, route);
    let changes = routes::plan(&current.routes, &wanted.network.routes, &kernels, &mine);
    let before = changes.before.into_iter().map(|change| match change {
        Change::Replace(route) => Step::AddRoute(route),
        Change::Append(route) => Step::AppendRoute(route),
        Change::Delete(route) => Step::DeleteRoute(route),
    });
    (before.collect(), changes.after.into_iter().map(Step::DeleteRoute).collect())
}

/// A route that we could not make as it was is not touched, so that undo can never lose it.
fn refuse_what_cannot_be_made_again(plan: &Layer3) -> Result<()> {
    for step in plan.before.iter().chain(&plan.after) {
        if let Step::AddRoute(route) | Step::AppendRoute(route) | Step::DeleteRoute(route) = step
            && !route.route.unknown.is_empty()
        {
            let attributes = route.route.unknown.iter().map(|kind| match kind {
                21 | 22 => "an encapsulation".to_owned(),
                30 => "a nexthop object".to_owned(),
                kind => format!("attribute {kind} of rtnetlink"),
            });
            let attributes =
                attributes.collect::<BTreeSet<String>>().into_iter().collect::<Vec<_>>().join(" and ");
            return Err(Error::Route { route: route.to_string(), attributes });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "layer3_tests.rs"]
mod tests;
