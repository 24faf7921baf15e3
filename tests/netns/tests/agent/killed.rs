//! SIGKILL at every kind of system call of an ADD, of a DEL and of a change of a running pod in the agent: reconciled, or told to delete, it leaves nothing.

use std::fs;
use std::path::Path;

use netns_tests::AgentNode;
use netns_tests::kill::{Call, calls};

use crate::{lab, node_with};

/// The calls of a call, from the reading of its request on; of three runs those that every run makes.
fn trace(node: &AgentNode<'_>, verb: &str, file: &Path) -> Vec<Call> {
    let mut runs: Vec<Vec<Call>> = Vec::new();
    for _ in 0..3 {
        for each in ["ADD", "DEL"] {
            let (answer, status) = node.call(&node.body(each, "web", "traced"), &["-s", "0"], file);
            assert!(status.success(), "{each}: {answer}");
            if each == verb {
                let text = fs::read_to_string(file).unwrap();
                let reads = text.lines().position(|line| line.starts_with("read(0,")).unwrap();
                // strace's own execve is no call of the agent's.
                runs.push(calls(&text).split_off(reads - 1));
            }
        }
    }
    sampled(&in_all(&runs), 3)
}

/// What each run makes, in the first one's order.
fn in_all(runs: &[Vec<Call>]) -> Vec<Call> {
    let everywhere = |call: &&Call| runs.iter().all(|run| run.contains(call));
    runs[0].iter().filter(everywhere).cloned().collect()
}

/// The calls to be killed at: of every kind the first and the last, and of all every `step`-th. Four macvlans are made by the same
/// calls in the same order, so what is left out at one of them is there at another.
fn sampled(calls: &[Call], step: usize) -> Vec<Call> {
    let last = |call: &Call| calls.iter().filter(|other| other.name == call.name).count();
    let chosen = |(at, call): &(usize, &Call)| at % step == 0 || call.count <= 2 || call.count == last(call);
    calls.iter().enumerate().filter(chosen).map(|(_, call)| call.clone()).collect()
}

fn walk(verb: &str) {
    let lab = lab();
    let node = node_with(&lab, 3);
    node.files.put_pod("web", "extra1,extra2,extra3", "");
    node.files.put_sandboxes(Some(&[]));
    let file = node.dir().join("trace");
    let must = |verb: &str, container: &str, when: &str| {
        let (answer, status) = node.call(&node.body(verb, "web", container), &[], &file);
        assert!(status.success(), "{verb} {when}: {answer}");
    };
    node.host.container("traced").unwrap();
    let calls = trace(&node, verb, &file);
    assert!(calls.len() > 60, "{} calls are no whole run", calls.len());
    let mut killed = 0;
    for (number, call) in calls.iter().enumerate() {
        let pod = format!("pod{number}");
        let container = node.host.container(&pod).unwrap();
        let when = format!("after a kill of {verb} at {call}");
        if verb == "DEL" {
            must("ADD", &pod, "before the kill");
        }
        let inject = call.inject();
        let options = ["-s", "0", &inject[0], &inject[1]];
        let (_, status) = node.call(&node.body(verb, "web", &pod), &options, &file);
        killed += usize::from(call.killed(status, &fs::read_to_string(&file).unwrap()));
        // As a runtime does, or as the next agent.
        if number % 2 == 0 {
            must("DEL", &pod, &when);
        } else {
            node.run(&["reconcile"]);
        }
        assert_eq!(node.leftovers(&[&pod]), Vec::<String>::new(), "{when}");
        // The same container once more.
        if number % 8 == 0 {
            must("ADD", &pod, &when);
            must("DEL", &pod, &when);
            assert_eq!(node.leftovers(&[&pod]), Vec::<String>::new(), "{when} and one more ADD and DEL");
        }
        container.delete().unwrap();
    }
    eprintln!("killed {verb} at {killed} of {} calls", calls.len());
    assert!(killed > 60, "only {killed} kills");
}

#[test]
fn add_of_four_macvlans() {
    walk("ADD");
}

#[test]
fn del_of_four_macvlans() {
    walk("DEL");
}

#[test]
fn change_of_a_running_pod() {
    let lab = lab();
    let node = node_with(&lab, 3);
    fs::write(node.dir().join("config"), node.conf().to_string()).unwrap();
    let file = node.dir().join("trace");
    let must = |verb: &str, pod: &str, when: &str| {
        let (answer, status) = node.call(&node.body(verb, pod, pod), &[], &file);
        assert!(status.success(), "{verb} {when}: {answer}");
    };
    let add = |pod: &str| {
        node.pod(pod, pod, "extra1,extra2");
        node.files.put_sandboxes(Some(&[pod]));
        must("ADD", pod, "at first");
        node.files.put_pod(pod, "extra2,extra3", "");
    };
    let runs = [(); 2].map(|()| {
        add("traced");
        assert!(node.traced(&["follow", "traced"], &["-s", "0"], &file).success());
        must("DEL", "traced", "after a trace");
        node.host.open_container("traced").unwrap().delete().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let opened = text.lines().position(|line| line.contains("agent.redb\"")).unwrap();
        calls(&text).split_off(opened)
    });
    let calls = sampled(&in_all(&runs), 40);
    let mut killed = 0;
    for (number, call) in calls.iter().enumerate() {
        let pod = format!("pod{number}");
        add(&pod);
        let inject = call.inject();
        let status = node.traced(&["follow", &pod], &["-s", "0", &inject[0], &inject[1]], &file);
        killed += usize::from(call.killed(status, &fs::read_to_string(&file).unwrap()));
        let when = format!("after a kill of a change at {call}");
        // The next agent goes on from there, or the pod ends.
        if number % 2 == 0 {
            node.run(&["reconcile"]);
            let told = node.files.status(&pod).unwrap();
            let status = api::status::Statuses::parse(&told).unwrap();
            let mut names: Vec<String> = status.elements().into_iter().map(|status| status.name).collect();
            names.sort();
            assert_eq!(names, ["shop/extra2", "shop/extra3", "shop/lan"], "{when}");
            must("CHECK", &pod, &when);
        }
        must("DEL", &pod, &when);
        assert_eq!(node.leftovers(&[&pod]), Vec::<String>::new(), "{when}");
        node.host.open_container(&pod).unwrap().delete().unwrap();
        fs::remove_file(node.dir().join(format!("pods/shop/{pod}.json"))).unwrap();
    }
    eprintln!("killed a change at {killed} of {} calls", calls.len());
    assert!(killed > 20, "only {killed} kills");
}
