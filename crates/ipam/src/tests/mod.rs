//! Tests of the room: each file against a naive model of one thing.

mod addresses;
mod crash;
mod directory;
mod index;
mod ranges;
mod reference;
mod texts;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use crate::{Range, RangeSet};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A set of subnets with nothing else given.
fn set(subnets: &[&str]) -> RangeSet {
    let ranges = subnets.iter().map(|net| Range::new(net.parse().unwrap(), None, None, None).unwrap());
    RangeSet::new(ranges.collect()).unwrap()
}

/// Every file of a directory with its content.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return BTreeMap::new() };
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let content = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), content)
        })
        .collect()
}

/// A directory in memory where there is one: the tests with many steps would wait for the disk.
fn memory_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}
