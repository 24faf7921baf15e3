//! A node's agent: what it does with a record, an answer, an event; how it dies and comes back.

use claims::plan::{After, Next, Outcome, add, del, must_fence, orphans, outcome};
use claims::{Actor, Claim, Event, Place, Taken, Time, Version};

use crate::server::{Refused, Server, Write};
use crate::shared::Shared;
use crate::world::{Did, INTERFACE, Mutant, NETWORK, Node, Phase, Record, Scenario, Sent, World, node_name};

impl Node {
    pub(crate) fn works(&self) -> bool {
        self.alive && !self.cut
    }

    pub(crate) fn list(&mut self, server: &Server) {
        self.taken.apply(Event::ListBegun);
        for claim in server.claims.values() {
            self.taken.apply(Event::Listed(claim.clone()));
        }
        self.taken.apply(Event::ListEnded(Version(server.version)));
    }

    pub(crate) fn is_orphan(&self, scenario: &Scenario, claim: &Claim) -> bool {
        !self.records.iter().any(|record| match scenario.mutant {
            Some(Mutant::OrphansBySandbox) => record.container == claim.owner.container_id,
            _ => record.is_behind(claim),
        })
    }

    /// The claim that a record which ends has still to let go of.
    fn rest_of(&self, scenario: &Scenario, record: &Record) -> Option<&Claim> {
        if scenario.is(Mutant::ReleasesOtherSandbox) {
            let uid = scenario.uid(record.pod, record.lives);
            return self.taken.own().find(|claim| claim.owner.uid == uid);
        }
        let is_its = |claim: &&Claim| claim.is_of(self.taken.node(), &record.container, INTERFACE);
        match record.phase {
            Phase::Orphan(address) => self.taken.network(NETWORK).own_of(address).filter(is_its),
            _ => self.taken.own().find(is_its),
        }
    }

    fn wrote(&mut self, scenario: &Scenario, index: usize, claim: &Claim) {
        if !scenario.is(Mutant::ForgetsOwnWrites) {
            self.taken.wrote(claim);
        } else {
            self.taken.given_up(NETWORK, claim.address);
        }
        let record = &mut self.records[index];
        if record.phase == Phase::Adding {
            record.phase = Phase::Claimed(claim.address, claim.version);
        }
    }

    fn was_refused(&mut self, write: &Write) {
        match write {
            Write::Put(claim) if claim.version == Version(0) => {
                self.taken.refused(NETWORK, claim.address);
                self.place.refused();
            }
            Write::Put(claim) | Write::Delete(claim) => self.taken.outdated(claim),
        }
    }

    fn answered(
        &mut self,
        scenario: &Scenario,
        index: usize,
        write: &Write,
        answer: &Result<Event, Refused>,
    ) {
        self.records[index].sent = None;
        match (write, answer) {
            (_, Ok(Event::Applied(claim))) => self.wrote(scenario, index, claim),
            (Write::Delete(claim), Ok(_)) => self.taken.deleted(claim),
            _ => {
                scenario.did(Did::Refused);
                self.was_refused(write);
            }
        }
    }
}

impl World {
    /// The agent takes the next step of a call. `None`: there is none.
    pub(crate) fn plan(&mut self, scenario: &Scenario, node: usize, index: usize, blind: bool) -> Option<()> {
        let record = self.nodes[node].records[index].clone();
        let ends = !self.runs(&record);
        if blind {
            self.left.blind = self.left.blind.checked_sub(1)?;
        }
        let node = &mut self.nodes[node];
        if record.phase == Phase::Adding {
            let (identity, request) = (scenario.identity(record.pod, &record), scenario.request());
            let mut place = node.place.clone();
            let (write, did) = match add(&identity, &request, &node.taken, &mut place) {
                Next::Have(claim) => {
                    node.change(|node| {
                        node.records[index].phase = Phase::Claimed(claim.address, claim.version);
                    });
                    return Some(());
                }
                Next::Renew(claim) => (claim, Did::Renew),
                Next::Take(claim) => (claim, Did::Take),
                Next::Create(claim) => (claim, Did::Create),
                Next::Wait(_) | Next::Exhausted(_) => {
                    scenario.did(Did::Wait);
                    (steal(scenario, node, &record)?, Did::Wait)
                }
            };
            scenario.did(did);
            let many = scenario.addresses > 1;
            node.change(|node| {
                // Of one address there is one place.
                if many {
                    node.place = place;
                }
                node.send(index, Write::Put(write));
            });
            return Some(());
        }
        let Some(claim) = node.rest_of(scenario, &record).cloned() else {
            node.change(|node| node.records.remove(index));
            return Some(());
        };
        let container = if scenario.is(Mutant::ReleasesOtherSandbox) {
            claim.owner.container_id.clone()
        } else {
            record.container
        };
        let delay = scenario.reuse_delay;
        let name = node.taken.node().to_owned();
        let after = del(&name, &container, INTERFACE, Some(&claim), ends && !blind, delay, Time(0));
        let (write, did) = match after {
            After::Hold(claim) => (Write::Put(claim), Did::Hold),
            After::Release(claim) => (Write::Delete(claim), Did::Release),
            After::Nothing => return None,
        };
        scenario.did(did);
        node.change(|node| node.send(index, write));
        Some(())
    }

