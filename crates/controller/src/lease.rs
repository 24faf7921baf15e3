//! Which of several controllers works: the one that holds a Lease (`coordination.k8s.io/v1`), by the rules of Kubernetes' own
//! components, so that `kubectl get lease` tells who it is.
//!
//! No clock is compared with another machine's: a lease is over when it has not changed for its duration by our own monotonic
//! clock. The holder stops by itself before anybody else may think so.

use std::time::{Duration, Instant};

use apiserver::{is_not_found, plain, within};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::server::is_conflict;
use crate::{Error, Result};

/// How long each request may take with which a lease is given back: who stops the program waits for it.
const LAST: Duration = Duration::from_secs(2);
/// How often that is tried when somebody writes at the same time.
const TRIES: usize = 3;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// A lease that nobody has renewed for so long may be taken.
    pub duration: Duration,
    /// A holder that could not renew it for so long works no more. Shorter than [`Terms::duration`], by more than a request takes.
    pub give_up: Duration,
    /// Between two looks at the lease.
    pub retry: Duration,
}

impl Default for Terms {
    /// Those of Kubernetes' own components.
    fn default() -> Terms {
        Terms {
            duration: Duration::from_secs(15),
            give_up: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// What is to be done about the lease as it is.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// There is none.
    Create,
    /// It is ours, or nobody's: write it.
    Write,
    /// It is another's: look again then.
    Wait(Duration),
}

/// What one candidate has seen.
#[derive(Debug)]
struct Election {
    identity: String,
    terms: Terms,
    /// The lease as another holds it, and since when it has not changed.
    seen: Option<(LeaseSpec, Instant)>,
}

impl Election {
    fn step(&mut self, lease: Option<&LeaseSpec>, now: Instant) -> Step {
        let Some(lease) = lease else { return Step::Create };
        let holder = lease.holder_identity.as_deref().unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return Step::Write;
        }
        let since = match &self.seen {
            Some((known, since)) if known == lease => *since,
            _ => {
                self.seen = Some((lease.clone(), now));
                now
            }
        };
        // The holder's own words about how long it holds: it may be of another version.
        let seconds = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(self.terms.duration, Duration::from_secs);
        match duration.checked_sub(now.duration_since(since)) {
            None | Some(Duration::ZERO) => Step::Write,
            Some(rest) => Step::Wait(rest.min(self.terms.retry)),
        }
    }

    /// The lease as it is written by us.
    fn spec(&self, before: Option<&LeaseSpec>, now: Timestamp) -> LeaseSpec {
        let ours = before.filter(|lease| lease.holder_identity.as_ref() == Some(&self.identity));
        let transitions = before.and_then(|lease| lease.lease_transitions).unwrap_or_default();
        let seconds = i32::try_from(self.terms.duration.as_secs()).unwrap_or(i32::MAX);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(seconds),
            acquire_time: ours.and_then(|lease| lease.acquire_time.clone()).or(Some(MicroTime(now))),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(if ours.is_some() { transitions } else { transitions.saturating_add(1) }),
            ..before.cloned().unwrap_or_default()
        }
    }
}

/// One that may lead.
pub struct Candidate {
    leases: Api<Lease>,
    namespace: String,
    name: String,
    election: Election,
    /// The lease as we wrote it last.
    held: Option<Lease>,
}

impl Candidate {
    /// For the lease of this name; `identity` is the program's own, such as its pod's name.
    pub fn new(client: Client, namespace: &str, name: &str, identity: String, terms: Terms) -> Candidate {
        Candidate {
            leases: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            election: Election { identity, terms, seen: None },
            held: None,
        }
    }

