use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::reference::RangeIter;
use super::{ip, set};
use crate::range::{address_of, number_of};
use crate::{Range, RangeSet};

fn range(subnet: &str, start: &str, end: &str, gateway: &str) -> Result<Range, String> {
    let address = |text: &str| (!text.is_empty()).then(|| ip(text));
    Range::new(subnet.parse().unwrap(), address(start), address(end), address(gateway))
        .map_err(|e| e.to_string())
}

#[test]
fn fills_in_what_host_local_fills_in() {
    let cases = [
        ("192.0.2.0/24", "", "", "", "192.0.2.1-192.0.2.254", "192.0.2.1"),
        ("192.0.2.0/30", "", "", "", "192.0.2.1-192.0.2.2", "192.0.2.1"),
        ("192.0.2.0/24", "192.0.2.0", "192.0.2.255", "", "192.0.2.0-192.0.2.255", "192.0.2.1"),
        ("192.0.2.0/24", "192.0.2.40", "192.0.2.50", "192.0.3.1", "192.0.2.40-192.0.2.50", "192.0.3.1"),
        ("0.0.0.0/0", "", "", "", "0.0.0.1-255.255.255.254", "0.0.0.1"),
        ("2001:db8:1::/64", "", "", "", "2001:db8:1::1-2001:db8:1:0:ffff:ffff:ffff:ffff", "2001:db8:1::1"),
        ("2001:db8:1::/126", "", "", "", "2001:db8:1::1-2001:db8:1::3", "2001:db8:1::1"),
        ("192.0.2.0/24", "::ffff:192.0.2.7", "", "::ffff:192.0.2.9", "192.0.2.7-192.0.2.254", "192.0.2.9"),
    ];
    for (subnet, start, end, gateway, text, filled) in cases {
        let range = range(subnet, start, end, gateway).unwrap();
        assert_eq!((range.to_string().as_str(), range.gateway()), (text, ip(filled)), "{subnet}");
    }
}

#[test]
fn refuses_in_host_locals_words() {
    let cases = [
        ("192.0.2.0/31", "", "", "Network 192.0.2.0/31 too small to allocate from"),
        ("192.0.2.1/32", "", "", "Network 192.0.2.1/32 too small to allocate from"),
        ("2001:db8::/127", "", "", "Network 2001:db8::/127 too small to allocate from"),
        (
            "192.0.2.12/24",
            "",
            "",
            "Network has host bits set. For a subnet mask of length 24 the network address is 192.0.2.0",
        ),
        ("192.0.2.0/24", "192.0.3.0", "", "RangeStart 192.0.3.0 not in network 192.0.2.0/24"),
        ("192.0.2.0/24", "2001:db8::1", "", "RangeStart 2001:db8::1 not in network 192.0.2.0/24"),
        ("192.0.2.0/24", "", "192.0.4.0", "RangeEnd 192.0.4.0 not in network 192.0.2.0/24"),
        ("192.0.2.0/24", "", "192.0.2.0", "RangeEnd 192.0.2.0 not in network 192.0.2.0/24"),
        ("192.0.2.0/24", "192.0.2.50", "192.0.2.40", "RangeStart 192.0.2.50 not in network 192.0.2.0/24"),
        // host-local takes this one, gives .255 and then addresses of other networks.
        ("192.0.2.0/24", "192.0.2.255", "", "RangeStart 192.0.2.255 not in network 192.0.2.0/24"),
        ("::ffff:192.0.2.0/120", "", "", "IPNet IP and Mask version mismatch"),
    ];
    for (subnet, start, end, text) in cases {
        assert_eq!(range(subnet, start, end, "").unwrap_err(), text);
    }
    let of = |subnets: &[&str]| {
        let ranges = subnets.iter().map(|net| Range::new(net.parse().unwrap(), None, None, None).unwrap());
        RangeSet::new(ranges.collect()).map_err(|error| error.to_string())
    };
    assert_eq!(of(&[]).unwrap_err(), "empty range set");
    assert_eq!(of(&["192.0.2.0/24", "2001:db8::/64"]).unwrap_err(), "mixed address families");
    assert_eq!(
        of(&["192.0.2.0/24", "198.51.100.0/24", "192.0.2.128/25"]).unwrap_err(),
        "subnets 192.0.2.1-192.0.2.254 and 192.0.2.129-192.0.2.254 overlap"
    );
    assert_eq!(
        of(&["192.0.2.0/30", "192.0.2.8/29"]).unwrap().to_string(),
        "192.0.2.1-192.0.2.2,192.0.2.9-192.0.2.14"
    );
}

