//! Sequences of operations, with accidents and other people's changes in between, against a model that
//! keeps a map of files and goes through it as the reference does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use proptest::prelude::*;

use super::reference::RangeIter;
use super::{files, ip, memory_dir, set};
use crate::{LeaseDir, Owner, Quarantine, RangeSet, Record, parse_cursor, parse_record};

#[derive(Debug, Clone)]
enum Step {
    Allocate { owner: usize, sets: usize, requested: Vec<usize>, skipped: usize },
    Another { owner: usize, index: usize },
    Release(usize),
    ReleaseAddress(usize, usize),
    Find(usize),
    Retain(u64),
    ForeignCreate(usize, usize, usize),
    ForeignDelete(usize),
    ForeignCursor(usize, usize),
    LeftOver,
    DropIndex,
    BreakIndex(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let owner = 0..48_usize;
    let address = 0..48_usize;
    let step = prop_oneof![
        12 => (owner.clone(), 0..3_usize, prop::collection::vec(address.clone(), 0..3), 0..48_usize, any::<bool>())
            .prop_map(|(owner, sets, requested, skipped, plain)| {
                let requested = if plain { Vec::new() } else { requested };
                Step::Allocate { owner, sets, requested, skipped }
            }),
        2 => (owner.clone(), 0..2_usize).prop_map(|(owner, index)| Step::Another { owner, index }),
        4 => owner.clone().prop_map(Step::Release),
        1 => (owner.clone(), address.clone()).prop_map(|(owner, address)| Step::ReleaseAddress(owner, address)),
        1 => owner.clone().prop_map(Step::Find),
        1 => (any::<u64>(), any::<u64>()).prop_map(|(a, b)| Step::Retain(a | b)),
        2 => (address.clone(), 0..8_usize, owner).prop_map(|(a, kind, owner)| Step::ForeignCreate(a, kind, owner)),
        1 => address.clone().prop_map(Step::ForeignDelete),
        1 => (0..2_usize, address).prop_map(|(index, address)| Step::ForeignCursor(index, address)),
        1 => Just(Step::LeftOver),
        1 => Just(Step::DropIndex),
        1 => (0..4096_usize).prop_map(Step::BreakIndex),
    ];
    prop::collection::vec(step, 1..120)
}

fn owner(n: usize) -> Owner {
    Owner::new(&format!("container-{}", n / 2), if n.is_multiple_of(2) { "eth0" } else { "net1" })
}

fn address(n: usize) -> IpAddr {
    match n {
        0..32 => ip(&format!("10.0.0.{n}")),
        32..40 => ip(&format!("10.0.9.{}", n - 32)),
        _ => ip(&format!("2001:db8::{}", n - 40)),
    }
}

fn sets(which: usize) -> Vec<RangeSet> {
    let (a, b) = (set(&["10.0.0.0/27", "10.0.9.0/29"]), set(&["2001:db8::/125"]));
    match which {
        0 => vec![a],
        1 => vec![b],
        _ => vec![a, b],
    }
}

/// The directory as a map.
#[derive(Debug, Default)]
struct Model(BTreeMap<String, String>);

impl Model {
    /// What a crash left goes at the first look.
    fn look(&mut self) {
        self.0.retain(|name, content| {
            let torn = name.parse::<IpAddr>().is_ok() && parse_record(content.as_bytes()) == Record::Torn;
            !torn && !name.starts_with(".llano-")
        });
    }

    fn leases(&self) -> Vec<(IpAddr, Record)> {
        let leases = self.0.iter().filter_map(|(name, content)| {
            Some((name.parse::<IpAddr>().ok()?, parse_record(content.as_bytes())))
        });
        leases.collect()
    }

    fn held(&self, owner: &Owner, legacy: bool) -> Vec<IpAddr> {
        let mut held: Vec<IpAddr> = self
            .leases()
            .into_iter()
            .filter(|(_, record)| if legacy { record.is_legacy_of(owner) } else { record.is_of(owner) })
            .map(|(address, _)| address)
            .collect();
        held.sort_unstable_by_key(|address| crate::range::number_of(*address));
        held
    }