    /// The interface comes up with its address.
    pub(crate) fn attach(&mut self, scenario: &Scenario, node: usize, index: usize) -> Option<()> {
        let record = &self.nodes[node].records[index];
        let (pod, (address, version)) = (record.pod, record.address()?);
        let must_keep = scenario.keeps && self.exists(pod, record.lives);
        if must_keep && self.pods[pod].had.replace(address).is_some_and(|had| had != address) {
            self.wrong = Some("a pod gets another address than it had");
        }
        self.nodes[node].change(|node| node.records[index].phase = Phase::Attached(address, version));
        Some(())
    }

    /// The request arrives, and so does its answer.
    pub(crate) fn answer(&mut self, scenario: &Scenario, node: usize, index: usize) -> Option<()> {
        let sent = self.nodes[node].records[index].sent.clone().filter(|sent| !sent.unsure)?;
        let answer = self.write(scenario, &Actor::Agent(node_name(node)), &sent.write);
        self.nodes[node].change(|node| node.answered(scenario, index, &sent.write, &answer));
        Some(())
    }

    /// No answer comes. The request has arrived, or it still may.
    pub(crate) fn lose(
        &mut self,
        scenario: &Scenario,
        node: usize,
        index: usize,
        arrived: bool,
    ) -> Option<()> {
        self.left.lost = self.left.lost.checked_sub(1)?;
        let sent = self.nodes[node].records[index].sent.clone().filter(|sent| !sent.unsure)?;
        let actor = Actor::Agent(node_name(node));
        if arrived {
            let _unheard = self.write(scenario, &actor, &sent.write);
        } else {
            self.late.push(Shared::new((actor, sent.write.clone())));
        }
        let trusts = scenario.is(Mutant::TrustsSilence);
        self.nodes[node].change(|node| {
            if trusts {
                node.records[index].sent = None;
                node.was_refused(&sent.write);
            } else {
                node.records[index].sent = Some(Sent { unsure: true, ..sent });
            }
        });
        Some(())
    }

    /// The agent reads the claim that it has heard nothing of.
    pub(crate) fn read(&mut self, scenario: &Scenario, node: usize, index: usize) -> Option<()> {
        let sent = self.nodes[node].records[index].sent.clone().filter(|sent| sent.unsure)?;
        let found = self.server.claims.get(&sent.write.claim().address).cloned();
        let again = Sent { unsure: false, ..sent.clone() };
        let outcome = outcome(sent.write.claim(), found.as_ref());
        self.nodes[node].change(|node| match (&sent.write, outcome, &found) {
            (Write::Put(_), Outcome::Done, Some(found)) => {
                node.records[index].sent = None;
                node.wrote(scenario, index, found);
            }
            (Write::Put(_), Outcome::Again, _) => {
                scenario.did(Did::Again);
                node.records[index].sent = Some(again);
            }
            (Write::Delete(claim), _, Some(found)) if found.version == claim.version => {
                node.records[index].sent = Some(again);
            }
            (write, ..) => {
                node.records[index].sent = None;
                node.was_refused(write);
            }
        });
        Some(())
    }

    /// The watch delivers an event, and interfaces whose claim is lost go down. An agent that has nothing to do gets
    /// all that there are: it cannot act between them.
    pub(crate) fn deliver(&mut self, scenario: &Scenario, node: usize, twice: bool) -> Option<()> {
        if twice {
            self.left.twice = self.left.twice.checked_sub(1)?;
        }
        let remember = self.left.twice > 0;
        self.nodes[node].change(|node| {
            let event = if twice { node.last.take()? } else { node.queue.remove(0) };
            node.last = remember.then(|| event.clone());
            node.taken.apply(event);
            if node.records.is_empty() {
                node.queue.drain(..).for_each(|event| node.taken.apply(event));
            }
            Some(())
        })?;
        self.fence(scenario, node);
        Some(())
    }

