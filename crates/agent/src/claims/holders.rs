//! Who has the addresses of full subnets, for the error of an ADD. What an agent knows of claims has no names in it, so the API
//! server is asked; seldom, since those that find a subnet full are many at once and come again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use claims::{Claim, Reason};

use super::write::{Objects, Page};

/// An answer is good for so long; so is that there was none.
const FRESH: Duration = Duration::from_secs(15);
/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(2);
/// So many answers are kept.
const KEPT: usize = 8;
/// So many addresses of the pod's own namespace are named.
const OWN: usize = 5;
/// So many other namespaces are named.
const OTHERS: usize = 4;

/// What was asked lately.
pub(super) struct Holders {
    pub(super) fresh: Duration,
    answers: Mutex<Vec<Arc<Answer>>>,
}

/// What the API server said of these subnets, or says just now: whoever wants it then waits for it.
struct Answer {
    subnets: Vec<String>,
    at: Instant,
    told: OnceLock<Option<Told>>,
}

/// The claims of some subnets, by namespace.
#[derive(Debug, Default)]
struct Told {
    of: BTreeMap<String, Group>,
    /// How many claims were looked at, when there are more.
    first: Option<usize>,
}

/// The claims of one namespace.
#[derive(Debug, Default)]
struct Group {
    count: usize,
    /// Some, with who has them.
    named: Vec<String>,
}

impl Default for Holders {
    fn default() -> Holders {
        Holders { fresh: FRESH, answers: Mutex::default() }
    }
}

impl Holders {
    /// Who has the addresses of these subnets, as a pod of this namespace may know it: names of its own namespace, numbers of the
    /// others. Empty when nobody is known, or nobody could say.
    pub(super) fn text(
        &self,
        subnets: &[String],
        namespace: &str,
        objects: &dyn Objects,
        until: Instant,
    ) -> String {
        if subnets.is_empty() || until.saturating_duration_since(Instant::now()) < ANSWER {
            return String::new();
        }
        let answer = self.answer(subnets);
        let ask = || {
            let page = objects.list(subnets, Instant::now() + ANSWER);
            let page = page.inspect_err(|why| tracing::debug!(?subnets, ?why, "holders are not known"));
            page.ok().map(Told::of)
        };
        answer.told.get_or_init(ask).as_ref().map_or_else(String::new, |told| told.text(namespace))
    }

    fn answer(&self, subnets: &[String]) -> Arc<Answer> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|answer| answer.at.elapsed() < self.fresh);
        if let Some(known) = answers.iter().find(|answer| answer.subnets == subnets) {
            return Arc::clone(known);
        }
        if answers.len() == KEPT {
            answers.remove(0);
        }
        let new = Arc::new(Answer { subnets: subnets.to_vec(), at: Instant::now(), told: OnceLock::new() });
        answers.push(Arc::clone(&new));
        new
    }
}

impl Told {
    fn of(page: Page) -> Told {
        let Page { mut claims, more } = page;
        let mut told = Told { first: more.then_some(claims.len()), ..Told::default() };
        claims.sort_by_key(|claim| claim.address);
        for claim in &claims {
            // What is kept for nobody has no namespace; the numbers have it.
            let kept_for = claim.kept_for.as_ref().map(|kept_for| &kept_for.namespace);
            let namespace =
                Some(&claim.owner.namespace).filter(|namespace| !namespace.is_empty()).or(kept_for);
            let Some(namespace) = namespace else { continue };
            let group = told.of.entry(namespace.clone()).or_default();
            group.count += 1;
            if group.named.len() < OWN {
                group.named.push(format!("{} ({})", claim.address, holder(claim)));
            }
        }
        told
    }

    fn text(&self, namespace: &str) -> String {
        let mut text = String::new();
        if let Some(own) = self.of.get(namespace) {
            text = format!("; in namespace {namespace}: {}", own.named.join(", "));
            if own.count > own.named.len() {
                text += &format!(" and {} more", own.count - own.named.len());
            }
        }
        let mut others: Vec<(&String, usize)> = self
            .of
            .iter()
            .filter(|(name, _)| *name != namespace)
            .map(|(name, group)| (name, group.count))
            .collect();
        // The largest first, then by name.
        others.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        if !others.is_empty() {
            let named: Vec<String> =
                others.iter().take(OTHERS).map(|(name, count)| format!("{name} {count}")).collect();
            text += &format!("; in other namespaces: {}", named.join(", "));
            let rest = others.iter().skip(OTHERS).map(|(_, count)| count);
            if others.len() > OTHERS {
                text += &format!(" and {} in {} more", rest.sum::<usize>(), others.len() - OTHERS);
            }
        }
        match self.first.filter(|_| !text.is_empty()) {
            Some(first) => format!("{text} (of the first {first} looked at)"),
            None => text,
        }
    }
}

/// Who has an address, in the words of its own namespace.
fn holder(claim: &Claim) -> String {
    let Some(hold) = &claim.hold else { return claim.owner.pod.clone() };
    match hold.reason {
        Reason::Quarantine => "in quarantine".to_owned(),
        Reason::ReuseDelay => format!("resting after {}", claim.owner.pod),
        Reason::StatefulSet => format!("kept for {}", claim.owner.pod),
        Reason::Reservation => {
            format!("kept for reservation {}", claim.kept_for.as_ref().map_or("", |kept_for| &kept_for.name))
        }
    }
}
