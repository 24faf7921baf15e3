use claims::{Event, Keeper, Reason, Version};

use crate::given::{active, held, ip, kept, kept_for, knows, resting, run};

#[test]
fn the_watch_takes_and_frees() {
    let mut taken = knows(&[active(1, "n2", 3)]);
    taken.apply(Event::Applied(active(2, "n2", 4)));
    let deleted = active(1, "n2", 5);
    taken.apply(Event::Deleted(deleted));
    let network = taken.network("lan");
    assert_eq!((network.is_taken(ip(1)), network.is_taken(ip(2))), (false, true));
    assert_eq!(network.free(&[run(1, 9)]), [run(1, 1), run(3, 9)]);
    assert!(!taken.network("wan").is_taken(ip(2)));
}

#[test]
fn what_comes_twice_says_nothing() {
    let mut taken = knows(&[]);
    taken.apply(Event::Applied(active(1, "n1", 4)));
    taken.apply(Event::Deleted(active(1, "n1", 5)));
    taken.apply(Event::Applied(active(1, "n1", 4)));
    assert!(!taken.network("lan").is_taken(ip(1)));
    assert_eq!(taken.own().count(), 0);
}

#[test]
fn a_try_is_taken_until_it_ends() {
    let mut taken = knows(&[]);
    taken.trying("lan", ip(1));
    // What the watch says of somebody else's older claim does not end it.
    taken.apply(Event::Applied(active(1, "n2", 1)));
    taken.apply(Event::Deleted(active(1, "n2", 2)));
    assert!(taken.network("lan").is_taken(ip(1)));
    taken.given_up("lan", ip(1));
    assert!(!taken.network("lan").is_taken(ip(1)));
}

#[test]
fn what_was_written_counts_again_when_the_next_write_is_given_up() {
    let mut taken = knows(&[]);
    taken.wrote(&active(1, "n1", 9));
    taken.trying("lan", ip(1));
    assert_eq!(taken.own().count(), 0, "it is being written");
    taken.given_up("lan", ip(1));
    assert_eq!(taken.network("lan").own_of(ip(1)), Some(&active(1, "n1", 9)));
}

#[test]
fn a_stale_watch_does_not_undo_what_was_written() {
    let mut taken = knows(&[]);
    taken.trying("lan", ip(1));
    taken.wrote(&active(1, "n1", 9));
    taken.apply(Event::Applied(active(1, "n2", 3)));
    taken.apply(Event::Deleted(active(1, "n2", 5)));
    assert_eq!(taken.network("lan").own_of(ip(1)), Some(&active(1, "n1", 9)));
    taken.apply(Event::Applied(active(1, "n1", 9)));
    assert_eq!(taken.own().count(), 1);
    // And it does not stand above what is newer.
    taken.apply(Event::Applied(active(1, "n2", 12)));
    assert_eq!(taken.own().count(), 0);
}

#[test]
fn an_answer_that_comes_after_the_watch_says_nothing_new() {
    let mut taken = knows(&[]);
    taken.trying("lan", ip(1));
    taken.apply(Event::Applied(active(1, "n1", 4)));
    taken.apply(Event::Deleted(active(1, "n1", 6)));
    taken.wrote(&active(1, "n1", 4));
    assert!(!taken.network("lan").is_taken(ip(1)));
    taken.trying("lan", ip(2));
    taken.apply(Event::Applied(active(2, "n1", 7)));
    taken.apply(Event::Applied(active(2, "n2", 8)));
    taken.deleted(&active(2, "n1", 7));
    assert!(taken.network("lan").is_taken(ip(2)));
}

#[test]
fn what_was_deleted_is_free_at_once_and_stays_so() {
    let mut taken = knows(&[]);
    taken.wrote(&active(1, "n1", 4));
    taken.deleted(&active(1, "n1", 4));
    assert_eq!(taken.network("lan").free(&[run(1, 1)]), [run(1, 1)]);
    taken.apply(Event::Applied(active(1, "n1", 4)));
    assert!(!taken.network("lan").is_taken(ip(1)), "the watch is still before the deletion");
    assert_eq!(taken.own().count(), 0);
    taken.apply(Event::Deleted(active(1, "n1", 5)));
    taken.apply(Event::Applied(active(1, "n2", 6)));
    assert!(taken.network("lan").is_taken(ip(1)));
}

