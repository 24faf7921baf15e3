//! A host's network declared, on a kernel with 802.1Q and bonding. One machine serves all tests here.

use vm_tests::checks::DECLARED;
use vm_tests::machine::Shared;

static MACHINE: Shared = Shared::new(&[], &DECLARED);

#[test]
fn every_option_of_a_bond() {
    MACHINE.assert_group("bond-options");
}

#[test]
fn every_option_of_a_vlan_and_a_macvlan() {
    MACHINE.assert_group("link-options");
}

#[test]
fn files_in_nmstates_keys() {
    MACHINE.assert_group("declared-files");
}

#[test]
fn random_states_one_after_the_other_and_back() {
    MACHINE.assert_group("random-states");
}
