//! An ADD's way to its claims, and what becomes of them afterwards.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::addresses::Family;
use claims::plan::{self, After, Attached, Next, Waiting};
use claims::{Claim, Kept, Numbers, Place, Time, Version};
use kernel::MacAddr;

use super::holders::Holders;
use super::turns::Turn;
use super::view::{Look, State, View};
use super::wish::{Way, Wish};
use super::write::{Objects, Writer};
use super::{Ask, ClaimCounts, ClaimError, Claimed, Claims, Given, Gone, OnNode, Owned};

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A full subnet is waited for so long: other nodes may have let go of addresses, which the watch has yet to show.
    pub full: Duration,
    /// Before a request without an answer is repeated; twice as long each time.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { full: Duration::from_secs(3), pause: Duration::from_millis(100) }
    }
}

/// Whether the pod of a UID gets no other sandbox.
pub(super) type HasEnded = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Claims addresses for the pods of one node.
pub struct Claimer {
    node: String,
    view: Arc<View>,
    writer: Writer,
    has_ended: HasEnded,
    clock: fn() -> Time,
    limits: Limits,
    counts: ClaimCounts,
    holders: Holders,
}

/// What an ADD does next.
enum Step {
    /// It has this claim.
    Have(Claim),
    /// It creates this one, which this place gave.
    Create(Claim, Place),
    /// It updates to this one, in the place of what this node had.
    Update(Claim, Option<Box<Claim>>),
    /// It takes this one, which was held. Whether a pod has had it before.
    Take(Claim, bool),
    /// It looks again.
    Again,
}

impl Claimer {
    pub(super) fn new(
        node: &str,
        view: Arc<View>,
        objects: Box<dyn Objects>,
        has_ended: HasEnded,
        clock: fn() -> Time,
        limits: Limits,
    ) -> Claimer {
        let counts = ClaimCounts::default();
        let writer = Writer { objects, pause: limits.pause, counts: counts.clone() };
        let holders = Holders::default();
        Claimer { node: node.to_owned(), view, writer, has_ended, clock, limits, counts, holders }
    }

    /// What became of claims.
    pub fn counts(&self) -> &ClaimCounts {
        &self.counts
    }

    pub(crate) fn own_claims(&self) -> usize {
        self.view.lock().taken.own().count()
    }

    /// An address of each family.
    fn claim_all(&self, ask: &Ask<'_>, until: Instant) -> Result<Claimed, ClaimError> {
        self.view.wait_until_listed(until)?;
        let wish = Wish::of(&self.view.lock(), ask)?;
        let mut new = None;
        let mut mac = match (ask.own_mac, wish.any_mac()) {
            (false, _) => None,
            (true, Some(asked)) => Some(asked),
            (true, None) => {
                new = Some(MacAddr::random().map_err(|error| ClaimError::NoMac(error.to_string()))?);
                new
            }
        };
        let mut addresses: Vec<Given> = Vec::new();
        let families: Vec<Family> = wish.families().collect();
        for family in families {
            let ways = wish.ways(family, addresses.first(), mac)?;
            let (claim, kept) = self.claim_one(&wish, ask, &ways, until)?;
            let way = ways.iter().find(|way| way.subnet.name == claim.subnet);
            let subnet = way.map(|way| Arc::clone(&way.subnet));
            let subnet = subnet.ok_or_else(|| ClaimError::Slow(ask.network.to_owned()))?;
            if addresses.is_empty() {
                // The interface has one MAC: that of its first address.
                mac = claim.mac.or(mac).filter(|_| ask.own_mac);
            }
            addresses.push(Given { address: claim.address, subnet, kept });
        }
        Ok(Claimed { addresses, mac, new_mac: mac.is_some() && mac == new })
    }

