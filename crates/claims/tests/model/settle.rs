//! The calm after: nothing goes wrong any more, and everybody does what is to be done until nobody has anything to do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use claims::{Claim, Keeper};

use crate::world::{Life, NETWORK, Phase, Record, Scenario, World};

/// What is known of worlds that have been settled: whether all was well in the end, by their hash.
pub(crate) type Memory = Arc<Mutex<HashMap<u64, bool>>>;

/// More than any world here needs. One that does not come to rest is not well.
const STEPS: usize = 500;

/// Whether all is well when the calm has done its work.
pub(crate) fn settles_well(scenario: &Scenario, world: &World) -> bool {
    let mut memory = scenario.settled.lock().unwrap();
    let mut way = Vec::new();
    let mut now = world.clone();
    let well = loop {
        let hash = now.fingerprint();
        if let Some(well) = memory.get(&hash) {
            break *well;
        }
        if way.len() == STEPS {
            break false;
        }
        way.push(hash);
        match step(scenario, &now) {
            Some(next) => now = next,
            None => break is_well(scenario, &now),
        }
    };
    memory.extend(way.into_iter().map(|hash| (hash, well)));
    well
}

fn step(scenario: &Scenario, world: &World) -> Option<World> {
    let mut actions = Vec::new();
    world.all_actions(scenario, &mut actions);
    actions.iter().filter(|action| action.is_quiet()).find_map(|action| world.after(scenario, action))
}

/// Whether the claims are what living pods have and holds need, and everybody knows it.
fn is_well(scenario: &Scenario, world: &World) -> bool {
    world.wrong.is_none()
        && (0..world.pods.len()).all(|pod| pod_is_well(scenario, world, pod))
        && world.server.claims.values().all(|claim| claim_is_well(scenario, world, claim))
        && reserved(scenario).all(|address| world.server.claims.contains_key(&address))
        && world.nodes.iter().all(|node| {
            let network = node.taken.network(NETWORK);
            addresses(scenario)
                .all(|address| network.is_taken(address) == world.server.claims.contains_key(&address))
        })
}

fn records(world: &World) -> impl Iterator<Item = &Record> {
    world.nodes.iter().flat_map(|node| &node.records)
}

fn addresses(scenario: &Scenario) -> impl Iterator<Item = IpAddr> {
    (1..=scenario.addresses).map(|n| scenario.address(n))
}

fn reserved(scenario: &Scenario) -> impl Iterator<Item = IpAddr> {
    let count = scenario.reserved.as_ref().map_or(0, |(count, _)| *count);
    (scenario.addresses - count + 1..=scenario.addresses).map(|n| scenario.address(n))
}

fn claim_of<'a>(world: &'a World, record: &Record) -> Option<&'a Claim> {
    let (address, version) = record.address()?;
    let claim = world.server.claims.get(&address)?;
    (claim.owner.container_id == record.container && claim.version == version).then_some(claim)
}

fn pod_is_well(scenario: &Scenario, world: &World, pod: usize) -> bool {
    let state = world.pods[pod];
    if records(world).any(|record| record.pod == pod && !world.exists(pod, record.lives)) {
        return false;
    }
    let mut own = records(world).filter(|record| record.pod == pod);
    match (state.life, own.next(), own.next()) {
        (Life::Gone, None, _) => true,
        (Life::Running, Some(record), None) if matches!(record.phase, Phase::Attached(..)) => {
            claim_of(world, record).is_some()
        }
        // It may wait, but only when nothing is to be had.
        (Life::Running, Some(record), None) => {
            record.phase == Phase::Adding && record.sent.is_none() && has_nothing_for(scenario, world, pod)
        }
        _ => false,
    }
}

fn has_nothing_for(scenario: &Scenario, world: &World, pod: usize) -> bool {
    let spec = &scenario.pods[pod];
    let kind = spec.kept_for.as_ref().map(|kept_for| kept_for.kind);
    let claim = |address| world.server.claims.get(&address);
    match kind {
        Some(Keeper::Reservation) => {
            reserved(scenario).all(|address| claim(address).is_some_and(Claim::is_active))
        }
        Some(Keeper::StatefulSet) => {
            let is_its = |claim: &Claim| claim.kept_for == spec.kept_for && claim.owner.pod == spec.name;
            addresses(scenario).all(|address| claim(address).is_some_and(|claim| !is_its(claim)))
        }
        None => addresses(scenario).all(|address| claim(address).is_some()),
    }
}

fn claim_is_well(scenario: &Scenario, world: &World, claim: &Claim) -> bool {
    if claim.is_active() {
        return records(world).any(|record| claim_of(world, record) == Some(claim));
    }
    let uid_is_true = claim.owner.uid.is_empty() || world.uid_exists(scenario, &claim.owner.uid);
    claim.kept_for.is_some() && uid_is_true && !world.is_replaced(claim)
}