#[test]
fn a_refusal_stands_above_an_older_deletion() {
    let mut taken = knows(&[]);
    taken.wrote(&active(7, "n1", 10));
    taken.trying("lan", ip(1));
    taken.refused("lan", ip(1));
    // Of the life before the one that was in the way.
    taken.apply(Event::Applied(active(1, "n2", 3)));
    taken.apply(Event::Deleted(active(1, "n2", 5)));
    assert!(taken.network("lan").is_taken(ip(1)));
    taken.apply(Event::Applied(active(1, "n2", 9)));
    taken.apply(Event::Deleted(active(1, "n2", 11)));
    assert!(!taken.network("lan").is_taken(ip(1)));
}

#[test]
fn a_refusal_stands_above_this_nodes_own_older_claim() {
    let mut taken = knows(&[]);
    // Made and deleted, and the watch has shown nothing of it yet; then another node's is in the way.
    taken.wrote(&active(1, "n1", 5));
    taken.deleted(&active(1, "n1", 5));
    taken.trying("lan", ip(1));
    taken.apply(Event::Applied(active(1, "n1", 5)));
    taken.refused("lan", ip(1));
    assert_eq!((taken.own().count(), taken.network("lan").is_taken(ip(1))), (0, true));
    taken.apply(Event::Deleted(active(1, "n1", 6)));
    taken.apply(Event::Applied(active(1, "n2", 7)));
    assert_eq!((taken.own().count(), taken.network("lan").is_taken(ip(1))), (0, true));
}

#[test]
fn a_new_list_counts_when_it_is_complete() {
    let mut taken = knows(&[active(1, "n2", 3), active(2, "n1", 4)]);
    taken.wrote(&active(3, "n1", 9));
    taken.wrote(&active(4, "n1", 5));
    taken.apply(Event::ListBegun);
    taken.apply(Event::Listed(active(2, "n1", 4)));
    assert!(taken.network("lan").is_taken(ip(1)), "the old list counts");
    taken.apply(Event::ListEnded(Version(7)));
    let own: Vec<_> = taken.own().map(|claim| claim.address).collect();
    // The list is newer than version 5 and older than version 9.
    assert_eq!(own, [ip(2), ip(3)]);
    assert!(!taken.network("lan").is_taken(ip(1)));
}

#[test]
fn kept_claims_are_known_wherever_they_are() {
    let kind = Keeper::Reservation;
    let mut taken = knows(&[kept(1, "n2", 3, kind), held(2, 4, kind), held(3, 5, Keeper::StatefulSet)]);
    let kept_for = kept_for(kind).unwrap();
    let known = |taken: &claims::Taken| {
        let kept = taken.network("lan").kept(&kept_for);
        kept.map(|(address, kept)| (address, kept.node.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(known(&taken), [(ip(1), "n2".to_owned()), (ip(2), String::new())]);
    taken.apply(Event::Applied(held(1, 6, kind)));
    assert_eq!(known(&taken), [(ip(1), String::new()), (ip(2), String::new())]);
    taken.trying("lan", ip(1));
    assert!(taken.network("lan").is_in_doubt(ip(1)));
    taken.wrote(&kept(1, "n1", 7, kind));
    assert_eq!(known(&taken), [(ip(2), String::new()), (ip(1), "n1".to_owned())]);
    taken.outdated(&kept(1, "n1", 7, kind));
    assert!(taken.network("lan").is_in_doubt(ip(1)));
    taken.apply(Event::Applied(kept(1, "n2", 9, kind)));
    taken.apply(Event::Deleted(held(2, 10, kind)));
    assert_eq!(known(&taken), [(ip(1), "n2".to_owned())]);
}

#[test]
fn numbers_tell_used_from_held() {
    let mut taken = knows(&[
        active(1, "n2", 1),
        held(2, 2, Keeper::StatefulSet),
        resting(3, 3, Reason::ReuseDelay, 9),
        resting(4, 4, Reason::Quarantine, 9),
        active(20, "n2", 5),
    ]);
    taken.wrote(&active(6, "n1", 6));
    let numbers = taken.network("lan").numbers(&[run(1, 3), run(4, 10)]);
    assert_eq!(numbers.to_string(), "10 usable addresses: 2 used, 2 held, 1 in quarantine");
}
