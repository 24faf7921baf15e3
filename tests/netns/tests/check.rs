//! Every check of `llano check` is made to fail once, and says so; nothing fails on a healthy lab.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test ends where it cannot go on.

use std::collections::BTreeSet;
use std::process::Command;

use lab::{Ephemeral, Host};
use netns_tests::{LeakCheck, bin_dir, seed_002};
use serde_json::Value;

/// How to break one check.
struct Row {
    id: &'static str,
    /// Broken where: on the checked host, or on another node or switch of the lab.
    at: &'static str,
    /// A shell script.
    how: &'static str,
    /// What the check then is.
    status: &'static str,
    /// What its summary or advice says.
    says: &'static str,
    /// What the program is started by, for what cannot be broken otherwise.
    by: &'static [&'static str],
}

const fn row(
    id: &'static str,
    at: &'static str,
    how: &'static str,
    status: &'static str,
    says: &'static str,
) -> Row {
    Row { id, at, how, status, says, by: &[] }
}

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

/// A node: a kubelet's file, in a /var/lib of its own.
macro_rules! node {
    ($then:literal) => {
        concat!("mount -t tmpfs lib /var/lib && mkdir -p /var/lib/kubelet && echo kind: KubeletConfiguration > /var/lib/kubelet/config.yaml && ", $then)
    };
}

/// A second interface of the host in the LAN's subnet.
macro_rules! second {
    ($then:literal) => {
        concat!("ip link add link eth0 name second type macvlan mode bridge && ip address add 172.16.129.150/24 dev second && ip link set second up && ", $then)
    };
}

/// The switch lets only the host's own MAC in, as port security does.
const PORT_SECURITY: &str = "bridge fdb replace 02:00:00:00:01:01 dev host1-eth0 master static && bridge link set dev host1-eth0 learning off locked on";

