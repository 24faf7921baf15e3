//! The example's file, called by the lab itself.

use conformance_tests::{Caller, ours_delivers, reference_does_not_deliver};

#[test]
fn lab_containers_reach_each_other_and_the_gateway_and_leave_nothing() {
    ours_delivers(Caller::Lab);
}

#[test]
fn lab_with_the_reference_plugins_reaches_the_gateway_only() {
    reference_does_not_deliver(Caller::Lab);
}
