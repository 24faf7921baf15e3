//! Interfaces with addresses of the cluster.

use std::fs;

use api::addresses::ADDRESSES;
use claims::{Owner, Version};
use kernel::MacAddr;
use serde_json::{Value, json};

use super::{Node, container};
use crate::Controller;
use crate::claims::tests::{Agent, Server, subnet};

/// A node whose network `flat` has these addresses.
fn node(ranges: &str) -> (Node, Server) {
    let node = Node::new(&["flat", "a"]);
    let server = Server::default();
    let more = json!({"gateway": "10.0.0.1", "ranges": [ranges], "routes": [{"dst": "10.9.0.0/16"}],
        "dns": {"nameservers": ["10.0.0.2"]}});
    let agent = Agent::impatient(&server, "n1", vec![subnet("lan4", "10.0.0.0/24", &more)]);
    assert!(node.fake.agent.set(agent).is_ok());
    (node, server)
}

impl Node {
    /// What the watch of the claims has to say is said.
    fn deliver(&self) -> bool {
        self.fake.agent.get().unwrap().deliver()
    }

    /// What the plugin was given.
    fn stdin(&self, call: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.bin().join(format!("stdin-{call}"))).unwrap()).unwrap()
    }

    /// Somebody on the LAN uses this address, who has this MAC.
    fn used(&self, address: &str, holder: &str) {
        fs::write(self.bin().join(format!("used-{address}")), holder).unwrap();
    }

    /// A pod of the StatefulSet `db`.
    fn stateful(&self, name: &str) {
        let mut view = self.pod(name, Some("flat"));
        let (kind, name_of_set) = ("StatefulSet".to_owned(), "db".to_owned());
        view.addressing.controller = Some(Controller { kind, name: name_of_set });
        self.fake.pods.lock().unwrap().insert(name.to_owned(), view);
    }

    /// A pod that asks so for addresses.
    fn asking(&self, name: &str, networks: &str, addresses: &str) {
        let mut view = self.pod(name, Some(networks));
        view.addressing.annotations = vec![(ADDRESSES, addresses.to_owned())];
        self.fake.pods.lock().unwrap().insert(name.to_owned(), view);
    }
}

#[test]
fn an_interface_is_made_with_what_was_claimed_and_lets_go_of_it_when_it_is_gone() {
    let (node, server) = node("10.0.0.5");
    node.pod("web", Some("a, flat"));
    node.call("ADD", "web").unwrap();
    assert_eq!(server.log(), ["create lan.10.0.0.5"], "one write, no read");
    assert_eq!(server.texts(), ["lan.10.0.0.5 web@n1"]);
    let claim = server.claim("lan.10.0.0.5");
    assert_eq!((claim.owner.interface.as_str(), claim.owner.uid.as_str()), ("net2", "uid-web"));
    let given = node.stdin("ADD-net2");
    assert_eq!(
        given["ipam"],
        json!({"type": "static", "addresses": [{"address": "10.0.0.5/24", "gateway": "10.0.0.1"}],
            "routes": [{"dst": "10.9.0.0/16", "gw": "10.0.0.1"}],
            "dns": {"nameservers": ["10.0.0.2"], "search": [], "options": []}})
    );
    assert_eq!(given["mac"], json!(claim.mac.unwrap().to_string()));
    assert!(
        node.events()
            .contains(&"web Normal AddedInterface: Add net2 [10.0.0.5/24] from shop/flat".to_owned())
    );
    node.call("CHECK", "web").unwrap();
    assert!(!node.deliver(), "its own writes are no news");

    // As long as the interface is there, the address is its own.
    node.tell("fail-DEL-net2");
    node.call("DEL", "web").unwrap();
    assert_eq!(server.texts(), ["lan.10.0.0.5 web@n1"]);
    node.untell("fail-DEL-net2");
    node.work_off();
    assert_eq!((server.log(), server.texts()), (vec!["delete lan.10.0.0.5".to_owned()], Vec::new()));
    assert_eq!(node.stored("web"), None);
}