    /// Waits until the lease is ours. An API server that is away is asked again.
    ///
    /// # Errors
    /// It refuses for good.
    pub async fn acquire(&mut self) -> Result<()> {
        let terms = self.election.terms;
        loop {
            let pause = match within(terms.give_up, self.leases.get(&self.name)).await {
                Ok(lease) => self.try_take(Some(lease)).await?,
                Err(error) if is_not_found(&error) => self.try_take(None).await?,
                Err(error) => Some(self.later(&error)?),
            };
            match pause {
                None => return Ok(()),
                Some(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    /// Takes the lease where that is allowed; else how long to wait.
    async fn try_take(&mut self, lease: Option<Lease>) -> Result<Option<Duration>> {
        let spec = lease.as_ref().map(|lease| lease.spec.clone().unwrap_or_default());
        match self.election.step(spec.as_ref(), Instant::now()) {
            Step::Wait(pause) => return Ok(Some(pause)),
            Step::Create | Step::Write => {}
        }
        match self.write(lease).await {
            Ok(()) => Ok(None),
            // Another was quicker.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Some(self.election.terms.retry)),
            Err(error) => self.later(&error).map(Some),
        }
    }

    /// Keeps the lease, as long as that goes: when this returns it is ours no more, and nothing may be done any more.
    pub async fn keep(&mut self) -> String {
        let terms = self.election.terms;
        // From before the write, which the API server may have got much later.
        let mut sure_until = Instant::now() + terms.give_up;
        loop {
            tokio::time::sleep(terms.retry).await;
            let asked = Instant::now();
            let Some(rest) = sure_until.checked_duration_since(asked) else {
                return format!("not renewed for {} s", terms.give_up.as_secs());
            };
            let lease = self.held.clone();
            match within(rest, self.write(lease)).await {
                Ok(()) => sure_until = asked + terms.give_up,
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                    // Somebody else has written it: a person, or one who holds it now.
                    match within(rest, self.leases.get(&self.name)).await {
                        Ok(lease) if self.is_ours(&lease) => self.held = Some(lease),
                        Ok(lease) => {
                            let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
                            return format!("it is {holder:?}'s now");
                        }
                        Err(error) if is_not_found(&error) => return "it was deleted".to_owned(),
                        Err(error) => tracing::warn!(error = %plain(&error), "lease not read"),
                    }
                }
                Err(error) => tracing::warn!(error = %plain(&error), "lease not renewed yet"),
            }
        }
    }

    /// Gives the lease back, so that the next one need not wait. For a program that ends in good order. A write whose answer nobody
    /// read may have made it ours, or another version: the API server tells.
    pub async fn release(&mut self) {
        self.held = None;
        let mut given = Ok(());
        for _ in 0..TRIES {
            given = match within(LAST, self.leases.get(&self.name)).await {
                Ok(lease) if self.is_ours(&lease) => self.give_back(lease).await,
                Ok(_) => return,
                Err(error) if is_not_found(&error) => return,
                Err(error) => Err(error),
            };
            if !given.as_ref().is_err_and(is_conflict) {
                break;
            }
        }
        if let Err(error) = given {
            tracing::warn!(error = %plain(&error), "lease not given back, the next one waits for its end");
        }
    }

    async fn give_back(&self, mut lease: Lease) -> std::result::Result<(), kube::Error> {
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
        }
        let params = PostParams::default();
        within(LAST, self.leases.replace(&self.name, &params, &lease)).await.map(drop)
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref());
        holder == Some(&self.election.identity)
    }

    /// Creates the lease, or replaces just this version of it.
    async fn write(&mut self, before: Option<Lease>) -> std::result::Result<(), kube::Error> {
        let spec =
            self.election.spec(before.as_ref().and_then(|lease| lease.spec.as_ref()), Timestamp::now());
        let params = PostParams::default();
        let written = match before {
            Some(lease) => {
                let lease = Lease { spec: Some(spec), ..lease };
                self.leases.replace(&self.name, &params, &lease).await?
            }
            None => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                self.leases.create(&params, &Lease { metadata, spec: Some(spec) }).await?
            }
        };
        self.held = Some(written);
        Ok(())
    }

    /// A pause after an error, unless asking again does not help.
    fn later(&self, error: &kube::Error) -> Result<Duration> {
        let refused = matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422))
            || is_not_found(error);
        if refused {
            let (namespace, name) = (self.namespace.clone(), self.name.clone());
            return Err(Error::Lease { namespace, name, reason: plain(error) });
        }
        tracing::warn!(error = %plain(error), "lease not asked for");
        Ok(self.election.terms.retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn election(identity: &str) -> Election {
        Election { identity: identity.to_owned(), terms: Terms::default(), seen: None }
    }

    #[test]
    fn a_lease_is_anothers_until_it_has_not_changed_for_its_duration() {
        let (mut ours, theirs) = (election("b"), election("a"));
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(ours.step(None, start), Step::Create);

        let mut lease = theirs.spec(None, Timestamp::UNIX_EPOCH);
        assert_eq!(
            ours.step(Some(&lease), at(0)),
            Step::Wait(Duration::from_secs(2)),
            "whatever its times say"
        );
        assert_eq!(ours.step(Some(&lease), at(14)), Step::Wait(Duration::from_secs(1)));
        // Renewed: it counts anew.
        lease = theirs.spec(Some(&lease), Timestamp::UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(ours.step(Some(&lease), at(15)), Step::Wait(Duration::from_secs(2)));
        assert_eq!(ours.step(Some(&lease), at(30)), Step::Write);
        // As long as its holder says.
        lease.lease_duration_seconds = Some(60);
        assert_eq!(ours.step(Some(&lease), at(31)), Step::Wait(Duration::from_secs(2)));
        assert_eq!(ours.step(Some(&lease), at(90)), Step::Wait(Duration::from_secs(1)));
        assert_eq!(ours.step(Some(&lease), at(91)), Step::Write);
        // Given back.
        lease.holder_identity = None;
        assert_eq!(ours.step(Some(&lease), at(92)), Step::Write);
    }

    #[test]
    fn what_is_written_tells_who_and_since_when() {
        let (first, second) = (election("a"), election("b"));
        let at = |seconds| Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
        let taken = first.spec(None, at(1));
        let renewed = first.spec(Some(&taken), at(3));
        assert_eq!(renewed.acquire_time, Some(MicroTime(at(1))));
        assert_eq!(
            (renewed.renew_time.clone(), renewed.lease_transitions),
            (Some(MicroTime(at(3))), Some(1))
        );
        let passed_on = second.spec(Some(&renewed), at(20));
        assert_eq!((passed_on.acquire_time, passed_on.lease_transitions), (Some(MicroTime(at(20))), Some(2)));
        assert_eq!(passed_on.holder_identity.as_deref(), Some("b"));
        assert_eq!(passed_on.lease_duration_seconds, Some(15));
    }
}
