//! `llano lab cluster up` and `down`, also when they are killed or fail: nothing is left.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Command, ExitCode, Output, Stdio};

use cluster::{Cluster, KUBERNETES};
use cluster_tests::{Clean, PATIENCE, run_alone};
use serde_json::Value;

fn main() -> ExitCode {
    run_alone(&[
        ("a_start_that_was_killed_is_cleared_away", killed),
        ("a_start_that_fails_says_why_and_leaves_nothing", failing),
        ("the_commands_refuse_what_cannot_be", refusals),
    ])
}

fn name() -> String {
    format!("t{}-cli", std::process::id())
}

fn llano(args: &[&str]) -> Command {
    let mut command = Command::new(netns_tests::bin_dir().join("llano"));
    let (task, rest) = args.split_first().expect("a task");
    command.args(["lab", "cluster", task, "--name", &name()]).args(rest);
    command
}

fn run(args: &[&str]) -> Output {
    llano(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts a cluster and kills the command as it tells that it is there.
fn up_killed_at(stage: &str) {
    let mut child =
        llano(&["up", "--nodes", "1"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.into_iter().find(|line| line.contains(stage));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(told.is_some(), "never told of {stage:?}");
}

fn killed() {
    let clean = Clean::begin();
    for stage in ["certificates", "the LAN", "images into containerd", "nodes and add-ons"] {
        up_killed_at(stage);
        let down = run(&["down"]);
        assert!(down.status.success(), "killed at {stage:?}: {}", stderr(&down));
        clean.assert();
    }
    // The next start needs no `down` before.
    up_killed_at("DNS to answer");
    let up = run(&["up", "--nodes", "1", "--output", "json"]);
    assert!(up.status.success(), "{}", stderr(&up));
    let said: Value = serde_json::from_slice(&up.stdout).unwrap();
    assert_eq!(said["nodes"], serde_json::json!(["node1"]), "{said}");
    let status: Value = serde_json::from_slice(&run(&["status", "--output", "json"]).stdout).unwrap();
    assert_eq!(status["ready"], true, "{status:#}");
    let nodes = run(&["kubectl", "get", "nodes", "-o", "name"]);
    assert_eq!(String::from_utf8_lossy(&nodes.stdout).trim(), "node/node1");
    let again = run(&["up"]);
    assert!(!again.status.success() && stderr(&again).contains("is there already"), "{}", stderr(&again));
    // Killed while it takes down: when the processes and namespaces are gone and the files are not.
    let mut child = llano(&["down"]).stdout(Stdio::null()).spawn().unwrap();
    let lab = std::path::Path::new("/run/llano-lab").join(name());
    let gone = || Ok((!lab.exists()).then_some(()));
    Cluster::wait("the end of the lab", PATIENCE, gone).unwrap();
    let _ = child.kill();
    child.wait().unwrap();
    let down = run(&["down"]);
    assert!(down.status.success() || stderr(&down).contains("is not up"), "{}", stderr(&down));
    clean.assert();
}

fn failing() {
    let clean = Clean::begin();
    // A cache in which the API server is a program that ends at once.
    let cache = std::path::PathBuf::from(std::env::var_os("LLANO_CACHE_DIR").expect("LLANO_CACHE_DIR"));
    let broken = std::env::temp_dir().join(name());
    let kubernetes = format!("kubernetes-{KUBERNETES}");
    std::fs::create_dir_all(broken.join(&kubernetes)).unwrap();
    for entry in
        std::fs::read_dir(&cache).unwrap().flatten().filter(|entry| *entry.file_name() != *kubernetes)
    {
        symlink(entry.path(), broken.join(entry.file_name())).unwrap();
    }
    for entry in std::fs::read_dir(cache.join(&kubernetes)).unwrap().flatten() {
        let target = if *entry.file_name() == *"kube-apiserver" { "/bin/false".into() } else { entry.path() };
        symlink(target, broken.join(&kubernetes).join(entry.file_name())).unwrap();
    }
    let up = llano(&["up", "--nodes", "1"]).env("LLANO_CACHE_DIR", &broken).output().unwrap();
    std::fs::remove_dir_all(&broken).unwrap();
    assert!(!up.status.success());
    let said = stderr(&up);
    assert!(said.lines().last().unwrap().contains("kube-apiserver: ended at its start"), "{said}");
    clean.assert();
}

fn refusals() {
    let clean = Clean::begin();
    for (args, why) in [
        (&["down"][..], "is not up"),
        (&["kubectl", "get", "nodes"], "is not up"),
        (&["up", "--nodes", "0"], "nodes: 0 is not allowed"),
        (&["logs", "node1/etcd"], "component"),
    ] {
        let output = run(args);
        let said = stderr(&output);
        assert!(!output.status.success() && said.contains(why), "{args:?}: {said}");
    }
    let empty = llano(&["up"]).env("LLANO_CACHE_DIR", "/nonexistent").output().unwrap();
    let said = stderr(&empty);
    assert!(!empty.status.success() && said.contains("kubelet (kubernetes-"), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "one line: {said}");
    let dry = run(&["up", "--dry-run", "--output", "json"]);
    assert!(dry.status.success(), "{}", stderr(&dry));
    clean.assert();
}
