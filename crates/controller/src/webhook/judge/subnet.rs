//! `MacvlanSubnet`.

use std::collections::BTreeSet;

use api::addresses::Family;
use api::kinds::{MacvlanSubnet, Subnet};

use super::sets::{common, named};
use super::words::{listed, refuse, run};
use super::{Change, Judged};
use crate::webhook::{Taken, World};

pub(super) fn judge(change: &Change<MacvlanSubnet>, world: &dyn World) -> Judged {
    let subnet = Subnet::parse(&change.after).map_err(|error| error.to_string())?;
    let before = change.before.as_ref().and_then(|before| Subnet::parse(before).ok());
    let mut warnings = Vec::new();
    if world.network(&subnet.network).is_none() {
        warnings.push(format!(
            "spec.network: there is no MacvlanNetwork {} yet; pods get addresses when there is",
            subnet.network
        ));
    }
    apart(&subnet, world)?;
    warnings.extend(pair(&subnet, world)?);
    if let Some(before) = before {
        strands(&before, &subnet, world)?;
        warnings.extend(leaves_out(&before, &subnet, world));
    }
    Ok(warnings)
}

fn wrong(subnet: &Subnet, path: &str, problem: String) -> String {
    refuse("MacvlanSubnet", subnet.name.clone(), path, problem)
}

/// The other subnets of its network.
fn neighbours<'a>(subnet: &'a Subnet, world: &'a dyn World) -> impl Iterator<Item = &'a Subnet> {
    world.subnets().filter(|other| other.network == subnet.network && other.name != subnet.name)
}

/// No address is given by two subnets of a network, nor is a router's address given to a pod.
fn apart(subnet: &Subnet, world: &dyn World) -> Result<(), String> {
    for other in neighbours(subnet, world) {
        if let Some(both) = common(subnet.usable(), other.usable()) {
            let path = if subnet.cidr == other.cidr { "spec.ranges" } else { "spec.cidr" };
            let problem = format!(
                "{} is given by subnet {} ({}) of the same network too; leave it out with spec.ranges or spec.exclude of either",
                run(both),
                other.name,
                other.cidr
            );
            return Err(wrong(subnet, path, problem));
        }
        if let Some(router) = subnet.gateway.filter(|router| other.usable().contains(*router)) {
            let problem =
                format!("pods of subnet {} get {router}; put it into spec.exclude there", other.name);
            return Err(wrong(subnet, "spec.gateway", problem));
        }
        if let Some(router) = other.gateway.filter(|router| subnet.usable().contains(*router)) {
            let problem = format!(
                "must leave out {router}, the gateway of subnet {}; put it into spec.exclude",
                other.name
            );
            return Err(wrong(subnet, "spec.ranges", problem));
        }
    }
    Ok(())
}

/// The subnet of the other family, and no third one with the two.
fn pair(subnet: &Subnet, world: &dyn World) -> Judged {
    let family = Family::of(subnet.cidr.addr());
    let mut warnings = Vec::new();
    if let Some(name) = &subnet.pair_with {
        let no = |problem| Err(wrong(subnet, "spec.pairWith", problem));
        match world.subnet(name) {
            None => warnings.push(format!(
                "spec.pairWith: there is no MacvlanSubnet {name} yet; until then pods get {family} alone"
            )),
            Some(other) if other.network != subnet.network => {
                return no(format!(
                    "{name} is on network {}, not on {}; name one of the same network",
                    other.network, subnet.network
                ));
            }
            Some(other) if Family::of(other.cidr.addr()) == family => {
                return no(format!(
                    "{name} is {} too ({family}); name an {} subnet",
                    other.cidr,
                    family.other()
                ));
            }
            Some(other) => {
                if let Some(third) = other.pair_with.as_ref().filter(|third| **third != subnet.name) {
                    return no(format!(
                        "{name} is the pair of {third}; take spec.pairWith away there, or name another"
                    ));
                }
            }
        }
        let mut rivals = neighbours(subnet, world).filter(|other| other.name != *name);
        if let Some(rival) = rivals.find(|other| other.pair_with.as_ref() == Some(&subnet.name)) {
            return no(format!(
                "{} names this subnet as its pair; take spec.pairWith away there, or name {} here",
                rival.name, rival.name
            ));
        }
        let mut rivals = neighbours(subnet, world);
        if let Some(rival) = rivals.find(|other| other.pair_with.as_ref() == Some(name)) {
            return no(format!(
                "{name} is the pair of {}; take spec.pairWith away there, or name another",
                rival.name
            ));
        }
    }
    Ok(warnings)
}

/// Addresses in use or kept stay in the subnet.
fn strands(before: &Subnet, after: &Subnet, world: &dyn World) -> Result<(), String> {
    let goes = |address| before.usable().contains(address) && !after.usable().contains(address);
    let path = "spec.ranges, spec.exclude, spec.gateway";
    let stranded: Vec<String> = world
        .claims(&after.network)
        .filter(|claim| claim.subnet == after.name && claim.is_wanted() && goes(claim.address))
        .map(|claim| claim.holder())
        .collect();
    if !stranded.is_empty() {
        let problem = format!(
            "leave out {} addresses that are not free: {}; keep them in, or delete what has them first",
            stranded.len(),
            listed(&stranded)
        );
        return Err(wrong(after, path, problem));
    }
    // Those of a reservation that the controller has not claimed yet.
    for reservation in world.reservations().filter(|reservation| reservation.subnet == after.name) {
        let set = named(&reservation.what);
        if let Some(address) =
            reservation.outside(after).filter(|address| goes(*address) && set.contains(*address))
        {
            let problem = format!(
                "leave out {address}, which MacvlanReservation {}/{} has; keep it in, or change that first",
                reservation.namespace, reservation.name
            );
            return Err(wrong(after, path, problem));
        }
    }
    Ok(())
}

/// Namespaces whose pods keep their addresses, and get no new ones.
fn leaves_out(before: &Subnet, after: &Subnet, world: &dyn World) -> Option<String> {
    if before.namespaces == after.namespaces {
        return None;
    }
    let is_for = |subnet: &Subnet, namespace: &str| {
        world.namespace(namespace).is_none_or(|labels| super::reservation::admits(subnet, labels))
    };
    let in_use =
        |claim: &Taken| claim.subnet == after.name && claim.is_wanted() && !claim.namespace.is_empty();
    let namespaces: BTreeSet<String> =
        world.claims(&after.network).filter(in_use).map(|claim| claim.namespace).collect();
    let out: Vec<String> = namespaces
        .into_iter()
        .filter(|namespace| is_for(before, namespace) && !is_for(after, namespace))
        .collect();
    (!out.is_empty()).then(|| {
        format!(
            "spec.namespaceSelector leaves out {}, where addresses of this subnet are in use: pods keep them, and get none again",
            listed(&out)
        )
    })
}
