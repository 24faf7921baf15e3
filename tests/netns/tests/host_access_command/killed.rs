//! SIGKILL at the calls of a move.

use super::*;

/// SIGKILL at every call of a move after which something is different. The watchdog gives the old network back, or the
/// new one is whole; the peer reaches the host either way.
fn killed_at_every_call(keep_mac: bool) {
    let site = Site::new();
    let trace = site.file("trace", "");
    let before = site.network();
    let strace = |options: &[&str]| {
        let mut strace = site.host().command("strace").unwrap();
        strace.args(["-qq", "-s", "0", "-o", &trace]).args(options).arg(&site.llano);
        strace.args(["host", "access", "on", "eth0", "--move"]).args(keep_mac.then_some("--keep-mac"));
        strace.stdin(Stdio::null()).stdout(Stdio::null());
        strace.stderr(Stdio::piped()).output().unwrap()
    };
    let mut runs: Vec<Vec<Call>> = Vec::new();
    for _ in 0..2 {
        let output = strace(&[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        runs.push(calls(&std::fs::read_to_string(&trace).unwrap()));
        site.ok(&["undo"]);
        site.settle("between traces");
        site.assert_network(&before, keep_mac, "undone");
    }
    let in_all: Vec<&Call> = runs[0].iter().filter(|call| runs[1].contains(call)).collect();
    let is_fork = |call: &Call| ["clone", "clone3", "vfork", "fork"].contains(&call.name.as_str());
    let fork = in_all.iter().position(|call| is_fork(call)).expect("it makes a watchdog");
    // Killed at one that only reads, all is as at the next that does something.
    let does = |call: &&&Call| {
        ["sendto", "sendmsg", "write", "pwrite64", "rename", "unlink", "fsync", "exit_group"]
            .contains(&call.name.as_str())
    };
    let walked: Vec<&Call> = in_all[fork.saturating_sub(5)..].iter().filter(does).copied().collect();
    assert!(walked.len() > 60, "{} calls are no whole move", walked.len());
    let (mut old, mut new) = (0, 0);
    for call in &walked {
        let inject = call.inject();
        let output = strace(&[&inject[0], &inject[1]]);
        let killed = call.killed(output.status, &std::fs::read_to_string(&trace).unwrap());
        let when = format!("killed at {call}");
        site.settle(&when);
        site.is_reachable(&when);
        if site.has_moved() {
            new += 1;
            let args: &[&str] = &["access", "on", "eth0", "--move", "--keep-mac"];
            let said = site.ok(if keep_mac { args } else { &args[..4] });
            assert_eq!(said, "The network is so already.\n", "{when}: half moved");
            site.ok(&["undo"]);
            site.settle(&when);
        } else {
            old += 1;
            assert!(killed, "{when}: it was not, and moved nothing");
        }
        site.assert_network(&before, keep_mac, &when);
    }
    eprintln!("killed at {} calls: {old} times the old network, {new} times the new one", walked.len());
    assert!(old > 0 && new > 0);
}

#[test]
fn killed_at_every_call_of_a_move() {
    killed_at_every_call(false);
}

#[test]
fn killed_at_every_call_of_an_exchange_of_macs() {
    killed_at_every_call(true);
}