    /// One address, by the first way that leads to one, and whether it was kept and had before.
    fn claim_one(
        &self,
        wish: &Wish<'_>,
        ask: &Ask<'_>,
        ways: &[Way],
        until: Instant,
    ) -> Result<(Claim, bool), ClaimError> {
        let mut full = None;
        loop {
            let (done, was_had) = match self.next(wish, ask, ways, &mut full, until)? {
                Step::Have(claim) => (Some(claim), true),
                Step::Create(claim, _) => (self.put(&claim, None, until)?, false),
                Step::Update(claim, before) => (self.put(&claim, before.as_deref(), until)?, true),
                Step::Take(claim, was_had) => (self.put(&claim, None, until)?, was_had),
                Step::Again => (None, false),
            };
            if let Some(done) = done {
                let kept = was_had && done.kept_for.is_some();
                return Ok((done, kept));
            }
            if Instant::now() >= until {
                return Err(ClaimError::Slow(ask.network.to_owned()));
            }
        }
    }

    /// Looks for the next step, and notes the address that is about to be written. A create waits for its turn. `full`: until when
    /// a full subnet is waited for, once it has been found full.
    fn next(
        &self,
        wish: &Wish<'_>,
        ask: &Ask<'_>,
        ways: &[Way],
        full: &mut Option<Instant>,
        until: Instant,
    ) -> Result<Step, ClaimError> {
        let mut why = None;
        let mut turn: Option<Turn> = None;
        let step = self.view.look(|state| {
            let turns = state.turns.entry(ask.network.to_owned()).or_default();
            if turn.is_some_and(|turn| !turns.has_come(turn)) {
                return Look::Wait(until);
            }
            match decide(state, &self.node, ways) {
                Ok(Step::Create(mut claim, place)) => {
                    if !state.turns.entry(ask.network.to_owned()).or_default().begin(&mut turn) {
                        why = Some(ClaimError::Queued(ask.network.to_owned()));
                        return Look::Wait(until);
                    }
                    if ask.own_mac {
                        claim.mac = wish.mac_of(claim.address).or(claim.mac);
                    }
                    state.taken.trying(&claim.network, claim.address);
                    state.places.insert(claim.subnet.clone(), place.clone());
                    Look::Is(Step::Create(claim, place))
                }
                Ok(Step::Update(claim, before)) => {
                    state.taken.trying(&claim.network, claim.address);
                    Look::Is(Step::Update(claim, before))
                }
                Ok(Step::Take(claim, was_had)) => {
                    state.taken.trying(&claim.network, claim.address);
                    Look::Is(Step::Take(claim, was_had))
                }
                Ok(step) => Look::Is(step),
                // Who waits for something else is in nobody's way.
                Err(_) if turn.is_some() => Look::Is(Step::Again),
                Err(error) => {
                    let is_full = matches!(error, ClaimError::Exhausted { .. });
                    why = Some(error);
                    let end = || until.min(Instant::now() + self.limits.full);
                    Look::Wait(if is_full { *full.get_or_insert_with(end) } else { until })
                }
            }
        });
        if let Some(turn) = turn {
            self.view.change(|state| {
                if let Some(turns) = state.turns.get_mut(ask.network) {
                    turns.leave(turn);
                }
            });
        }
        step.ok_or_else(|| why.unwrap_or_else(|| ClaimError::Slow(ask.network.to_owned())))
    }

    /// Writes a claim that has been noted, and notes what came of it. `before`: this node's claim that it replaces.
    fn put(
        &self,
        claim: &Claim,
        before: Option<&Claim>,
        until: Instant,
    ) -> Result<Option<Claim>, ClaimError> {
        let creates = claim.version == Version::default();
        let written = self.writer.put(claim, until);
        self.counts.put(claim, before.is_some(), &written);
        self.view.change(|state| {
            if let Some(turns) = state.turns.get_mut(&claim.network).filter(|_| creates) {
                turns.end();
            }
            match &written {
                Ok(Some(done)) => state.taken.wrote(done),
                Ok(None) if creates => {
                    state.taken.refused(&claim.network, claim.address);
                    // Another node is at work here.
                    if let Some(place) = state.places.get_mut(&claim.subnet) {
                        place.refused();
                    }
                }
                Ok(None) => state.taken.outdated(claim),
                Err(_) => stays(state, claim, before),
            }
        });
        written
    }

