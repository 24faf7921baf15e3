//! Which address a pod gets.

use api::kinds::claim_name;
use claims::{Claim, Hold, Keeper, KeptFor, Owner, Reason, Time, Version};
use kernel::MacAddr;
use serde_json::json;

use super::{Agent, LONG, Server, made_by, pod, reservation, subnet, texts};

fn lan(ranges: &str) -> api::kinds::Subnet {
    subnet("lan4", "10.0.0.0/24", &json!({"gateway": "10.0.0.1", "ranges": [ranges]}))
}

fn list(ips: &str, more: &str) -> String {
    format!(r#"[{{"interface":"eth0","ips":[{ips}]{more}}}]"#)
}

#[test]
fn a_free_address_costs_one_create_and_a_taken_one_is_passed_by() {
    let server = Server::default();
    let (one, two) = (
        Agent::new(&server, "n1", vec![lan("10.0.0.5-10.0.0.9")]),
        Agent::new(&server, "n2", vec![lan("10.0.0.5-10.0.0.9")]),
    );
    let asked = list(r#""10.0.0.5","10.0.0.6""#, "");
    assert_eq!(one.get(&pod("a", "ua"), "ca", Some(&asked)).unwrap(), "10.0.0.5");
    assert_eq!(server.log(), ["create lan.10.0.0.5"]);
    // The other node's watch is behind.
    let until = std::time::Instant::now() + LONG;
    let claimed = two.ask_until(&pod("b", "ub"), "cb", Some(&asked), until).unwrap();
    assert_eq!(texts(&claimed), "10.0.0.6");
    assert_eq!(server.log(), ["create lan.10.0.0.5!", "create lan.10.0.0.6"]);
    assert_eq!(server.texts(), ["lan.10.0.0.5 a@n1", "lan.10.0.0.6 b@n2"]);
    let claim = server.claim("lan.10.0.0.6");
    assert!(claim.mac.is_some_and(|mac| !mac.is_multicast()));
    assert_eq!((claim.owner.uid.as_str(), claim.owner.container_id.as_str()), ("ub", "cb"));
    // Asked again for the same sandbox: it has it.
    assert_eq!(two.get(&pod("b", "ub"), "cb", Some(&asked)).unwrap(), "10.0.0.6");
    assert!(server.log().is_empty());
}

#[test]
fn nobody_gets_what_another_has_and_a_full_subnet_says_who_has_it() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan("10.0.0.5-10.0.0.7")]);
    let mut got: Vec<String> = (0..3)
        .map(|n| node.get(&pod(&format!("p{n}"), &format!("u{n}")), &format!("c{n}"), None).unwrap())
        .collect();
    got.sort();
    assert_eq!(got, ["10.0.0.5", "10.0.0.6", "10.0.0.7"]);
    assert_eq!(server.log().len(), 3, "one write each");
    let error = node.ask(&pod("late", "ul"), "cl", None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no free address in subnet lan4 (3 usable addresses: 3 used, 0 held, 0 in quarantine); \
         llano subnet show lan4 says who has them"
    );
    assert_eq!((error.event().reason, error.to_cni().code()), ("AddressesExhausted", cni::code::TRY_AGAIN));
}

#[test]
fn a_new_sandbox_of_the_pod_keeps_its_address() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan("10.0.0.5-10.0.0.9")]);
    let web = pod("web", "u");
    let address = node.get(&web, "c1", None).unwrap();
    assert_eq!(node.get(&web, "c2", None).unwrap(), address);
    assert_eq!(server.log(), [format!("create lan.{address}"), format!("update lan.{address}")]);
    // The old sandbox's end is none of the new one's business.
    node.end("c1", true).unwrap();
    assert!(server.log().is_empty());
    assert_eq!(server.texts(), [format!("lan.{address} web@n1")]);
}

#[test]
fn a_stateful_pod_gets_its_address_and_mac_back_on_another_node_and_not_before_the_old_one_let_go() {
    let server = Server::default();
    let (one, two) = (
        Agent::new(&server, "n1", vec![lan("10.0.0.5-10.0.0.9")]),
        Agent::new(&server, "n2", vec![lan("10.0.0.5-10.0.0.9")]),
    );
    let before = made_by("StatefulSet", "db", pod("db-0", "u1"));
    let address = one.get(&before, "c1", None).unwrap();
    let name = format!("lan.{address}");
    let mac = server.claim(&name).mac;
    two.deliver();
    let after = made_by("StatefulSet", "db", pod("db-0", "u2"));
    let waits = two.get(&after, "c2", None).unwrap_err();
    assert_eq!(
        waits,
        format!(
            "{address} is kept for this pod, but still in use on node n1; it is free when the pod before it has let go"
        )
    );
    let until = std::time::Instant::now() + LONG;
    let got = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| two.ask_until(&after, "c2", None, until).map(|claimed| texts(&claimed)));
        server.lock().ended.insert("u1".to_owned());
        one.end("c1", true).unwrap();
        two.deliver();
        waiting.join().unwrap()
    });
    assert_eq!(got.unwrap(), address);
    assert_eq!(server.texts(), [format!("{name} db-0@n2")]);
    let claim = server.claim(&name);
    assert_eq!((claim.mac, claim.owner.uid.as_str()), (mac, "u2"));
    assert_eq!(claim.kept_for.map(|kept_for| kept_for.name), Some("db".to_owned()));
}

