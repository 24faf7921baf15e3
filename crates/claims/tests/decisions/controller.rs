use std::time::Duration;

use claims::controller::{Decision, Facts, Grace, Presence, Reserve, Reserved, decide, replaces, reserve};
use claims::{Actor, Claim, Keeper, Reason, Time, Version, allowed};

use crate::given::{active, held, ip, kept, kept_for, resting};

const GRACE: Grace =
    Grace { ready: Duration::from_secs(100), lost: Duration::from_secs(10), keeper: Duration::from_secs(50) };

fn missing(since: u64, asked: bool) -> Presence {
    Presence::Missing { since: Time(since), asked }
}

fn facts() -> Facts {
    Facts {
        pod: Presence::There,
        node_ready: true,
        keeper: Presence::There,
        replaced: false,
        reuse_delay: Duration::ZERO,
    }
}

#[test]
fn a_claim_is_given_up_after_the_grace_when_the_api_server_has_no_such_pod() {
    let claim = active(2, "n1", 4);
    let decide = |facts: &Facts, now| decide(&claim, facts, &GRACE, Time(now));
    assert_eq!(decide(&facts(), 1000), Decision::Keep);
    let gone = |asked| Facts { pod: missing(5, asked), ..facts() };
    assert_eq!(decide(&gone(true), 104), Decision::Later(Time(105)));
    assert_eq!(decide(&gone(false), 105), Decision::AskPod);
    assert_eq!(decide(&gone(true), 105), Decision::Delete(claim.clone()));
    let lost = Facts { node_ready: false, ..gone(true) };
    assert_eq!(decide(&lost, 14), Decision::Later(Time(15)));
    assert_eq!(decide(&lost, 15), Decision::Delete(claim.clone()));
    let rests = Facts { reuse_delay: Duration::from_secs(7), ..gone(true) };
    let Decision::Update(rests) = decide(&rests, 105) else { panic!("the address rests") };
    assert_eq!(rests.hold.unwrap().until, Some(Time(112)));
}

#[test]
fn what_is_kept_is_held_and_not_deleted() {
    for kind in [Keeper::StatefulSet, Keeper::Reservation] {
        let claim = kept(2, "n1", 4, kind);
        let gone = Facts { pod: missing(0, true), ..facts() };
        let Decision::Update(after) = decide(&claim, &gone, &GRACE, Time(100)) else { panic!("it is kept") };
        assert_eq!(
            (after.owner.node.as_str(), after.owner.uid.as_str(), after.version),
            ("", "", Version(4))
        );
        assert_eq!(allowed(&Actor::Controller, Some(&claim), Some(&after)), Ok(()));
    }
}

#[test]
fn a_hold_ends_when_its_time_or_its_keeper_has() {
    let rests = resting(2, 4, Reason::ReuseDelay, 20);
    assert_eq!(decide(&rests, &facts(), &GRACE, Time(19)), Decision::Later(Time(20)));
    assert_eq!(decide(&rests, &facts(), &GRACE, Time(20)), Decision::Delete(rests.clone()));

    let kept = held(2, 4, Keeper::StatefulSet);
    let decide = |facts: &Facts, now| decide(&kept, facts, &GRACE, Time(now));
    assert_eq!(decide(&facts(), 1000), Decision::Keep);
    let gone = |asked| Facts { keeper: missing(5, asked), ..facts() };
    assert_eq!(decide(&gone(true), 54), Decision::Later(Time(55)));
    assert_eq!(decide(&gone(false), 55), Decision::AskKeeper);
    assert_eq!(decide(&gone(true), 55), Decision::Delete(kept.clone()));
    assert_eq!(decide(&Facts { replaced: true, ..facts() }, 0), Decision::Delete(kept.clone()));
}

#[test]
fn a_quarantined_address_goes_back_to_its_keeper() {
    let mut ill = resting(2, 4, Reason::Quarantine, 20);
    assert_eq!(decide(&ill, &facts(), &GRACE, Time(20)), Decision::Delete(ill.clone()));
    ill.kept_for = kept_for(Keeper::Reservation);
    let Decision::Update(well) = decide(&ill, &facts(), &GRACE, Time(20)) else { panic!("it is kept") };
    assert_eq!(well.hold.unwrap().reason, Reason::Reservation);
}

#[test]
fn a_held_claim_is_let_go_of_when_the_pod_that_might_come_back_is_gone() {
    let mut claim = held(2, 4, Keeper::Reservation);
    claim.owner.uid = "u".into();
    let decide = |pod| decide(&claim, &Facts { pod, ..facts() }, &GRACE, Time(9));
    assert_eq!(decide(Presence::There), Decision::Keep);
    assert_eq!(decide(missing(9, false)), Decision::AskPod);
    assert_eq!(decide(missing(9, true)), Decision::Update(held(2, 4, Keeper::Reservation)));
}

#[test]
fn a_newer_claim_of_the_same_pod_replaces_a_held_one() {
    let kind = Keeper::StatefulSet;
    let old = held(2, 8, kind);
    assert!(replaces(&kept(3, "n1", 4, kind), &old), "an active one does, whenever it was made");
    assert!(replaces(&held(3, 9, kind), &old));
    assert!(!replaces(&held(3, 7, kind), &old), "the older of two goes");
    assert!(!replaces(&kept(3, "n1", 9, Keeper::Reservation), &held(2, 8, Keeper::Reservation)));
    let other_interface = Claim {
        owner: claims::Owner { interface: "net2".into(), ..kept(3, "n1", 9, kind).owner },
        ..kept(3, "n1", 9, kind)
    };
    assert!(!replaces(&other_interface, &old));
}

#[test]
fn a_reservation_holds_its_addresses() {
    let mac: kernel::MacAddr = "02:00:00:00:00:05".parse().unwrap();
    let mut reserved = Reserved {
        network: "lan".into(),
        subnet: "lan".into(),
        address: ip(2),
        mac: None,
        kept_for: kept_for(Keeper::Reservation).unwrap(),
    };
    let Reserve::Create(claim) = reserve(&reserved, None, Time(1)) else { panic!("nobody has it") };
    assert_eq!(allowed(&Actor::Controller, None, Some(&claim)), Ok(()));
    assert_eq!(reserve(&reserved, Some(&claim), Time(2)), Reserve::Done);
    assert_eq!(reserve(&reserved, Some(&active(2, "n1", 1)), Time(2)), Reserve::Busy);
    assert_eq!(reserve(&reserved, Some(&held(2, 1, Keeper::StatefulSet)), Time(2)), Reserve::Busy);
    reserved.mac = Some(mac);
    let Reserve::Update(with_mac) = reserve(&reserved, Some(&claim), Time(2)) else { panic!("a new MAC") };
    assert_eq!(with_mac.mac, Some(mac));
    let used = kept(2, "n1", 3, Keeper::Reservation);
    assert_eq!(reserve(&reserved, Some(&used), Time(2)), Reserve::Done, "not under a running pod");
}
