//! The plugin and the kernel crate on a kernel with 802.1Q, bonding and dummy. One machine serves all tests here.

use std::sync::OnceLock;

use vm_tests::checks::{PLUGIN, names};
use vm_tests::machine;
use vm_tests::report::Report;

fn assert_group(group: &str) {
    static REPORT: OnceLock<Result<Report, String>> = OnceLock::new();
    let run = || machine::run(&["llano-cni"], &PLUGIN).map_err(|error| format!("{error:#}"));
    match REPORT.get_or_init(run) {
        Ok(report) => {
            let (names, faults) = (names(group), report.faults(names(group)));
            assert!(!names.is_empty(), "no group {group}");
            assert!(faults.is_empty(), "{}\n\nthe guest said:\n{}", faults.join("\n"), report.text());
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn vlan() {
    assert_group("vlan");
}

#[test]
fn bond() {
    assert_group("bond");
}

#[test]
fn dummy() {
    assert_group("dummy");
}

#[test]
fn kernel() {
    assert_group("kernel");
}

#[test]
fn macvlan() {
    assert_group("macvlan");
}
