//! `ipam.type: dhcp` against Kea, whose leases may be as short as seconds: the ends of leases, and DHCPv6.

#[path = "dhcp/mod.rs"]
mod dhcp;

use dhcp::{Bench, addresses, wait};
use serde_json::{Value, json};

/// Leases of eight seconds.
fn v4(pool: &str) -> Value {
    json!({
        "valid-lifetime": 8, "renew-timer": 2, "rebind-timer": 4, "authoritative": true,
        "subnet4": [{
            "subnet": "10.77.0.0/24", "pools": [{"pool": pool}],
            "option-data": [{"name": "routers", "data": "10.77.0.1"}],
        }],
    })
}

fn v6(valid: u32, rapid: bool) -> Value {
    json!({
        "preferred-lifetime": valid, "valid-lifetime": valid, "renew-timer": valid / 4, "rebind-timer": valid / 2,
        "subnet6": [{
            "subnet": "2001:db8:77::/64", "interface": "eth0", "rapid-commit": rapid,
            "pools": [{"pool": "2001:db8:77::100 - 2001:db8:77::1ff"}],
            "option-data": [{"name": "dns-servers", "data": "2001:db8::53"}],
        }],
    })
}

const IPV6: &str = "ipv6";

#[test]
fn renewal_keeps_an_eight_second_lease_and_release_frees_it() {
    let bench = Bench::new();
    let server = bench.kea("one", 4, v4("10.77.0.50-10.77.0.60"));
    let pod = bench.host().container("pod").unwrap();
    let answer = bench.add(&pod, &json!({})).unwrap();
    let address = answer.address().unwrap().to_string();
    // Each grant is a line of the file.
    wait("five grants", || server.leases().matches(&address).count() >= 5);
    assert_eq!(addresses(&pod), [answer.addresses()[0].to_string()]);
    bench.del(&pod, &json!({})).unwrap();
    wait("the lease to be released", || {
        server.log().contains("DHCP4_RELEASE ") || server.log().contains("DHCP4_RELEASE\n")
    });
    // The next pod may have it at once: a pool of one shows that it is free.
    wait("a lifetime of zero in the file", || {
        let last = server.leases().lines().rfind(|l| l.starts_with(&address)).map(str::to_owned);
        last.is_some_and(|l| l.split(',').nth(3) == Some("0"))
    });
}

#[test]
fn a_released_address_is_free_for_the_next_pod() {
    let bench = Bench::new();
    let _server = bench.kea("one", 4, v4("10.77.0.50-10.77.0.50"));
    let mut seen = Vec::new();
    for name in ["a", "b", "c"] {
        let pod = bench.host().container(name).unwrap();
        seen.push(bench.add(&pod, &json!({})).unwrap().addresses()[0].to_string());
        bench.del(&pod, &json!({})).unwrap();
    }
    assert_eq!(seen, ["10.77.0.50/24"; 3]);
}

#[test]
fn without_server_the_address_goes_with_the_lease_and_comes_back_with_the_server() {
    let bench = Bench::new();
    let server = bench.kea("one", 4, v4("10.77.0.50-10.77.0.60"));
    let pod = bench.host().container("pod").unwrap();
    let answer = bench.add(&pod, &json!({})).unwrap();
    let address = answer.addresses()[0].to_string();
    server.stop();
    // Granted at most two seconds before the server went: for the next four the lease holds for sure.
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(addresses(&pod), std::slice::from_ref(&address), "kept while the lease lasts");
    wait("the address to leave the link", || addresses(&pod).is_empty());
    assert!(bench.check(&pod, &json!({}), &answer).is_err());
    assert_eq!(bench.leases()[0]["addresses"], json!([]));
    let server = bench.kea("one", 4, v4("10.77.0.50-10.77.0.60"));
    wait("the address to come back", || addresses(&pod) == std::slice::from_ref(&address));
    wait("the route to come back", || dhcp::gateway(&pod).as_deref() == Some("10.77.0.1"));
    bench.check(&pod, &json!({}), &answer).unwrap();
    bench.del(&pod, &json!({})).unwrap();
    drop(server);
}