const ROWS: &[Row] = &[
    Row {
        by: &["setarch", "x86_64", "--uname-2.6"],
        ..row("kernel-version", "host1", "true", "fail", "macvlan needs 3.9")
    },
    row(
        "vlan",
        "host1",
        "mkdir -p /etc/llano && echo 'interfaces: [{name: eth0.5, type: vlan}]' > /etc/llano/host.yaml",
        "fail",
        "modprobe 8021q",
    ),
    row(
        "bonding",
        "host1",
        "mkdir -p /etc/llano && echo 'interfaces: [{name: bond0, type: bond}]' > /etc/llano/host.yaml",
        "fail",
        "modprobe bonding",
    ),
    row(
        "conntrack",
        "host1",
        "cat /proc/sys/net/netfilter/nf_conntrack_max > /run/count && mount --bind /run/count /proc/sys/net/netfilter/nf_conntrack_count",
        "fail",
        "packets are dropped",
    ),
    row("link-state", "host1", "ip link set eth0 down", "fail", "eth0 is down"),
    row("link-state", "lan", "ip link set host1-eth0 down", "fail", "no carrier"),
    row(
        "mtu",
        "host1",
        "sed -i 's/\"ipam\"/\"mtu\": 9000, \"ipam\"/' /etc/cni/net.d/10-lan.conf",
        "fail",
        "wants MTU 9000",
    ),
    row(
        "promiscuity",
        "host1",
        "mkdir -p /etc/llano && echo 'interfaces: [{name: eth0, type: ethernet, accept-all-mac-addresses: true}]' > /etc/llano/host.yaml",
        "fail",
        "declared promiscuous",
    ),
    row(
        "mac-filters",
        "host1",
        "dir=$(readlink -f /sys/class/net/eth0) && mount -t tmpfs nic $dir && mkdir $dir/device && ln -s /drivers/bnx2 $dir/device/driver",
        "warn",
        "filters 3 MACs",
    ),
    row(
        "rp-filter",
        "host1",
        second!("echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter"),
        "fail",
        "rp_filter=2",
    ),
    row("arp-settings", "host1", second!("true"), "warn", "arp_ignore=1"),
    row("arp-settings", "host1", "echo 8 > /proc/sys/net/ipv4/conf/all/arp_ignore", "fail", "answers no ARP"),
    row(
        "forwarding",
        "host1",
        r#"echo '{"cniVersion": "1.0.0", "name": "pods", "type": "bridge"}' > /etc/cni/net.d/20-pods.conf"#,
        "fail",
        "ip_forward=1",
    ),
    row(
        "bridge-netfilter",
        "host1",
        node!(
            r#"echo '{"cniVersion": "1.0.0", "name": "pods", "type": "bridge"}' > /etc/cni/net.d/20-pods.conf && echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables"#
        ),
        "fail",
        "bridge-nf-call-iptables=1",
    ),
    row("cni-directories", "host1", "rm -r /opt/cni/bin", "fail", "mkdir -p /opt/cni/bin"),
    row(
        "cni-configs",
        "host1",
        "echo '{\"name\": ' > /etc/cni/net.d/20-broken.conf",
        "fail",
        "20-broken.conf cannot be used",
    ),
    row(
        "cni-configs",
        "host1",
        "sed -i s/macvlan\\\",/'macvlan\",\"mode\":\"brigde\",'/ /etc/cni/net.d/10-lan.conf",
        "fail",
        "brigde",
    ),
    row(
        "cni-names",
        "host1",
        "cp /etc/cni/net.d/10-lan.conf /etc/cni/net.d/20-copy.conf",
        "fail",
        "10-lan.conf, 20-copy.conf",
    ),
    row(
        "cni-masters",
        "host1",
        "sed -i s/eth0/nic7/ /etc/cni/net.d/10-lan.conf",
        "fail",
        "nic7, which is not there",
    ),
    row(
        "cni-plugins",
        "host1",
        "rm /opt/cni/bin/macvlan",
        "fail",
        "macvlan of network lan is not in /opt/cni/bin",
    ),
    row(
        "cni-plugins",
        "host1",
        "rm /opt/cni/bin/macvlan && touch /opt/cni/bin/macvlan",
        "fail",
        "chmod +x /opt/cni/bin/macvlan",
    ),
    row(
        "cni-plugins",
        "host1",
        "rm /opt/cni/bin/macvlan && printf '#!/bin/sh\\necho hello\\n' > /opt/cni/bin/macvlan && chmod +x /opt/cni/bin/macvlan",
        "fail",
        "does not answer VERSION",
    ),
    row(
        "dhcp-daemon",
        "host1",
        r#"echo '{"cniVersion": "1.0.0", "name": "leased", "type": "macvlan", "master": "eth0", "ipam": {"type": "dhcp"}}' > /etc/cni/net.d/20-leased.conf"#,
        "fail",
        "nothing listens",
    ),
    row("swap", "host1", node!("echo '/dev/sda2 partition 1000 0 -2' >> /run/swaps"), "fail", "swapoff -a"),
    row(
        "kubelet",
        "host1",
        node!(
            "echo 'KUBELET_KUBEADM_ARGS=\"--cni-conf-dir=/run/nowhere --v=2\"' > /var/lib/kubelet/kubeadm-flags.env"
        ),
        "fail",
        "/run/nowhere, which is not there",
    ),
    row(
        "containerd",
        "host1",
        node!(
            r#"mkdir -p /etc/containerd /run/other && printf '[plugins."io.containerd.grpc.v1.cri".cni]\n  conf_dir = "/run/other"\n' > /etc/containerd/config.toml"#
        ),
        "fail",
        "looks for configurations in /run/other",
    ),
    row(
        "config-order",
        "host1",
        node!(
            r#"echo '{"cniVersion": "0.3.1", "name": "multus", "type": "multus-shim"}' > /etc/cni/net.d/70-multus.conf"#
        ),
        "fail",
        "multus is never asked",
    ),
    row(
        "hypervisor",
        "host1",
        "mount -t tmpfs class /sys/class && mkdir -p /sys/class/dmi/id && echo 'VMware, Inc.' > /sys/class/dmi/id/sys_vendor && ip route del default && sed -i 's/, \"gateway\": \"[0-9.]*\"//' /etc/cni/net.d/10-lan.conf",
        "warn",
        "forged transmits",
    ),
    row("foreign-macs", "lan", PORT_SECURITY, "fail", "drops frames of containers"),
    row(
        "gateways",
        "gateway",
        "echo 8 > /proc/sys/net/ipv4/conf/all/arp_ignore",
        "fail",
        "172.16.129.254 of network lan does not answer",
    ),
    row(
        "duplicates",
        "node3",
        "ip address add 172.16.129.113/24 dev eth0",
        "fail",
        "172.16.129.113 is used by 02:00:00:00:01:03",
    ),
    // It does not answer the interface that it is on: the host itself has to know of it.
    row(
        "duplicates",
        "host1",
        "ip netns add web && ip link add link eth0 name web0 netns web type macvlan mode bridge && ip -n web address add 172.16.129.114/24 dev web0 && ip -n web link set web0 up",
        "fail",
        "172.16.129.114 is used by netns web on this host",
    ),
    row(
        "cni-directories",
        "host1",
        node!(
            "echo 'KUBELET_KUBEADM_ARGS=\"--cni-bin-dir=/opt/cni/bin,/run/nowhere\"' > /var/lib/kubelet/kubeadm-flags.env"
        ),
        "fail",
        "/run/nowhere is missing",
    ),
];

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
