use std::collections::BTreeSet;
use std::net::IpAddr;

use claims::{Event, Place, Run, Version};
use proptest::prelude::*;

use crate::given::{active, ip, knows, run};

#[test]
fn a_node_goes_on_in_sequence_from_its_own_place() {
    let taken = knows(&[]);
    let (mut one, mut other) = (Place::of("n1"), Place::of("n2"));
    let usable = [run(1, 100)];
    let first = one.next(&usable, taken.network("lan")).unwrap();
    assert_ne!(Some(first), other.next(&usable, taken.network("lan")));
    let IpAddr::V4(first) = first else { panic!("{first}") };
    let second = one.next(&usable, taken.network("lan"));
    assert_eq!(second, Some(ip(first.octets()[3] % 100 + 1)));
}

#[test]
fn sixty_four_bits_cost_no_more_than_their_gaps() {
    let usable: Run = ("fd00::1".parse().unwrap(), "fd00::ffff:ffff:ffff:ffff".parse().unwrap());
    let mut taken = knows(&[]);
    let mut place = Place::of("n1");
    let mut seen = BTreeSet::new();
    for n in 1..=100 {
        let address = place.next(&[usable], taken.network("lan")).unwrap();
        assert!(seen.insert(address) && address >= usable.0 && address <= usable.1);
        taken.apply(Event::Applied(claims::Claim { address, ..active(1, "n2", n) }));
    }
    let numbers = taken.network("lan").numbers(&[usable]);
    assert_eq!((numbers.usable, numbers.used), (u128::from(u64::MAX), 100));
}

#[test]
fn all_of_ipv6_and_nothing_at_all_are_no_special_cases() {
    let taken = knows(&[]);
    let all: Run = ("::".parse().unwrap(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap());
    assert!(Place::of("n1").next(&[all], taken.network("lan")).is_some());
    assert_eq!(Place::of("n1").next(&[], taken.network("lan")), None);
}

/// Runs in order and apart, from pairs of a gap and a length.
fn runs(pairs: &[(u8, u8)]) -> Vec<Run> {
    let mut next = 0;
    let place = |(gap, length): &(u8, u8)| {
        let from = next + gap;
        next = from + length + 1;
        run(from, from + length)
    };
    pairs.iter().map(place).collect()
}

proptest! {
    /// Whatever is taken: a round gives every free address once and no other, and the numbers fit.
    #[test]
    fn a_round_gives_all_that_is_free(
        pairs in prop::collection::vec((1..4u8, 0..5u8), 0..6),
        taken_ones in prop::collection::btree_set(0..60u8, 0..40),
        node in "[a-z]{1,8}",
    ) {
        let usable = runs(&pairs);
        let claims: Vec<_> = taken_ones.iter().map(|n| active(*n, "n2", 1)).collect();
        let mut taken = knows(&claims);
        let inside = |n: &u8| usable.iter().any(|run| run.0 <= ip(*n) && ip(*n) <= run.1);
        let free: BTreeSet<IpAddr> =
            (0..60).filter(|n| inside(n) && !taken_ones.contains(n)).map(ip).collect();
        let numbers = taken.network("lan").numbers(&usable);
        let all = (0..60).filter(inside).count();
        prop_assert_eq!(numbers.usable, u128::try_from(all).unwrap());
        prop_assert_eq!(numbers.usable - numbers.used, u128::try_from(free.len()).unwrap());

        let mut place = Place::of(&node);
        let mut given = BTreeSet::new();
        let mut version = 1;
        while let Some(address) = place.next(&usable, taken.network("lan")) {
            prop_assert!(given.insert(address), "{} twice", address);
            version += 1;
            taken.wrote(&claims::Claim { address, version: Version(version), ..active(0, "n1", 0) });
        }
        prop_assert_eq!(given, free);
    }
}