#[test]
fn a_short_absence_of_the_server_changes_nothing() {
    let bench = Bench::new();
    let server = bench.kea("one", 4, v4("10.77.0.50-10.77.0.60"));
    let pod = bench.host().container("pod").unwrap();
    let answer = bench.add(&pod, &json!({})).unwrap();
    server.stop();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let server = bench.kea("one", 4, v4("10.77.0.50-10.77.0.60"));
    let address = answer.address().unwrap().to_string();
    let before = server.leases().matches(&address).count();
    wait("two more grants", || server.leases().matches(&address).count() >= before + 2);
    assert_eq!(addresses(&pod), [answer.addresses()[0].to_string()]);
    assert!(!server.log().contains("DHCPDISCOVER"), "it never had to look for an address anew");
    bench.del(&pod, &json!({})).unwrap();
}

#[test]
fn a_conflict_is_declined() {
    let bench = Bench::new();
    let server = bench.kea("one", 4, v4("10.77.0.50-10.77.0.51"));
    bench.squat("10.77.0.50/24");
    let pod = bench.host().container("pod").unwrap();
    let answer = bench.add(&pod, &json!({})).unwrap();
    assert_eq!(answer.addresses()[0].to_string(), "10.77.0.51/24");
    assert!(server.log().contains("DHCP4_DECLINE_LEASE"));
    bench.del(&pod, &json!({})).unwrap();
}

#[test]
fn ipv6_is_got_renewed_and_released() {
    for rapid in [false, true] {
        let bench = Bench::new();
        let server = bench.kea("one", 6, v6(8, rapid));
        let pod = bench.host().container("pod").unwrap();
        let ipam = json!({"families": [IPV6]});
        let answer = bench.add(&pod, &ipam).unwrap();
        let address = answer.address().unwrap().to_string();
        assert_eq!(answer.addresses()[0].prefix_len(), 128);
        assert_eq!(addresses(&pod), [format!("{address}/128")]);
        wait("three grants", || server.leases().matches(&format!("{address},")).count() >= 3);
        assert!(server.log().contains("RENEW"), "rapid {rapid}");
        assert_eq!(
            server.log().contains("DHCP6_LEASE_ADVERT"),
            !rapid,
            "rapid commit needs two messages, not four"
        );
        bench.check(&pod, &ipam, &answer).unwrap();
        bench.del(&pod, &ipam).unwrap();
        wait("the lease to be released", || server.log().contains("DHCP6_RELEASE_NA"));
        assert!(bench.leases().is_empty());
    }
}

#[test]
fn ipv6_conflict_is_declined() {
    let bench = Bench::new();
    let server = bench.kea("one", 6, v6(60, false));
    // Kea's first choice is the first of the pool.
    bench.squat("2001:db8:77::100/64");
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({"families": [IPV6]});
    let answer = bench.add(&pod, &ipam).unwrap();
    assert_ne!(answer.address().unwrap().to_string(), "2001:db8:77::100");
    assert!(server.log().contains("DHCP6_DECLINE_LEASE"));
    bench.del(&pod, &ipam).unwrap();
}

#[test]
fn ipv6_address_goes_with_the_lease_and_comes_back() {
    let bench = Bench::new();
    let server = bench.kea("one", 6, v6(8, false));
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({"families": [IPV6]});
    bench.add(&pod, &ipam).unwrap();
    server.stop();
    wait("the address to leave the link", || addresses(&pod).is_empty());
    let _server = bench.kea("one", 6, v6(60, false));
    wait("an address to come back", || addresses(&pod).len() == 1);
    bench.del(&pod, &ipam).unwrap();
}

#[test]
fn an_exhausted_ipv6_pool_is_told_by_its_status() {
    let bench = Bench::new();
    let mut config = v6(60, false);
    config["subnet6"][0]["pools"] = json!([]);
    let _server = bench.kea("one", 6, config);
    let pod = bench.host().container("pod").unwrap();
    let error = bench.add(&pod, &json!({"families": [IPV6], "timeout": 5})).unwrap_err().to_string();
    assert!(error.contains("NoAddrsAvail"), "{error}");
}