    /// The interface of this claim is gone. Another's claim stays as it is.
    fn end(&self, owned: &Owned, known: Option<Claim>, used: bool, until: Instant) -> Result<(), ClaimError> {
        let mut claim = known;
        loop {
            // Of an address that was never on the LAN nobody there knows a MAC.
            let resting = claim.as_ref().filter(|_| used);
            let reuse_delay = resting.map_or(Duration::ZERO, |claim| self.reuse_delay(&claim.subnet));
            let pod_ends = claim.as_ref().is_some_and(|claim| (self.has_ended)(&claim.owner.uid));
            let (container_id, interface) = (owned.container_id.as_str(), owned.interface.as_str());
            let now = (self.clock)();
            let known = claim.as_ref();
            let done = match plan::del(&self.node, container_id, interface, known, pod_ends, reuse_delay, now)
            {
                After::Nothing => return Ok(()),
                After::Hold(held) => {
                    self.note(&held);
                    self.put(&held, claim.as_ref(), until)?.is_some()
                }
                After::Release(free) => {
                    self.note(&free);
                    self.delete(&free, until)?
                }
            };
            if done {
                return Ok(());
            }
            claim = self.writer.read(&owned.network, owned.address, until)?;
        }
    }

    fn note(&self, claim: &Claim) {
        self.view.change(|state| state.taken.trying(&claim.network, claim.address));
    }

    fn delete(&self, claim: &Claim, until: Instant) -> Result<bool, ClaimError> {
        let deleted = self.writer.delete(claim, until);
        self.counts.deleted(&deleted);
        self.view.change(|state| match deleted {
            Ok(true) => state.taken.deleted(claim),
            Ok(false) => state.taken.outdated(claim),
            Err(_) => stays(state, claim, Some(claim)),
        });
        deleted
    }

    fn reuse_delay(&self, subnet: &str) -> Duration {
        self.view.lock().subnets.get(subnet).map_or(Duration::ZERO, |subnet| subnet.reuse_delay)
    }

    /// The claim, when the watch or an own write has shown it as this node's.
    fn own(&self, network: &str, address: IpAddr) -> Option<Claim> {
        self.view.lock().taken.network(network).own_of(address).cloned()
    }
}

/// What this node has already comes first, then what is kept for the pod, then a free address.
fn decide(state: &State, node: &str, ways: &[Way]) -> Result<Step, ClaimError> {
    let (mut take, mut create) = (None, None);
    let (mut kept, mut waits): (Option<Waiting>, Option<Waiting>) = (None, None);
    let mut full: Vec<(String, Numbers)> = Vec::new();
    let mut closed = None;
    for way in ways {
        let subnet = &way.subnet.name;
        let mut place = state.places.get(subnet).cloned().unwrap_or_else(|| Place::of(node));
        match plan::add(&way.identity, &way.request, &state.taken, &mut place) {
            Next::Have(claim) => return Ok(Step::Have(claim)),
            Next::Renew(claim) => {
                let before = state.taken.network(&claim.network).own_of(claim.address);
                let before = before.map(|claim| Box::new(claim.clone()));
                return Ok(Step::Update(claim, before));
            }
            Next::Take(claim) => take = take.or(Some(claim)),
            Next::Create(_) | Next::Exhausted(_) if way.subnet.closed().is_some() => {
                closed = closed.or(way.subnet.closed().map(|why| (subnet.clone(), why)));
            }
            Next::Create(claim) => create = create.or(Some((claim, place))),
            Next::Wait(wait @ (Waiting::List | Waiting::Predecessor { .. })) => kept = kept.or(Some(wait)),
            Next::Wait(wait @ (Waiting::Reservation { .. } | Waiting::Wanted(_))) => {
                waits = waits.or(Some(wait));
            }
            Next::Exhausted(numbers) => full.push((subnet.clone(), numbers)),
        }
    }
    if let Some(claim) = take {
        let network = state.taken.network(&claim.network);
        // What a reservation holds from its beginning has no pod's name.
        let had = |(address, kept): (IpAddr, Kept)| address == claim.address && !kept.pod.is_empty();
        let was_had = claim.kept_for.as_ref().is_some_and(|own| network.kept(own).any(had));
        return Ok(Step::Take(claim, was_had));
    }
    if let Some(wait) = kept {
        return Err(ClaimError::Waited(wait));
    }
    if let Some((claim, place)) = create {
        return Ok(Step::Create(claim, place));
    }
    Err(match (waits, closed) {
        (Some(wait), _) => ClaimError::Waited(wait),
        (None, Some((subnet, why))) if full.is_empty() => ClaimError::Closed { subnet, why },
        (None, _) => ClaimError::Exhausted { subnets: full, holders: String::new() },
    })
}

