//! The controller: it looks at a claim, asks the API server where it must, and writes later, when what it saw may have changed.

use std::net::IpAddr;
use std::time::Duration;

use claims::controller::{Decision, Facts, Grace, Presence, Reserve, Reserved, decide, replaces, reserve};
use claims::{Actor, Claim, Time};

use crate::server::{Server, Write};
use crate::shared::Shared;
use crate::world::{Did, Mutant, NETWORK, Node, Phase, Record, SUBNET, Scenario, World};

const GRACE: Grace =
    Grace { ready: Duration::from_secs(2), lost: Duration::from_secs(1), keeper: Duration::from_secs(1) };
/// When every grace has passed.
const LATE: Time = Time(100);
/// When every hold has passed, of those that began late too.
const LATER: Time = Time(1000);

pub(crate) fn reserve_all(scenario: &Scenario, server: &mut Server) {
    let Some((count, kept_for)) = &scenario.reserved else { return };
    for n in 0..*count {
        let reserved = Reserved {
            network: NETWORK.into(),
            subnet: SUBNET.into(),
            address: scenario.address(scenario.addresses - n),
            mac: None,
            kept_for: kept_for.clone(),
        };
        let Reserve::Create(claim) = reserve(&reserved, None, Time(0)) else {
            panic!("there is no claim yet")
        };
        server.write(&Actor::Controller, &Write::Put(claim), true).unwrap();
    }
}

impl World {
    /// The controller looks at a claim. What it decides is written by `act`, at any time later.
    pub(crate) fn look(&mut self, scenario: &Scenario, address: IpAddr) -> Option<()> {
        let claim = self.server.claims.get(&address)?.clone();
        let write = match self.decision(scenario, &claim)? {
            Decision::Update(claim) => Write::Put(claim),
            Decision::Delete(claim) => Write::Delete(claim),
            Decision::Keep | Decision::Later(_) | Decision::AskPod | Decision::AskKeeper => return None,
        };
        scenario.did(match (&claim.hold, &write) {
            (None, _) => Did::Clear,
            (Some(_), Write::Delete(_)) => Did::Collect,
            (Some(_), Write::Put(_)) => Did::LetGo,
        });
        self.pending = Some(Shared::new(write));
        Some(())
    }

    fn decision(&self, scenario: &Scenario, claim: &Claim) -> Option<Decision> {
        let now = match &claim.hold {
            Some(_) => LATER,
            None if self.grace_has_passed(scenario, claim) => LATE,
            None => Time(0),
        };
        if scenario.is(Mutant::KeepsUid) && claim.hold.is_some() {
            return None;
        }
        // Its watch of the pods may lag in any way: it never shows a pod, and only the API server's own answer counts.
        let missing = |asked| Presence::Missing { since: Time(0), asked };
        let facts = |asked| Facts {
            pod: missing(asked),
            node_ready: self.is_ready(&claim.owner.node),
            keeper: Presence::There,
            replaced: self.is_replaced(claim),
            reuse_delay: scenario.reuse_delay,
        };
        let decision = decide(claim, &facts(scenario.is(Mutant::ClearsUnasked)), &GRACE, now);
        if decision != Decision::AskPod {
            return Some(decision);
        }
        let gone = !self.uid_exists(scenario, &claim.owner.uid);
        gone.then(|| decide(claim, &facts(true), &GRACE, now))
    }

    /// The grace is long: an agent that is alive and connected has dealt with a pod that is gone before it has passed.
    fn grace_has_passed(&self, scenario: &Scenario, claim: &Claim) -> bool {
        if scenario.is(Mutant::ClearsWithoutGrace) {
            return true;
        }
        if self.uid_exists(scenario, &claim.owner.uid) {
            // The watch did not show the pod all that time.
            return true;
        }
        let has_record =
            |node: &Node| node.records.iter().any(|record| record.container == claim.owner.container_id);
        let mut nodes = self.nodes.iter();
        !nodes
            .any(|node| claim.owner.node == node.taken.node() && node.alive && !node.cut && has_record(node))
    }

    fn is_ready(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node.taken.node() == name && node.alive && !node.cut)
    }

    pub(crate) fn is_replaced(&self, claim: &Claim) -> bool {
        self.server.claims.values().any(|other| replaces(other, claim))
    }

    /// What the controller has decided arrives at the API server.
    pub(crate) fn act(&mut self, scenario: &Scenario) -> Option<()> {
        let write = self.pending.take()?;
        // Refused: it will look again.
        let _ = self.write(scenario, &Actor::Controller, &write);
        Some(())
    }

    /// The controller dies; what it was about to write may still arrive.
    pub(crate) fn kill_controller(&mut self) -> Option<()> {
        self.left.controller = self.left.controller.checked_sub(1)?;
        let write = self.pending.take()?;
        self.late.push(Shared::new((Actor::Controller, Write::clone(&write))));
        Some(())
    }
}

/// Two pods that have an address at once: the record that had it first, and the node of that record.
pub(crate) fn overlaps(world: &World) -> impl Iterator<Item = (&Node, &Record)> {
    let interfaces = || {
        let records =
            world.nodes.iter().flat_map(|node| node.records.iter().map(move |record| (node, record)));
        records.filter_map(|(node, record)| match record.phase {
            Phase::Attached(address, version) => Some((address, version, node, record)),
            _ => None,
        })
    };
    interfaces().flat_map(move |(address, version, node, first)| {
        let second = interfaces().filter(move |(other, later, _, second)| {
            *other == address && *later > version && (second.pod, second.lives) != (first.pod, first.lives)
        });
        second.map(move |_| (&**node, first))
    })
}
