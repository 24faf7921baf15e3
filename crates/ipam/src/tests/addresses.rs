use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::ip;
use crate::Addresses;
use crate::range::address_of;

/// The 256 addresses at one end of one family's space.
fn corner(which: usize, offset: u8) -> IpAddr {
    let offset = u128::from(offset);
    match which {
        0 => IpAddr::V4(u32::try_from(offset).unwrap().into()),
        1 => IpAddr::V4((u32::MAX - 255 + u32::try_from(offset).unwrap()).into()),
        2 => IpAddr::V6(offset.into()),
        _ => IpAddr::V6((u128::MAX - 255 + offset).into()),
    }
}

proptest! {
    #[test]
    fn is_a_set_of_addresses(
        which in 0..4_usize,
        steps in prop::collection::vec((any::<bool>(), any::<u8>(), any::<u8>()), 1..40),
        from in any::<u8>(),
        to in any::<u8>(),
    ) {
        let mut addresses = Addresses::new();
        let mut model = BTreeSet::new();
        for (add, a, b) in steps {
            // In the wrong order nothing happens.
            let run = a..=b;
            if add {
                addresses.insert_run(corner(which, a), corner(which, b));
                model.extend(run);
            } else {
                addresses.remove_run(corner(which, a), corner(which, b));
                model.retain(|n| !run.contains(n));
            }
            prop_assert_eq!(addresses.len(), model.len() as u128);
            prop_assert_eq!(addresses.is_empty(), model.is_empty());
        }
        for n in 0..=255 {
            prop_assert_eq!(addresses.contains(corner(which, n)), model.contains(&n));
            prop_assert!(!addresses.contains(corner((which + 1) % 4, n)));
        }
        let listed: Vec<IpAddr> = model.iter().map(|n| corner(which, *n)).collect();
        prop_assert_eq!(addresses.iter().collect::<Vec<_>>(), listed);
        let gap = (from..=to).find(|n| !model.contains(n)).map(|n| corner(which, n));
        let found = if from <= to { addresses.first_gap(corner(which, from), corner(which, to)) } else { None };
        prop_assert_eq!(found, gap);
        // Runs never touch: the same set is always the same value.
        let mut again = Addresses::new();
        model.iter().rev().for_each(|n| again.insert(corner(which, *n)));
        prop_assert_eq!(again, addresses);
    }

    #[test]
    fn takes_subnets_of_any_length(
        v4 in any::<bool>(),
        number in any::<u128>(),
        length in 0..=128_u8,
        hole in 0..=128_u8,
        others in prop::collection::vec(any::<u128>(), 20),
    ) {
        let bits = if v4 { 32 } else { 128 };
        let number = if v4 { number & 0xffff_ffff } else { number };
        let address = |number: u128| match v4 {
            true => IpAddr::V4(u32::try_from(number & 0xffff_ffff).unwrap().into()),
            false => address_of(number, false),
        };
        let net = IpNet::new(address(number), length.min(bits)).unwrap();
        let hole = IpNet::new(address(number), hole.min(bits)).unwrap();
        let mut addresses = Addresses::new();
        addresses.insert_net(net);
        let size = 1_u128.checked_shl(u32::from(bits - net.prefix_len())).unwrap_or(u128::MAX);
        prop_assert_eq!(addresses.len(), size);
        addresses.remove_net(hole);
        // Near ones, which share its first bits, and far ones.
        for other in others.iter().flat_map(|other| [*other, number ^ (*other % 16), number ^ (*other >> 100)]) {
            let other = address(other);
            prop_assert_eq!(addresses.contains(other), net.contains(&other) && !hole.contains(&other));
        }
        addresses.remove_net(net);
        prop_assert!(addresses.is_empty());
    }
}

#[test]
fn families_do_not_mix() {
    let mut addresses = Addresses::new();
    addresses.insert_net("::/0".parse().unwrap());
    assert!(
        addresses.contains(ip("::")) && addresses.contains(ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
    );
    assert!(!addresses.contains(ip("10.0.0.1")));
    assert_eq!(addresses.len(), u128::MAX, "saturated");
    addresses.insert_run(ip("10.0.0.1"), ip("::1"));
    assert_eq!(addresses.runs().count(), 1);
    assert_eq!(addresses.first_gap(ip("10.0.0.1"), ip("::1")), None);
    assert_eq!(addresses.first_gap(ip("::5"), ip("::9")), None);
}
