//! The plugin and the kernel crate on a kernel with 802.1Q, bonding and dummy. One machine serves all tests here.

use vm_tests::checks::PLUGIN;
use vm_tests::machine::Shared;

static MACHINE: Shared = Shared::new(&["llano-cni"], &PLUGIN);

#[test]
fn vlan() {
    MACHINE.assert_group("vlan");
}

#[test]
fn bond() {
    MACHINE.assert_group("bond");
}

#[test]
fn dummy() {
    MACHINE.assert_group("dummy");
}

#[test]
fn kernel() {
    MACHINE.assert_group("kernel");
}

#[test]
fn macvlan() {
    MACHINE.assert_group("macvlan");
}

#[test]
fn vlan_links_of_pods() {
    MACHINE.assert_group("pod-vlan");
}
