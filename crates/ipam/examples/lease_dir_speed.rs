//! What an ADD and a DEL cost the lease directory, by the number of leases in it:
//! `cargo run --release -p ipam --example lease_dir_speed [DIR]`. DIR is where the directories are made.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use ipam::{LeaseDir, Owner, Range, RangeSet};

const ROUNDS: usize = 301;

fn median(mut times: Vec<Duration>) -> u128 {
    times.sort_unstable();
    times[times.len() / 2].as_micros()
}

fn main() {
    let root = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let root = tempfile::tempdir_in(root).unwrap();
    let sets =
        [RangeSet::new(vec![Range::new("10.0.0.0/16".parse().unwrap(), None, None, None).unwrap()]).unwrap()];
    println!("{:>8} {:>8} {:>10} {:>10} {:>12}", "leases", "index", "ADD µs", "DEL µs", "exhausted µs");
    for (leases, index) in [
        (0, true),
        (4, false),
        (8, false),
        (8, true),
        (16, false),
        (16, true),
        (32, false),
        (32, true),
        (64, false),
        (64, true),
        (256, true),
        (1000, false),
        (1000, true),
        (10_000, true),
        (60_000, true),
    ] {
        let data = root.path().join(format!("{leases}-{index}"));
        let index_dir = data.join("index");
        let index = index.then_some(index_dir.as_path());
        let open = || LeaseDir::open(&data, "net", index).unwrap();
        drop(open());
        for n in 0..leases {
            let address = Ipv4Addr::from(0x0a00_0002_u32 + n);
            std::fs::write(data.join("net").join(address.to_string()), format!("{n:064x}\r\neth0")).unwrap();
        }
        std::fs::write(data.join("net/last_reserved_ip.0"), "10.0.0.1").unwrap();
        open().find(&Owner::new("nobody", "eth0")).unwrap();
        let (mut adds, mut dels) = (Vec::new(), Vec::new());
        for n in 0..ROUNDS {
            let owner = Owner::new(&format!("{n:064x}-new"), "eth0");
            let start = Instant::now();
            open().allocate(&owner, &sets, &[], &|_| false).unwrap();
            adds.push(start.elapsed());
            let start = Instant::now();
            assert_eq!(open().release(&owner).unwrap().len(), 1);
            dels.push(start.elapsed());
        }
        let full = exhausted(&data, index, leases);
        println!("{leases:>8} {:>8} {:>10} {:>10} {full:>12}", index.is_some(), median(adds), median(dels));
    }
}

/// An ADD in a range that the leases fill.
fn exhausted(data: &Path, index: Option<&Path>, leases: u32) -> u128 {
    let end = Ipv4Addr::from(0x0a00_0001_u32 + leases);
    let range = Range::new("10.0.0.0/16".parse().unwrap(), None, Some(end.into()), None).unwrap();
    let sets = [RangeSet::new(vec![range]).unwrap()];
    let times = (0..31).map(|_| {
        let start = Instant::now();
        let mut dir = LeaseDir::open(data, "net", index).unwrap();
        dir.allocate(&Owner::new("late", "eth0"), &sets, &[], &|_| false).unwrap_err();
        start.elapsed()
    });
    median(times.collect())
}
