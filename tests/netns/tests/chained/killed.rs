//! SIGKILL at every system call of ADD and of DEL: one DEL afterwards, without a result, leaves nothing behind.

use lab::Container;
use netns_tests::kill::{self, Call};
use serde_json::{Value, json};

use crate::support::{call, config, lab, llano, macvlan_pod, previous, shell, stdin_file};
use crate::{bandwidth, sbr, tuning};

/// One plugin under strace; what strace wrote, and how it ended.
fn traced(
    pod: &Container<'_>,
    verb: &str,
    config: &Value,
    options: &[&str],
) -> (String, std::process::ExitStatus) {
    let (input, trace) = (stdin_file(config), tempfile::NamedTempFile::new().unwrap());
    let kind = config["type"].as_str().unwrap();
    let status = pod
        .host()
        .command("strace")
        .unwrap()
        .args(["-qq", "-s", "0", "-o"])
        .arg(trace.path())
        .args(options)
        .arg(llano().dir().join(kind))
        .envs([
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", pod.name()),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/x"),
        ])
        .env("CNI_NETNS", pod.path())
        .stdin(std::fs::File::open(input.path()).unwrap())
        .output()
        .unwrap()
        .status;
    (std::fs::read_to_string(trace.path()).unwrap(), status)
}

/// The calls of a whole run from the reading of its configuration on, before which it knows nothing to do.
fn calls(trace: &str) -> Vec<Call> {
    let reads = trace.lines().position(|line| line.starts_with("read(0,")).unwrap_or_default();
    // strace's own execve, which is no call of the plugin's, comes first.
    kill::calls(trace).split_off(reads.saturating_sub(1))
}

/// Kills `kind` everywhere. `state` is what must be as before after a DEL, `reset` puts back what DEL does not.
fn walk(pod: &Container<'_>, kind: &str, keys: &Value, state: &dyn Fn() -> String, reset: &str) {
    let llano = llano();
    let previous = previous(pod, "1.0.0", &[("10.1.2.3/24", Some("10.1.2.1"))]);
    let add = config(kind, "1.0.0", keys.clone(), &previous);
    let del = config(kind, "1.0.0", keys.clone(), &Value::Null);
    let before = state();
    for verb in ["ADD", "DEL"] {
        if verb == "DEL" {
            llano.run("ADD", &add, &call(pod)).unwrap();
        }
        let conf = if verb == "ADD" { &add } else { &del };
        let (trace, status) = traced(pod, verb, conf, &[]);
        assert!(status.success(), "{kind} {verb}: {trace}");
        llano.run("DEL", &del, &call(pod)).unwrap();
        assert_eq!(state(), before, "{kind} {verb}: a whole run");
        shell(pod, reset);
        let calls = calls(&trace);
        assert!(calls.len() > 10, "{kind} {verb}: {trace}");
        eprintln!("{kind} {verb}: {} calls", calls.len());
        for at in calls {
            let when = format!("{kind} {verb} killed at {at}");
            if verb == "DEL" {
                llano.run("ADD", &add, &call(pod)).unwrap();
            }
            let inject = at.inject();
            let (trace, status) = traced(pod, verb, conf, &[&inject[0], &inject[1]]);
            assert!(at.killed(status, &trace), "{when}: never came to it\n{trace}");
            llano.run("DEL", &del, &call(pod)).unwrap_or_else(|error| panic!("{when}: {error}"));
            assert_eq!(state(), before, "{when}");
            shell(pod, reset);
            llano.run("ADD", &add, &call(pod)).unwrap_or_else(|error| panic!("{when}: {error}"));
            llano.run("DEL", &del, &call(pod)).unwrap();
            shell(pod, reset);
        }
    }
}

#[test]
fn tuning_at_every_call() {
    let lab = lab();
    let pod = macvlan_pod(lab.host("host").unwrap(), "pod", 1);
    let keys = json!({
        "sysctl": {"net.ipv4.conf.IFNAME.arp_notify": "1"},
        "mac": "02:00:00:00:00:aa", "mtu": 1400, "promisc": true, "allmulti": true, "txQLen": 50,
    });
    // Sysctls stay, as documented.
    let state = || tuning::link_of(&tuning::state(&pod)) + &tuning::files(&pod);
    // Each run makes its directory anew, so that this is walked, too.
    walk(&pod, "tuning", &keys, &state, "rm -rf /run/cni");
}

#[test]
fn sbr_at_every_call() {
    let lab = lab();
    let pod = macvlan_pod(lab.host("host").unwrap(), "pod", 1);
    let reset = "ip link set eth0 up; ip -4 address flush dev eth0; ip address add 10.1.2.3/24 dev eth0 \
                 && ip route add default via 10.1.2.1 && ip route add 10.5.0.0/16 via 10.1.2.9";
    shell(&pod, reset);
    // What was moved out of the main table goes with the interface.
    let state = || {
        let ours =
            sbr::state(&pod).into_iter().filter(|line| line.contains("lookup") || line.contains("table"));
        ours.collect::<Vec<_>>().join("\n")
    };
    walk(&pod, "sbr", &json!({}), &state, reset);
}

#[test]
fn bandwidth_at_every_call() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let keys = bandwidth::limits(8_000_000, 16_000_000);
    let inside = macvlan_pod(host, "inside", 1);
    let state =
        || bandwidth::traffic(host, Some(&inside), "eth0") + &shell(&inside, "ip -br link show type ifb");
    walk(&inside, "bandwidth", &keys, &state, "true");
}
