//! ADD, DEL, CHECK, STATUS and GC.

use cni::code;

use super::{Node, container, request};

#[test]
fn a_pod_gets_its_interfaces_its_status_and_its_events() {
    let node = Node::new(&["a", "b"]);
    node.pod("web", Some("a, b@lan0"));
    let result = node.call("ADD", "web").unwrap().unwrap();
    assert_eq!(result.interfaces[0].name, "eth0", "the runtime is told of the first interface");
    assert_eq!(node.log(), ["ADD eth0", "ADD net1", "ADD lan0"]);
    assert_eq!(node.stored("web").unwrap(), "0:eth0 1:net1 2:lan0");
    let element = |name: &str, ifname: &str, default: &str| {
        format!(
            "{{\n    \"name\": \"{name}\",\n    \"interface\": \"{ifname}\",\n    \"ips\": [\n        \"10.0.0.5\"\n    ],\n    \
             \"mac\": \"02:00:00:00:00:01\",\n{default}    \"dns\": {{}}\n}}"
        )
    };
    let expected = format!(
        "[{},{},{}]",
        element("cbr0", "eth0", "    \"default\": true,\n"),
        element("shop/a", "net1", ""),
        element("shop/b", "lan0", "")
    );
    assert_eq!(node.fake.statuses.lock().unwrap()["web"], expected);
    assert_eq!(
        node.events(),
        [
            "web Normal AddedInterface: Add eth0 [10.0.0.5/24] from cbr0",
            "web Normal AddedInterface: Add net1 [10.0.0.5/24] from shop/a",
            "web Normal AddedInterface: Add lan0 [10.0.0.5/24] from shop/b",
        ]
    );

    node.call("CHECK", "web").unwrap();
    assert_eq!(node.log(), ["CHECK eth0", "CHECK net1", "CHECK lan0"]);

    // Neither the API server nor the definitions are there.
    *node.fake.cut_off.lock().unwrap() = true;
    node.fake.definitions.lock().unwrap().clear();
    node.call("DEL", "web").unwrap();
    assert_eq!(node.log(), ["DEL lan0", "DEL net1", "DEL eth0"]);
    assert_eq!(node.stored("web"), None);
    node.call("DEL", "web").unwrap();
    assert_eq!(node.log(), Vec::<String>::new(), "unknown is success, and nobody is asked");
    assert_eq!(node.call("CHECK", "web").unwrap_err().code(), code::UNKNOWN_CONTAINER);
}

#[test]
fn what_is_refused_has_made_nothing_and_the_pods_owner_reads_why() {
    let node = Node::new(&[]);
    node.pod("web", Some("missing"));
    let error = node.call("ADD", "web").unwrap_err();
    assert_eq!(error.code(), code::TRY_AGAIN);
    let words = "cannot find a network-attachment-definition (missing) in namespace (shop)";
    assert!(error.to_string().contains(words), "{error}");
    let events = node.events();
    assert!(events[0].starts_with("web Warning NoNetworkFound: "), "{events:?}");
    assert!(node.log().is_empty() && node.stored("web").is_none());
    assert!(node.call("ADD", "nobody").unwrap_err().to_string().contains("gone"));
    *node.fake.cut_off.lock().unwrap() = true;
    assert_eq!(node.call("ADD", "web").unwrap_err().code(), code::TRY_AGAIN);
}

#[test]
fn a_failure_undoes_and_what_cannot_be_undone_is_repeated() {
    let node = Node::new(&["a"]);
    node.pod("web", Some("a"));
    node.tell("fail-ADD-net1");
    let error = node.call("ADD", "web").unwrap_err();
    assert!(error.to_string().contains("told to fail"), "{error}");
    assert_eq!(node.log(), ["ADD eth0", "ADD net1", "DEL net1", "DEL eth0"]);
    assert_eq!(node.stored("web"), None);
    assert!(node.fake.statuses.lock().unwrap().is_empty());

    node.tell("fail-DEL-eth0");
    node.call("ADD", "web").unwrap_err();
    assert_eq!(node.stored("web").unwrap(), "0:eth0? 1:net1? !");
    node.log();
    node.untell("fail-DEL-eth0");
    node.work_off();
    assert_eq!(node.log(), ["DEL net1", "DEL eth0"]);
    assert_eq!(node.stored("web"), None);
}

#[test]
fn a_status_that_cannot_be_written_is_a_failed_add() {
    let node = Node::new(&[]);
    node.pod("web", None);
    node.hang("ADD-eth0");
    std::thread::scope(|scope| {
        let add = scope.spawn(|| node.call("ADD", "web"));
        let hanging = node.hanging("ADD-eth0");
        *node.fake.cut_off.lock().unwrap() = true;
        drop(hanging);
        let error = add.join().unwrap().unwrap_err();
        assert_eq!(error.code(), code::TRY_AGAIN);
        assert!(error.to_string().contains("status of pod shop/web"), "{error}");
    });
    assert_eq!(node.log(), ["ADD eth0", "DEL eth0"]);
    assert_eq!(node.stored("web"), None);
}

#[test]
fn a_deletion_that_fails_is_answered_and_repeated() {
    let node = Node::new(&["a"]);
    node.pod("web", Some("a"));
    node.call("ADD", "web").unwrap();
    node.log();
    node.tell("fail-DEL-net1");
    node.call("DEL", "web").unwrap();
    assert_eq!(node.log(), ["DEL net1", "DEL eth0"], "one that fails holds no other up");
    assert_eq!(node.stored("web").unwrap(), "0:eth0 1:net1 !");
    let node = node.restart();
    node.untell("fail-DEL-net1");
    node.engine.reconcile();
    assert_eq!(node.stored("web"), None);
    assert_eq!(node.log(), ["DEL net1", "DEL eth0"]);
}