/// What the controller holds for a reservation.
fn held(address: &str, reservation: &str, mac: u8) -> (String, Claim) {
    let kept_for =
        KeptFor { kind: Keeper::Reservation, namespace: "shop".to_owned(), name: reservation.to_owned() };
    let address = address.parse().unwrap();
    let claim = Claim {
        network: "lan".to_owned(),
        subnet: "lan4".to_owned(),
        address,
        mac: Some(MacAddr([2, 0, 0, 0, 0, mac])),
        owner: Owner { namespace: "shop".to_owned(), ..Owner::default() },
        kept_for: Some(kept_for),
        hold: Some(Hold { reason: Reason::Reservation, since: Time(1), until: None, message: None }),
        version: Version::default(),
    };
    (claim_name("lan", address), claim)
}

#[test]
fn what_was_had_before_and_is_kept_is_known_as_such_and_so_is_a_mac_that_nobody_has_had() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan("10.0.0.5-10.0.0.9")]);
    // Whether the address was kept and had, and whether the MAC is new.
    let known = |pod: &crate::PodView, container: &str, asked: Option<&str>| {
        let claimed = node.ask(pod, container, asked).unwrap();
        (claimed.addresses[0].kept, claimed.new_mac)
    };
    let set = |uid: &str| made_by("StatefulSet", "db", pod("db-0", uid));
    assert_eq!(known(&set("u1"), "c1", None), (false, true), "new");
    assert_eq!(known(&set("u1"), "c2", None), (true, false), "its next sandbox");
    node.end("c2", true).unwrap();
    node.deliver();
    server.lock().ended.insert("u1".to_owned());
    assert_eq!(known(&set("u1"), "c3", None), (true, false), "taken");

    let web = pod("web", "uw");
    assert_eq!(known(&web, "c4", None), (false, true));
    assert_eq!(known(&web, "c5", None), (false, false), "its own, but kept for nobody");
    let macs = r#"[{"interface":"eth0","auto":true,"macs":["02:00:5e:00:00:07"]}]"#;
    assert_eq!(known(&pod("asking", "ua"), "c6", Some(macs)), (false, false), "somebody chose the MAC");

    // One of a reservation is nobody's before, though its MAC may be somebody's.
    let (name, claim) = held("10.0.0.9", "team", 9);
    server.control(&name, Some(Claim { mac: None, ..claim }));
    node.deliver();
    node.view.reservation_applied(reservation("team", &json!({"subnet": "lan4", "count": 1})));
    let named = r#"[{"interface":"eth0","reservation":"team"}]"#;
    let member = |name: &str| pod(name, &format!("u-{name}"));
    assert_eq!(known(&member("m1"), "c7", Some(named)), (false, true));
    server.lock().ended.insert("u-m1".to_owned());
    node.end("c7", true).unwrap();
    assert_eq!(known(&member("m2"), "c8", Some(named)), (true, false));
}

