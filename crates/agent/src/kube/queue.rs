//! Which event is sent next, and when: a bounded queue, a rate, and a memory of what has been said. No input or output.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use api::Event;

use crate::PodKey;

/// Limits of the queue.
#[derive(Debug, Clone, Copy)]
pub struct EventLimits {
    /// Most events that wait.
    pub waiting: usize,
    /// How many may be sent at once after a quiet time.
    pub burst: u32,
    /// How many a second in the long run.
    pub per_second: u32,
    /// How long an event that comes again is counted on the one that is there.
    pub series: Duration,
}

impl Default for EventLimits {
    fn default() -> EventLimits {
        EventLimits { waiting: 1024, burst: 100, per_second: 20, series: Duration::from_secs(600) }
    }
}

/// Most events that are remembered for their next time.
const REMEMBERED: usize = 256;

/// An event with its pod.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) pod: PodKey,
    pub(super) event: Event,
    /// How often it happened since it waits.
    pub(super) times: u32,
    mark: u64,
}

/// What was sent, and may be counted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    /// The name of the object.
    pub(super) name: String,
    /// How often the API server says that it happened.
    pub(super) count: u32,
    mark: u64,
    last: Instant,
}

/// What to do now.
#[derive(Debug)]
pub(super) enum Next {
    /// Send this: a new one, or one more of what was sent.
    Send(Waiting, Option<Sent>),
    /// Nothing before so long.
    After(Duration),
    /// Nothing until something comes.
    Nothing,
}

/// The queue.
pub(super) struct Queue {
    limits: EventLimits,
    waiting: VecDeque<Waiting>,
    sent: VecDeque<Sent>,
    marks: RandomState,
    /// When a full bucket would have begun to fill: a token is a distance in time.
    full_at: Instant,
    dropped: u64,
}

impl Queue {
    pub(super) fn new(limits: EventLimits, now: Instant) -> Queue {
        Queue {
            limits,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            marks: RandomState::new(),
            full_at: now,
            dropped: 0,
        }
    }

    /// Takes an event in; the oldest makes room.
    pub(super) fn push(&mut self, pod: PodKey, event: Event) {
        let mark = self.marks.hash_one((&pod, event.reason, &event.message));
        if let Some(same) = self.waiting.iter_mut().find(|waiting| waiting.mark == mark) {
            same.times = same.times.saturating_add(1);
            return;
        }
        if self.waiting.len() >= self.limits.waiting {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(Waiting { pod, event, times: 1, mark });
    }

    /// What is to be done; an event that is handed out has left the queue and taken its place in the rate.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.waiting.is_empty() {
            return Next::Nothing;
        }
        let each = Duration::from_secs(1) / self.limits.per_second.max(1);
        let earliest = now.checked_sub(each * self.limits.burst.max(1)).unwrap_or(self.full_at);
        let taken = self.full_at.max(earliest) + each;
        if taken > now {
            return Next::After(taken - now);
        }
        self.full_at = taken;
        let Some(waiting) = self.waiting.pop_front() else { return Next::Nothing };
        self.sent.retain(|sent| now.saturating_duration_since(sent.last) < self.limits.series);
        let at = self.sent.iter().position(|sent| sent.mark == waiting.mark);
        let sent = at.and_then(|at| self.sent.remove(at));
        Next::Send(waiting, sent)
    }

    /// It was sent as the object `name`, which now counts so many.
    pub(super) fn sent(&mut self, waiting: &Waiting, name: String, count: u32, now: Instant) {
        if self.sent.len() >= REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { name, count, mark: waiting.mark, last: now });
    }

    /// It could not be sent now, and comes first again; what it counts on is kept.
    pub(super) fn put_back(&mut self, waiting: Waiting, sent: Option<Sent>) {
        self.sent.extend(sent);
        if let Some(same) = self.waiting.iter_mut().find(|other| other.mark == waiting.mark) {
            same.times = same.times.saturating_add(waiting.times);
        } else if self.waiting.len() < self.limits.waiting {
            self.waiting.push_front(waiting);
        } else {
            // It is the oldest.
            self.dropped += 1;
        }
    }

    /// It will never be sent.
    pub(super) fn give_up(&mut self) {
        self.dropped += 1;
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
