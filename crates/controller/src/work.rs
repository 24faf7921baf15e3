//! The worker: takes what is due, one after the other, decides, and writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::NetworkRef;
use api::kinds::{Reservation, claim_name};
use apiserver::{Backoff, is_not_found, plain};
use claims::controller::{Decision, Facts, Grace, Presence, decide};
use claims::{Claim, Keeper, KeptFor, Time};
use tokio::time::timeout_at;

use crate::index::{ClaimKey, reservation_wants, set_wants};
use crate::metrics::{Decided, Metrics};
use crate::now;
use crate::queue::Key;
use crate::reservations::{self, Write};
use crate::server::{self, Answer, Server, is_conflict, may_pass};
use crate::watches::Shared;

/// When a watch is behind the API server's own answer, it is looked at again after this: usually the watch catches up long before.
const BEHIND: Duration = Duration::from_secs(60);
/// What the API server refuses for good is tried again after this: a person has to act.
const REFUSED: Duration = Duration::from_secs(300);
/// A claim that is there, but not in the watch: it is looked at again after this.
const UNSEEN: Duration = Duration::from_secs(5);

/// What the worker needs.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) server: Server,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) grace: Grace,
    pub(crate) backoff: Backoff,
}

enum Next {
    Work(Key),
    At(Instant),
    Nothing,
}

impl Worker {
    /// Runs until its task ends.
    pub(crate) async fn run(self) {
        let mut failures = 0;
        loop {
            let key = match self.next() {
                Next::Work(key) => key,
                Next::At(at) => {
                    let _ = timeout_at(at.into(), self.shared.wake.notified()).await;
                    continue;
                }
                Next::Nothing => {
                    self.shared.wake.notified().await;
                    continue;
                }
            };
            let Err(error) = self.look_at(&key).await else {
                failures = 0;
                // The watches have the same thread.
                tokio::task::yield_now().await;
                continue;
            };
            if is_conflict(&error) || is_not_found(&error) {
                // Somebody wrote at the same time. What a claim is now the watch shows; of an object, the status is still to be written.
                if !matches!(key, Key::Claim(_)) {
                    self.again(key, UNSEEN);
                }
                continue;
            }
            self.metrics.failed();
            tracing::warn!(?key, error = %plain(&error), "tried again later");
            if may_pass(&error) {
                failures += 1;
                let pause = self.backoff.pause(failures);
                self.again(key, pause);
                // The API server is away: others would fail as well.
                tokio::time::sleep(pause).await;
            } else {
                self.again(key, REFUSED);
            }
        }
    }

    fn next(&self) -> Next {
        let mut state = self.shared.state();
        match state.queue.pop(Instant::now()) {
            Some(key) => Next::Work(key),
            None => state.queue.next().map_or(Next::Nothing, Next::At),
        }
    }

    pub(crate) fn again(&self, key: Key, pause: Duration) {
        self.shared.state().queue.push(key, Instant::now() + pause);
    }

    async fn look_at(&self, key: &Key) -> Answer<()> {
        match key {
            Key::Claim(claim) => self.claim(claim).await,
            Key::Network(name) => self.network(name).await,
            Key::Subnet(name) => self.subnet(name).await,
            Key::Reservation(name) => self.reservation(name).await,
        }
    }

    /// What is to become of a claim.
    async fn claim(&self, key: &ClaimKey) -> Answer<()> {
        let now = now();
        let Some((claim, mut facts)) = self.shared.state().index.facts(key, now) else { return Ok(()) };
        let mut decision = decide(&claim, &facts, &self.grace, now);
        let mut behind = false;
        // Each is asked for once at most.
        for _ in 0..2 {
            let is_there = match decision {
                Decision::AskPod => {
                    let is_there = self.has_pod(&claim).await?;
                    facts.pod = answered(facts.pod, is_there);
                    is_there
                }
                Decision::AskKeeper => {
                    let is_there = self.keeper_wants(key, claim.kept_for.as_ref()).await?;
                    facts.keeper = answered(facts.keeper, is_there);
                    is_there
                }
                _ => break,
            };
            behind |= is_there;
            decision = decide(&claim, &facts, &self.grace, now);
        }
        self.carry_out(key, &claim, decision, behind, &facts).await
    }

