//! What an agent that ended, a runtime that forgot and a DEL that found nobody leave behind.

use std::fs;
use std::time::{Duration, Instant};

use cni::forward::encode_request_body;

use super::{Node, container, request};
use crate::{PodKey, Sandbox};

fn sandbox(pod: &str) -> Sandbox {
    let key: PodKey = super::key(pod);
    Sandbox { id: container(pod), pod: key, ready: true, netns: None }
}

/// An ADD whose agent ended after the intent.
fn cut(node: Node, pod: &str) -> Node {
    node.pod(pod, Some("a"));
    node.call("ADD", pod).unwrap();
    let record = node.engine.store.get(&container(pod)).unwrap().unwrap().unwrap();
    let calls: Vec<_> = record.attachments.into_iter().map(|attachment| attachment.call).collect();
    node.engine.store.forget(&container(pod)).unwrap();
    assert!(node.engine.store.begin(&record.pod, &calls).unwrap());
    node.log();
    node.restart()
}

#[test]
fn an_add_whose_agent_ended_is_undone() {
    let node = cut(Node::new(&["a"]), "web");
    assert_eq!(node.stored("web").unwrap(), "0:eth0? 1:net1?");
    node.engine.reconcile();
    assert_eq!(node.log(), ["DEL net1", "DEL eth0"]);
    assert_eq!(node.stored("web"), None);
}

#[test]
fn an_add_again_first_undoes_what_is_left() {
    let node = cut(Node::new(&["a"]), "web");
    node.call("ADD", "web").unwrap();
    assert_eq!(node.log(), ["DEL net1", "DEL eth0", "ADD eth0", "ADD net1"]);
    assert_eq!(node.stored("web").unwrap(), "0:eth0 1:net1");
}

#[test]
fn records_go_with_their_sandboxes_once_that_is_sure() {
    let node = Node::new(&[]);
    for pod in ["runs", "gone", "young"] {
        node.pod(pod, None);
        node.call("ADD", pod).unwrap();
    }
    // Where its namespace is still there, a sandbox may be one that the runtime does not list yet.
    let netns = node.dir.path().join("netns");
    fs::write(&netns, "").unwrap();
    let mut young = request("ADD", "young", &node.bin(), "");
    young.env.netns = Some(netns.clone());
    node.call("DEL", "young").unwrap();
    node.engine.call(&young).answer.unwrap();

    node.engine.reconcile();
    assert!(node.stored("gone").is_some(), "a runtime that does not answer says nothing");
    *node.fake.sandboxes.lock().unwrap() = Some(vec![sandbox("runs")]);
    node.engine.reconcile();
    assert_eq!(node.stored("gone"), None);
    assert!(node.stored("runs").is_some() && node.stored("young").is_some());
    fs::remove_file(netns).unwrap();
    node.engine.reconcile();
    assert_eq!(node.stored("young"), None);
    assert!(node.stored("runs").is_some());
}

/// A runtime that is killed while it makes a sandbox forgets it, and makes the pod another.
#[test]
fn a_second_sandbox_of_a_pod_makes_the_agent_ask_which_one_there_is() {
    let node = Node::new(&["a"]);
    node.pod("web", Some("a"));
    node.call("ADD", "web").unwrap();
    assert!(!node.engine.later.looks(), "nothing unusual");
    let mut second = request("ADD", "web", &node.bin(), "");
    second.env.container_id = "second".to_owned();
    let reply = node.engine.call(&second);
    reply.answer.clone().unwrap();
    node.engine.sent(reply);
    assert!(node.engine.later.looks());
    *node.fake.sandboxes.lock().unwrap() = Some(vec![Sandbox { id: "second".to_owned(), ..sandbox("web") }]);
    node.log();
    node.engine.reconcile();
    assert_eq!((node.stored("web"), node.log()), (None, vec!["DEL net1".to_owned(), "DEL eth0".to_owned()]));
    assert!(node.engine.store.get("second").unwrap().is_some());
}

#[test]
fn the_file_of_a_namespace_that_is_gone_is_no_namespace() {
    let node = Node::new(&[]);
    let file = node.dir.path().join("netns");
    fs::write(&file, "").unwrap();
    let mut world = node.engine.world("a", Some(file.clone()), &[]);
    world.forget_dead_netns();
    assert_eq!(world.netns, None);
    for stays in ["/proc/self/ns/net".into(), file.with_extension("missing")] {
        world.netns = Some(stays.clone());
        world.forget_dead_netns();
        assert_eq!(world.netns, Some(stays));
    }
}

