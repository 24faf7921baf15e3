//! The objects.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};

use api::kinds::claim_name;
use claims::{Actor, Claim, Event, Version, allowed};

use crate::claims::write::{Failure, Objects, Page};

/// Claims of one page of a list.
const PAGE: usize = 20;

/// What becomes of a request whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It never came.
    Before,
    /// It was done.
    After,
}

#[derive(Default)]
pub(crate) struct State {
    version: u64,
    pub(crate) claims: BTreeMap<String, Claim>,
    events: Vec<Event>,
    /// What was asked, with `!` when it was refused and `?` when the answer was lost.
    pub(crate) log: Vec<String>,
    /// Of the next requests; `None` of one that is answered.
    pub(crate) faults: VecDeque<Option<Lost>>,
    /// Creates under way, and how many there have been at most.
    creating: usize,
    pub(crate) most_creating: usize,
    /// How long a create takes.
    pub(crate) pace: Duration,
    /// Nothing comes through.
    pub(crate) away: bool,
    /// UIDs of pods that get no other sandbox.
    pub(crate) ended: BTreeSet<String>,
}

/// See the [module](self).
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

/// The API server for one node's agent.
pub(crate) struct Client {
    pub(crate) server: Server,
    pub(crate) node: &'static str,
}

impl Server {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Everything as a list, and how many events that is as new as.
    pub(crate) fn list(&self) -> (Vec<Event>, usize) {
        let state = self.lock();
        let claims = state.claims.values().cloned().map(Event::Listed);
        let events =
            [Event::ListBegun].into_iter().chain(claims).chain([Event::ListEnded(Version(state.version))]);
        (events.collect(), state.events.len())
    }

    pub(crate) fn since(&self, seen: usize) -> Vec<Event> {
        self.lock().events[seen..].to_vec()
    }

    /// Whoever writes, by the rules.
    pub(in crate::claims) fn write(
        &self,
        actor: &Actor,
        name: &str,
        after: Option<Claim>,
    ) -> Result<Option<Claim>, Failure> {
        let mut state = self.lock();
        let before = state.claims.get(name).cloned();
        allowed(actor, before.as_ref(), after.as_ref()).map_err(|why| Failure::Refused(why.to_string()))?;
        state.version += 1;
        let version = Version(state.version);
        match after {
            Some(after) => {
                let after = Claim { version, ..after };
                state.claims.insert(name.to_owned(), after.clone());
                state.events.push(Event::Applied(after.clone()));
                Ok(Some(after))
            }
            None => {
                let gone = state.claims.remove(name).ok_or(Failure::Conflict)?;
                state.events.push(Event::Deleted(Claim { version, ..gone }));
                Ok(None)
            }
        }
    }

    /// The controller changes a claim, or makes one.
    pub(crate) fn control(&self, name: &str, after: Option<Claim>) {
        self.write(&Actor::Controller, name, after).unwrap();
    }

    /// A create of an agent that was long given up arrives.
    pub(crate) fn arrives(&self, node: &str, claim: Claim) {
        let name = claim_name(&claim.network, claim.address);
        self.write(&Actor::Agent(node.to_owned()), &name, Some(claim)).unwrap();
    }

    /// What was asked since the last look.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().log)
    }

    /// All claims: `lan.10.0.0.5 web-0@n1`, `lan.10.0.0.5 web-0 StatefulSet`.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |(name, claim): (&String, &Claim)| match &claim.hold {
            None => format!("{name} {}@{}", claim.owner.pod, claim.owner.node),
            Some(hold) => format!("{name} {} {:?}", claim.owner.pod, hold.reason),
        };
        self.lock().claims.iter().map(text).collect()
    }

    pub(crate) fn claim(&self, name: &str) -> Claim {
        self.lock().claims[name].clone()
    }
}

impl Client {
    fn ask<T>(
        &self,
        what: &str,
        name: &str,
        done: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (fault, away) = {
            let mut state = self.server.lock();
            (state.faults.pop_front().flatten(), state.away)
        };
        let unknown = || Failure::Unknown("no answer".to_owned());
        let answer = match (away, fault) {
            (true, _) | (_, Some(Lost::Before)) => Err(unknown()),
            (_, Some(Lost::After)) => done().and(Err(unknown())),
            _ => done(),
        };
        let mark = match &answer {
            Ok(_) => "",
            Err(Failure::Unknown(_)) => "?",
            Err(_) => "!",
        };
        self.server.lock().log.push(format!("{what} {name}{mark}"));
        answer
    }

    fn put(&self, claim: &Claim) -> Result<Claim, Failure> {
        let name = claim_name(&claim.network, claim.address);
        let known = self.server.lock().claims.get(&name).map(|claim| claim.version);
        if known.unwrap_or_default() != claim.version {
            return Err(Failure::Conflict);
        }
        let actor = Actor::Agent(self.node.to_owned());
        self.server.write(&actor, &name, Some(claim.clone())).map(Option::unwrap)
    }
}

impl Objects for Client {
    fn create(&self, claim: &Claim, _: Instant) -> Result<Claim, Failure> {
        let pace = {
            let mut state = self.server.lock();
            state.creating += 1;
            state.most_creating = state.most_creating.max(state.creating);
            state.pace
        };
        sleep(pace);
        let made = self.ask("create", &claim_name(&claim.network, claim.address), || self.put(claim));
        self.server.lock().creating -= 1;
        made
    }

    fn update(&self, claim: &Claim, _: Instant) -> Result<Claim, Failure> {
        self.ask("update", &claim_name(&claim.network, claim.address), || self.put(claim))
    }

    fn delete(&self, claim: &Claim, _: Instant) -> Result<(), Failure> {
        let name = claim_name(&claim.network, claim.address);
        self.ask("delete", &name, || {
            let known = self.server.lock().claims.get(&name).map(|claim| claim.version);
            if known != Some(claim.version) {
                return Err(Failure::Conflict);
            }
            self.server.write(&Actor::Agent(self.node.to_owned()), &name, None).map(drop)
        })
    }

    fn read(&self, network: &str, address: IpAddr, _: Instant) -> Result<Option<Claim>, Failure> {
        let name = claim_name(network, address);
        self.ask("read", &name, || Ok(self.server.lock().claims.get(&name).cloned()))
    }

    fn list(&self, subnets: &[String], _: Instant) -> Result<Page, Failure> {
        self.ask("list", &subnets.join(","), || {
            let state = self.server.lock();
            let is_of = |claim: &&Claim| subnets.contains(&claim.subnet);
            let claims: Vec<Claim> = state.claims.values().filter(is_of).cloned().collect();
            let more = claims.len() > PAGE;
            Ok(Page { claims: claims.into_iter().take(PAGE).collect(), more })
        })
    }
}
