//! SIGKILL at every system call of ADD and of DEL of a macvlan with DHCP: afterwards one DEL leaves no link, no lease at
//! the daemon or the server and no process but the daemon, and a new ADD works.

#![allow(clippy::unwrap_used)] // A test ends where it cannot go on.

#[path = "dhcp/mod.rs"]
mod dhcp;

use std::io::Write;
use std::process::{Output, Stdio};

use dhcp::{Bench, conf, wait};
use lab::Container;
use netns_tests::kill::{Call, calls};
use serde_json::{Value, json};

const RANGE: &str = "--dhcp-range=10.77.0.50,10.77.0.250,2m";

/// No probes: they only cost time here.
fn ipam() -> Value {
    json!({"probe": false})
}

/// The plugin under strace.
fn traced(bench: &Bench, pod: &Container<'_>, verb: &str, options: &[&str]) -> (Output, String) {
    let trace = bench.file("trace");
    let mut strace = bench.host().command("strace").unwrap();
    strace.args(["-qq", "-s", "0", "-o"]).arg(&trace).args(options).arg(bench.plugins.dir().join("macvlan"));
    strace.env("CNI_COMMAND", verb).env("CNI_CONTAINERID", pod.name()).env("CNI_NETNS", pod.path());
    strace.env("CNI_IFNAME", "eth0").env("CNI_PATH", bench.plugins.dir());
    strace.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = strace.spawn().unwrap();
    // A killed plugin reads nothing.
    let _ = child.stdin.take().unwrap().write_all(conf(&ipam()).to_string().as_bytes());
    let output = child.wait_with_output().unwrap();
    (output, std::fs::read_to_string(&trace).unwrap())
}

/// Kills the plugin as it enters a call. False when this run never came to it.
fn kill_at(bench: &Bench, pod: &Container<'_>, verb: &str, call: &Call) -> bool {
    let inject = call.inject();
    let (output, trace) = traced(bench, pod, verb, &[&inject[0], &inject[1]]);
    call.killed(output.status, &trace)
}

/// One DEL after a kill, and what must be true then.
fn clean(bench: &Bench, pod: &Container<'_>, when: &Call) {
    bench.del(pod, &ipam()).unwrap_or_else(|error| panic!("DEL after {when:?}: {error}"));
    let links = kernel::Netlink::open_in(pod.net()).unwrap().links().unwrap();
    assert!(links.iter().all(|link| link.name == "lo"), "{when:?}: {links:?}");
    let host: Vec<_> = kernel::Netlink::open_in(bench.host().net()).unwrap().links().unwrap();
    assert!(host.iter().all(|link| ["lo", "eth0"].contains(&link.name.as_str())), "{when:?}: {host:?}");
    assert!(bench.leases().is_empty(), "{when:?}: {:?}", bench.leases());
    assert!(bench.daemons().len() <= 1, "{when:?}");
    let drafts =
        bench.host().run_in(|| std::fs::read_dir("/var/lib/llano/dhcp/spool").map_or(0, Iterator::count));
    assert_eq!(drafts.unwrap(), 0, "{when:?}");
}

#[test]
fn killed_at_every_call_of_add() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE]);
    let _daemon = bench.daemon(&[]);
    let pod = bench.host().container("pod").unwrap();
    let (output, trace) = traced(&bench, &pod, "ADD", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    bench.del(&pod, &ipam()).unwrap();
    let calls = calls(&trace);
    assert!(calls.len() > 40, "{calls:?}");
    let mut reached = 0;
    for call in &calls {
        reached += usize::from(kill_at(&bench, &pod, "ADD", call));
        clean(&bench, &pod, call);
    }
    assert!(reached + 5 >= calls.len(), "{reached} of {}", calls.len());
    bench.add(&pod, &ipam()).unwrap();
    bench.del(&pod, &ipam()).unwrap();
    wait("every lease to be free", || !server.leases().contains("10.77.0."));
}

#[test]
fn killed_at_every_call_of_del() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE]);
    let _daemon = bench.daemon(&[]);
    let pod = bench.host().container("pod").unwrap();
    bench.add(&pod, &ipam()).unwrap();
    let (output, trace) = traced(&bench, &pod, "DEL", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let calls = calls(&trace);
    let mut reached = 0;
    for call in &calls {
        bench.add(&pod, &ipam()).unwrap_or_else(|error| panic!("ADD before {call:?}: {error}"));
        reached += usize::from(kill_at(&bench, &pod, "DEL", call));
        clean(&bench, &pod, call);
    }
    assert!(reached + 5 >= calls.len(), "{reached} of {}", calls.len());
    wait("every lease to be free", || !server.leases().contains("10.77.0."));
}

#[test]
fn killed_at_every_call_while_the_daemon_is_started() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE]);
    let pod = bench.host().container("pod").unwrap();
    let stop = || {
        for pid in bench.daemons() {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        wait("the daemon to be gone", || bench.daemons().is_empty());
    };
    let (output, trace) = traced(&bench, &pod, "ADD", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    bench.del(&pod, &ipam()).unwrap();
    // From the first look at the socket on; before, nothing differs from the other walk.
    let first = trace.lines().take_while(|line| !line.starts_with("connect(")).count();
    let calls: Vec<Call> = calls(&trace).into_iter().skip(first.saturating_sub(1)).collect();
    let mut reached = 0;
    for call in &calls {
        stop();
        reached += usize::from(kill_at(&bench, &pod, "ADD", call));
        clean(&bench, &pod, call);
    }
    assert!(reached * 2 >= calls.len(), "{reached} of {}", calls.len());
    bench.add(&pod, &ipam()).unwrap();
    bench.del(&pod, &ipam()).unwrap();
    wait("every lease to be free", || !server.leases().contains("10.77.0."));
}
