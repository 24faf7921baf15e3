//! What is to be looked at, and when: each thing once, the earliest time counts. No input or output.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::NetworkRef;

use crate::index::ClaimKey;

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// What is to become of a claim.
    Claim(ClaimKey),
    /// A network's definitions and status.
    Network(Arc<str>),
    /// A subnet's finalizer and status.
    Subnet(Arc<str>),
    /// A reservation's claims and status, by its namespace and name.
    Reservation(NetworkRef),
}

/// An object with a status is looked at no more than once in this time, whatever happens to its claims.
const SPACING: Duration = Duration::from_secs(1);

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    due: BTreeMap<Key, Instant>,
    order: BTreeSet<(Instant, Key)>,
    /// When objects that were looked at a moment ago may be looked at again.
    rest: BTreeMap<Key, Instant>,
}

impl Queue {
    /// To be looked at then, or earlier if that was said before. An object rests for a second after each look.
    pub(crate) fn push(&mut self, key: Key, at: Instant) {
        let at = self.rest.get(&key).map_or(at, |rest| at.max(*rest));
        self.put(key, at);
    }

    /// To be looked at then, without a rest: there is more of the same work.
    pub(crate) fn go_on(&mut self, key: Key, at: Instant) {
        self.rest.remove(&key);
        self.put(key, at);
    }

    fn put(&mut self, key: Key, at: Instant) {
        match self.due.get(&key) {
            Some(known) if *known <= at => return,
            Some(known) => {
                self.order.remove(&(*known, key.clone()));
            }
            None => {}
        }
        self.order.insert((at, key.clone()));
        self.due.insert(key, at);
    }

    /// What is due first, if it is.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Key> {
        if self.order.first()?.0 > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.due.remove(&key);
        if !matches!(key, Key::Claim(_)) {
            self.rest.retain(|_, until| *until > now);
            self.rest.insert(key.clone(), now + SPACING);
        }
        Some(key)
    }

    /// When the next is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// How many wait, and how many of them are due.
    pub(crate) fn len(&self, now: Instant) -> (usize, usize) {
        (self.order.len(), self.order.iter().take_while(|(at, _)| *at <= now).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(n: u8) -> Key {
        Key::Claim(("lan".into(), [10, 0, 0, n].into()))
    }

    #[test]
    fn each_is_there_once_at_its_earliest_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut queue = Queue::default();
        queue.push(claim(1), at(9));
        queue.push(claim(2), at(5));
        queue.push(claim(1), at(3));
        queue.push(claim(1), at(7));
        assert_eq!((queue.len(at(4)), queue.next()), ((2, 1), Some(at(3))));
        assert_eq!(queue.pop(at(2)), None);
        assert_eq!(queue.pop(at(5)), Some(claim(1)));
        assert_eq!(queue.pop(at(5)), Some(claim(2)));
        assert_eq!((queue.pop(at(100)), queue.next()), (None, None));
    }

    #[test]
    fn an_object_rests_after_a_look_and_a_claim_does_not() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let subnet = || Key::Subnet("lan".into());
        let mut queue = Queue::default();
        for key in [subnet(), claim(1)] {
            queue.push(key, at(0));
        }
        assert!(queue.pop(at(0)).is_some() && queue.pop(at(0)).is_some());
        for key in [subnet(), claim(1)] {
            queue.push(key, at(10));
        }
        assert_eq!(queue.pop(at(10)), Some(claim(1)));
        assert_eq!((queue.pop(at(999)), queue.pop(at(1000))), (None, Some(subnet())));
        queue.go_on(subnet(), at(1001));
        assert_eq!(queue.pop(at(1001)), Some(subnet()));
    }
}
