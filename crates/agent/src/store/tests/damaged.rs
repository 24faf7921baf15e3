//! A file that is damaged: it never ends the agent, what is read is what was written, and what is lost is known to be lost.

use std::fs;

use super::{calls, dump, pod, result};
use crate::Store;

/// The file of a store with three pods, closed as by SIGKILL or in order.
fn written(killed: bool) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for id in ["p1", "p2", "p3"] {
        store.begin(&pod(id), &calls("a,b")).unwrap();
        store.made(id, &[(0, &result("10.0.0.1/24"))]).unwrap();
    }
    let file = dir.path().join("agent.redb");
    if killed {
        return fs::read(file).unwrap();
    }
    drop(store);
    fs::read(file).unwrap()
}

/// By the agents that the node starts one after the other: some damages end the process.
fn opened(dir: &std::path::Path, number: usize) -> Store {
    for _ in 0..4 {
        if let Ok(opened) = std::panic::catch_unwind(|| Store::open(dir)) {
            return opened.unwrap_or_else(|error| panic!("case {number}: {error}"));
        }
    }
    panic!("case {number}: no agent lives");
}

#[test]
fn whatever_is_damaged_is_lost_or_harmless() {
    let mut lost = 0;
    for killed in [true, false] {
        let whole = written(killed);
        let expected = {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("agent.redb"), &whole).unwrap();
            let store = Store::open(dir.path()).unwrap();
            assert!(!store.is_lost());
            dump(&store)
        };
        assert_eq!(expected.len(), 3);
        // The last commit of a file that was not closed may be one that was cut off: redb goes back to the one before.
        let mut before = expected.clone();
        before.insert("p3".to_owned(), "eth0=? net1=? net2=?".to_owned());
        // Where there is content, and where a file of redb says what is where.
        let used: Vec<usize> =
            (0..whole.len() / 512).filter(|at| whole[at * 512..][..512].iter().any(|b| *b != 0)).collect();
        let blocks = used.iter().map(|at| at * 512).step_by(used.len().div_ceil(24));
        let mut cases: Vec<Vec<u8>> = Vec::new();
        for at in blocks.chain([0, 64, 128, 192, 256, 320]) {
            let mut damaged = whole.clone();
            damaged[at..at + 40].iter_mut().for_each(|byte| *byte ^= 0x5a);
            cases.push(damaged);
        }
        cases.extend(
            [0, 1, 100, 4096, whole.len() / 2, whole.len() - 1].map(|length| whole[..length].to_vec()),
        );
        for (number, case) in cases.into_iter().enumerate() {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("agent.redb"), &case).unwrap();
            let store = opened(dir.path(), number);
            if store.is_lost() {
                lost += 1;
                assert!(store.all().unwrap().is_empty(), "case {number}");
                assert_eq!(fs::read(dir.path().join("agent.redb.damaged")).unwrap().len(), case.len());
            } else {
                let found = dump(&store);
                let whole = found == expected || (killed && found == before);
                assert!(whole, "case {number}: neither lost nor whole: {found:?}");
            }
            assert!(store.begin(&pod("p4"), &calls("")).unwrap());
        }
    }
    assert!(lost > 12, "only {lost} of the damages were found");
}

#[test]
fn what_is_lost_stays_lost_until_it_is_found() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("agent.redb"), "").unwrap();
    assert!(Store::open(dir.path()).unwrap().is_lost());
    let store = Store::open(dir.path()).unwrap();
    assert!(store.is_lost(), "the next agent looks for it");
    store.found().unwrap();
    drop(store);
    assert!(!Store::open(dir.path()).unwrap().is_lost());
    // An agent that ended between setting the file aside and putting a new one in its place.
    fs::remove_file(dir.path().join("agent.redb")).unwrap();
    assert!(Store::open(dir.path()).unwrap().is_lost());
    let first = tempfile::tempdir().unwrap();
    assert!(!Store::open(first.path()).unwrap().is_lost(), "a node's first store has lost nothing");
}
