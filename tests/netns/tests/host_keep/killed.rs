//! SIGKILL at the calls of a change, of its undo, and of who takes it back.

use std::process::{Output, Stdio};

use netns_tests::kill::{Call, calls};

use crate::site::Site;

/// `llano host ARGS` below strace, which may kill it.
struct Traced<'a> {
    site: &'a Site,
    args: Vec<String>,
}

impl Traced<'_> {
    fn run(&self, options: &[&str]) -> (Output, String) {
        let trace = self.site.file("trace");
        let mut strace = self.site.host().command("strace").unwrap();
        strace.args(["-qq", "-s", "0", "-o", &trace]).args(options).arg(&self.site.llano).arg("host");
        strace.args(&self.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        (strace.output().unwrap(), std::fs::read_to_string(&trace).unwrap())
    }

    /// What every one of several runs does: how often it looks at what the kernel does by itself differs. Before the
    /// watchdog is made nothing is written down: some calls before, and all after it.
    fn calls(&self, reset: impl Fn()) -> Vec<Call> {
        let in_all = self.in_all(reset);
        let is_fork = |call: &Call| ["clone", "clone3", "vfork", "fork"].contains(&call.name.as_str());
        let fork = in_all.iter().position(is_fork).expect("it makes a watchdog");
        let walked = &in_all[fork.saturating_sub(20)..];
        assert!(walked.len() > 80, "{} calls are not the whole of it", walked.len());
        walked.to_vec()
    }

    fn in_all(&self, reset: impl Fn()) -> Vec<Call> {
        let mut runs: Vec<Vec<Call>> = Vec::new();
        for _ in 0..3 {
            let (output, trace) = self.run(&[]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            runs.push(calls(&trace));
            reset();
        }
        let in_all = runs[0].iter().filter(|call| runs.iter().all(|run| run.contains(call)));
        in_all.cloned().collect()
    }

    /// Whether it was killed there.
    fn killed(&self, call: &Call) -> bool {
        let inject = call.inject();
        let (output, trace) = self.run(&[&inject[0], &inject[1]]);
        call.killed(output.status, &trace)
    }
}

/// SIGKILL at every call of an apply. The watchdog gives the old network back, or the new one is whole and declared.
#[test]
fn killed_at_every_call_of_apply() {
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let apply = Traced { site: &site, args: vec!["apply".to_owned(), file.clone()] };
    let undo = || {
        site.ok(&["undo"]);
        site.settle("once it is undone");
        assert_eq!(site.network(), before);
    };
    let calls = apply.calls(undo);
    let (mut old, mut new) = (0, 0);
    for call in &calls {
        let killed = apply.killed(call);
        let when = format!("killed at {call}");
        site.settle(&when);
        if site.has_shop() {
            new += 1;
            assert!(site.declared().is_some_and(|text| text.contains("shop")), "{when}: made, not declared");
            assert!(site.ok(&["apply", &file]).contains("so already"), "{when}: half made");
            undo();
        } else {
            old += 1;
            assert!(killed, "{when}: it was not, and made nothing");
        }
        assert_eq!(site.network(), before, "{when}");
        assert_eq!(site.declared(), None, "{when}");
    }
    eprintln!("apply killed at {} calls: {old} times the old network, {new} times the new one", calls.len());
    assert!(old > 0 && new > 0);
}

/// The same of undo: it is as if it had not begun, or it is done.
#[test]
fn killed_at_every_third_call_of_undo() {
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let undo = Traced { site: &site, args: vec!["undo".to_owned()] };
    let apply = || {
        site.ok(&["apply", &file]);
        site.settle("once it is applied");
    };
    apply();
    let calls = undo.calls(apply);
    let (mut old, mut new) = (0, 0);
    for call in calls.iter().step_by(3) {
        let killed = undo.killed(call);
        let when = format!("killed at {call}");
        site.settle(&when);
        if site.has_shop() {
            old += 1;
            assert!(killed, "{when}: it was not, and undid nothing");
            assert!(site.ok(&["apply", &file]).contains("so already"), "{when}: half undone");
        } else {
            new += 1;
            assert_eq!(site.network(), before, "{when}");
            assert_eq!(site.declared(), None, "{when}");
            apply();
        }
    }
    eprintln!("undo killed at {} calls: {old} times not undone, {new} times undone", calls.len().div_ceil(3));
    assert!(old > 0 && new > 0);
}

/// Nobody watches any more, and who takes back what waits is killed too: the next command takes it back, or it still waits
/// whole. What is half taken back is never confirmed.
#[test]
fn killed_while_taking_back() {
    let site = Site::new();
    let (before, file) = (site.network(), site.file("wanted.yaml"));
    let wait = || {
        site.ok(&["apply", &file, "--confirm", "600"]);
        site.kill_all();
    };
    let undo = Traced { site: &site, args: vec!["undo".to_owned()] };
    wait();
    let calls = undo.in_all(wait);
    let (mut back, mut waits) = (0, 0);
    // Before it opens the records it is any program.
    for call in calls.iter().skip(calls.len() / 3).step_by(4) {
        undo.killed(call);
        let when = format!("killed at {call}");
        let confirmed = site.run(&["confirm"]).status.success();
        site.settle(&when);
        if confirmed {
            waits += 1;
            assert!(
                site.ok(&["apply", &file]).contains("so already"),
                "{when}: confirmed and half taken back"
            );
            site.ok(&["undo"]);
            site.settle(&when);
        } else {
            back += 1;
        }
        assert_eq!((site.network(), site.declared()), (before.clone(), None), "{when}");
        wait();
    }
    eprintln!(
        "taking back killed: {back} times taken back by the next command, {waits} times it waited still"
    );
    assert!(back > 0 && waits > 0);
}
