//! What each change answers, and what is there afterwards.

use api::DefaultRoute;

use super::{STEPS, calls, dump, pod, result};
use crate::{Error, Store};

#[test]
fn a_life_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let expected = [
        ("p1", "eth0=? net1=? net2=?"),
        ("p1", "eth0=10.0.0.1/24 net1=10.1.0.1/24 net2=10.2.0.1/24"),
        ("p2", "eth0=? net1=?"),
        ("p1", "eth0=10.0.0.1/24 net1=10.1.0.1/24 net2=10.2.0.1/24 net3=?"),
        ("p1", "eth0=10.0.0.1/24 net1=10.1.0.1/24 net2=10.2.0.1/24 net3=10.3.0.1/24"),
        ("p1", "eth0=10.0.0.1/24 net1=10.1.0.1/24!unplugged net2=10.2.0.1/24 net3=10.3.0.1/24"),
        ("p1", "eth0=10.0.0.1/24 net2=10.2.0.1/24 net3=10.3.0.1/24"),
        ("p2", "eth0=10.0.0.2/24 net1=10.1.0.2/24"),
        ("p1", "!deleted eth0=10.0.0.1/24 net2=10.2.0.1/24 net3=10.3.0.1/24"),
        ("p3", "eth0=?"),
        ("p2", "eth0=10.0.0.2/24 net1=10.1.0.2/24"),
        ("p3", "!failed eth0=?"),
        ("p3", "!failed"),
        ("p2", "eth0=10.0.0.2/24 net1=10.1.0.2/24"),
    ];
    for (at, (step, (id, expected))) in STEPS.iter().zip(expected).enumerate() {
        assert!(step(&store).unwrap(), "step {at}");
        assert_eq!(dump(&store)[id], expected, "step {at}");
    }
    assert_eq!(dump(&store).len(), 1);
    // And all of it is there for the next agent.
    let before = dump(&store);
    drop(store);
    assert_eq!(dump(&Store::open(dir.path()).unwrap()), before);
}

#[test]
fn what_is_not_there_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(store.get("p").unwrap().is_none());
    assert!(!store.made("p", &[(0, &result("10.0.0.1/8"))]).unwrap());
    assert!(!store.attach("p", &calls("a")).unwrap());
    assert!(!store.doom("p", None, "x").unwrap());
    assert!(!store.gone("p", &[0]).unwrap());
    assert!(!store.forget("p").unwrap());
    assert!(store.all().unwrap().is_empty());
    // None of that has left anything that a later pod of this ID would find.
    assert!(store.begin(&pod("p"), &calls("")).unwrap());
    assert_eq!(dump(&store)["p"], "eth0=?");
}

#[test]
fn a_pod_begins_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(store.begin(&pod("p"), &calls("a")).unwrap());
    assert!(!store.begin(&pod("p"), &calls("a,b,c")).unwrap());
    assert_eq!(dump(&store)["p"], "eth0=? net1=?");
    // A container ID that begins like another's is another's.
    assert!(store.begin(&pod("pp"), &calls("")).unwrap());
    assert!(store.forget("p").unwrap());
    assert_eq!(dump(&store).keys().collect::<Vec<_>>(), ["pp"]);
}

#[test]
fn a_result_that_comes_late_brings_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.begin(&pod("p"), &calls("a")).unwrap();
    store.gone("p", &[1]).unwrap();
    assert!(store.made("p", &[(1, &result("10.0.0.1/8"))]).unwrap());
    assert_eq!(dump(&store)["p"], "eth0=?");
}

#[test]
fn a_record_has_all_that_a_deletion_needs() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let made = calls(r#"[{"name":"a","ips":["10.0.0.9/24"],"default-route":["10.0.0.1"]},{"name":"b"}]"#);
    store.begin(&pod("p"), &made).unwrap();
    store.made("p", &[(1, &result("10.0.0.9/24"))]).unwrap();
    store.doom("p", Some(&[2]), "unplugged").unwrap();
    let record = store.get("p").unwrap().unwrap().unwrap();
    assert_eq!(record.pod, pod("p"));
    for (attachment, call) in record.attachments.iter().zip(&made) {
        assert_eq!(attachment.call.config.stdin(0, None, &[]), call.config.stdin(0, None, &[]));
        assert_eq!(attachment.call.cni_args(), call.cni_args());
        assert_eq!(attachment.call.selection, call.selection);
    }
    assert_eq!(record.attachments[2].call.default_route, DefaultRoute::Yields);
    assert_eq!(record.attachments[1].result, Some(result("10.0.0.9/24")));
    let names = |list: Vec<&crate::Attachment>| -> Vec<String> {
        list.iter().map(|attachment| attachment.call.ifname.to_string()).collect()
    };
    assert_eq!(names(record.unfinished().collect()), ["eth0", "net2"]);
    assert_eq!(names(record.to_delete().collect()), ["net2"]);
    store.doom("p", None, "deleted").unwrap();
    let record = store.get("p").unwrap().unwrap().unwrap();
    assert_eq!(names(record.to_delete().collect()), ["net2", "net1", "eth0"]);
}

#[test]
fn a_second_agent_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    let refused = Store::open(dir.path()).unwrap_err();
    assert!(matches!(refused, Error::Store { .. }), "{refused}");
    assert!(refused.to_string().contains("another agent has it open"), "{refused}");
    assert_eq!(refused.to_cni().code(), 11);
    drop(first);
    Store::open(dir.path()).unwrap();
}

#[test]
fn a_file_that_is_no_store_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("agent.redb"), vec![7; 100_000]).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(store.begin(&pod("p"), &calls("")).unwrap());
    assert_eq!(std::fs::read(dir.path().join("agent.redb.damaged")).unwrap(), vec![7; 100_000]);
}

#[test]
fn a_spooled_deletion_is_read_until_it_is_done() {
    let dir = tempfile::tempdir().unwrap();
    assert!(crate::spool::read(&dir.path().join("none")).unwrap().is_empty());
    let body = |verb: &str| {
        format!(
            r#"{{"verb":"{verb}","containerID":"c1","ifname":"eth0","netns":"/n","path":"/opt/cni/bin","config":{{"cniVersion":"1.0.0","name":"n","type":"llano"}}}}"#
        )
    };
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("2.json", &body("DEL"));
    write("3.json", "{");
    write("4.json", &body("ADD"));
    write("5.123", &body("DEL"));
    for _ in 0..2 {
        let found = crate::spool::read(dir.path()).unwrap();
        let ids: Vec<&str> = found.iter().map(|spooled| spooled.request.env.container_id.as_str()).collect();
        assert_eq!(ids, ["c1"]);
    }
    for spooled in crate::spool::read(dir.path()).unwrap() {
        spooled.done().unwrap();
    }
    let mut left: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["3.damaged", "4.damaged", "5.123"]);
}