    fn fence(&mut self, scenario: &Scenario, node: usize) {
        if scenario.is(Mutant::NeverFences) {
            return;
        }
        let lost: Vec<usize> = (0..self.nodes[node].records.len())
            .filter(|index| {
                let node = &self.nodes[node];
                node.records[*index].attached().is_some_and(|mut attached| {
                    if scenario.is(Mutant::ForgetsOwnWrites) {
                        attached.version = Version(0);
                    }
                    must_fence(&node.taken, &attached)
                })
            })
            .collect();
        for index in lost {
            scenario.did(Did::Fence);
            let record = &self.nodes[node].records[index];
            if self.exists(record.pod, record.lives) {
                self.wrong = Some("a pod that exists is fenced");
            }
            self.nodes[node].change(|node| node.records[index].phase = Phase::Ending);
        }
    }

    /// The agent lets go of a claim that nothing stands behind.
    pub(crate) fn adopt_orphan(&mut self, scenario: &Scenario, node: usize) -> Option<()> {
        let known = |claim: &Claim| !self.nodes[node].is_orphan(scenario, claim);
        let claim = orphans(&self.nodes[node].taken, known).into_iter().next()?;
        scenario.did(Did::Orphan);
        let pod = scenario.pods.iter().position(|pod| pod.name == claim.owner.pod)?;
        let lives = (1..=self.pods[pod].lives).find(|lives| scenario.uid(pod, *lives) == claim.owner.uid)?;
        let container = claim.owner.container_id;
        let phase = Phase::Orphan(claim.address);
        let record = Record { pod, lives, container, phase, sent: None, away: false };
        self.nodes[node].change(|node| node.records.push(record));
        Some(())
    }

    /// The agent is killed. What it had sent may still arrive.
    pub(crate) fn kill(&mut self, node: usize) -> Option<()> {
        self.left.crash = self.left.crash.checked_sub(1)?;
        let name = node_name(node);
        let sent = self.nodes[node].change(|node| {
            node.alive = false;
            node.taken = Taken::new(&name);
            node.place = Place::of(&name);
            node.queue.clear();
            node.last = None;
            let mut all = Vec::new();
            for record in &mut node.records {
                record.away = true;
                all.extend(record.sent.take().filter(|sent| !sent.unsure));
                if matches!(record.phase, Phase::Claimed(..)) {
                    record.phase = Phase::Adding;
                }
            }
            all
        });
        let actor = Actor::Agent(name);
        self.late.extend(sent.into_iter().map(|sent| Shared::new((actor.clone(), sent.write))));
        Some(())
    }

    /// The agent starts: it lists the claims, and undoes what was begun.
    pub(crate) fn restart(&mut self, scenario: &Scenario, node: usize) -> Option<()> {
        let server = self.server.clone();
        self.nodes[node].change(|node| {
            node.alive = true;
            node.list(&server);
            for record in node.records.iter_mut().filter(|record| record.phase == Phase::Adding) {
                record.phase = Phase::Ending;
            }
        });
        self.fence(scenario, node);
        Some(())
    }

    pub(crate) fn cut(&mut self, node: usize) -> Option<()> {
        self.left.cut = self.left.cut.checked_sub(1)?;
        self.nodes[node].change(|node| {
            node.cut = true;
            node.records.iter_mut().for_each(|record| record.away = true);
        });
        Some(())
    }
}

impl Node {
    fn send(&mut self, index: usize, write: Write) {
        self.taken.trying(NETWORK, write.claim().address);
        self.records[index].sent = Some(Sent { write, unsure: false });
    }
}

/// The mutant that takes what somebody still has.
fn steal(scenario: &Scenario, node: &Node, record: &Record) -> Option<Claim> {
    if !scenario.is(Mutant::TakesActive) {
        return None;
    }
    let identity = scenario.identity(record.pod, record);
    let mut claim = node.taken.own().find(|claim| claim.owner.uid != identity.uid)?.clone();
    claim.owner.uid = identity.uid;
    claim.owner.pod = identity.pod;
    claim.owner.container_id = identity.container_id;
    Some(claim)
}
