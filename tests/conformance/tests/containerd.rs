//! The example's file, called by containerd (`ctr run --cni`).

use conformance_tests::{Caller, ours_delivers, reference_does_not_deliver};

#[test]
fn containerd_containers_reach_each_other_and_the_gateway_and_leave_nothing() {
    ours_delivers(Caller::Containerd);
}

#[test]
fn containerd_with_the_reference_plugins_reaches_the_gateway_only() {
    reference_does_not_deliver(Caller::Containerd);
}
