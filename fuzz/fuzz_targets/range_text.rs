//! Ranges as a configuration writes them: `subnet start end gateway`, one a line, then the cursor. What the set
//! hands out is in it, is no gateway, and comes once.
#![no_main]

use std::collections::HashSet;
use std::net::IpAddr;

use ipam::{Range, RangeSet};
use libfuzzer_sys::fuzz_target;

fn range(line: &str) -> Option<Range> {
    let mut words = line.split(' ');
    let subnet = words.next()?.parse().ok()?;
    let mut address = || -> Option<Option<IpAddr>> {
        match words.next() {
            None | Some("-") => Some(None),
            Some(word) => word.parse().ok().map(Some),
        }
    };
    Range::new(subnet, address()?, address()?, address()?).ok()
}

fuzz_target!(|text: &str| {
    let (ranges, cursor) = text.rsplit_once('\n').unwrap_or((text, ""));
    let Some(ranges) = ranges.lines().take(8).map(range).collect::<Option<Vec<_>>>() else { return };
    for range in &ranges {
        assert!(range.contains(range.start()) && range.contains(range.end()));
        assert!(range.start() <= range.end() && range.subnet().contains(&range.end()));
    }
    let Ok(set) = RangeSet::new(ranges) else { return };
    let _ = (set.to_string(), set.overlaps(&set));
    let cursor: Option<IpAddr> = cursor.parse().ok();
    let mut seen = HashSet::new();
    let limit = 2000;
    for (address, range) in set.round(cursor).take(limit) {
        assert!(range.contains(address) && set.contains(address) && address != range.gateway());
        assert!(seen.insert(address), "{address} twice");
    }
    if seen.len() < limit {
        assert_eq!(set.size(), seen.len() as u128, "{set}");
    }
});
