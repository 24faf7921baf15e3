//! Every check of `llano check` is made to fail once, and says so; nothing fails on a healthy lab.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test ends where it cannot go on.

#[macro_use]
mod rows;

use std::collections::BTreeSet;
use std::process::Command;

use lab::{Ephemeral, Host};
use netns_tests::{LeakCheck, bin_dir, seed_002};
use serde_json::Value;

use rows::ROWS;

/// The lab's own network, as the example has it, on host1.
const HEALTHY: &str = r#"
set -e
mkdir -p /etc/cni/net.d /opt/cni/bin
for type in macvlan host-local bridge; do ln -s $LLANO_CNI /opt/cni/bin/$type; done
cat > /etc/cni/net.d/10-lan.conf <<END
{"cniVersion": "1.0.0", "name": "lan", "type": "macvlan", "master": "eth0",
 "ipam": {"type": "host-local", "subnet": "172.16.129.0/24", "rangeStart": "172.16.129.110",
          "rangeEnd": "172.16.129.119", "gateway": "172.16.129.254"}}
END
echo "Filename Type Size Used Priority" > /run/swaps
mount --bind /run/swaps /proc/swaps
"#;

/// Runs a script on a node or a switch.
fn break_it(lab: &Ephemeral, at: &str, script: &str) {
    let output = match lab.host(at) {
        Ok(host) => shell(host, script).output(),
        Err(_) => {
            let switch = lab.switch(at).unwrap();
            switch.net().run(|| Command::new("sh").args(["-ec", script]).output()).unwrap()
        }
    };
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {errors}");
}

fn shell(host: &Host, script: &str) -> Command {
    let mut command = host.command("sh").unwrap();
    command.args(["-ec", script]).env("LLANO_CNI", bin_dir().join("llano-cni"));
    command
}

fn healthy() -> Ephemeral {
    let lab = seed_002();
    break_it(&lab, "host1", HEALTHY);
    lab
}

fn check(host: &Host, by: &[&str], args: &[&str]) -> (Option<i32>, Value) {
    let llano = bin_dir().join("llano");
    let mut command = match by.split_first() {
        Some((program, rest)) => {
            let mut command = host.command(program).unwrap();
            command.args(rest).arg(llano);
            command
        }
        None => host.command(llano).unwrap(),
    };
    let output = command.arg("check").args(args).args(["--output", "json"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {errors}"));
    (output.status.code(), report)
}

fn findings(report: &Value) -> &Vec<Value> {
    report["findings"].as_array().unwrap()
}

fn group_of(id: &str) -> &'static str {
    check::CHECKS.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no check {id}")).group.name()
}

#[test]
fn every_check_has_a_row() {
    // Modules taken away, bonds: tests/vm/tests/check.rs breaks those.
    let in_vm = vm_tests::preflight::ROWS.iter().map(|row| row.id);
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.id).chain(in_vm).collect();
    let checks: BTreeSet<&str> = check::CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(rows, checks);
}

#[test]
fn nothing_fails_on_a_healthy_lab() {
    let leak = LeakCheck::begin();
    {
        let lab = healthy();
        let host = lab.host("host1").unwrap();
        let (code, report) = check(host, &[], &[]);
        let bad: Vec<_> = findings(&report).iter().filter(|finding| finding["status"] == "fail").collect();
        assert!(bad.is_empty() && code == Some(0), "{bad:#?}");
        let seen: BTreeSet<&str> =
            findings(&report).iter().map(|finding| finding["id"].as_str().unwrap()).collect();
        assert_eq!(seen, check::CHECKS.iter().map(|check| check.id).collect(), "a check said nothing");
        // What can be asked here was asked.
        for id in ["foreign-macs", "gateways", "duplicates", "cni-plugins", "macvlan-modes", "mtu", "swap"] {
            let status: Vec<_> = findings(&report)
                .iter()
                .filter(|finding| finding["id"] == id)
                .map(|finding| &finding["status"])
                .collect();
            let expected = if id == "swap" { "skip" } else { "ok" };
            assert!(status.iter().all(|status| *status == expected), "{id}: {status:?}");
        }
        let links =
            String::from_utf8(shell(host, "ip -o link; ls /run/netns").output().unwrap().stdout).unwrap();
        assert_eq!(links.lines().count(), 2, "something stayed: {links}");
    }
    leak.assert_clean();
}