#[test]
fn a_spooled_deletion_is_taken_in() {
    let node = Node::new(&[]);
    node.pod("web", None);
    node.call("ADD", "web").unwrap();
    node.log();
    let spool = node.dir.path().join("spool");
    fs::create_dir(&spool).unwrap();
    let body = |verb: &str| encode_request_body(&request(verb, "web", &node.bin(), "")).unwrap();
    fs::write(spool.join("1.json"), body("DEL")).unwrap();
    fs::write(spool.join("2.json"), body("ADD")).unwrap();
    fs::write(spool.join("3.json"), "{").unwrap();
    fs::write(spool.join("4.4711"), body("DEL")).unwrap();
    node.engine.reconcile();
    assert_eq!(node.log(), ["DEL eth0"]);
    assert_eq!(node.stored("web"), None);
    let mut left: Vec<String> =
        fs::read_dir(&spool).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["2.damaged", "3.damaged", "4.4711"]);
}

#[test]
fn a_sandbox_that_has_ended_without_us_is_collected_while_it_is_still_listed() {
    let node = Node::new(&["a"]);
    node.pod("web", Some("a"));
    node.call("ADD", "web").unwrap();
    node.log();
    let list = |ready| *node.fake.sandboxes.lock().unwrap() = Some(vec![Sandbox { ready, ..sandbox("web") }]);
    list(true);
    node.engine.reconcile();
    assert_eq!(node.stored("web").unwrap(), "0:eth0 1:net1");
    list(false);
    node.engine.reconcile();
    assert_eq!((node.stored("web"), node.log()), (None, vec!["DEL net1".to_owned(), "DEL eth0".to_owned()]));
}

#[test]
fn a_deletion_does_not_wait_for_a_foreign_plugin_that_hangs() {
    let node = Node::new(&[]);
    node.pod("web", None);
    node.call("ADD", "web").unwrap();
    let mut setup = node.engine.setup.clone();
    setup.limits.del = Duration::from_millis(50);
    let node = node.anew(setup);
    node.hang("DEL-eth0");
    node.call("DEL", "web").unwrap();
    assert_eq!(node.stored("web").unwrap(), "0:eth0 !", "answered, and not forgotten");
    drop(node.hanging("DEL-eth0"));
    node.work_off();
    // The first deletion has its turn until it is written.
    assert!(node.engine.locks.take(&container("web"), Instant::now() + Duration::from_secs(60)).is_some());
    assert_eq!(node.stored("web"), None);
}

#[test]
fn a_del_during_an_add_makes_the_add_undo_itself() {
    let node = Node::new(&[]);
    node.pod("web", None);
    node.hang("ADD-eth0");
    std::thread::scope(|scope| {
        let add = scope.spawn(|| node.call("ADD", "web"));
        let hanging = node.hanging("ADD-eth0");
        // As a DEL that cannot wait does.
        assert!(node.engine.locks.take_over(&container("web"), Instant::now()).is_none());
        drop(hanging);
        let error = add.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("was deleted while"), "{error}");
    });
    assert_eq!(node.stored("web"), None);
    assert_eq!(node.log(), ["ADD eth0", "DEL eth0"]);
}

#[test]
fn a_lost_pod_that_the_watch_has_is_deleted_whole() {
    let node = Node::new(&["a"]);
    node.pod("web", Some("a"));
    node.call("ADD", "web").unwrap();
    node.engine.store.forget(&container("web")).unwrap();
    node.log();
    node.call("DEL", "web").unwrap();
    assert_eq!(node.log(), ["DEL net1", "DEL eth0"]);
    assert_eq!(node.stored("web"), None);
    // A definition that is gone leaves what the primary plugin has.
    node.pod("other", Some("gone"));
    node.call("DEL", "other").unwrap();
    assert_eq!(node.log(), ["DEL eth0"]);
}

#[test]
fn a_spooled_deletion_that_cannot_be_done_is_tried_again() {
    let node = Node::new(&[]);
    let spool = node.dir.path().join("spool");
    fs::write(&spool, "no directory").unwrap();
    node.engine.reconcile();
    assert!(node.engine.later.looks(), "it is looked at again");
}