    fn cursor(&self, index: usize) -> Option<IpAddr> {
        parse_cursor(self.0.get(&format!("last_reserved_ip.{index}"))?.as_bytes())
    }

    fn take(&mut self, owner: &Owner, address: IpAddr, index: usize) -> bool {
        if self.0.contains_key(&address.to_string()) {
            return false;
        }
        self.0.insert(address.to_string(), owner.record_text());
        self.0.insert(format!("last_reserved_ip.{index}"), address.to_string());
        true
    }

    fn next(
        &mut self,
        owner: &Owner,
        set: &RangeSet,
        index: usize,
        skipped: IpAddr,
    ) -> Result<IpAddr, String> {
        for (address, _) in RangeIter::new(set, self.cursor(index)) {
            if address != skipped && self.take(owner, address, index) {
                return Ok(address);
            }
        }
        Err(format!("no IP addresses available in range set: {set}"))
    }

    fn allocate(
        &mut self,
        owner: &Owner,
        sets: &[RangeSet],
        requested: &[IpAddr],
        skipped: IpAddr,
    ) -> Result<Vec<IpAddr>, String> {
        let mut made = Vec::new();
        let done = self.allocate_each(owner, sets, requested, skipped, &mut made);
        if done.is_err() {
            made.iter().for_each(|address: &IpAddr| drop(self.0.remove(&address.to_string())));
        }
        done.map(|()| made)
    }

