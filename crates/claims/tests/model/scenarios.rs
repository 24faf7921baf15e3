use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use claims::{Keeper, KeptFor};
use stateright::{Checker, HasDiscoveries, Model};

use crate::properties::{BY_THE_RULES, NOTHING_LOST, ONE_POD, ONLY_WHILE_AWAY};
use crate::world::{Did, Faults, Mutant, NAMESPACE, PodSpec, Scenario};

fn kept_for(kind: Keeper) -> KeptFor {
    KeptFor { kind, namespace: NAMESPACE.into(), name: "k".into() }
}

fn pod(name: &'static str, kind: Option<Keeper>, nodes: &'static [usize]) -> PodSpec {
    PodSpec { name, kept_for: kind.map(kept_for), nodes, ends: true }
}

fn scenario(pods: Vec<PodSpec>, addresses: u8, faults: Faults) -> Scenario {
    let shares =
        |pod: &PodSpec| pod.kept_for.as_ref().filter(|kept| kept.kind == Keeper::Reservation).cloned();
    Scenario {
        nodes: 1 + pods.iter().flat_map(|pod| pod.nodes).max().copied().unwrap_or(0),
        reserved: pods.iter().find_map(shares).map(|kept_for| (1, kept_for)),
        pods,
        addresses,
        reuse_delay: Duration::ZERO,
        faults,
        fails: &[0],
        keeps: false,
        mutant: None,
        did: Arc::new(AtomicU32::new(0)),
        settled: Arc::default(),
    }
}

/// Two bare pods on two nodes, one address. The second one is there to stay.
fn bare(faults: Faults) -> Scenario {
    let stays = PodSpec { ends: false, ..pod("b", None, &[1]) };
    scenario(vec![pod("a", None, &[0]), stays], 1, faults)
}

/// One bare pod and two addresses.
fn single(faults: Faults) -> Scenario {
    scenario(vec![pod("a", None, &[0])], 2, faults)
}

/// A StatefulSet's pod that is started again on the next of the nodes.
fn stateful(addresses: u8, nodes: &'static [usize], faults: Faults) -> Scenario {
    scenario(vec![pod("s", Some(Keeper::StatefulSet), nodes)], addresses, faults)
}

/// Three bare pods on three nodes, one address. One of them ends.
fn three(faults: Faults) -> Scenario {
    let stays = |name, nodes| PodSpec { ends: false, ..pod(name, None, nodes) };
    scenario(vec![pod("a", None, &[0]), stays("b", &[1]), stays("c", &[2])], 1, faults)
}

/// Two pods of a reservation with one address. The second one is there to stay.
fn reservation(faults: Faults) -> Scenario {
    let kind = Some(Keeper::Reservation);
    let stays = PodSpec { ends: false, ..pod("q", kind, &[1]) };
    scenario(vec![pod("r", kind, &[0]), stays], 1, faults)
}

/// The same, and the second pod ends as well.
fn both_end(mut scenario: Scenario) -> Scenario {
    scenario.pods.iter_mut().for_each(|pod| pod.ends = true);
    scenario
}

const NONE: Faults =
    Faults { crash: 0, cut: 0, lost: 0, force: 0, sandbox: 0, twice: 0, blind: 0, controller: 0 };
const CRASH: Faults = Faults { crash: 1, ..NONE };
const LOST: Faults = Faults { lost: 1, ..NONE };
const FORCE: Faults = Faults { force: 1, ..NONE };
const SANDBOX: Faults = Faults { sandbox: 1, ..NONE };
const BLIND: Faults = Faults { blind: 1, ..NONE };

