//! The index: it answers as the directory does, and is not believed once the directory has moved on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::prelude::*;

use super::{ip, memory_dir, set};
use crate::disk::Steps;
use crate::index::Index;
use crate::known::{Entry, Known, Scan, mix};
use crate::range::number_of;
use crate::{LeaseDir, Owner};

fn owner(n: usize) -> Owner {
    Owner::new(&format!("c{n}"), "eth0")
}

/// Dense runs, far outliers, and both families.
fn number() -> impl Strategy<Value = u128> {
    prop_oneof![
        4 => (0..2000_u128).prop_map(|n| number_of(ip("10.0.0.0")) + n),
        1 => (0..600_u128).prop_map(|n| number_of(ip("2001:db8::")) + n),
        1 => any::<u128>(),
        1 => (0..600_u128).prop_map(|n| u128::MAX - n),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn answers_as_a_set_does(
        start in prop::collection::btree_map(number(), 0..50_u64, 0..400),
        steps in prop::collection::vec((any::<bool>(), number(), 0..50_u64), 0..200),
        asked in prop::collection::vec((number(), 0..3000_u128), 20),
    ) {
        let dir = memory_dir();
        let stat = rustix::fs::stat(dir.path()).unwrap();
        let steps_left = Steps::default();
        // As hashes of owners are: spread.
        let spread = |n: u64| if n == 0 { 0 } else { mix(n) };
        let start: BTreeMap<u128, u64> = start.into_iter().map(|(number, n)| (number, spread(n))).collect();
        let entries = start.iter().map(|(number, hash)| Entry::new(*number, *hash)).collect();
        let scan = Scan { entries, legacy: false };
        let mut index = Index::build(dir.path(), &stat, &scan, &steps_left).unwrap();
        let mut model: BTreeMap<u128, u64> = start;
        for (add, number, n) in steps {
            let hash = spread(n);
            match model.get(&number).copied() {
                None if add => {
                    index.add(&steps_left, Entry::new(number, hash)).unwrap();
                    model.insert(number, hash);
                }
                Some(hash) if !add => {
                    index.remove(&steps_left, Entry::new(number, hash)).unwrap();
                    model.remove(&number);
                }
                _ => {}
            }
        }
        index.seal(&stat, &steps_left).unwrap();
        let index = Index::open(dir.path(), &stat).unwrap();
        for hash in (1..50).map(spread) {
            let naive: Vec<u128> = model.iter().filter(|(_, h)| **h == hash).map(|(n, _)| *n).collect();
            prop_assert_eq!(index.with_hash(hash).unwrap(), naive);
        }
        let taken: BTreeSet<u128> = model.into_keys().collect();
        for (from, more) in asked {
            let to = from.saturating_add(more);
            let naive = (from..=to).find(|number| !taken.contains(number));
            prop_assert_eq!(index.first_free(from, to).unwrap(), naive);
        }
    }
}

#[test]
fn grows_with_the_directory_and_counts_only_for_its_state() {
    let temp = memory_dir();
    let index_dir = temp.path().join("index");
    let open = || LeaseDir::open(temp.path(), "net", Some(&index_dir)).unwrap();
    let sets = [set(&["10.0.0.0/16"])];
    let mut used = 0;
    for n in 0..2500 {
        let mut dir = open();
        used += usize::from(matches!(dir.known().unwrap(), Known::Indexed(_)));
        let claims = dir.allocate(&owner(n), &sets, &[], &|_| false).unwrap();
        assert_eq!(number_of(claims[0].address.addr()), number_of(ip("10.0.0.2")) + n as u128);
        if n % 3 == 0 {
            assert_eq!(dir.release(&owner(n)).unwrap(), [claims[0].address.addr()]);
        }
    }
    assert!(used > 2450, "the index was used {used} times");

    // Somebody else makes a file: the index counts for nothing, until it is that of the directory again.
    std::fs::write(temp.path().join("net/10.0.50.1"), "stranger\r\neth0").unwrap();
    let mut dir = open();
    assert!(matches!(dir.known().unwrap(), Known::Scanned(_)));
    assert_eq!(dir.find(&Owner::new("stranger", "eth0")).unwrap(), [ip("10.0.50.1")]);
    assert!(matches!(dir.known().unwrap(), Known::Indexed(_)), "built at once");
    drop(dir);
    assert!(matches!(open().known().unwrap(), Known::Indexed(_)));

    // A lease that goes without a trace in the directory's time is noticed when it is looked at.
    let stat = rustix::fs::stat(temp.path().join("net")).unwrap();
    std::fs::remove_file(temp.path().join("net/10.0.50.1")).unwrap();
    let times = rustix::fs::Timestamps {
        last_access: rustix::fs::Timespec { tv_sec: stat.st_atime, tv_nsec: 0 },
        last_modification: rustix::fs::Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap(),
        },
    };
    let net = std::fs::File::open(temp.path().join("net")).unwrap();
    rustix::fs::futimens(&net, &times).unwrap();
    let mut dir = open();
    assert!(matches!(dir.known().unwrap(), Known::Indexed(_)), "it cannot be seen from outside");
    assert_eq!(dir.find(&Owner::new("stranger", "eth0")).unwrap(), [] as [IpAddr; 0]);
}

#[test]
fn a_directory_for_the_index_that_cannot_be_written_is_done_without() {
    let data = tempfile::tempdir().unwrap();
    let sets = [set(&["10.0.0.0/24"])];
    for n in 0..40 {
        let mut dir = LeaseDir::open(data.path(), "net", Some("/proc/self/llano".as_ref())).unwrap();
        dir.allocate(&owner(n), &sets, &[], &|_| false).unwrap();
        assert!(matches!(dir.known().unwrap(), Known::Scanned(_)));
    }
}

#[test]
fn an_index_is_not_taken_for_that_of_another_directory() {
    let data = tempfile::tempdir().unwrap();
    let index_dir = data.path().join("index");
    let sets = [set(&["10.0.0.0/24"])];
    let fill = |network: &str| {
        let mut dir = LeaseDir::open(data.path(), network, Some(&index_dir)).unwrap();
        for n in 0..40 {
            dir.allocate(&owner(n), &sets, &[], &|_| false).unwrap();
        }
    };
    fill("a");
    fill("b");
    assert_eq!(std::fs::read_dir(&index_dir).unwrap().count(), 2);
    // Removed and made again under the same name, perhaps with the same inode.
    std::fs::remove_dir_all(data.path().join("a")).unwrap();
    let mut dir = LeaseDir::open(data.path(), "a", Some(&index_dir)).unwrap();
    assert!(dir.find(&owner(3)).unwrap().is_empty());
    let claims = dir.allocate(&owner(3), &sets, &[], &|_| false).unwrap();
    assert_eq!(claims[0].address.addr(), ip("10.0.0.2"));
}