    fn allocate_each(
        &mut self,
        owner: &Owner,
        sets: &[RangeSet],
        requested: &[IpAddr],
        skipped: IpAddr,
        made: &mut Vec<IpAddr>,
    ) -> Result<(), String> {
        let mut wanted: Vec<IpAddr> = Vec::new();
        requested.iter().for_each(|a| {
            if !wanted.contains(a) {
                wanted.push(*a)
            }
        });
        for (index, set) in sets.iter().enumerate() {
            let got = match wanted.iter().position(|address| set.contains(*address)) {
                Some(place) => {
                    let address = wanted.remove(place);
                    if set.range_for(address).unwrap().gateway() == address {
                        Err(format!("requested ip {address} is subnet's gateway"))
                    } else if self.take(owner, address, index) {
                        Ok(address)
                    } else {
                        Err(format!("requested IP address {address} is not available in range set {set}"))
                    }
                }
                None => {
                    let mut held = self.held(owner, false);
                    held.extend(self.held(owner, true));
                    match held.into_iter().find(|address| set.contains(*address)) {
                        Some(address) => Err(format!(
                            "{address} has been allocated to {}, duplicate allocation is not allowed",
                            owner.container_id
                        )),
                        None => self.next(owner, set, index, skipped),
                    }
                }
            };
            made.push(got.map_err(|error| format!("failed to allocate for range {index}: {error}"))?);
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let list: String = wanted.iter().map(|address| format!(" {address}")).collect();
        Err(format!("failed to allocate all requested IPs:{list}"))
    }

    fn release(&mut self, owner: &Owner) -> Vec<IpAddr> {
        let mut held = self.held(owner, false);
        if held.is_empty() {
            held = self.held(owner, true);
        }
        held.iter().for_each(|address| drop(self.0.remove(&address.to_string())));
        held
    }
}

/// What somebody else, or an accident, may put into a lease file.
fn foreign(kind: usize, owner: &Owner) -> String {
    match kind {
        0 => String::new(),
        1 => format!("{}\r\n", owner.container_id),
        2 => "\0\0\0\0".to_owned(),
        3 | 4 => owner.container_id.clone(),
        5 => "not a lease\nat all".to_owned(),
        _ => owner.record_text(),
    }
}

fn run(data: &Path, run: &Path, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    let dir = data.join("net");
    let index_dir = run.join("ipam");
    let open = || LeaseDir::open(data, "net", Some(&index_dir)).unwrap();
    model.0.insert("lock".to_owned(), String::new());
    match step {
        Step::Allocate { owner: n, sets: which, requested, skipped } => {
            let requested: Vec<IpAddr> = requested.iter().map(|n| address(*n)).collect();
            let (owner, sets, skipped) = (owner(*n), sets(*which), address(*skipped));
            let got = open().allocate(&owner, &sets, &requested, &|address| address == skipped);
            let got = got.map(|claims| claims.iter().map(|claim| claim.address.addr()).collect::<Vec<_>>());
            model.look();
            prop_assert_eq!(
                got.map_err(|error| error.to_string()),
                model.allocate(&owner, &sets, &requested, skipped)
            );
        }
        Step::Another { owner: n, index } => {
            let (owner, sets) = (owner(*n), sets(2));
            let got = open().allocate_another(&owner, &sets[*index], *index, &|_| false);
            model.look();
            let expected = model.next(&owner, &sets[*index], *index, ip("::"));
            prop_assert_eq!(got.map(|claim| claim.address.addr()).ok(), expected.ok());
        }
        Step::Release(n) => {
            let got = open().release(&owner(*n)).unwrap();
            model.look();
            prop_assert_eq!(got, model.release(&owner(*n)));
        }
        Step::ReleaseAddress(n, place) => {
            let got = open().release_address(&owner(*n), address(*place)).unwrap();
            let mut held = model.held(&owner(*n), false);
            held.extend(model.held(&owner(*n), true));
            prop_assert_eq!(got, held.contains(&address(*place)));
            if got {
                model.look();
                model.0.remove(&address(*place).to_string());
            }
        }
        Step::Find(n) => {
            let got = open().find(&owner(*n)).unwrap();
            model.look();
            let mut held = model.held(&owner(*n), false);
            held.extend(model.held(&owner(*n), true));
            held.sort_unstable_by_key(|address| crate::range::number_of(*address));
            prop_assert_eq!(got, held);
        }
        Step::Retain(mask) => {
            let valid = |of: &Owner| (0..48).any(|n| mask >> n & 1 == 1 && owner(n) == *of);
            let got = open().retain(&valid).unwrap();
            model.look();
            let mut gone = Vec::new();
            for (address, record) in model.leases() {
                if let Record::Owned(owner) = record
                    && !valid(&owner)
                {
                    model.0.remove(&address.to_string());
                    gone.push((address, owner));
                }
            }
            gone.sort_unstable_by_key(|(address, _)| crate::range::number_of(*address));
            prop_assert_eq!(got, gone);
        }
        Step::ForeignCreate(place, kind, n) => {
            drop(open());
            let (name, content) = (address(*place).to_string(), foreign(*kind, &owner(*n)));
            if let std::collections::btree_map::Entry::Vacant(entry) = model.0.entry(name) {
                std::fs::write(dir.join(entry.key()), &content).unwrap();
                entry.insert(content);
            }
        }
        Step::ForeignDelete(place) => {
            drop(open());
            let name = address(*place).to_string();
            prop_assert_eq!(std::fs::remove_file(dir.join(&name)).is_ok(), model.0.remove(&name).is_some());
        }
        Step::ForeignCursor(index, place) => {
            drop(open());
            let (name, content) = (format!("last_reserved_ip.{index}"), address(*place).to_string());
            std::fs::write(dir.join(&name), &content).unwrap();
            model.0.insert(name, content);
        }
        Step::LeftOver => {
            drop(open());
            std::fs::write(dir.join(".llano-cursor"), "10.0").unwrap();
            model.0.insert(".llano-cursor".to_owned(), "10.0".to_owned());
        }
        Step::DropIndex => {
            drop(open());
            let _ = std::fs::remove_dir_all(&index_dir);
        }
        Step::BreakIndex(length) => {
            drop(open());
            for entry in std::fs::read_dir(&index_dir).into_iter().flatten() {
                let file = std::fs::OpenOptions::new().write(true).open(entry.unwrap().path()).unwrap();
                file.set_len(*length as u64).unwrap();
            }
        }
    }
    prop_assert_eq!(files(&dir), model.0.clone());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn is_the_directory_of_the_model(steps in steps()) {
        let (data, state) = (memory_dir(), memory_dir());
        let mut model = Model::default();
        for step in steps {
            run(data.path(), state.path(), &mut model, &step)?;
        }
    }
}

#[test]
fn says_what_an_exhausted_set_is_and_who_holds_it() {
    let data = tempfile::tempdir().unwrap();
    let sets = [set(&["10.0.0.0/29"])];
    let mut dir = LeaseDir::open(data.path(), "net", None).unwrap();
    for n in 0..4 {
        dir.allocate(&owner(n), &sets, &[], &|_| false).unwrap();
    }
    assert!(dir.has_free(&sets[0], &|_| false).unwrap());
    assert_eq!(dir.free(&sets[0]).unwrap(), 1);
    let error = dir.allocate(&owner(7), &sets, &[], &|address| address == ip("10.0.0.6")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to allocate for range 0: no IP addresses available in range set: 10.0.0.1-10.0.0.6"
    );
    assert_eq!(
        error.details().unwrap(),
        "10.0.0.0/29 has 5 addresses to give, all taken or (1) in quarantine; held by 10.0.0.2 container-0/eth0, \
         10.0.0.3 container-0/net1, 10.0.0.4 container-1/eth0, 10.0.0.5 container-1/net1"
    );
    dir.allocate(&owner(7), &sets, &[], &|_| false).unwrap();
    assert!(!dir.has_free(&sets[0], &|_| false).unwrap());
    assert_eq!(dir.free(&sets[0]).unwrap(), 0);
}

#[test]
fn files_have_the_modes_of_the_reference() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempfile::tempdir().unwrap();
    let sets = [set(&["10.0.0.0/29"])];
    let mut dir = LeaseDir::open(&data.path().join("a/b"), "net", None).unwrap();
    dir.allocate(&owner(0), &sets, &[], &|_| false).unwrap();
    let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("."), 0o755);
    assert_eq!(mode("lock"), 0o750);
    assert_eq!(mode("10.0.0.2"), 0o600);
    assert_eq!(mode("last_reserved_ip.0"), 0o600);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let data = tempfile::tempdir().unwrap();
    for name in ["", ".", "..", "a/b", "/etc", "a\0b"] {
        assert!(LeaseDir::open(data.path(), name, None).is_err(), "{name:?}");
        assert!(Quarantine::open(data.path(), name).is_err(), "{name:?}");
    }
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_removed_while_waiting_for_its_lock_is_made_again() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("net");
    let held = LeaseDir::open(data.path(), "net", None).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut dir = LeaseDir::open(data.path(), "net", None).unwrap();
            dir.allocate(&owner(0), &[set(&["10.0.0.0/29"])], &[], &|_| false).unwrap();
        });
        // Whether it waits already or not, it must end in the directory that has the name.
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::remove_dir_all(&path).unwrap();
        drop(held);
        waiting.join().unwrap();
    });
    assert_eq!(files(&path).keys().collect::<Vec<_>>(), ["10.0.0.2", "last_reserved_ip.0", "lock"]);
}

