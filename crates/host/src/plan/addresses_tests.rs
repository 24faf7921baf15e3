use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use super::*;

fn address(text: &str) -> Address {
    Address::new(0, text.parse().unwrap())
}

fn built(order: &[Address]) -> Vec<Address> {
    let mut list = Vec::new();
    order.iter().for_each(|address| insert(&mut list, address.clone()));
    list
}

fn words(list: &[Address]) -> String {
    list.iter().map(|a| a.net.to_string()).collect::<Vec<_>>().join(" ")
}

/// Few subnets and scopes, so that addresses meet.
fn pool() -> Vec<Address> {
    let mut pool: Vec<Address> = Vec::new();
    for net in ["10.1.0", "10.2.0", "10.3.0"] {
        for host in 1..4 {
            pool.push(address(&format!("{net}.{host}/24")));
        }
    }
    pool.push(address("10.1.0.9/16"));
    for net in ["fd01::", "fd02::", "fe80::1:", "fec0::"] {
        for host in 1..4 {
            pool.push(address(&format!("{net}{host}/64")));
        }
    }
    for (nth, address) in pool.iter_mut().enumerate() {
        match address.net {
            IpNet::V4(net) if net.addr().octets()[1] == 3 => address.scope = 253,
            IpNet::V6(net) if net.addr().segments()[0] == 0xfe80 => address.scope = 253,
            IpNet::V6(net) if net.addr().segments()[0] == 0xfec0 => address.scope = 200,
            _ => {}
        }
        if nth % 5 == 0 {
            address.flags |= IFA_F_NOPREFIXROUTE;
        }
    }
    pool
}

/// A list that a kernel could have after some additions and deletions.
fn reachable() -> impl Strategy<Value = Vec<Address>> {
    let pool = pool();
    let len = pool.len();
    let deletions = proptest::collection::vec(any::<(Index, bool)>(), 0..4);
    (subsequence(pool, 0..=len).prop_shuffle(), deletions).prop_map(|(order, deletions)| {
        let mut list = built(&order);
        for (index, promote) in deletions {
            if !list.is_empty() {
                let gone = list[index.index(list.len())].clone();
                remove(&mut list, &gone, promote);
            }
        }
        list
    })
}

fn play(current: &[Address], changes: &Changes, promote: bool) -> Vec<Address> {
    let mut list = current.to_vec();
    changes.before.iter().for_each(|a| assert!(remove(&mut list, a, promote), "{a:?} is gone already"));
    changes.add.iter().for_each(|a| insert(&mut list, a.clone()));
    changes.after.iter().for_each(|a| assert!(remove(&mut list, a, promote), "{a:?} is gone already"));
    list
}

fn by_family(list: &[Address]) -> Vec<Address> {
    let (v4, v6): (Vec<Address>, Vec<Address>) = list.iter().cloned().partition(|a| a.net.addr().is_ipv4());
    [v4, v6].concat()
}

proptest! {
    #[test]
    fn any_list_becomes_any_other_in_its_order(current in reachable(), wanted in reachable(), promote: bool) {
        let changes = plan(&current, &wanted, promote);
        let end = play(&current, &changes, promote);
        prop_assert_eq!(words(&by_family(&end)), words(&by_family(&wanted)));
        prop_assert!(by_family(&end).iter().zip(by_family(&wanted)).all(|(a, b)| alike(a, &b)));
        let again = plan(&end, &wanted, promote);
        prop_assert_eq!(again, Changes::default());
    }
}

#[test]
fn what_need_not_move_stays() {
    let current = built(&["10.1.0.1/24", "10.1.0.2/24", "fd01::1/64"].map(address));
    let mut wanted = current.clone();
    insert(&mut wanted, address("10.2.0.1/24"));
    insert(&mut wanted, address("fd01::2/64"));
    let changes = plan(&current, &wanted, false);
    assert_eq!((words(&changes.before), words(&changes.after)), (String::new(), String::new()));
    assert_eq!(words(&changes.add), "10.2.0.1/24 fd01::2/64");
    // What replaces is there before what it replaces goes.
    let wanted = built(&["10.2.0.1/24", "10.2.0.2/24"].map(address));
    let changes = plan(&current, &wanted, false);
    assert_eq!(words(&changes.before), "");
    assert_eq!(words(&changes.after), "10.1.0.2/24 10.1.0.1/24 fd01::1/64");
}

#[test]
fn secondaries_come_back_after_their_primary_changed() {
    let current = built(&["10.1.0.1/24", "10.1.0.2/24", "10.1.0.3/24"].map(address));
    let wanted = built(&["10.1.0.2/24", "10.1.0.3/24"].map(address));
    for promote in [false, true] {
        let changes = plan(&current, &wanted, promote);
        assert_eq!(words(&play(&current, &changes, promote)), "10.1.0.2/24 10.1.0.3/24");
    }
}

#[test]
fn lifetimes_count_down_without_being_a_difference() {
    let mut lent = address("fd01::1/64");
    (lent.valid, lent.preferred) = (Some(1000), Some(500));
    let mut later = lent.clone();
    (later.valid, later.preferred) = (Some(997), Some(497));
    assert_eq!(plan(&[later.clone()], &[lent.clone()], false), Changes::default());
    later.preferred = Some(100);
    assert_eq!(plan(&[later], &[lent.clone()], false).add, [lent]);
}

#[test]
fn the_kernels_own_addresses_are_known() {
    let mac: MacAddr = "02:00:00:00:09:01".parse().unwrap();
    assert_eq!(link_local(mac), "fe80::ff:fe00:901".parse::<std::net::Ipv6Addr>().unwrap());
    assert!(is_kernels(&address("fe80::ff:fe00:901/64"), Some(mac)));
    assert!(!is_kernels(&address("fe80::1/64"), Some(mac)));
    assert!(is_kernels(&Address { proto: IFAPROT_KERNEL_LL, ..address("fe80::1/64") }, None));
}