/// What is not this host's makes no router of it: a kubelet in a network of its own, a VXLAN that only carries frames.
#[test]
fn who_routes_nothing_needs_no_forwarding() {
    let lab = healthy();
    let host = lab.host("host1").unwrap();
    break_it(
        &lab,
        "host1",
        "ip netns add node && ip link add vx0 type vxlan id 7 remote 172.16.129.103 dev eth0 dstport 4789 && ip link set vx0 up",
    );
    let mut kubelet =
        shell(host, "exec ip netns exec node bash -c 'exec -a kubelet sleep 1000'").spawn().unwrap();
    let is_running = || {
        let line = std::fs::read(format!("/proc/{}/cmdline", kubelet.id())).unwrap_or_default();
        line.starts_with(b"kubelet\0")
    };
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is_running() {
        assert!(std::time::Instant::now() < end, "it does not start");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let report = check(host, &[], &["interfaces", "kubernetes"]).1;
    kubelet.kill().unwrap();
    kubelet.wait().unwrap();
    let of = |id: &str| findings(&report).iter().filter(|finding| finding["id"] == id).collect::<Vec<_>>();
    assert!(of("forwarding").iter().all(|finding| finding["status"] == "ok"), "{:#?}", of("forwarding"));
    assert!(
        of("config-order").iter().all(|finding| finding["status"] == "skip"),
        "{:#?}",
        of("config-order")
    );
}

fn rows(group: &str) {
    let mut faults = Vec::new();
    for row in ROWS.iter().filter(|row| group_of(row.id) == group) {
        let lab = healthy();
        let host = lab.host("host1").unwrap();
        let before = check(host, &[], &[group]).1;
        let is_it = |finding: &&Value| {
            let text = format!("{} {}", finding["summary"], finding["advice"]).replace("\\\"", "\"");
            finding["id"] == row.id && finding["status"] == row.status && text.contains(row.says)
        };
        if findings(&before).iter().any(|finding| is_it(&finding)) {
            faults.push(format!("{}: said before it was broken", row.id));
        }
        break_it(&lab, row.at, row.how);
        let (code, report) = check(host, row.by, &[group]);
        if !findings(&report).iter().any(|finding| is_it(&finding)) {
            let of_it: Vec<_> = findings(&report).iter().filter(|finding| finding["id"] == row.id).collect();
            faults.push(format!("{} is not {} with {:?}: {of_it:#?}", row.id, row.status, row.says));
        }
        if row.status == "fail" && code != Some(1) {
            faults.push(format!("{}: exit code {code:?}", row.id));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn kernel() {
    rows("kernel");
}

#[test]
fn interfaces() {
    rows("interfaces");
}

#[test]
fn runtime() {
    rows("runtime");
}

#[test]
fn kubernetes() {
    rows("kubernetes");
}

#[test]
fn switch() {
    rows("switch");
}

#[test]
fn fixes_are_told_done_and_done_once() {
    let lab = healthy();
    let host = lab.host("host1").unwrap();
    break_it(
        &lab,
        "host1",
        concat!(
            second!("echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter"),
            "; rm /opt/cni/bin/macvlan; cp -L $LLANO_CNI /opt/cni/bin/macvlan; chmod 644 /opt/cni/bin/macvlan"
        ),
    );
    let groups = ["interfaces", "runtime"];
    let told = check(host, &[], &[&groups[..], &["--fix", "--dry-run"]].concat());
    assert_eq!(told.0, Some(1));
    let fixes = told.1["fixes"].as_array().unwrap();
    assert!(fixes.len() >= 2 && fixes.iter().all(|fix| fix["done"] == false), "{fixes:#?}");
    assert!(fixes.iter().all(|fix| !fix["undo"].as_str().unwrap().is_empty()));
    let show =
        "cat /proc/sys/net/ipv4/conf/eth0/rp_filter; stat -c %a /opt/cni/bin/macvlan; ls /etc/sysctl.d";
    let shown = || String::from_utf8(shell(host, show).output().unwrap().stdout).unwrap();
    assert_eq!(shown(), "1\n644\n", "a dry run changed something");

    let (code, done) = check(host, &[], &[&groups[..], &["--fix"]].concat());
    assert!(done["fixes"].as_array().unwrap().iter().all(|fix| fix["done"] == true), "{:#}", done["fixes"]);
    assert_eq!(code, Some(0), "{done:#}");
    assert_eq!(shown(), "2\n755\n90-llano.conf\n");
    let file = || {
        String::from_utf8(shell(host, "cat /etc/sysctl.d/90-llano.conf").output().unwrap().stdout).unwrap()
    };
    let first = file();
    assert!(first.contains("net/ipv4/conf/eth0/rp_filter = 2\n"), "{first}");
    let again = check(host, &[], &[&groups[..], &["--fix"]].concat()).1;
    assert_eq!(again["fixes"].as_array().unwrap().len(), 0, "{:#}", again["fixes"]);
    assert_eq!(file(), first);
}

#[test]
fn strict_makes_a_warning_count() {
    let lab = healthy();
    let host = lab.host("host1").unwrap();
    break_it(&lab, "host1", second!("true"));
    assert_eq!(check(host, &[], &["interfaces"]).0, Some(0));
    assert_eq!(check(host, &[], &["interfaces", "--strict"]).0, Some(1));
}

/// A network of type vlan has no interface of its own on the host: its VLAN is asked from one that is made for it.
#[test]
fn a_vlan_is_asked_without_an_interface_of_its_own() {
    let lab = healthy();
    let host = lab.host("host1").unwrap();
    let config = r#"ln -s $LLANO_CNI /opt/cni/bin/vlan
cat > /etc/cni/net.d/20-tagged.conf <<END
{"cniVersion": "1.0.0", "name": "tagged", "type": "vlan", "master": "eth0", "vlanId": 5,
 "ipam": {"type": "host-local", "subnet": "10.5.0.0/24", "rangeEnd": "10.5.0.9", "gateway": "10.5.0.254"}}
END"#;
    break_it(&lab, "host1", config);
    let (_, report) = check(host, &[], &["kernel", "switch"]);
    let of = |id: &str, word: &str| {
        let mut all = findings(&report).iter().filter(|finding| finding["id"] == id);
        let found = all.find(|finding| finding["summary"].as_str().unwrap().contains(word));
        found.unwrap_or_else(|| panic!("{id}: {word}: {report:#}")).clone()
    };
    if of("vlan", "802.1Q")["status"] == "ok" {
        assert_eq!(of("gateways", "does not answer on VLAN 5 of eth0")["status"], "fail");
        assert_eq!(of("duplicates", "nobody on VLAN 5 of eth0")["status"], "ok");
    } else {
        for id in ["gateways", "duplicates"] {
            let skipped = of(id, "VLAN 5 of eth0: cannot ask: this kernel has no 802.1Q");
            assert_eq!(skipped["status"], "skip");
        }
    }
    let links = String::from_utf8(shell(host, "ip -o link").output().unwrap().stdout).unwrap();
    assert_eq!(links.lines().count(), 2, "something stayed: {links}");
}