    async fn carry_out(
        &self,
        key: &ClaimKey,
        claim: &Claim,
        decision: Decision,
        behind: bool,
        facts: &Facts,
    ) -> Answer<()> {
        let was_active = claim.is_active();
        match decision {
            Decision::Keep if !behind => {}
            Decision::Keep | Decision::AskPod | Decision::AskKeeper => {
                self.again(Key::Claim(key.clone()), BEHIND)
            }
            Decision::Later(until) => {
                let pause = Duration::from_secs(until.0.saturating_sub(now().0));
                self.again(Key::Claim(key.clone()), pause.max(Duration::from_secs(1)));
            }
            Decision::Update(after) => {
                if let Some(written) = self.server.write_claim(&after).await? {
                    self.shared.state().claim_written(written);
                }
                self.metrics.decided(if was_active { Decided::Cleared } else { Decided::LetGo });
                tell(claim, facts, "held");
            }
            Decision::Delete(claim) => {
                let name = claim_name(&claim.network, claim.address);
                self.server.delete(server::CLAIMS, &name, &claim.version.0.to_string()).await?;
                self.metrics.decided(if was_active { Decided::Freed } else { Decided::Collected });
                tell(&claim, facts, "deleted");
            }
        }
        Ok(())
    }

    async fn has_pod(&self, claim: &Claim) -> Answer<bool> {
        // It becomes part of a path; the API server has no pod with another name.
        let Some(pod) = NetworkRef::new(&claim.owner.namespace, &claim.owner.pod) else { return Ok(false) };
        self.server.has_pod(&pod, &claim.owner.uid).await
    }

    /// Whether what a claim is kept for still wants it, as the API server says.
    async fn keeper_wants(&self, key: &ClaimKey, keeper: Option<&KeptFor>) -> Answer<bool> {
        let named =
            keeper.and_then(|keeper| Some((keeper, NetworkRef::new(&keeper.namespace, &keeper.name)?)));
        let Some((keeper, name)) = named else { return Ok(false) };
        match keeper.kind {
            Keeper::StatefulSet => {
                let Some(set) = self.server.stateful_set(&name).await? else { return Ok(false) };
                let state = self.shared.state();
                Ok(state.index.claim(key).is_some_and(|claim| set_wants(set, &keeper.name, &claim.pod)))
            }
            Keeper::Reservation => {
                let Some(object) = self.server.reservation(&name).await? else { return Ok(false) };
                // What cannot be understood is no reason to give an address away.
                let Ok(reservation) = Reservation::parse(&object) else { return Ok(true) };
                let index = &self.shared.state().index;
                let known = index.claim(key);
                Ok(known.is_some_and(|claim| reservation_wants(index, &reservation, keeper, key, claim)))
            }
        }
    }

    /// The claims of a reservation, and its status.
    async fn reservation(&self, name: &NetworkRef) -> Answer<()> {
        let look = |now: Time| reservations::look(&self.shared.state().index, name, now);
        let Some(first) = look(now()) else { return Ok(()) };
        let mut unseen = false;
        for write in &first.writes {
            let (Write::Create(claim) | Write::Update(claim)) = write;
            match self.server.write_claim(claim).await {
                Ok(written) => {
                    self.metrics.decided(Decided::Reserved);
                    written.into_iter().for_each(|written| self.shared.state().claim_written(written));
                }
                // Another was quicker, and the watch will show it.
                Err(error) if is_conflict(&error) || is_not_found(&error) => unseen = true,
                Err(error) => return Err(error),
            }
        }
        let key = Key::Reservation(name.clone());
        let second = if first.writes.is_empty() { Some(first) } else { look(now()) };
        let Some(look) = second else { return Ok(()) };
        {
            let mut state = self.shared.state();
            if look.waits {
                state.waiting.insert(name.clone());
            } else {
                state.waiting.remove(name);
            }
            if unseen {
                state.queue.push(key, Instant::now() + UNSEEN);
            } else if !look.writes.is_empty() {
                state.queue.go_on(key, Instant::now());
            }
        }
        let path = server::reservations(name.namespace());
        let known = {
            let state = self.shared.state();
            state.index.reservations.get(name).map(|known| known.object.clone())
        };
        let Some(object) = known else { return Ok(()) };
        let before = object.status.as_ref();
        let conditions = before.map_or(&[][..], |status| &status.conditions);
        // Being on the way is no news.
        let news = look.verdict.reason != "Pending" && look.verdict.is_news(conditions);
        self.write_status(&object, &path, before, &look.status, news.then_some(&look.verdict)).await
    }
}

/// For the log: what was done, and why that may be done.
fn tell(claim: &Claim, facts: &Facts, what: &str) {
    let name = claim_name(&claim.network, claim.address);
    let owner = &claim.owner;
    tracing::info!(
        claim = name, what, namespace = owner.namespace, pod = owner.pod, uid = owner.uid, node = owner.node,
        reason = ?claim.hold.as_ref().map(|hold| hold.reason), pod_known = ?facts.pod, keeper_known = ?facts.keeper, "claim changed"
    );
}

fn answered(before: Presence, is_there: bool) -> Presence {
    match before {
        Presence::Missing { since, .. } if !is_there => Presence::Missing { since, asked: true },
        _ => Presence::There,
    }
}
