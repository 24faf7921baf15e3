//! Death after the n-th change to the disk, for every n of every operation: what is left is whole, and the
//! owner's release afterwards leaves nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use super::{files, ip, set};
use crate::disk::Steps;
use crate::{LeaseDir, Owner, RangeSet, Record, parse_cursor, parse_record};

fn sets() -> [RangeSet; 2] {
    [set(&["10.0.0.0/24"]), set(&["2001:db8::/64"])]
}

fn other(n: usize) -> Owner {
    Owner::new(&format!("other-{n}"), "eth0")
}

struct Place<'a> {
    data: &'a Path,
    index: &'a Path,
    /// Whether to do without unnamed files.
    named: bool,
}

impl Place<'_> {
    fn open(&self, steps: Steps) -> crate::Result<LeaseDir> {
        let dir = LeaseDir::open_with(self.data, "net", Some(self.index), steps)?;
        if self.named {
            dir.disk.without_unnamed_files();
        }
        Ok(dir)
    }

    fn leases(&self) -> BTreeMap<String, String> {
        let mut files = files(&self.data.join("net"));
        files.retain(|name, _| !name.starts_with("last_reserved_ip.") && name != "lock");
        files
    }

    /// As a reader would find it at this instant, without any repair.
    fn assert_whole(&self, at: &str) {
        for (name, content) in files(&self.data.join("net")) {
            if name.parse::<IpAddr>().is_ok() {
                let record = parse_record(content.as_bytes());
                assert!(matches!(record, Record::Owned(_)), "{at}: {name} has {content:?}");
            } else if name.starts_with("last_reserved_ip.") {
                assert!(parse_cursor(content.as_bytes()).is_some(), "{at}: {name} has {content:?}");
            }
        }
    }
}

/// Runs `operation` with death after every number of steps, until it comes to its end alive.
fn walk(
    others: usize,
    named: bool,
    held: bool,
    operation: &dyn Fn(&mut LeaseDir) -> crate::Result<()>,
) -> u32 {
    let me = Owner::new("me", "eth0");
    for limit in 0..200 {
        let (data, index) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let place = Place { data: data.path(), index: index.path(), named };
        let mut dir = place.open(Steps::default()).unwrap();
        for n in 0..others {
            std::fs::write(dir.path().join(format!("10.0.0.{}", n + 2)), other(n).record_text()).unwrap();
        }
        dir.find(&me).unwrap();
        let before = place.leases();
        if held {
            dir.allocate(&me, &sets(), &[], &|_| false).unwrap();
        }
        drop(dir);

        let at = format!("{others} others, named {named}, death after {limit}");
        let done = place.open(Steps::limited(limit)).and_then(|mut dir| operation(&mut dir));
        place.assert_whole(&at);

        let mut dir = place.open(Steps::default()).unwrap();
        for n in 0..others {
            assert_eq!(dir.find(&other(n)).unwrap(), [ip(&format!("10.0.0.{}", n + 2))], "{at}");
        }
        dir.release(&me).unwrap();
        assert_eq!(place.leases(), before, "{at}");
        assert_eq!(dir.find(&me).unwrap(), [] as [IpAddr; 0], "{at}");
        // And the directory works as ever.
        let claims = dir.allocate(&me, &sets(), &[], &|_| false).unwrap();
        assert_eq!(claims.len(), 2, "{at}");
        assert!(!before.contains_key(&claims[0].address.addr().to_string()), "{at}");
        if done.is_ok() {
            return limit;
        }
    }
    panic!("the operation never comes to its end");
}

fn walk_all(held: bool, operation: &dyn Fn(&mut LeaseDir) -> crate::Result<()>) {
    // Few leases are read one by one, many have an index; unnamed files are not everywhere.
    for (others, named) in [(0, false), (3, true), (40, false), (40, true)] {
        let steps = walk(others, named, held, operation);
        assert!(steps >= 3, "{others} others: only {steps} steps");
    }
}

#[test]
fn death_while_allocating() {
    walk_all(false, &|dir| dir.allocate(&Owner::new("me", "eth0"), &sets(), &[], &|_| false).map(drop));
}

#[test]
fn death_while_allocating_a_requested_address() {
    walk_all(false, &|dir| {
        dir.allocate(&Owner::new("me", "eth0"), &sets(), &[ip("10.0.0.99")], &|_| false).map(drop)
    });
}

#[test]
fn death_while_replacing() {
    walk_all(true, &|dir| {
        let me = Owner::new("me", "eth0");
        let held = dir.find(&me)?;
        dir.allocate_another(&me, &sets()[0], 0, &|_| false)?;
        dir.release_address(&me, held[0]).map(drop)
    });
}

#[test]
fn death_while_releasing() {
    walk_all(true, &|dir| dir.release(&Owner::new("me", "eth0")).map(drop));
}

#[test]
fn death_while_collecting() {
    walk_all(true, &|dir| dir.retain(&|owner| owner.container_id != "me").map(drop));
}

#[test]
fn a_full_disk_is_no_half_allocation() {
    // Steps that fail and can be undone, which death is not: the cursor's name is a directory.
    let data = tempfile::tempdir().unwrap();
    let me = Owner::new("me", "eth0");
    let mut dir = LeaseDir::open(data.path(), "net", None).unwrap();
    std::fs::create_dir(dir.path().join("last_reserved_ip.1")).unwrap();
    let error = dir.allocate(&me, &sets(), &[], &|_| false).unwrap_err();
    assert!(error.errno().is_some(), "{error}");
    assert!(error.to_string().starts_with("failed to allocate for range 1: cannot write "), "{error}");
    assert!(dir.leases().unwrap().is_empty());
    assert!(dir.find(&me).unwrap().is_empty());
}
