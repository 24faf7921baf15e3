//! The example's file, called by podman 4 with its CNI backend.

use conformance_tests::{Caller, ours_delivers, reference_does_not_deliver};

#[test]
fn podman_containers_reach_each_other_and_the_gateway_and_leave_nothing() {
    ours_delivers(Caller::Podman);
}

#[test]
fn podman_with_the_reference_plugins_reaches_the_gateway_only() {
    reference_does_not_deliver(Caller::Podman);
}
