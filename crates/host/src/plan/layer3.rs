//! Addresses, neighbours, routes and rules of a plan, split so that the host stays reachable: what takes over comes
//! before what it replaces goes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kernel::Address;
use kernel::uapi::{ADDR_GEN_MODE_NONE, IFA_F_NODAD};

use super::loose::Loose;
use super::model::{Model, comes_with_address, promotes, uses};
use super::routes::Change;
use super::{Step, addresses, routes, rules};
use crate::sysctls;
use crate::{Error, Link, Network, Result, Route, Wanted};

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
    let loose = Loose::of(current, wanted);
    plan.before.extend(loose.begin());
    let mut late = Vec::new();
    let mut taken: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for (dev, link) in links(wanted) {
        let Some(has) = current.links.get(dev) else { continue };
        for (setting, value) in &link.sysctls {
            if has.sysctls.get(setting) != Some(value) && !loose.waits(dev, setting) {
                let path = sysctls::path(setting, dev);
                plan.before.push(Step::SetSysctl { path, value: value.clone() });
            }
        }
        let (from, to) = counted(has, link);
        let changes = addresses::plan(&from, &to, promotes(has));
        let delete = |address| Step::DeleteAddress { dev: dev.clone(), address };
        let add = |address| Step::AddAddress { dev: dev.clone(), address };
        plan.before.extend(changes.before.into_iter().map(delete));
        for address in changes.add {
            // In use on another link: a duplicate would be found, and meanwhile it could not be used.
            if addresses::is_of(&address, link.mac) {
                plan.before.push(add(address.clone().with_flags(IFA_F_NODAD)));
                plan.before.push(add(address));
                continue;
            }
            if takes_over(current, dev, &address) {
                taken.entry(dev.clone()).or_default().push(address.net.addr());
                if address.net.addr().is_ipv6() && address.flags & IFA_F_NODAD == 0 {
                    plan.before.push(add(address.clone().with_flags(IFA_F_NODAD)));
                    late.push(add(address));
                    continue;
                }
            }
            plan.before.push(add(address));
        }
        late.extend(changes.after.into_iter().map(delete));
    }
    plan.before.extend(neighbours(&model.network, wanted).0);
    // A link that goes gives its addresses up before it goes, which takes the kernel a while.
    for dev in wanted.affected.iter().filter(|dev| !wanted.network.links.contains_key(*dev)) {
        let Some(link) = current.links.get(dev) else { continue };
        let elsewhere = |address: &&Address| takes_over(&wanted.network, dev, address);
        for address in link.addresses.iter().rev().filter(elsewhere) {
            late.push(Step::DeleteAddress { dev: dev.clone(), address: address.clone() });
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
    // From here on the LAN must know: what comes to the old link finds nobody.
    let deletes = |step: &Step| matches!(step, Step::DeleteAddress { .. });
    let (first, rest): (Vec<Step>, Vec<Step>) = late.into_iter().partition(deletes);
    first.iter().chain(&rest).for_each(|step| model.step(step));
    let announce = |v4: bool| {
        let of =
            |addresses: &Vec<IpAddr>| addresses.iter().filter(|ip| ip.is_ipv4() == v4).copied().collect();
        let steps = taken.iter().map(|(dev, all)| Step::Announce { dev: dev.clone(), addresses: of(all) });
        steps
            .filter(|step| !matches!(step, Step::Announce { addresses, .. } if addresses.is_empty()))
            .collect::<Vec<_>>()
    };
    let v4 =
        |step: &Step| matches!(step, Step::DeleteAddress { address, .. } if address.net.addr().is_ipv4());
    let (first_v4, first_v6): (Vec<Step>, Vec<Step>) = first.into_iter().partition(v4);
    for (deletes, v4) in [(first_v4, true), (first_v6, false)] {
        plan.after.extend(deletes);
        plan.after.extend(announce(v4));
    }
    plan.after.extend(after);
    plan.after.extend(rest);

    // What went with addresses, and what no address needs any more.
    let (set, delete) = neighbours(&model.network, wanted);
    plan.after.extend(set.into_iter().chain(delete));
    let (before, after) = route_steps(&model.network, wanted);
    plan.after.extend(before.into_iter().chain(after));
    // A frame may be lost.
    plan.after.extend([announce(true), announce(false)].concat());
    plan.after.extend(loose.end());
    refuse_what_cannot_be_made_again(&plan)?;
    Ok(plan)
}

/// Permanent neighbours to be set and to be deleted.
fn neighbours(current: &Network, wanted: &Wanted) -> (Vec<Step>, Vec<Step>) {
    let (mut set, mut delete) = (Vec::new(), Vec::new());
    for (dev, link) in links(wanted) {
        let Some(has) = current.links.get(dev) else { continue };
        let new = link.neighbours.iter().filter(|neighbour| !has.neighbours.contains(neighbour));
        set.extend(
            new.map(|neighbour| Step::SetNeighbour { dev: dev.clone(), neighbour: neighbour.clone() }),
        );
        let gone =
            has.neighbours.iter().filter(|old| !link.neighbours.iter().any(|new| new.address == old.address));
        delete.extend(
            gone.map(|neighbour| Step::DeleteNeighbour { dev: dev.clone(), neighbour: neighbour.clone() }),
        );
    }
    (set, delete)
}

fn links(wanted: &Wanted) -> impl Iterator<Item = (&String, &crate::Link)> {
    wanted.network.links.iter().filter(|(dev, _)| wanted.affected.contains(*dev))
}

/// The addresses that count: the kernel's own come and go by themselves, but where link-local ones are to be gone they
/// must be deleted, and where one was lost it must be added.
fn counted(has: &Link, wanted: &Link) -> (Vec<Address>, Vec<Address>) {
    let own = |link: &Link, address: &Address| addresses::is_kernels(address, link.mac);
    let gone = wanted.addr_gen_mode == Some(ADDR_GEN_MODE_NONE);
    let there = |all: &[Address], address: &Address| all.iter().any(|other| other.net == address.net);
    let from = has.addresses.iter().filter(|address| {
        !own(has, address)
            || (gone && addresses::is_link_local(address) && !there(&wanted.addresses, address))
    });
    let to = wanted.addresses.iter().filter(|address| {
        let lost = addresses::is_of(address, wanted.mac) && has.up && !there(&has.addresses, address);
        !own(wanted, address) || lost
    });
    (from.cloned().collect(), to.cloned().collect())
}

/// Whether an address is on another link now.
fn takes_over(current: &Network, dev: &str, address: &Address) -> bool {
    let ip = address.net.addr();
    let has = |link: &Link| link.addresses.iter().any(|other| other.net.addr() == ip);
    current.links.iter().any(|(name, link)| name != dev && has(link))
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