#[test]
fn a_failure_gives_back_what_was_claimed() {
    let (node, server) = node("10.0.0.5");
    node.pod("web", Some("flat, a"));
    node.tell("fail-ADD-net2");
    node.call("ADD", "web").unwrap_err();
    assert_eq!(server.log(), ["create lan.10.0.0.5", "delete lan.10.0.0.5"]);
    assert_eq!((server.texts(), node.stored("web")), (Vec::new(), None));
}

#[test]
fn an_address_that_another_uses_is_replaced() {
    let (node, server) = node("10.0.0.5-10.0.0.6");
    let asked = r#"[{"interface":"net1","ips":["10.0.0.5","10.0.0.6"]}]"#;
    node.asking("web", "flat", asked);
    node.tell("used-10.0.0.5");
    node.call("ADD", "web").unwrap();
    assert_eq!(server.texts(), ["lan.10.0.0.5 web Quarantine", "lan.10.0.0.6 web@n1"]);
    assert_eq!(node.stdin("ADD-net1")["ipam"]["addresses"][0]["address"], "10.0.0.6/24");
    let used = "web Warning AddressInUse: address 10.0.0.5 is in use on the LAN by 02:00:00:00:00:99";
    assert!(node.events().contains(&used.to_owned()));

    // When none is left, nothing but the quarantine stays.
    node.tell("used-10.0.0.6");
    node.call("DEL", "web").unwrap();
    node.deliver();
    node.pod("next", Some("flat"));
    let error = node.call("ADD", "next").unwrap_err();
    assert_eq!(error.code(), cni::code::TRY_AGAIN);
    assert_eq!(server.texts(), ["lan.10.0.0.5 web Quarantine", "lan.10.0.0.6 next Quarantine"]);
    assert_eq!(node.stored("next"), None);
}

#[test]
fn a_kept_address_that_is_still_on_the_lan_is_neither_replaced_nor_quarantined() {
    let (node, server) = node("10.0.0.5-10.0.0.6");
    node.stateful("db-0");
    node.call("ADD", "db-0").unwrap();
    let name = server.texts()[0].split(' ').next().unwrap().to_owned();
    let (address, mac) = (server.claim(&name).address.to_string(), server.claim(&name).mac.unwrap());
    assert_eq!(node.stdin("ADD-net1")["probe"], json!({"temporaryMac": false}), "nobody has had this MAC");
    node.call("DEL", "db-0").unwrap();
    node.deliver();

    // As `attach` says it of the interface's own MAC, and of any other.
    let own = format!("{mac}, the MAC of this interface: whoever had both before is still there");
    let its = format!(
        "address {address} is kept for this pod and in use on the LAN by {mac}, the MAC that is kept with it: the interface that had \
         both before is still on the LAN. Wait until its node has taken it away, or power that node off"
    );
    let others = format!(
        "address {address} is kept for this pod and in use on the LAN by 02:00:00:00:00:99, which is not the MAC that is kept with it: \
         an interface that had it before, or another machine. Take that off the LAN; the pod gets no other address"
    );
    for (holder, said) in [(own.as_str(), its), ("", others)] {
        node.used(&address, holder);
        node.events();
        let error = node.call("ADD", "db-0").unwrap_err();
        // Before it stands which network of which pod it is.
        assert_eq!(error.code(), attach::CODE_ADDRESS_IN_USE);
        assert!(error.msg().ends_with(&said), "{error}");
        assert_eq!(node.stdin("ADD-net1")["probe"], json!(true), "asked from another MAC");
        assert_eq!(node.events(), [format!("db-0 Warning AddressInUse: {said}")]);
        assert_eq!(server.texts(), [format!("{name} db-0 StatefulSet")]);
        assert_eq!(node.stored("db-0"), None);
        node.deliver();
    }

    node.untell(&format!("used-{address}"));
    node.call("ADD", "db-0").unwrap();
    assert_eq!(server.texts(), [format!("{name} db-0@n1")]);
    assert_eq!(node.stdin("ADD-net1")["mac"], json!(mac.to_string()));
}