/// Up to four ranges in a small space at either end of a family, some with a gateway inside or outside.
fn small_set() -> impl Strategy<Value = RangeSet> {
    let one = (
        0..4_u32,
        0..6_u32,
        prop::option::of(0..64_u32),
        prop::option::of(0..64_u32),
        prop::option::of(0..80_u32),
    );
    (any::<bool>(), any::<bool>(), prop::collection::vec(one, 1..5)).prop_map(|(v4, high, ranges)| {
        let base = match (v4, high) {
            (true, false) => number_of(ip("10.0.0.0")),
            (true, true) => number_of(ip("255.255.255.0")),
            (false, false) => number_of(ip("2001:db8::")),
            (false, true) => u128::MAX - 255,
        };
        let at = |offset: u32| address_of(base + u128::from(offset), v4);
        let mut made: Vec<Range> = Vec::new();
        for (place, bits, start, end, gateway) in ranges {
            let (bits, size) = (bits.max(2), 1 << bits.max(2));
            let length = (if v4 { 32 } else { 128 }) - u8::try_from(bits).unwrap();
            let subnet = IpNet::new(at(place * 64), length).unwrap();
            let within = |offset: Option<u32>| offset.map(|n| at(place * 64 + n % size));
            let (start, end) = (within(start), within(end));
            let gateway = gateway.map(|n| at((place * 64 + n).min(255)));
            if let Ok(range) = Range::new(subnet, start, end, gateway)
                && !made.iter().any(|other| other.overlaps(&range))
            {
                made.push(range);
            }
        }
        if made.is_empty() {
            let length = if v4 { 29 } else { 125 };
            made.push(Range::new(IpNet::new(at(0), length).unwrap(), None, None, None).unwrap());
        }
        RangeSet::new(made).unwrap()
    })
}

proptest! {
    #[test]
    fn goes_round_as_host_local_does(set in small_set(), offset in prop::option::of(0..255_u128)) {
        let base = number_of(set.ranges()[0].start()) & !255;
        let cursor = offset.map(|offset| address_of(base + offset, set.is_ipv4()));
        let ours: Vec<(IpAddr, Range)> = set.round(cursor).map(|(a, r)| (a, *r)).collect();
        let theirs: Vec<(IpAddr, Range)> = RangeIter::new(&set, cursor).map(|(a, r)| (a, *r)).collect();
        prop_assert_eq!(&ours, &theirs);
        prop_assert_eq!(ours.len() as u128, set.size());
        for (address, range) in &ours {
            prop_assert!(range.contains(*address) && set.contains(*address) && *address != range.gateway());
        }
    }

    #[test]
    fn knows_its_members(
        v4 in any::<bool>(),
        number in any::<u128>(),
        length in 0..=126_u8,
        cut in any::<(u128, u128)>(),
        other in any::<u128>(),
    ) {
        let (bits, number) = if v4 { (32, number_of(IpAddr::V4(u32::try_from(number >> 96).unwrap().into()))) } else { (128, number) };
        let length = length.min(bits - 2);
        let subnet = IpNet::new(address_of(number, v4), length).unwrap().trunc();
        prop_assume!(v4 || !subnet.addr().to_canonical().is_ipv4());
        let (first, last) = (number_of(subnet.network()), number_of(subnet.broadcast()));
        let inside = |n: u128| address_of(first + n % (last - first).max(1), v4);
        let (a, b) = (inside(cut.0), inside(cut.1));
        let range = Range::new(subnet, Some(a.min(b)), Some(a.max(b)), None).unwrap();
        for address in [inside(other), a, b, subnet.network(), subnet.broadcast()] {
            let number = number_of(address);
            let naive = number_of(a).min(number_of(b)) <= number && number <= number_of(a).max(number_of(b));
            prop_assert_eq!(range.contains(address), naive);
        }
        let foreign = if v4 { ip("2001:db8::1") } else { ip("10.0.0.1") };
        prop_assert!(!range.contains(foreign));
    }
}

#[test]
fn wraps_at_the_last_address_of_a_family() {
    for (net, end) in [
        ("255.255.255.252/30", "255.255.255.255"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        let range = Range::new(net.parse().unwrap(), None, Some(ip(end)), None).unwrap();
        let set = RangeSet::new(vec![range]).unwrap();
        let round: Vec<IpAddr> = set.round(Some(ip(end))).map(|(address, _)| address).collect();
        assert_eq!(round.len(), 2, "{net}: the gateway is left out");
        assert_eq!(round[1], ip(end));
    }
    assert_eq!(set(&["::/0"]).size(), u128::MAX - 1);
}