#[test]
fn quarantine_ends_by_itself() {
    let state = tempfile::tempdir().unwrap();
    let mut quarantine = Quarantine::open(state.path(), "net").unwrap();
    assert!(!quarantine.contains(ip("10.0.0.5")) && quarantine.list().unwrap().is_empty());
    let minute = std::time::Duration::from_secs(60);
    quarantine.add(ip("10.0.0.5"), minute, "02:00:00:00:00:01").unwrap();
    quarantine.add(ip("2001:db8::5"), minute, "").unwrap();
    quarantine.add(ip("10.0.0.4"), std::time::Duration::ZERO, "02:00:00:00:00:02").unwrap();
    let again = Quarantine::open(state.path(), "net").unwrap();
    assert!(again.contains(ip("10.0.0.5")) && again.contains(ip("::ffff:10.0.0.5")));
    assert!(again.contains(ip("2001:db8::5")) && !again.contains(ip("10.0.0.4")));
    let list = again.list().unwrap();
    assert_eq!(
        list.iter().map(|entry| entry.address).collect::<Vec<_>>(),
        [ip("10.0.0.5"), ip("2001:db8::5")]
    );
    assert_eq!((list[0].by.as_str(), list[1].by.as_str()), ("02:00:00:00:00:01", ""));
    assert_eq!(files(&state.path().join("quarantine/net")).len(), 2, "the one that is over is gone");
    again.remove(ip("10.0.0.5")).unwrap();
    again.remove(ip("10.0.0.5")).unwrap();
    assert!(!again.contains(ip("10.0.0.5")));
}
