//! Tables that fill up.

use std::fs;
use std::path::Path;

use ipam::RangeSet;
use kernel::{NetNs, sysctl};

use crate::context::Context;
use crate::error::Result;
use crate::finding::Finding;
use crate::fix::{Action, Fix};

/// Below this share of a table there is nothing to say, from the second on connections fail at the next burst.
const CROWDED: u64 = 80;
const FULL: u64 = 95;

/// The neighbour table is one for all namespaces; only the first one shows its limits.
pub(crate) fn neighbours(context: &Context) -> Result<Vec<Finding>> {
    [("IPv4", "ipv4", "arp_cache", true), ("IPv6", "ipv6", "ndisc_cache", false)]
        .into_iter()
        .map(|(family, directory, cache, v4)| {
            let wanted: u128 = context
                .uses()
                .flat_map(|(_, plugin, _)| plugin.ranges.iter())
                .filter(|set| set.is_ipv4() == v4)
                .map(RangeSet::size)
                .fold(0, u128::saturating_add);
            Ok(of_family(family, directory, cache, wanted).of(family))
        })
        .collect()
}

fn of_family(family: &str, directory: &str, cache: &str, wanted: u128) -> Finding {
    let key = |nth: u8| format!("net/{directory}/neigh/default/gc_thresh{nth}");
    let here = number(sysctl::read(&key(3)));
    let first = || NetNs::open(Path::new("/proc/1/ns/net")).and_then(|net| net.run(|| sysctl::read(&key(3))));
    let Some(limit) = here.or_else(|| number(first().ok()?)) else {
        return Finding::skip(format!("the limit of the {family} neighbour table cannot be read from here"));
    };
    let held = fs::read_to_string(format!("/proc/1/net/stat/{cache}")).ok().and_then(|text| entries(&text));
    let held = held.unwrap_or(0);
    let finding = if held.saturating_mul(100) >= limit.saturating_mul(FULL) {
        Finding::fail(
            format!("the {family} neighbour table is full: {held} of {limit}; new neighbours are refused"),
            format!("raise {}", key(3)),
        )
    } else if wanted > u128::from(limit) || held.saturating_mul(100) >= limit.saturating_mul(CROWDED) {
        Finding::warn(
            format!(
                "{family} ranges hold {wanted} addresses, the neighbour table {limit} ({held} in use): when containers talk to more than that, packets are dropped"
            ),
            format!("raise {}, for all namespaces together", key(3)),
        )
    } else {
        let ranges = if wanted > 0 { format!("; ranges hold {wanted} addresses") } else { String::new() };
        return Finding::ok(format!("{family} neighbour table: {held} of {limit}{ranges}"));
    };
    if here.is_none() {
        return finding.detail("this namespace cannot change it: the machine's first one can");
    }
    // No more than a million: an IPv6 range has more addresses than any LAN has machines.
    let enough = u64::try_from(wanted.max(u128::from(held) * 2)).unwrap_or(u64::MAX).clamp(1024, 1 << 19);
    let top = enough.next_power_of_two().saturating_mul(2);
    let actions = [(3u8, top), (2, top / 2), (1, top / 8)].into_iter().filter_map(|(nth, value)| {
        let before = sysctl::read(&key(nth)).ok()?;
        let enough = before.parse::<u64>().is_ok_and(|before| before >= value);
        (!enough).then(|| Action::Sysctl { key: key(nth), before, value: value.to_string() })
    });
    finding.fix(Fix { actions: actions.collect() })
}

fn number(read: kernel::Result<String>) -> Option<u64> {
    read.ok()?.trim().parse().ok()
}

/// The first column of the first row below the head, a hexadecimal number that is the same in every row.
fn entries(text: &str) -> Option<u64> {
    u64::from_str_radix(text.lines().nth(1)?.split_ascii_whitespace().next()?, 16).ok()
}

pub(crate) fn conntrack(_: &Context) -> Result<Vec<Finding>> {
    const COUNT: &str = "net/netfilter/nf_conntrack_count";
    const MAX: &str = "net/netfilter/nf_conntrack_max";
    let (Some(count), Some(max)) = (number(sysctl::read(COUNT)), number(sysctl::read(MAX))) else {
        return Ok(vec![Finding::skip("connections are not tracked here")]);
    };
    let share = count.saturating_mul(100).checked_div(max).unwrap_or(0);
    if share < CROWDED {
        return Ok(vec![Finding::ok(format!("{count} of {max} connections tracked"))]);
    }
    let summary =
        format!("{count} of {max} connections tracked ({share} %): when it is full, packets are dropped");
    let finding = Finding::bad(share >= FULL, summary, format!("raise {MAX}"));
    let fix = Fix::sysctl(MAX, max.to_string(), max.saturating_mul(2).to_string());
    Ok(vec![finding.fix(fix)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_statistics_is_hexadecimal() {
        assert_eq!(entries("entries  allocs\n0000001f  00000000\n0000001f  00000000\n"), Some(31));
        assert_eq!(entries(""), None);
    }
}
