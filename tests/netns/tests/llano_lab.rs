//! `llano lab` as it is typed: exit codes, output, and the demo.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use netns_tests::{LeakCheck, bin_dir};
use serde_json::Value;

fn llano(args: &[&str]) -> Output {
    let dir = bin_dir();
    Command::new(dir.join("llano")).args(args).env("LLANO_BIN_DIR", &dir).output().unwrap()
}

fn ok(args: &[&str]) -> String {
    let output = llano(args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    let args = [args, &["--output", "json"]].concat();
    serde_json::from_str(&ok(&args)).unwrap()
}

fn fails(code: i32, args: &[&str]) -> String {
    let output = llano(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn unique(what: &str) -> String {
    format!("{what}-{}", std::process::id())
}

/// Takes the lab down when the test ends, also when it fails.
struct Down(String);

impl Drop for Down {
    fn drop(&mut self) {
        if Path::new("/run/llano-lab").join(&self.0).exists() {
            let _ = llano(&["lab", "down", &self.0]);
        }
    }
}

#[test]
fn a_lab_from_a_file_lives_and_ends() {
    let check = LeakCheck::begin();
    let name = unique("cli");
    let _guard = Down(name.clone());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine.yaml");
    std::fs::write(&file, ok(&["lab", "show", "two-hosts"])).unwrap();
    let file = file.to_str().unwrap();

    let plan = json(&["lab", "up", file, "--name", &name, "--dry-run"]);
    assert!(plan["steps"].as_array().unwrap().len() > 5, "{plan}");
    assert!(!ok(&["lab", "list"]).contains(&name), "a dry run made the lab");

    let up = json(&["lab", "up", file, "--name", &name]);
    assert_eq!(up["nodes"][0]["addresses"][0], "10.1.0.1/24");
    let again = fails(1, &["lab", "up", file, "--name", &name]);
    assert_eq!(again.lines().count(), 1);
    assert!(again.starts_with(&format!("llano: lab {name}: is up already")), "{again}");

    let labs = json(&["lab", "list"]);
    assert!(
        labs.as_array().unwrap().iter().any(|lab| lab["name"] == *name && lab["stage"] == "up"),
        "{labs}"
    );
    let matrix = json(&["lab", "matrix", "--name", &name]);
    assert_eq!(matrix.as_array().unwrap().len(), 2, "one for each family: {matrix}");
    assert!(matrix[0]["cells"][0]["rttMicroseconds"].is_u64());

    assert!(
        ok(&["lab", "exec", "--name", &name, "host1", "--", "ip", "-br", "address"]).contains("10.1.0.1/24")
    );
    fails(7, &["lab", "exec", "--name", &name, "host1", "--", "sh", "-c", "exit 7"]);
    fails(127, &["lab", "exec", "--name", &name, "host1", "--", "no-such-program"]);
    let unknown = fails(1, &["lab", "exec", "--name", &name, "host9", "--", "true"]);
    assert_eq!(unknown, format!("llano: lab {name}: no node host9; there are host1, host2\n"));
    ok(&["lab", "exec", "--name", &name, "host1", "--", "ip", "link", "set", "eth0", "down"]);
    fails(1, &["lab", "matrix", "--name", &name, "--timeout", "50"]);

    assert!(ok(&["lab", "down", &name, "--dry-run"]).starts_with("would take down"));
    assert_eq!(json(&["lab", "down", &name])["down"][0], *name);
    assert!(fails(1, &["lab", "down", &name]).contains("no such lab"));
    check.assert_clean();
}

#[test]
fn wrong_use_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.yaml");
    std::fs::write(&file, "hosts: { a: { interfaces: { eth0: { switch: lan } } } }").unwrap();
    let file = file.to_str().unwrap();
    let error = fails(1, &["lab", "up", file]);
    let expected = "hosts.a.interfaces.eth0.switch: lan is not allowed: a switch listed under switches";
    assert_eq!(error, format!("llano: {file}: {expected}\n"));
    let error = fails(1, &["lab", "up", "no-such-example"]);
    assert!(error.contains("neither a file nor an example; examples are two-hosts"), "{error}");
    let error = fails(1, &["lab", "up", "two-hosts", "--name", "Not/A/Name"]);
    assert!(error.contains("lab name \"Not/A/Name\" is not allowed: 1 to 30 of a-z"), "{error}");
    fails(2, &["lab", "up"]);
    fails(2, &["lab", "show", "no-such-example"]);
    fails(2, &["no-such-command"]);
}

#[test]
fn help_completions_and_manual_pages_are_there() {
    for command in ["lab", "lab up", "lab down", "lab exec", "lab matrix", "lab demo", "completions", "man"] {
        let args: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = ok(&args);
        assert!(help.contains("llano"), "{command} --help has no example: {help}");
        assert!(!help.contains('\x1b'), "{command} --help is coloured without a terminal");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(ok(&["completions", shell]).contains("matrix"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    ok(&["man", dir.path().to_str().unwrap()]);
    for page in ["llano.1", "llano-lab.1", "llano-lab-up.1", "llano-lab-demo.1"] {
        assert!(dir.path().join(page).is_file(), "{page}");
    }
    assert!(ok(&["--version"]).starts_with("llano "));
}

/// The whole story: the demo checks each of its claims itself and fails when one does not hold.
#[test]
fn the_demo_shows_what_it_says() {
    let check = LeakCheck::begin();
    let name = unique("demo");
    let _guard = Down(name.clone());
    let found = json(&["lab", "demo", "--name", &name]);
    assert_eq!(found["verbatim"][0]["eth0"]["address"], "172.16.129.110");
    assert_eq!(found["sameFileOnBothHosts"]["address"], "172.16.129.110");
    assert_eq!(found["sameFileOnBothHosts"]["answers"].as_array().unwrap().len(), 2);
    assert_eq!(found["probe"]["address"], "172.16.129.112");
    let works = |when: &str| -> Vec<bool> {
        let table = found[when]["table"].as_array().unwrap();
        table.iter().map(|line| line["works"].as_bool().unwrap()).collect()
    };
    assert_eq!(works("withoutHostAccess"), [true, true, true, false, true]);
    assert_eq!(works("withHostAccess"), [true; 5]);
    assert!(!Path::new("/run/llano-lab").join(&name).exists());
    check.assert_clean();
}

#[test]
fn a_kept_demo_stays_until_it_is_taken_down() {
    let name = unique("kept");
    let _guard = Down(name.clone());
    let text = ok(&["lab", "demo", "--name", &name, "--keep"]);
    assert!(text.contains(&format!("llano lab down {name}")), "{text}");
    assert!(!text.contains('\x1b'), "coloured without a terminal");
    let matrix = json(&["lab", "matrix", "--name", &name]);
    let names = matrix[0]["names"].as_array().unwrap();
    for container in ["host1/web1", "host1/web2", "host2/db1"] {
        assert!(names.iter().any(|name| name == container), "{container} is not in {names:?}");
    }
    assert!(ok(&["lab", "exec", "--name", &name, "host1/web1", "--", "ip", "route"]).contains("default via"));
    ok(&["lab", "down", &name]);
}
