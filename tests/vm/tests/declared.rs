//! A host's network declared, on a kernel with 802.1Q and bonding. One machine serves all tests here.

use std::sync::OnceLock;

use vm_tests::checks::{DECLARED, names};
use vm_tests::machine;
use vm_tests::report::Report;

fn assert_group(group: &str) {
    static REPORT: OnceLock<Result<Report, String>> = OnceLock::new();
    let run = || machine::run(&[], &DECLARED).map_err(|error| format!("{error:#}"));
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
fn every_option_of_a_bond() {
    assert_group("bond-options");
}

#[test]
fn every_option_of_a_vlan_and_a_macvlan() {
    assert_group("link-options");
}

#[test]
fn files_in_nmstates_keys() {
    assert_group("declared-files");
}

#[test]
fn random_states_one_after_the_other_and_back() {
    assert_group("random-states");
}
