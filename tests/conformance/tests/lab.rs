//! Seed 002's file, called by the lab itself.

use conformance_tests::{Caller, ours_delivers, reference_does_not_deliver};

#[test]
fn containers_reach_each_other_and_the_gateway_and_leave_nothing() {
    ours_delivers(Caller::Lab);
}

#[test]
fn with_the_reference_plugins_they_reach_the_gateway_only() {
    reference_does_not_deliver(Caller::Lab);
}
