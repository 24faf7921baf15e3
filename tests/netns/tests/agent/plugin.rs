//! The plugin `llano` and an agent that comes and goes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use netns_tests::llano_plugins;

use crate::{PROGRAM, lab, node_with};

#[test]
fn add_check_and_del_by_way_of_the_socket() {
    let (lab, plugins) = (lab(), llano_plugins());
    let node = node_with(&lab, 2);
    node.pod("web", "c1", "extra1,extra2");
    let agent = node.serve();
    let result = node.plugin(&plugins, "ADD", "web", "c1").unwrap();
    assert_eq!(result["ips"][0]["address"], "10.9.64.2/20", "{result}");
    assert_eq!(result["cniVersion"], "1.1.0");
    node.plugin(&plugins, "CHECK", "web", "c1").unwrap();
    node.plugin(&plugins, "STATUS", "web", "c1").unwrap();
    let down =
        node.host.command("ip").unwrap().args(["-n", "c1", "link", "set", "net2", "down"]).status().unwrap();
    assert!(down.success());
    let error = node.plugin(&plugins, "CHECK", "web", "c1").unwrap_err();
    assert!(error["msg"].as_str().unwrap().contains("net2"), "{error}");
    node.plugin(&plugins, "DEL", "web", "c1").unwrap();
    agent.stop();
    assert_eq!(node.leftovers(&["c1"]), Vec::<String>::new());
}

#[test]
fn a_node_stays_ready_while_one_agent_makes_room_for_the_next() {
    let (lab, plugins) = (lab(), llano_plugins());
    let node = node_with(&lab, 1);
    node.pod("web", "c1", "extra1");
    node.serve().kill();
    std::thread::scope(|scope| {
        let status = scope.spawn(|| node.plugin(&plugins, "STATUS", "web", "c1"));
        let agent = node.serve();
        status.join().unwrap().unwrap();
        agent.stop();
    });
}

#[test]
fn a_del_without_an_agent_is_done_by_the_next() {
    let (lab, plugins) = (lab(), llano_plugins());
    let node = node_with(&lab, 1);
    node.pod("web", "c1", "extra1");
    let agent = node.serve();
    node.plugin(&plugins, "ADD", "web", "c1").unwrap();
    agent.kill();
    node.plugin(&plugins, "DEL", "web", "c1").unwrap();
    let spooled = || fs::read_dir(node.dir().join("spool")).unwrap().count();
    assert_eq!(spooled(), 1);
    let agent = node.serve();
    assert_eq!(spooled(), 0);
    agent.stop();
    assert_eq!(node.leftovers(&["c1"]), Vec::<String>::new());
}

#[test]
fn an_add_whose_agent_is_killed_is_served_by_the_next() {
    let (lab, plugins) = (lab(), llano_plugins());
    let node = node_with(&lab, 1);
    let names: Vec<String> = (0..8).map(|number| format!("c{number}")).collect();
    for name in &names {
        node.pod(name, name, "extra1");
    }
    let agent = node.serve();
    std::thread::scope(|scope| {
        let calls: Vec<_> =
            names.iter().map(|name| scope.spawn(|| node.plugin(&plugins, "ADD", name, name))).collect();
        agent.kill();
        let agent = node.serve();
        for call in calls {
            call.join().unwrap().unwrap();
        }
        for name in &names {
            node.plugin(&plugins, "CHECK", name, name).unwrap();
            node.plugin(&plugins, "DEL", name, name).unwrap();
        }
        agent.stop();
    });
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(node.leftovers(&names), Vec::<String>::new());
}

#[test]
fn an_agent_without_work_waits_and_does_nothing_else() {
    let (lab, plugins) = (lab(), llano_plugins());
    let node = node_with(&lab, 1);
    node.pod("web", "c1", "extra1");
    node.files.put_sandboxes(Some(&["c1"]));
    let agent = node.serve();
    node.plugin(&plugins, "ADD", "web", "c1").unwrap();
    // The call's thread ends after its answer.
    let mut before = agent.waits();
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(50));
        let now = agent.waits();
        if std::mem::replace(&mut before, now.clone()) == now {
            break;
        }
    }
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(agent.waits(), before, "somebody woke up");
    node.plugin(&plugins, "DEL", "web", "c1").unwrap();
    assert_ne!(agent.waits(), before, "and would have been seen");
    agent.stop();
}

#[test]
fn only_root_is_served_whatever_became_of_the_sockets_mode() {
    let lab = lab();
    let node = node_with(&lab, 0);
    let agent = node.serve();
    // Everybody may come as far as the socket, and run this program.
    let program = node.dir().join("asker");
    fs::copy(PROGRAM, &program).unwrap();
    let socket = node.dir().join("agent.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(node.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let ask = |uid: u32| {
        let who = uid.to_string();
        let mut command = node.host.command("setpriv").unwrap();
        command.args(["--reuid", &who, "--regid", &who, "--clear-groups"]).arg(&program).arg(node.dir());
        let output = command.arg("ask").output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (asked, answer) = ask(0);
    assert!(asked && answer.contains("\"pods\""), "{answer}");
    let (_, answer) = ask(65534);
    assert_eq!(answer, "", "closed without a word");
    agent.stop();
}