/// A write was given up. Should it come after all, the watch shows it; what it makes then has nobody behind it, and goes as such.
fn stays(state: &mut State, claim: &Claim, before: Option<&Claim>) {
    match before {
        Some(before) => state.taken.wrote(before),
        None => state.taken.given_up(&claim.network, claim.address),
    }
}

impl Claims for Claimer {
    fn claim(&self, ask: &Ask<'_>, until: Instant) -> Result<Claimed, ClaimError> {
        let began = Instant::now();
        let mut claimed = self.claim_all(ask, until);
        if let Err(ClaimError::Exhausted { subnets, holders }) = &mut claimed {
            let names: Vec<String> = subnets.iter().map(|(name, _)| name.clone()).collect();
            *holders = self.holders.text(&names, &ask.pod.key.namespace, &*self.writer.objects, until);
        }
        self.counts.claimed(began.elapsed(), &claimed);
        claimed
    }

    fn release(&self, gone: &Gone<'_>, until: Instant) -> Result<(), ClaimError> {
        let owned = |address: IpAddr| Owned {
            network: gone.network.to_owned(),
            address,
            container_id: gone.container_id.to_owned(),
            interface: gone.interface.to_owned(),
        };
        let known: Option<Vec<Claim>> = {
            let state = self.view.lock();
            let mine = |claim: &&Claim| claim.is_of(&self.node, gone.container_id, gone.interface);
            let network = state.taken.network(gone.network);
            state.taken.is_ready().then(|| network.own().filter(mine).cloned().collect())
        };
        match known {
            Some(known) => known
                .into_iter()
                .try_for_each(|claim| self.end(&owned(claim.address), Some(claim), gone.used, until)),
            // A pod's end does not wait for lists. What the record does not name has nobody behind it once they are there.
            None => gone.addresses.iter().try_for_each(|address| {
                let claim = self.writer.read(gone.network, *address, until)?;
                self.end(&owned(*address), claim, gone.used, until)
            }),
        }
    }

    fn on_node(&self, network: &str, until: Instant) -> Result<Option<OnNode>, ClaimError> {
        self.view.wait_until_listed(until)?;
        self.view.on_node(&self.node, network, until.min(Instant::now() + self.limits.full))
    }

    fn vlans(&self) -> Option<BTreeSet<(String, u16)>> {
        self.view.lock().vlans()
    }

    fn let_go(&self, owned: &Owned, until: Instant) -> Result<(), ClaimError> {
        self.end(owned, self.own(&owned.network, owned.address), true, until)
    }

    fn quarantine(
        &self,
        owned: &Owned,
        why: &str,
        pause: Duration,
        until: Instant,
    ) -> Result<(), ClaimError> {
        let claim = self.own(&owned.network, owned.address);
        let Some(claim) =
            claim.filter(|claim| claim.is_of(&self.node, &owned.container_id, &owned.interface))
        else {
            return Ok(());
        };
        let now = (self.clock)();
        let held = plan::quarantine(&claim, now.after(pause), now, why);
        self.note(&held);
        self.put(&held, Some(&claim), until).map(drop)
    }

    fn fenced(&self) {
        self.counts.fenced();
    }

    fn owned(&self) -> Option<Vec<Owned>> {
        let state = self.view.lock();
        state.taken.is_ready().then(|| state.owned())
    }

    fn has(&self, owned: &Owned) -> Option<bool> {
        let state = self.view.lock();
        let attached = Attached {
            network: owned.network.clone(),
            address: owned.address,
            container_id: owned.container_id.clone(),
            interface: owned.interface.clone(),
            // No record needs the version: lists are read past the API server's cache, so the first one is newer than what an
            // earlier agent wrote, and own writes are known at once.
            version: Version::default(),
        };
        state.taken.is_ready().then(|| !plan::must_fence(&state.taken, &attached))
    }

    fn waits_for(&self) -> Option<&'static str> {
        self.view.lock().missing()
    }
}
