//! The power goes before every single change to the disk: what was answered is there, what was under way is there or is not,
//! and life goes on from either.

use std::collections::BTreeMap;

use redb::Database;

use super::disk::{Disk, Fate};
use super::{STEPS, dump};
use crate::store::opening::is_damage;
use crate::{Result, Store};

/// Opens the store; `None` for a content that is no database.
fn open(disk: &Disk) -> Option<Result<Store>> {
    match Database::builder().set_cache_size(super::super::CACHE).create_with_backend(disk.clone()) {
        Ok(database) => Some(Store::on(database, "power".into())),
        Err(error) if is_damage(&error) => None,
        Err(error) => Some(Err(super::super::failed("power".as_ref(), &error))),
    }
}

/// What is in the store after each number of steps.
fn states() -> Vec<BTreeMap<String, String>> {
    let store = open(&Disk::new(Vec::new(), usize::MAX)).unwrap().unwrap();
    let mut states = vec![dump(&store)];
    for step in STEPS {
        assert!(step(&store).unwrap());
        states.push(dump(&store));
    }
    states
}

#[test]
fn nothing_that_was_answered_is_lost() {
    let states = states();
    let mut fates = vec![Fate::Lost, Fate::Kept];
    fates.extend((1..=4).map(Fate::Some));
    for last in 0.. {
        let disk = Disk::new(Vec::new(), last);
        let mut answered = None;
        if let Some(Ok(store)) = open(&disk) {
            let done = STEPS.iter().take_while(|step| step(&store).is_ok()).count();
            answered = Some(done);
        }
        // The last changes are those of closing: a death then must lose nothing either.
        if !disk.is_dead() {
            assert!(last > 100, "only {last} deaths");
            return;
        }
        for fate in &fates {
            // Others for each death.
            let fate = match fate {
                Fate::Some(seed) => Fate::Some(seed * 1000 + last as u64),
                other => *other,
            };
            recovered(&disk, fate, answered, &states, last);
        }
    }
}

fn recovered(
    disk: &Disk,
    fate: Fate,
    answered: Option<usize>,
    states: &[BTreeMap<String, String>],
    last: usize,
) {
    let at = format!("power gone before change {}, {fate:?}, {answered:?} answered", last + 1);
    let Some(store) = open(&Disk::new(disk.after(fate), usize::MAX)) else {
        // Only before anything has been promised: the real one is put aside and begun anew.
        assert_eq!(answered, None, "{at}");
        return;
    };
    let store = store.unwrap();
    let found = dump(&store);
    let answered = answered.unwrap_or(0);
    let came = [answered, (answered + 1).min(STEPS.len())].into_iter().find(|count| states[*count] == found);
    let Some(came) = came else { panic!("{at}: {found:?}, expected {:?}", states[answered]) };
    for (count, step) in STEPS.iter().enumerate().skip(came) {
        assert!(step(&store).unwrap(), "{at}");
        assert_eq!(dump(&store), states[count + 1], "{at}");
    }
}
