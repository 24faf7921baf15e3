//! The queue alone, with a clock of its own.

use std::time::{Duration, Instant};

use api::Event;

use super::key;
use crate::kube::EventLimits;
use crate::kube::queue::{Next, Queue};

const LIMITS: EventLimits =
    EventLimits { waiting: 4, burst: 2, per_second: 10, series: Duration::from_secs(60) };

fn push(queue: &mut Queue, message: &str) {
    queue.push(key("web", "u-1"), Event::warning(api::event::NO_NETWORK_FOUND, message.to_owned()));
}

fn sent(queue: &mut Queue, now: Instant) -> Option<(String, u32, Option<u32>)> {
    match queue.next(now) {
        Next::Send(waiting, before) => {
            let count = before.as_ref().map_or(0, |before| before.count) + waiting.times;
            queue.sent(&waiting, format!("of {}", waiting.event.message), count, now);
            Some((waiting.event.message.clone(), waiting.times, before.map(|before| before.count)))
        }
        Next::After(_) | Next::Nothing => None,
    }
}

#[test]
fn the_rate_holds_after_a_burst() {
    let start = Instant::now() + Duration::from_secs(1000);
    let mut queue = Queue::new(LIMITS, Instant::now());
    for message in ["a", "b", "c", "d"] {
        push(&mut queue, message);
    }
    assert_eq!(sent(&mut queue, start).unwrap().0, "a");
    assert_eq!(sent(&mut queue, start).unwrap().0, "b");
    let Next::After(pause) = queue.next(start) else { panic!("more than a burst") };
    assert_eq!(pause, Duration::from_millis(100));
    assert_eq!(sent(&mut queue, start + pause).unwrap().0, "c");
    assert!(sent(&mut queue, start + pause).is_none());
    assert_eq!(sent(&mut queue, start + 2 * pause).unwrap().0, "d");
    assert!(matches!(queue.next(start + 3 * pause), Next::Nothing));
    // A quiet hour allows no more than a burst.
    let later = start + Duration::from_secs(3600);
    for message in ["e", "f", "g"] {
        push(&mut queue, message);
    }
    assert!(sent(&mut queue, later).is_some() && sent(&mut queue, later).is_some());
    assert!(sent(&mut queue, later).is_none());
}

#[test]
fn a_full_queue_drops_the_oldest_and_counts_it() {
    let now = Instant::now() + Duration::from_secs(1000);
    let mut queue = Queue::new(LIMITS, Instant::now());
    for message in ["a", "b", "c", "d", "e", "f"] {
        push(&mut queue, message);
    }
    assert_eq!((queue.dropped(), queue.len()), (2, 4));
    assert_eq!(sent(&mut queue, now).unwrap().0, "c");
}

#[test]
fn what_comes_again_is_one_event() {
    let mut now = Instant::now() + Duration::from_secs(1000);
    let mut queue = Queue::new(LIMITS, Instant::now());
    push(&mut queue, "a");
    push(&mut queue, "a");
    push(&mut queue, "b");
    push(&mut queue, "a");
    assert_eq!(sent(&mut queue, now).unwrap(), ("a".to_owned(), 3, None));
    assert_eq!(sent(&mut queue, now).unwrap(), ("b".to_owned(), 1, None));
    now += Duration::from_secs(30);
    push(&mut queue, "a");
    assert_eq!(sent(&mut queue, now).unwrap(), ("a".to_owned(), 1, Some(3)));
    // Too late for the series.
    now += Duration::from_secs(61);
    push(&mut queue, "a");
    assert_eq!(sent(&mut queue, now).unwrap(), ("a".to_owned(), 1, None));
}

#[test]
fn an_event_that_could_not_be_sent_comes_first_again() {
    let now = Instant::now() + Duration::from_secs(1000);
    let mut queue = Queue::new(LIMITS, Instant::now());
    push(&mut queue, "a");
    push(&mut queue, "b");
    let Next::Send(waiting, before) = queue.next(now) else { panic!() };
    push(&mut queue, "a");
    queue.put_back(waiting, before);
    assert_eq!(queue.len(), 2);
    let later = now + Duration::from_secs(10);
    assert_eq!(sent(&mut queue, later).unwrap().0, "b");
    assert_eq!(sent(&mut queue, later).unwrap(), ("a".to_owned(), 2, None));
}
