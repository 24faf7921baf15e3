//! Annotations of running pods.

use super::{Node, container};

fn element_names(node: &Node, pod: &str) -> Vec<String> {
    let statuses = api::status::Statuses::parse(&node.fake.statuses.lock().unwrap()[pod]).unwrap();
    statuses.elements().into_iter().map(|status| format!("{}@{}", status.name, status.interface)).collect()
}

#[test]
fn interfaces_come_and_go_and_the_others_are_not_touched() {
    let node = Node::new(&["a", "b", "c"]);
    node.pod("web", Some("a,b"));
    node.call("ADD", "web").unwrap();
    node.log();
    node.events();
    node.engine.annotation_changed(&node.pod("web", Some("b,c")));
    assert_eq!(
        node.log(),
        ["DEL net1", "ADD net2"].map(|line| if line == "ADD net2" { "ADD net3" } else { line })
    );
    assert_eq!(node.stored("web").unwrap(), "0:eth0 2:net2 3:net3");
    assert_eq!(element_names(&node, "web"), ["cbr0@eth0", "shop/b@net2", "shop/c@net3"]);
    assert_eq!(
        node.events(),
        [
            "web Normal RemovedInterface: Remove net1 from shop/a",
            "web Normal AddedInterface: Add net3 [10.0.0.5/24] from shop/c"
        ]
    );
    node.engine.annotation_changed(&node.pod("web", None));
    assert_eq!(node.log(), ["DEL net3", "DEL net2"]);
    assert_eq!(element_names(&node, "web"), ["cbr0@eth0"]);
    node.engine.annotation_changed(&node.pod("web", None));
    assert!(node.log().is_empty(), "nothing to do");
}

#[test]
fn what_fails_is_said_once_and_tried_again_at_the_next_change() {
    let node = Node::new(&["a"]);
    node.pod("web", None);
    node.call("ADD", "web").unwrap();
    node.log();
    node.events();
    node.tell("fail-ADD-net1");
    node.engine.annotation_changed(&node.pod("web", Some("a")));
    assert_eq!(node.log(), ["ADD net1", "DEL net1"]);
    assert_eq!(node.stored("web").unwrap(), "0:eth0");
    assert!(node.events()[0].contains("told to fail"));
    *node.fake.sandboxes.lock().unwrap() = Some(Vec::new());
    node.engine.follow(&container("web"), &node.pod("web", Some("a")));
    assert!(node.log().is_empty() && node.events().is_empty());
    node.untell("fail-ADD-net1");
    node.engine.annotation_changed(&node.pod("web", Some("a")));
    assert_eq!(node.log(), ["ADD net1"]);
    assert_eq!(element_names(&node, "web"), ["cbr0@eth0", "shop/a@net1"]);
}

#[test]
fn a_place_that_waits_for_its_deletion_is_not_given_away() {
    let node = Node::new(&["a", "b"]);
    node.pod("web", Some("a"));
    node.call("ADD", "web").unwrap();
    node.tell("fail-DEL-net1");
    node.engine.annotation_changed(&node.pod("web", Some("b@lan0")));
    assert_eq!(node.stored("web").unwrap(), "0:eth0 1:net1! 2:lan0");
    node.untell("fail-DEL-net1");
    node.work_off();
    assert_eq!(node.stored("web").unwrap(), "0:eth0 2:lan0");
}

#[test]
fn a_change_during_the_agents_absence_is_followed_at_its_start() {
    let node = Node::new(&["a"]);
    node.pod("web", None);
    node.call("ADD", "web").unwrap();
    node.log();
    let node = node.restart();
    node.pod("web", Some("a"));
    *node.fake.cut_off.lock().unwrap() = true;
    node.engine.reconcile();
    assert!(node.log().is_empty(), "the watch knows nothing yet");
    *node.fake.cut_off.lock().unwrap() = false;
    node.engine.reconcile();
    assert_eq!(node.log(), ["ADD net1"]);
}

#[test]
fn the_settings_of_the_last_call_outlive_the_agent() {
    let node = Node::new(&["a"]);
    node.pod("web", None);
    // What may be named is in the runtime's configuration, and not in the agent's.
    let mut setup = node.engine.setup.clone();
    setup.config = super::Config::default();
    let node = node.anew(setup.clone());
    let delegates = r#","delegates":[{"cniVersion":"1.0.0","name":"cbr0","type":"recorder"}]"#;
    node.call_with("ADD", "web", delegates).unwrap();
    let node = node.anew(setup);
    node.log();
    node.engine.annotation_changed(&node.pod("web", Some("a")));
    assert_eq!(node.log(), ["ADD net1"]);
}

#[test]
fn a_status_that_was_not_written_is_later() {
    let node = Node::new(&["a"]);
    node.pod("web", None);
    node.call("ADD", "web").unwrap();
    let changed = node.pod("web", Some("a"));
    *node.fake.cut_off.lock().unwrap() = true;
    node.engine.annotation_changed(&changed);
    assert_eq!(node.stored("web").unwrap(), "0:eth0 1:net1");
    assert_eq!(element_names(&node, "web"), ["cbr0@eth0"]);
    *node.fake.cut_off.lock().unwrap() = false;
    // The watch has what the API server has.
    let status = node.fake.statuses.lock().unwrap()["web"].clone();
    node.fake.pods.lock().unwrap().get_mut("web").unwrap().status = Some(status);
    node.engine.reconcile();
    assert_eq!(element_names(&node, "web"), ["cbr0@eth0", "shop/a@net1"]);
}
