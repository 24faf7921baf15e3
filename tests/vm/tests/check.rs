//! `llano check` on a kernel with every module: nothing fails, and what needs a machine to break is broken once.

use anyhow::{Context, Result, ensure};
use lab::vm::{Nic, VmSpec};
use serde_json::Value;
use vm_tests::guest::Guest;
use vm_tests::machine::initramfs;
use vm_tests::preflight::{ROWS, Row};

/// What the checks of a group found.
fn findings(vm: &mut Guest, words: &str) -> Result<Vec<Value>> {
    // 1: something fails, which the report tells as well.
    let text = vm.ok(&format!("llano check {words} --output json || [ $? = 1 ]"))?;
    let report: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    report["findings"].as_array().cloned().with_context(|| text)
}

fn is_it(row: &Row, finding: &Value) -> bool {
    let text = format!("{} {}", finding["summary"], finding["advice"]);
    finding["id"] == row.id && finding["status"] == row.status && text.contains(row.says)
}

fn broken_once(vm: &mut Guest, row: &Row) -> Result<()> {
    vm.ok(&format!("set -e\n{}", row.how))?;
    let found = findings(vm, row.group)?;
    let of_it: Vec<_> = found.iter().filter(|finding| finding["id"] == row.id).collect();
    ensure!(of_it.iter().any(|finding| is_it(row, finding)), "is not {}: {of_it:#?}", row.status);
    vm.ok(row.back).map(drop)
}

/// One machine: a kernel with all modules, two cards of 10 Gb/s.
#[test]
fn what_needs_a_machine_is_broken_once() -> Result<()> {
    let mut spec = VmSpec::new(initramfs(&["llano", "llano-cni"])?.module("macvtap").jobs().build()?);
    spec.nics = [0, 1].map(|cable| Nic { speed: Some(10_000), cable, ..Nic::default() }).to_vec();
    let mut vm = Guest::boot(&spec)?;
    vm.ok("mkdir -p /etc/llano /opt/cni/bin && ip link set eth0 up && ip link set eth1 up")?;

    let healthy = findings(&mut vm, "")?;
    let bad: Vec<_> = healthy.iter().filter(|finding| finding["status"] == "fail").collect();
    ensure!(bad.is_empty(), "fails on a healthy machine: {bad:#?}");
    for id in ["macvlan-modes", "macvtap", "vlan", "bonding", "neighbour-table"] {
        let mut of_it = healthy.iter().filter(|finding| finding["id"] == id).peekable();
        ensure!(of_it.peek().is_some(), "{id} says nothing");
        for finding in of_it {
            ensure!(finding["status"] == "ok", "{finding:#}");
        }
    }

    let mut faults = Vec::new();
    for row in ROWS {
        let said = healthy.iter().find(|finding| is_it(row, finding));
        ensure!(said.is_none(), "said before it was broken: {said:#?}");
        if let Err(error) = broken_once(&mut vm, row) {
            faults.push(format!("{} {:?}: {error:#}", row.id, row.says));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));

    // All is mended, so each row broke what was whole.
    let mended = findings(&mut vm, "kernel interfaces")?;
    let words = |findings: &[Value]| -> Vec<String> {
        let of_groups = |finding: &&Value| finding["group"] == "kernel" || finding["group"] == "interfaces";
        let told = findings.iter().filter(of_groups);
        told.map(|finding| format!("{} {} {}", finding["id"], finding["object"], finding["status"])).collect()
    };
    assert_eq!(words(&mended), words(&healthy));

    // Both fixes of these. The guest's own modprobe would look for a distribution's tree of modules.
    vm.ok(
        "rm /bin/modprobe
           printf '#!/bin/sh\\nexec insmod /lib/modules/$1.ko\\n' > /bin/modprobe && chmod +x /bin/modprobe",
    )?;
    let declared = ROWS.iter().find(|row| row.id == "vlan" && row.status == "fail").context("no row")?;
    vm.ok(declared.how)?;
    let fixed = findings(&mut vm, "kernel --fix")?;
    ensure!(fixed.iter().any(|finding| finding["id"] == "vlan" && finding["status"] == "ok"), "{fixed:#?}");
    vm.ok("grep -qx 8021q /etc/modules-load.d/llano-check.conf && rm /etc/llano/host.yaml")?;

    // The table is one for all namespaces of the machine.
    let narrow = ROWS.iter().find(|row| row.says.starts_with("IPv4 ranges")).context("no row")?;
    vm.ok(narrow.how)?;
    let fixed = findings(&mut vm, "kernel --fix")?;
    ensure!(!fixed.iter().any(|finding| is_it(narrow, finding)), "{fixed:#?}");
    vm.ok("[ $(cat /proc/sys/net/ipv4/neigh/default/gc_thresh3) -ge 65533 ]")?;
    vm.ok("grep -q '^net/ipv4/neigh/default/gc_thresh3 = ' /etc/sysctl.d/90-llano.conf").map(drop)
}