#[test]
fn a_workload_with_a_reservation_gets_its_addresses_and_no_others() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan("10.0.0.5-10.0.0.9")]);
    for (name, claim) in [held("10.0.0.7", "pair", 7), held("10.0.0.8", "pair", 8)] {
        server.control(&name, Some(claim));
    }
    node.deliver();
    let spec = json!({"subnet": "lan4", "workload": {"kind": "Deployment", "name": "web"},
        "addresses": [{"ip": "10.0.0.7"}, {"ip": "10.0.0.8"}]});
    node.view.reservation_applied(reservation("pair", &spec));
    let replica = |name: &str, uid: &str| {
        let mut pod = made_by("ReplicaSet", "web-5d9", pod(name, uid));
        pod.addressing.labels.insert("pod-template-hash".to_owned(), "5d9".to_owned());
        pod
    };
    let first = node.ask(&replica("web-5d9-a", "ua"), "ca", None).unwrap();
    assert_eq!((texts(&first).as_str(), first.mac), ("10.0.0.7", Some(MacAddr([2, 0, 0, 0, 0, 7]))));
    assert_eq!(node.get(&replica("web-5d9-b", "ub"), "cb", None).unwrap(), "10.0.0.8");
    node.deliver();
    assert_eq!(
        node.get(&replica("web-5d9-c", "uc"), "cc", None).unwrap_err(),
        "no address of reservation pair is free; they are used by 10.0.0.7 (web-5d9-a), 10.0.0.8 (web-5d9-b)"
    );
    // Others are not for these.
    assert!(!["10.0.0.7", "10.0.0.8"].contains(&node.get(&pod("other", "uo"), "co", None).unwrap().as_str()));
    // One that names an address of its own gets it; naming one that is reserved for it, it gets that.
    let own = |ip: &str| list(&format!("{ip:?}"), "");
    let free = ["10.0.0.5", "10.0.0.6", "10.0.0.9"]
        .into_iter()
        .find(|ip| !server.texts().iter().any(|text| text.contains(ip)));
    let free = free.unwrap();
    assert_eq!(node.get(&replica("web-5d9-d", "ud"), "cd", Some(&own(free))).unwrap(), free);
    node.end("ca", true).unwrap();
    node.deliver();
    assert_eq!(node.get(&replica("web-5d9-a", "ua"), "ca2", Some(&own("10.0.0.7"))).unwrap(), "10.0.0.7");
    let named = r#"[{"interface":"eth0","reservation":"pair"}]"#;
    let refused = node.get(&pod("thief", "ut"), "ct", Some(named)).unwrap_err();
    assert!(refused.contains("MacvlanReservation pair in namespace shop is not for this pod"), "{refused}");
    let missing = r#"[{"interface":"eth0","reservation":"none"}]"#;
    let refused = node.get(&pod("x", "ux"), "cx", Some(missing)).unwrap_err();
    assert_eq!(refused, "there is no MacvlanReservation none in namespace shop");
}

#[test]
fn an_ordinal_has_its_own_address() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan("10.0.0.5-10.0.0.9")]);
    for (name, claim) in [held("10.0.0.7", "db", 7), held("10.0.0.8", "db", 8)] {
        server.control(&name, Some(claim));
    }
    node.deliver();
    let spec = json!({"subnet": "lan4", "workload": {"kind": "StatefulSet", "name": "db"},
        "ordinals": [{"ordinal": 0, "ip": "10.0.0.8"}, {"ordinal": 1, "ip": "10.0.0.7"}]});
    node.view.reservation_applied(reservation("db", &spec));
    for (pod_name, expected) in [("db-1", "10.0.0.7"), ("db-0", "10.0.0.8")] {
        let replica = made_by("StatefulSet", "db", pod(pod_name, pod_name));
        assert_eq!(node.get(&replica, pod_name, None).unwrap(), expected);
    }
}

