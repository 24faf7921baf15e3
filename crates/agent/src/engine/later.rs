//! Deletions that are repeated until they succeed, each with a growing pause.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::locks::lock;
use super::{Arc, Engine, Limits};

/// What is to be repeated, by container.
#[derive(Debug, Default)]
pub(super) struct Later {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    due: BTreeMap<String, Due>,
    /// A look at the runtime is due then.
    look: Option<Instant>,
    stopped: bool,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    pause: Duration,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
enum Work {
    Delete(String),
    Look,
    Stop,
}

impl Later {
    /// The container is to be tried again, after a pause that is twice the last one.
    pub(super) fn push(&self, id: &str, limits: Limits) {
        let mut state = lock(&self.state);
        let pause = match state.due.get(id) {
            Some(due) => (due.pause * 2).min(limits.slowest),
            None => limits.retry,
        };
        state.due.insert(id.to_owned(), Due { at: Instant::now() + pause, pause });
        self.changed.notify_all();
    }

    /// Nothing more is to be done for it.
    pub(super) fn done(&self, id: &str) {
        if lock(&self.state).due.remove(id).is_some() {
            self.changed.notify_all();
        }
    }

    /// The runtime is to be looked at again after this time, or earlier.
    pub(super) fn look_after(&self, pause: Duration) {
        let at = Instant::now() + pause;
        let mut state = lock(&self.state);
        state.look = Some(state.look.map_or(at, |known| known.min(at)));
        self.changed.notify_all();
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.state).due.len()
    }

    #[cfg(test)]
    pub(super) fn wait_for_none(&self) {
        let mut state = lock(&self.state);
        while !state.due.is_empty() {
            state = self.changed.wait(state).unwrap();
        }
    }

    #[cfg(test)]
    pub(super) fn looks(&self) -> bool {
        lock(&self.state).look.is_some()
    }

    fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
    }

    /// Waits for the next thing to do.
    fn next(&self) -> Work {
        let mut state = lock(&self.state);
        loop {
            if state.stopped {
                return Work::Stop;
            }
            let now = Instant::now();
            if state.look.is_some_and(|at| at <= now) {
                state.look = None;
                return Work::Look;
            }
            let first = state.due.iter().min_by_key(|(_, due)| due.at).map(|(id, due)| (id.clone(), due.at));
            if let Some((id, at)) = &first
                && *at <= now
            {
                return Work::Delete(id.clone());
            }
            let wake = first.map(|(_, at)| at).into_iter().chain(state.look).min();
            state = match wake {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    self.changed.wait_timeout(state, at - now).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Engine {
    /// Repeats deletions until [`Engine::stop`]; for a thread of its own. It sleeps while there is nothing to do.
    pub fn repeat_deletions(self: &Arc<Engine>) {
        loop {
            match self.later.next() {
                Work::Stop => return,
                Work::Look => self.reconcile(),
                Work::Delete(id) => self.repeat(&id),
            }
        }
    }

    /// Ends [`Engine::repeat_deletions`]. What is to be done is in the store.
    pub fn stop(&self) {
        self.later.stop();
    }

    fn repeat(self: &Arc<Engine>, id: &str) {
        let Some(turn) = self.locks.try_take(id) else { return self.later.push(id, self.setup.limits) };
        match self.read(id) {
            Ok(Some(record)) if record.to_delete().next().is_some() || record.doomed.is_some() => {
                // A whole pod says itself that it is to be repeated.
                if self.delete_doomed(&record, &turn) {
                    self.later.done(id);
                } else if record.doomed.is_none() {
                    self.later.push(id, self.setup.limits);
                }
            }
            Ok(_) => self.later.done(id),
            Err(error) => {
                tracing::error!(container = id, error = %error, "deletion not repeated");
                self.later.push(id, self.setup.limits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_what_is_done_is_not_due() {
        let limits = Limits {
            retry: Duration::from_secs(100),
            slowest: Duration::from_secs(300),
            ..Limits::default()
        };
        let later = Later::default();
        let pause = || lock(&later.state).due.get("a").map(|due| due.pause.as_secs());
        for expected in [100, 200, 300, 300] {
            later.push("a", limits);
            assert_eq!(pause(), Some(expected));
        }
        later.done("a");
        assert_eq!((pause(), later.len()), (None, 0));
        later.push("b", Limits { retry: Duration::ZERO, ..limits });
        assert_eq!(later.next(), Work::Delete("b".to_owned()));
        later.look_after(Duration::from_secs(9));
        later.look_after(Duration::ZERO);
        later.look_after(Duration::from_secs(9));
        assert_eq!(later.next(), Work::Look, "the earlier look counts");
        later.stop();
        assert_eq!(later.next(), Work::Stop);
    }
}
