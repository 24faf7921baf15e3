//! Pods with one and with several macvlans, many at once, and annotations that change.

use std::net::IpAddr;
use std::time::Duration;

use cni::forward::{CNI_PATH, call};
use kernel::Netlink;
use lab::Ping;
use netns_tests::AgentNode;
use serde_json::{Value, json};

use crate::{lab, node_with};

fn ask(node: &AgentNode<'_>, verb: &str, pod: &str) -> Value {
    let body = node.body(verb, pod, pod);
    let limit = Duration::from_secs(120);
    let answer = call(&node.dir().join("agent.sock"), CNI_PATH, body.as_bytes(), limit).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["error"], Value::Null, "{verb} of {pod}");
    answer["result"].clone()
}

fn names(node: &AgentNode<'_>, container: &str) -> Vec<String> {
    let container = node.host.open_container(container).unwrap();
    let links = Netlink::open_in(container.net()).unwrap().links().unwrap();
    links.into_iter().map(|link| link.name).filter(|name| name != "lo").collect()
}

fn index(node: &AgentNode<'_>, container: &str, ifname: &str) -> u32 {
    let container = node.host.open_container(container).unwrap();
    Netlink::open_in(container.net()).unwrap().index_of(ifname).unwrap().unwrap()
}

#[test]
fn one_macvlan_and_three_more() {
    let lab = lab();
    let node = node_with(&lab, 3);
    let agent = node.serve();
    for (pod, extra) in [("one", ""), ("four", "extra1, extra2@lan2 ,extra3")] {
        node.pod(pod, pod, extra);
        ask(&node, "ADD", pod);
    }
    assert_eq!(names(&node, "one"), ["eth0"]);
    assert_eq!(names(&node, "four"), ["eth0", "net1", "lan2", "net3"]);
    let status: Value = serde_json::from_str(&node.files.status("four").unwrap()).unwrap();
    let told = |key: &str| -> Vec<Value> {
        status.as_array().unwrap().iter().map(|element| element[key].clone()).collect()
    };
    assert_eq!(told("name"), ["shop/lan", "shop/extra1", "shop/extra2", "shop/extra3"]);
    assert_eq!(told("interface"), ["eth0", "net1", "lan2", "net3"]);
    assert_eq!(told("default"), [json!(true), Value::Null, Value::Null, Value::Null]);
    // kubelet's probes come from the node, and the kernel passes nothing between a macvlan and its parent.
    let address: IpAddr = told("ips")[0][0].as_str().unwrap().parse().unwrap();
    let echo = Ping::new(address).count(3).timeout(Duration::from_secs(5)).run(node.host.net()).unwrap();
    assert_eq!(echo.received, echo.sent, "the node reaches its pod");

    for name in ["lan", "extra1", "extra2", "extra3"] {
        node.files.remove_definition(name);
    }
    ask(&node, "DEL", "one");
    ask(&node, "DEL", "four");
    agent.stop();
    assert_eq!(node.leftovers(&["one", "four"]), Vec::<String>::new());
}

#[test]
fn the_wrong_pairing_is_refused_and_the_pod_says_why() {
    let lab = lab();
    let node = node_with(&lab, 0);
    node.macvlan("over", "10.30.0.0/16", Some("overlay"), &json!({}));
    node.pod("web", "web", "over");
    let agent = node.serve();
    let body = node.body("ADD", "web", "web");
    let answer =
        call(&node.dir().join("agent.sock"), CNI_PATH, body.as_bytes(), Duration::from_secs(60)).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["error"]["code"], 7, "{answer}");
    agent.stop();
    let events = node.files.events();
    assert!(events.starts_with("web Warning NetworkRefused: "), "{events}");
    assert!(events.contains("ask for standalone networks only"), "{events}");
    assert_eq!(node.leftovers(&["web"]), Vec::<String>::new());
}

#[test]
fn fifty_pods_at_once() {
    let lab = lab();
    let node = node_with(&lab, 2);
    let agent = node.serve();
    let pods: Vec<String> = (0..50).map(|number| format!("pod{number}")).collect();
    for pod in &pods {
        node.pod(pod, pod, "extra1,extra2");
    }
    let all = |verb: &str| -> Vec<Value> {
        std::thread::scope(|scope| {
            let calls: Vec<_> = pods.iter().map(|pod| scope.spawn(|| ask(&node, verb, pod))).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        })
    };
    let mut addresses: Vec<String> =
        all("ADD").iter().map(|result| result["ips"][0]["address"].to_string()).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), pods.len(), "an address of its own for each");
    for pod in &pods {
        assert_eq!(names(&node, pod), ["eth0", "net1", "net2"]);
    }
    all("CHECK");
    all("DEL");
    agent.stop();
    let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
    assert_eq!(node.leftovers(&pods), Vec::<String>::new());
}

#[test]
fn a_changed_annotation_touches_nothing_else() {
    let lab = lab();
    let node = node_with(&lab, 3);
    std::fs::write(node.dir().join("config"), node.conf().to_string()).unwrap();
    node.pod("web", "web", "extra1,extra2");
    let agent = node.serve();
    ask(&node, "ADD", "web");
    agent.stop();
    let before = (index(&node, "web", "eth0"), index(&node, "web", "net2"));
    node.files.put_pod("web", "extra2,extra3", "");
    node.run(&["follow", "web"]);
    assert_eq!(names(&node, "web"), ["eth0", "net2", "net3"]);
    assert_eq!((index(&node, "web", "eth0"), index(&node, "web", "net2")), before, "the same links");
    let status = node.files.status("web").unwrap();
    assert!(!status.contains("extra1") && status.contains("extra3"), "{status}");
    let agent = node.serve();
    ask(&node, "CHECK", "web");
    ask(&node, "DEL", "web");
    agent.stop();
    assert_eq!(node.leftovers(&["web"]), Vec::<String>::new());
}