#[test]
fn listed_addresses_have_their_macs_and_only_those_that_the_subnet_gives() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan("10.0.0.5-10.0.0.9")]);
    let pairs = list(r#""10.0.0.5","10.0.0.6""#, r#","macs":["02:00:00:00:00:05","02:00:00:00:00:06"]"#);
    for (name, address, mac) in [("a", "10.0.0.5", 5), ("b", "10.0.0.6", 6)] {
        let claimed = node.ask(&pod(name, name), name, Some(&pairs)).unwrap();
        assert_eq!((texts(&claimed).as_str(), claimed.mac), (address, Some(MacAddr([2, 0, 0, 0, 0, mac]))));
    }
    assert_eq!(
        node.get(&pod("c", "uc"), "cc", Some(&pairs)).unwrap_err(),
        "the wanted addresses are taken: 10.0.0.5, 10.0.0.6"
    );
    let outside = node.ask(&pod("d", "ud"), "cd", Some(&list(r#""10.0.0.77""#, ""))).unwrap_err();
    assert_eq!(
        outside.to_string(),
        "10.0.0.77: no subnet of network lan gives it; allowed are addresses in a MacvlanSubnet's spec.ranges and not in \
         spec.exclude"
    );
    assert_eq!(outside.event().reason, "AddressRefused");
    // Content with others, as a last resort.
    let auto = list(r#""10.0.0.5""#, r#","auto":true"#);
    let other = node.get(&pod("e", "ue"), "ce", Some(&auto)).unwrap();
    assert!(["10.0.0.7", "10.0.0.8", "10.0.0.9"].contains(&other.as_str()), "{other}");
    let macs = r#"[{"interface":"eth0","auto":true,"macs":["02:00:00:00:00:05","02:00:00:00:00:06"]}]"#;
    let refused = node.get(&pod("f", "uf"), "cf", Some(macs)).unwrap_err();
    assert!(refused.starts_with("2 MAC addresses without addresses"), "{refused}");
}

#[test]
fn both_families_share_the_interfaces_mac() {
    let server = Server::default();
    let six = subnet("lan6", "fd00::/64", &json!({"pairWith": "lan4", "ranges": ["fd00::5-fd00::9"]}));
    let node = Agent::new(&server, "n1", vec![lan("10.0.0.5-10.0.0.9"), six]);
    let claimed = node.ask(&pod("web", "u"), "c", None).unwrap();
    assert_eq!(claimed.addresses.len(), 2);
    assert!(claimed.addresses[0].address.is_ipv4() && claimed.addresses[1].address.is_ipv6());
    let macs: Vec<_> = server.lock().claims.values().map(|claim| claim.mac).collect();
    assert_eq!(macs, [claimed.mac, claimed.mac]);
    node.end("c", true).unwrap();
    node.deliver();
    let pairs = list(
        r#""10.0.0.6","10.0.0.7","fd00::6","fd00::7""#,
        r#","macs":["02:00:00:00:00:06","02:00:00:00:00:07"]"#,
    );
    assert_eq!(node.get(&pod("a", "ua"), "ca", Some(&pairs)).unwrap(), "10.0.0.6 fd00::6");
    assert_eq!(node.get(&pod("b", "ub"), "cb", Some(&pairs)).unwrap(), "10.0.0.7 fd00::7");
}

#[test]
fn a_namespace_has_its_own_default_and_others_are_not_for_it() {
    let server = Server::default();
    let own = subnet(
        "team-a",
        "10.0.1.0/24",
        &json!({"namespaceSelector": {"matchLabels": {"team": "a"}}, "ranges": ["10.0.1.9"]}),
    );
    let others =
        subnet("team-b", "10.0.2.0/24", &json!({"namespaceSelector": {"matchLabels": {"team": "b"}}}));
    let node = Agent::new(&server, "n1", vec![lan("10.0.0.5"), own, others]);
    assert_eq!(node.get(&pod("web", "u"), "c", None).unwrap(), "10.0.1.9");
    let named = r#"[{"interface":"eth0","subnet":"team-b"}]"#;
    let refused = node.ask(&pod("thief", "ut"), "ct", Some(named)).unwrap_err();
    assert!(refused.to_string().contains("team-b is not for this namespace"), "{refused}");
    assert_eq!(refused.event().reason, "NoSubnet");
}

#[test]
fn nodes_that_lag_fill_a_subnet_to_the_last_address_and_leave_nothing() {
    const NAMES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];
    let server = Server::default();
    let nodes: Vec<Agent> =
        NAMES.iter().map(|name| Agent::new(&server, name, vec![lan("10.0.0.11-10.0.0.110")])).collect();
    let until = std::time::Instant::now() + LONG;
    for round in 0..3 {
        for n in 0..100 {
            let node = &nodes[n % nodes.len()];
            // Each hears of the others' claims only now and then.
            if n % 7 == 0 {
                node.deliver();
            }
            let (name, container) = (format!("p{n}"), format!("c{round}-{n}"));
            let web = pod(&name, &format!("u{round}-{n}"));
            if node.ask_until(&web, &container, None, until).is_err() {
                // What it took for full was what others have let go of.
                node.deliver();
                node.ask_until(&web, &container, None, until).unwrap();
            }
        }
        assert_eq!(server.lock().claims.len(), 100, "an address each");
        for n in 0..100 {
            nodes[n % nodes.len()].end(&format!("c{round}-{n}"), true).unwrap();
        }
        assert!(server.texts().is_empty(), "{:?}", server.texts());
        for node in &nodes {
            node.deliver();
        }
    }
}

#[test]
fn a_subnet_that_is_being_deleted_gives_nothing_new_and_what_is_kept_to_its_pod() {
    let server = Server::default();
    let node = Agent::new(&server, "n1", vec![lan("10.0.0.5-10.0.0.9")]);
    let set = made_by("StatefulSet", "db", pod("db-0", "u1"));
    let kept = node.get(&set, "c1", None).unwrap();
    node.deliver();
    let mut deleting = lan("10.0.0.5-10.0.0.9");
    deleting.deleting = true;
    node.view.subnet_applied(deleting);
    server.lock().ended.insert("u1".to_owned());
    // Its next sandbox.
    assert_eq!(node.get(&set, "c2", None).unwrap(), kept);
    node.deliver();
    node.end("c2", true).unwrap();
    node.deliver();
    let new = node.get(&pod("web", "u2"), "c3", None).unwrap_err();
    assert!(new.contains("lan4 is being deleted"), "{new}");
    assert_eq!(
        node.get(&made_by("StatefulSet", "db", pod("db-1", "u3")), "c4", None).unwrap_err(),
        "subnet lan4 is being deleted and gives no new addresses; allowed are other subnets of its network"
    );
    let again = made_by("StatefulSet", "db", pod("db-0", "u4"));
    assert_eq!(node.get(&again, "c5", None).unwrap(), kept);
}