/// All states that the faults can lead to.
fn holds(scenario: Scenario, what: &[Did]) {
    let did = Arc::clone(&scenario.did);
    let checker = scenario.checker().threads(1).spawn_bfs().join();
    eprintln!(
        "{} states, {} of them different, {} steps deep",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    if let Some((name, path)) = checker.discoveries().into_iter().next() {
        panic!("{name}: does not hold after {:?}", path.into_actions());
    }
    let did = did.load(Ordering::Relaxed);
    for what in what {
        assert!(did & *what as u32 != 0, "the model never came to {what:?}");
    }
}

#[test]
fn bare_pods_come_and_go() {
    holds(both_end(bare(NONE)), &[Did::Create, Did::Release, Did::Refused, Did::Wait]);
}

#[test]
fn three_agents_want_one_address() {
    holds(three(NONE), &[Did::Create, Did::Release, Did::Refused, Did::Wait]);
}

#[test]
fn a_bare_pods_agent_is_killed() {
    holds(bare(CRASH), &[Did::Orphan, Did::Late, Did::Renew]);
}

#[test]
fn a_bare_pods_node_is_cut_off() {
    holds(bare(Faults { cut: 1, ..FORCE }), &[Did::Clear, Did::Fence, Did::Overlap]);
}

#[test]
fn a_bare_pods_answers_are_lost() {
    holds(bare(Faults { lost: 1, ..FORCE }), &[Did::Again, Did::Late, Did::Clear]);
}

#[test]
fn a_bare_pods_watch_repeats_itself() {
    holds(bare(Faults { twice: 1, ..FORCE }), &[Did::Create, Did::Release]);
}

#[test]
fn an_address_rests() {
    let rests = |scenario| Scenario { reuse_delay: Duration::from_secs(10), ..scenario };
    holds(rests(bare(Faults { cut: 1, ..FORCE })), &[Did::Hold, Did::Collect, Did::Clear, Did::Overlap]);
}

#[test]
fn a_pod_with_two_addresses_to_choose_from_loses_answers_or_its_agent() {
    holds(single(LOST), &[Did::Orphan, Did::Again]);
    holds(single(CRASH), &[Did::Late, Did::Renew]);
}

#[test]
fn a_stateful_pod_moves() {
    holds(
        stateful(1, &[0, 1], Faults { cut: 1, ..FORCE }),
        &[Did::Take, Did::Clear, Did::Fence, Did::Overlap],
    );
}

#[test]
fn a_stateful_pod_moves_while_answers_are_lost() {
    holds(stateful(1, &[0, 1], Faults { lost: 1, ..FORCE }), &[Did::Take, Did::Late]);
}

#[test]
fn a_stateful_pod_comes_back_to_a_node_whose_agent_is_killed() {
    holds(stateful(1, &[0, 0], CRASH), &[Did::Take, Did::Late]);
}

#[test]
fn a_stateful_pods_sandbox_is_made_again() {
    holds(stateful(1, &[0, 0], Faults { force: 1, ..SANDBOX }), &[Did::Renew, Did::Take]);
}

#[test]
fn a_stateful_pod_that_did_not_find_its_address_gets_another() {
    holds(stateful(2, &[0, 1], FORCE), &[Did::Take, Did::Create, Did::Collect]);
}

#[test]
fn a_stateful_pod_that_stays_on_its_node_keeps_its_address() {
    let stays = |faults| Scenario { keeps: true, ..stateful(2, &[0, 0], faults) };
    holds(stays(FORCE), &[Did::Take, Did::Hold, Did::Wait]);
    holds(stays(BLIND), &[Did::Take]);
}

#[test]
fn a_reservation_goes_from_pod_to_pod() {
    holds(both_end(reservation(BLIND)), &[Did::Take, Did::Hold, Did::LetGo, Did::Wait]);
}

#[test]
fn a_reservations_agent_is_killed() {
    holds(reservation(CRASH), &[Did::Take, Did::Late]);
}

#[test]
fn a_reservations_node_is_cut_off() {
    let faults = Faults { cut: 1, force: 1, blind: 1, ..NONE };
    holds(reservation(faults), &[Did::Clear, Did::Fence, Did::LetGo, Did::Overlap]);
}

#[test]
fn a_reservations_sandbox_is_made_again() {
    holds(reservation(SANDBOX), &[Did::Renew, Did::Take]);
}

#[test]
fn a_controller_is_killed() {
    let faults = Faults { controller: 1, cut: 1, force: 1, ..NONE };
    holds(reservation(faults), &[Did::Clear, Did::Late]);
}

/// The mutant must be found out, by this property.
fn fails(mutant: Mutant, property: &'static str, scenario: Scenario) {
    let scenario = Scenario { mutant: Some(mutant), ..scenario };
    let until = HasDiscoveries::AnyOf([property].into());
    let checker = scenario.checker().threads(1).finish_when(until).spawn_bfs().join();
    let path = checker.discovery(property).unwrap_or_else(|| panic!("{mutant:?} is not found out"));
    eprintln!("{mutant:?} is found out after {:?}", path.into_actions());
}

#[test]
fn to_give_up_by_guess_is_found_out() {
    fails(Mutant::ClearsUnasked, ONE_POD, bare(NONE));
}

#[test]
fn to_give_up_without_grace_is_found_out() {
    fails(Mutant::ClearsWithoutGrace, ONLY_WHILE_AWAY, bare(FORCE));
}

#[test]
fn to_take_what_a_pod_has_is_found_out() {
    let pods = vec![pod("a", None, &[0]), pod("b", None, &[0])];
    fails(Mutant::TakesActive, ONE_POD, scenario(pods, 1, NONE));
}

#[test]
fn to_release_another_sandboxes_claim_is_found_out() {
    fails(Mutant::ReleasesOtherSandbox, ONE_POD, bare(SANDBOX));
}

#[test]
fn to_trust_a_stale_watch_is_found_out() {
    fails(Mutant::ForgetsOwnWrites, BY_THE_RULES, bare(NONE));
}

#[test]
fn to_leave_orphans_is_found_out() {
    fails(Mutant::LeavesOrphans, NOTHING_LOST, single(LOST));
}

#[test]
fn to_know_orphans_by_their_sandbox_is_found_out() {
    fails(Mutant::OrphansBySandbox, NOTHING_LOST, single(LOST));
}

#[test]
fn to_take_silence_for_a_no_is_found_out() {
    fails(Mutant::TrustsSilence, NOTHING_LOST, both_end(bare(LOST)));
}

#[test]
fn not_to_fence_is_found_out() {
    fails(Mutant::NeverFences, ONLY_WHILE_AWAY, bare(Faults { cut: 1, ..FORCE }));
}

#[test]
fn to_wait_for_a_pod_that_is_gone_is_found_out() {
    fails(Mutant::KeepsUid, NOTHING_LOST, reservation(BLIND));
}

/// More states than a test run has time for. `--ignored` runs them; with `--release` in minutes.
#[test]
#[ignore = "millions of states"]
fn deeper_bare() {
    holds(both_end(bare(Faults { crash: 1, ..FORCE })), &[Did::Clear, Did::Fence, Did::Overlap, Did::Orphan]);
    holds(bare(Faults { crash: 1, lost: 1, ..NONE }), &[Did::Again, Did::Orphan]);
    holds(single(Faults { crash: 1, lost: 1, ..NONE }), &[Did::Again, Did::Orphan]);
}

#[test]
#[ignore = "millions of states"]
fn deeper_three_agents() {
    holds(three(FORCE), &[Did::Create, Did::Refused]);
    holds(stateful(1, &[0, 1, 2], Faults { cut: 1, ..FORCE }), &[Did::Take, Did::Clear, Did::Fence]);
}

#[test]
#[ignore = "millions of states"]
fn deeper_stateful() {
    let rival = vec![pod("s", Some(Keeper::StatefulSet), &[0, 1]), pod("b", None, &[1])];
    holds(scenario(rival, 1, NONE), &[Did::Take, Did::Wait]);
    holds(stateful(1, &[0, 1], Faults { crash: 1, ..FORCE }), &[Did::Take, Did::Clear, Did::Fence]);
    holds(stateful(1, &[0, 0], Faults { crash: 1, ..FORCE }), &[Did::Take, Did::Clear, Did::Late]);
    holds(stateful(2, &[0, 1], Faults { cut: 1, ..FORCE }), &[Did::Take, Did::Clear, Did::Collect]);
}

#[test]
#[ignore = "millions of states"]
fn deeper_reservation() {
    holds(both_end(reservation(Faults { crash: 1, ..FORCE })), &[Did::Take, Did::Clear, Did::Fence]);
    holds(both_end(reservation(Faults { sandbox: 1, ..FORCE })), &[Did::Take, Did::Renew]);
}
