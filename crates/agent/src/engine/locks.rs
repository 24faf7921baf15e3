//! One call at a time for a container; calls of different containers do not wait for each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The containers that somebody works on.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: Mutex<BTreeMap<String, Arc<AtomicBool>>>,
    freed: Condvar,
}

/// The right to work on a container, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    locks: Arc<Locks>,
    id: String,
    unwanted: Arc<AtomicBool>,
}

impl Turn {
    /// A DEL came meanwhile and could not wait: what this one makes is to be undone.
    pub(super) fn is_unwanted(&self) -> bool {
        self.unwanted.load(Ordering::SeqCst)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.locks.held).remove(&self.id);
        self.locks.freed.notify_all();
    }
}

impl Locks {
    /// The right, once it is free; `None` when it is not by `until`.
    pub(super) fn take(self: &Arc<Locks>, id: &str, until: Instant) -> Option<Turn> {
        self.wait(id, until, false)
    }

    /// The same for a DEL: whoever has the right now is told that its work is not wanted any more.
    pub(super) fn take_over(self: &Arc<Locks>, id: &str, until: Instant) -> Option<Turn> {
        self.wait(id, until, true)
    }

    /// The right, if it is free.
    pub(super) fn try_take(self: &Arc<Locks>, id: &str) -> Option<Turn> {
        self.wait(id, Instant::now(), false)
    }

    fn wait(self: &Arc<Locks>, id: &str, until: Instant, unwanted: bool) -> Option<Turn> {
        let mut held = lock(&self.held);
        loop {
            let Some(other) = held.get(id) else {
                let flag = Arc::new(AtomicBool::new(false));
                held.insert(id.to_owned(), Arc::clone(&flag));
                return Some(Turn { locks: Arc::clone(self), id: id.to_owned(), unwanted: flag });
            };
            if unwanted && !other.swap(true, Ordering::SeqCst) {
                // Nothing is free, but something has changed.
                self.freed.notify_all();
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            held = self.freed.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// So many at a time.
#[derive(Debug)]
pub(super) struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(super) fn new(count: usize) -> Slots {
        Slots { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for one.
    pub(super) fn take(&self) -> Slot<'_> {
        let mut free = lock(&self.free);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}

/// What is behind these locks is whole also when a thread panicked while it held one.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_container_has_one_turn_and_another_does_not_wait() {
        let locks = Arc::new(Locks::default());
        let turn = locks.try_take("a").unwrap();
        assert!(locks.try_take("a").is_none());
        assert!(locks.try_take("b").is_some());
        assert!(!turn.is_unwanted());
        assert!(locks.take_over("a", Instant::now()).is_none());
        assert!(turn.is_unwanted());
        drop(turn);
        let next = locks.try_take("a").unwrap();
        assert!(!next.is_unwanted(), "the next has done nothing yet");
    }

    #[test]
    fn who_waits_gets_its_turn() {
        let locks = Arc::new(Locks::default());
        let turn = locks.try_take("a").unwrap();
        std::thread::scope(|scope| {
            let waiter =
                scope.spawn(|| locks.take_over("a", Instant::now() + Duration::from_secs(60)).is_some());
            let mut held = lock(&locks.held);
            while !turn.is_unwanted() {
                held = locks.freed.wait(held).unwrap();
            }
            drop(held);
            drop(turn);
            assert!(waiter.join().unwrap());
        });
        assert!(lock(&locks.held).is_empty());
    }

    #[test]
    fn no_more_than_the_slots_at_a_time() {
        let slots = Slots::new(2);
        let (now, most) = (Mutex::new(0), Mutex::new(0));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _slot = slots.take();
                        let mut most = lock(&most);
                        *lock(&now) += 1;
                        *most = (*most).max(*lock(&now));
                        drop(most);
                        std::thread::yield_now();
                        *lock(&now) -= 1;
                    }
                });
            }
        });
        assert!((1..=2).contains(&*lock(&most)));
        assert_eq!(*lock(&slots.free), 2);
    }
}