#[test]
fn a_pod_that_the_primary_plugin_made_before_us_is_deleted_by_it() {
    let node = Node::new(&[]);
    node.call("DEL", "old").unwrap();
    assert_eq!(node.log(), ["DEL eth0"]);
    assert_eq!(node.stored("old"), None);
    node.call("DEL", "old").unwrap();
    assert_eq!(node.log(), Vec::<String>::new(), "runtimes repeat what is done");
    // It fails, and is not forgotten.
    node.tell("fail-DEL-eth0");
    let prev = r#","prevResult":{"cniVersion":"1.1.0","ips":[{"address":"10.0.0.7/24"}]}"#;
    node.call_with("DEL", "older", prev).unwrap();
    assert_eq!(node.stored("older").unwrap(), "0:eth0 !");
    let told = std::fs::read_to_string(node.bin().join("stdin-DEL-eth0")).unwrap();
    assert!(told.contains("10.0.0.7/24"), "with the result that the runtime has kept: {told}");
    let node = node.restart();
    node.untell("fail-DEL-eth0");
    node.engine.reconcile();
    assert_eq!(node.stored("older"), None);
}

#[test]
fn gc_deletes_what_the_runtime_does_not_have() {
    let node = Node::new(&[]);
    for pod in ["one", "two"] {
        node.pod(pod, None);
        node.call("ADD", pod).unwrap();
    }
    assert_eq!(node.call("GC", "").unwrap_err().code(), code::INVALID_CONFIG);
    let valid =
        format!(r#","cni.dev/valid-attachments":[{{"containerID":"{}","ifname":"eth0"}}]"#, container("two"));
    node.call_with("GC", "", &valid).unwrap();
    assert_eq!((node.stored("one"), node.stored("two")), (None, Some("0:eth0".to_owned())));
}

#[test]
fn status_says_what_is_missing() {
    let node = Node::new(&[]);
    node.call("STATUS", "").unwrap();
    *node.fake.cut_off.lock().unwrap() = true;
    let error = node.call("STATUS", "").unwrap_err();
    assert_eq!(error.code(), code::NOT_AVAILABLE);
    assert!(error.to_string().contains("API server"), "{error}");
}

#[test]
fn a_caller_that_is_not_kubernetes_gets_the_cluster_network() {
    let node = Node::new(&[]);
    let mut call = request("ADD", "x", &node.bin(), "");
    call.env.args = String::new();
    let reply = node.engine.call(&call);
    assert_eq!(reply.answer.unwrap().unwrap().interfaces.len(), 1);
    assert!(node.fake.statuses.lock().unwrap().is_empty());
    for args in
        ["K8S_POD_NAME=x", "K8S_POD_NAME=../x;K8S_POD_NAMESPACE=a", "K8S_POD_NAME=a/b;K8S_POD_NAMESPACE=a"]
    {
        call.env.args = args.to_owned();
        assert_eq!(node.engine.call(&call).answer.unwrap_err().code(), code::INVALID_ENVIRONMENT, "{args}");
    }
}

#[test]
fn the_nodes_own_namespace_is_no_pods() {
    let node = Node::new(&[]);
    node.pod("web", None);
    let with_ours = |verb: &str| {
        let mut call = request(verb, "web", &node.bin(), "");
        call.env.netns = Some("/proc/self/ns/net".into());
        node.engine.call(&call).answer
    };
    let error = with_ours("ADD").unwrap_err();
    assert!(error.to_string().contains("should not be the same"), "{error}");
    assert!(node.log().is_empty() && node.stored("web").is_none());
    node.call("ADD", "web").unwrap();
    // A path that was recycled: the pod ends, and nothing is done in our namespace.
    with_ours("DEL").unwrap();
    assert_eq!(node.stored("web"), None);
    assert_eq!(std::fs::read_to_string(node.bin().join("netns-DEL")).unwrap(), "\n");
    assert_eq!(std::fs::read_to_string(node.bin().join("netns-ADD")).unwrap(), "/nowhere/netns\n");
}

#[test]
fn a_network_of_our_own_type_is_refused() {
    let node = Node::new(&[]);
    node.pod("web", None);
    let mut setup = node.engine.setup.clone();
    setup.config = super::Config::default();
    let node = node.anew(setup);
    let ourselves = r#","delegates":[{"cniVersion":"1.0.0","name":"cbr0","type":"llano"}]"#;
    let error = node.call_with("ADD", "web", ourselves).unwrap_err();
    assert!(error.to_string().contains("such as macvlan"), "{error}");
    assert_eq!(node.stored("web"), None, "nothing was made, and nothing is left to repeat");
}

#[test]
fn a_plugin_that_is_missing_leaves_nothing_to_repeat_but_what_it_made() {
    let node = Node::new(&["a"]);
    node.pod("web", Some("a"));
    let recorder = node.bin().join("recorder");
    let away = node.bin().join("away");
    std::fs::rename(&recorder, &away).unwrap();
    let error = node.call("ADD", "web").unwrap_err();
    assert!(error.to_string().contains("failed to find plugin"), "{error}");
    assert_eq!((node.stored("web"), node.engine.later.len()), (None, 0));
    std::fs::rename(&away, &recorder).unwrap();
    node.call("ADD", "web").unwrap();
    std::fs::rename(&recorder, &away).unwrap();
    node.call("DEL", "web").unwrap();
    assert_eq!(node.stored("web").unwrap(), "0:eth0 1:net1 !");
    std::fs::rename(&away, &recorder).unwrap();
    node.work_off();
    assert_eq!(node.stored("web"), None);
}