#[test]
fn an_address_that_a_stateful_pod_never_had_is_replaced_like_any_other() {
    let (node, server) = node("10.0.0.5-10.0.0.6");
    node.stateful("db-0");
    ["10.0.0.5", "10.0.0.6"].iter().for_each(|address| node.used(address, ""));
    node.call("ADD", "db-0").unwrap_err();
    assert_eq!(server.texts(), ["lan.10.0.0.5 db-0 Quarantine", "lan.10.0.0.6 db-0 Quarantine"]);
}

#[test]
fn a_mac_that_is_still_on_the_lan_gets_no_other_address() {
    let (node, server) = node("10.0.0.5-10.0.0.6");
    let mac = MacAddr([2, 0, 0x5e, 0, 0, 7]);
    node.asking("web", "flat", &format!(r#"[{{"interface":"net1","auto":true,"macs":["{mac}"]}}]"#));
    let by = format!("{mac}, the MAC of this interface");
    ["10.0.0.5", "10.0.0.6"].iter().for_each(|address| node.used(address, &by));
    let error = node.call("ADD", "web").unwrap_err();
    assert_eq!(error.code(), attach::CODE_ADDRESS_IN_USE);
    let texts = server.texts();
    assert!(matches!(texts.as_slice(), [one] if one.ends_with("web Quarantine")), "{texts:?}");
    assert_eq!(node.stdin("ADD-net1")["probe"], json!(true), "others may have the MAC that a pod asks for");
}

#[test]
fn a_full_subnet_is_told_to_the_pods_owner_and_makes_nothing() {
    let (node, server) = node("10.0.0.5");
    node.pod("web", Some("flat"));
    node.pod("late", Some("flat"));
    node.call("ADD", "web").unwrap();
    node.events();
    let error = node.call("ADD", "late").unwrap_err();
    assert!(
        error.to_string().contains("no free address in subnet lan4 (1 usable addresses: 1 used"),
        "{error}"
    );
    assert!(node.events()[0].starts_with("late Warning AddressesExhausted: no free address"));
    assert_eq!((server.texts(), node.stored("late")), (vec!["lan.10.0.0.5 web@n1".to_owned()], None));
}

#[test]
fn a_pods_end_does_not_wait_for_the_api_server() {
    let (node, server) = node("10.0.0.5");
    node.pod("web", Some("flat"));
    node.call("ADD", "web").unwrap();
    server.lock().away = true;
    node.log();
    node.call("DEL", "web").unwrap();
    assert_eq!(node.log(), ["DEL net1", "DEL eth0"]);
    assert_eq!(node.stored("web").unwrap(), "0:eth0 1:net1 !");
    server.lock().away = false;
    node.work_off();
    assert_eq!((server.texts(), node.stored("web")), (Vec::new(), None));
}

#[test]
fn an_interface_whose_address_was_given_up_goes_at_once_and_alone() {
    let (node, server) = node("10.0.0.5");
    node.pod("web", Some("flat, a"));
    node.call("ADD", "web").unwrap();
    node.events();
    node.log();
    node.engine.claims_changed();
    assert!(node.log().is_empty(), "nothing is wrong");
    server.control("lan.10.0.0.5", None);
    assert!(node.deliver());
    assert_eq!(
        node.call("CHECK", "web").unwrap_err().code(),
        attach::CODE_MISMATCH,
        "the address is not the interface's"
    );
    node.log();
    node.engine.claims_changed();
    assert_eq!(node.log(), ["DEL net1"]);
    assert_eq!(node.stored("web").unwrap(), "0:eth0 2:net2");
    let events = node.events();
    assert!(
        events[0].starts_with("web Warning AddressLost: interface net1 of network shop/flat"),
        "{events:?}"
    );
    node.engine.claims_changed();
    assert!(node.log().is_empty() && node.events().is_empty());
}

#[test]
fn a_claim_that_nothing_stands_behind_is_let_go_of() {
    let (node, server) = node("10.0.0.5-10.0.0.9");
    node.asking("web", "flat", r#"[{"interface":"net1","ips":["10.0.0.5"]}]"#);
    node.call("ADD", "web").unwrap();
    let own = server.claim("lan.10.0.0.5");
    let late = |address: &str, container_id: &str| claims::Claim {
        address: address.parse().unwrap(),
        owner: Owner { container_id: container_id.to_owned(), ..own.owner.clone() },
        version: Version::default(),
        ..own.clone()
    };
    // Of a sandbox that is gone, and of one that has another address.
    for claim in [late("10.0.0.6", "c-gone"), late("10.0.0.7", &container("web"))] {
        server.arrives("n1", claim);
    }
    assert!(node.deliver());
    node.engine.claims_changed();
    assert_eq!(server.texts(), ["lan.10.0.0.5 web@n1"]);

    // One whose call goes on is that call's.
    server.arrives("n1", late("10.0.0.8", "c-busy"));
    node.deliver();
    let turn = node.engine.locks.try_take("c-busy").unwrap();
    node.engine.claims_changed();
    assert_eq!(server.texts(), ["lan.10.0.0.5 web@n1", "lan.10.0.0.8 web@n1"]);
    assert!(node.engine.later.looks(), "it is looked at again");
    drop(turn);
    node.engine.claims_changed();
    assert_eq!(server.texts(), ["lan.10.0.0.5 web@n1"]);
}

#[test]
fn what_an_agent_claimed_that_ended_in_between_goes_with_what_it_had_begun() {
    let (node, server) = node("10.0.0.5");
    node.pod("web", Some("flat"));
    node.tell("fail-ADD-net1");
    node.tell("fail-DEL-net1");
    node.call("ADD", "web").unwrap_err();
    assert_eq!(server.texts(), ["lan.10.0.0.5 web@n1"], "the interface may be there");
    let node = node.restart();
    assert_eq!(node.stored("web").unwrap(), "0:eth0? 1:net1? !");
    node.untell("fail-DEL-net1");
    node.engine.reconcile();
    assert_eq!((server.texts(), node.stored("web")), (Vec::new(), None));
}

#[test]
fn nobody_puts_other_addresses_in_the_place_of_the_claimed_ones() {
    let (node, server) = node("10.0.0.5");
    let networks = r#"[{"name":"flat","cni-args":{"IPs":["10.0.0.99/24"],"note":"stays"}}]"#;
    node.pod("web", Some(networks));
    node.call("ADD", "web").unwrap();
    let given = node.stdin("ADD-net1");
    assert_eq!(given["args"]["cni"], json!({"note": "stays"}));
    assert_eq!(given["ipam"]["addresses"][0]["address"], "10.0.0.5/24");
    assert_eq!(server.texts(), ["lan.10.0.0.5 web@n1"]);
}

#[test]
fn the_default_route_goes_where_the_pod_wants_it() {
    let (node, _) = node("10.0.0.5");
    node.asking("web", "flat", r#"[{"interface":"net1","auto":true,"defaultRoute":true}]"#);
    node.call("ADD", "web").unwrap();
    assert_eq!(
        node.stdin("ADD-net1")["ipam"]["routes"],
        json!([{"dst": "10.9.0.0/16", "gw": "10.0.0.1"}, {"dst": "0.0.0.0/0", "gw": "10.0.0.1"}])
    );
}

#[test]
fn a_request_for_an_interface_that_the_pod_has_not_is_refused_before_anything() {
    let (node, server) = node("10.0.0.5");
    node.asking("web", "flat", r#"[{"interface":"net7","auto":true}]"#);
    let error = node.call("ADD", "web").unwrap_err();
    assert!(error.to_string().contains("net7"), "{error}");
    assert!(node.log().is_empty() && server.log().is_empty() && node.stored("web").is_none());
    assert_eq!(node.events().len(), 1);
}
