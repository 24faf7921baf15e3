use std::time::Duration;

use claims::plan::{
    After, Attached, Next, Outcome, Waiting, add, del, must_fence, orphans, outcome, quarantine,
};
use claims::{Actor, Claim, Event, Keeper, Place, Reason, Taken, Time, Version, allowed};

use crate::given::{active, held, identity, ip, kept, knows, request, resting, run};

fn next(taken: &Taken, uid: &str, kind: Option<Keeper>) -> Next {
    add(&identity(uid, kind), &request(run(1, 3)), taken, &mut Place::of("n1"))
}

fn is_new_sandbox(claim: &Claim, n: u8, version: u64) -> bool {
    let owner = &claim.owner;
    (claim.address, claim.version) == (ip(n), Version(version))
        && (owner.node.as_str(), owner.container_id.as_str()) == ("n1", "new")
        && claim.is_active()
}

#[test]
fn nothing_is_decided_before_the_claims_are_known() {
    let waits = next(&Taken::new("n1"), "u", None);
    assert_eq!(waits, Next::Wait(Waiting::List));
    let mut taken = Taken::new("n1");
    taken.apply(Event::Listed(active(1, "n1", 1)));
    assert!(orphans(&taken, |_| false).is_empty());
}

#[test]
fn any_address_is_created_until_there_is_none() {
    let Next::Create(claim) = next(&knows(&[active(1, "n2", 1), active(3, "n2", 2)]), "u", None) else {
        panic!("there is one left")
    };
    assert!(is_new_sandbox(&claim, 2, 0));
    let all = [active(1, "n2", 1), held(2, 2, Keeper::StatefulSet), resting(3, 3, Reason::Quarantine, 9)];
    let Next::Exhausted(numbers) = next(&knows(&all), "u", None) else { panic!("all are taken") };
    assert_eq!((numbers.usable, numbers.used, numbers.held, numbers.quarantined), (3, 1, 1, 1));
}

#[test]
fn a_pods_own_claim_is_renewed_for_its_new_sandbox() {
    let Next::Renew(claim) = next(&knows(&[active(2, "n1", 4)]), "u", None) else { panic!("it has one") };
    assert!(is_new_sandbox(&claim, 2, 4));
    let written = Claim { version: Version(5), ..claim };
    assert_eq!(next(&knows(std::slice::from_ref(&written)), "u", None), Next::Have(written));
    // Of another pod's of the same name it is not known whether it has gone.
    let Next::Create(claim) = next(&knows(&[active(2, "n1", 4)]), "v", None) else { panic!("not its own") };
    assert_ne!(claim.address, ip(2));
}

#[test]
fn a_stateful_pod_gets_its_own_address_back() {
    let kind = Some(Keeper::StatefulSet);
    let Next::Take(claim) = next(&knows(&[held(2, 4, Keeper::StatefulSet)]), "v", kind) else {
        panic!("it is held for it")
    };
    assert!(is_new_sandbox(&claim, 2, 4));
    let lost = knows(&[kept(2, "n2", 4, Keeper::StatefulSet)]);
    let Next::Wait(waiting) = next(&lost, "v", kind) else { panic!("its predecessor has it") };
    assert_eq!(
        waiting.to_string(),
        "10.0.0.2 is kept for this pod, but still in use on node n2; it is free when the pod before it has let go"
    );
    let mut other = held(2, 4, Keeper::StatefulSet);
    other.owner.pod = "q".into();
    assert!(matches!(next(&knows(&[other]), "v", kind), Next::Create(claim) if claim.address != ip(2)));
    // In quarantine it will not be back soon.
    let ill = quarantine(&kept(2, "n1", 4, Keeper::StatefulSet), Time(99), Time(1), "aa:bb answers");
    assert!(matches!(next(&knows(&[ill]), "v", kind), Next::Create(claim) if claim.address != ip(2)));
}

#[test]
fn a_stateful_pod_does_not_lose_its_address_to_a_watch_that_lags() {
    let kind = Some(Keeper::StatefulSet);
    let mut taken = knows(&[kept(2, "n1", 4, Keeper::StatefulSet)]);
    taken.trying("lan", ip(2));
    let Next::Wait(waiting) = next(&taken, "v", kind) else { panic!("it is being held just now") };
    assert!(waiting.to_string().contains("still in use; it is free"));
    taken.wrote(&held(2, 5, Keeper::StatefulSet));
    let Next::Take(claim) = next(&taken, "v", kind) else { panic!("it is known to be held") };
    assert!(is_new_sandbox(&claim, 2, 5));
    taken.outdated(&held(2, 5, Keeper::StatefulSet));
    assert!(matches!(next(&taken, "v", kind), Next::Wait(_)), "whose it is the watch will show");
}

#[test]
fn a_reservations_pod_takes_one_of_its_addresses_or_waits() {
    let kind = Some(Keeper::Reservation);
    let used = kept(1, "n2", 1, Keeper::Reservation);
    let Next::Take(claim) = next(&knows(&[used.clone(), held(3, 4, Keeper::Reservation)]), "v", kind) else {
        panic!("one is held")
    };
    assert!(is_new_sandbox(&claim, 3, 4));
    let Next::Wait(waiting) = next(&knows(&[used]), "v", kind) else { panic!("all are used") };
    assert_eq!(waiting.to_string(), "no address of reservation k is free; they are used by 10.0.0.1 (p)");
    let Next::Wait(waiting) = next(&knows(&[]), "v", kind) else { panic!("there are none") };
    assert!(waiting.to_string().ends_with("nobody; the controller has yet to hold them"));
    let mut comes_back = held(3, 4, Keeper::Reservation);
    (comes_back.owner.pod, comes_back.owner.uid) = ("q".into(), "w".into());
    assert!(matches!(next(&knows(&[comes_back]), "v", kind), Next::Wait(_)));
}

#[test]
fn a_pod_that_wants_certain_addresses_gets_no_other() {
    let mut wants = request(run(1, 9));
    wants.wanted = vec![ip(4), ip(3)];
    let place = &mut Place::of("n1");
    let taken = knows(&[active(4, "n2", 1)]);
    let Next::Create(claim) = add(&identity("v", None), &wants, &taken, place) else { panic!("3 is free") };
    assert_eq!(claim.address, ip(3));
    let taken = knows(&[active(4, "n2", 1), active(3, "n1", 2)]);
    let Next::Wait(waiting) = add(&identity("v", None), &wants, &taken, place) else { panic!("both taken") };
    assert_eq!(waiting.to_string(), "the wanted addresses are taken: 10.0.0.4, 10.0.0.3");
    let taken = knows(&[held(5, 1, Keeper::StatefulSet)]);
    let step = add(&identity("v", Some(Keeper::StatefulSet)), &wants, &taken, place);
    assert!(matches!(step, Next::Create(claim) if claim.address == ip(4)), "it wants another one now");
}

#[test]
fn del_holds_releases_or_leaves_alone() {
    let none = Duration::ZERO;
    let (plain, stateful) = (active(2, "n1", 4), kept(2, "n1", 4, Keeper::StatefulSet));
    let after = |claim: &Claim, ends, delay| del("n1", "c", "net1", Some(claim), ends, delay, Time(5));
    assert_eq!(after(&plain, true, none), After::Release(plain.clone()));
    let After::Hold(rests) = after(&plain, true, Duration::from_millis(2500)) else { panic!("it rests") };
    assert_eq!(rests.hold.unwrap().until, Some(Time(8)));
    for (ends, uid) in [(true, ""), (false, "u")] {
        let After::Hold(held) = after(&stateful, ends, none) else { panic!("it is kept") };
        assert_eq!((held.owner.uid.as_str(), held.owner.pod.as_str()), (uid, "p"));
        assert_eq!(allowed(&Actor::Agent("n1".into()), Some(&stateful), Some(&held)), Ok(()));
    }
    for (node, container, interface) in [("n2", "c", "net1"), ("n1", "d", "net1"), ("n1", "c", "net2")] {
        let nothing = del(node, container, interface, Some(&plain), true, none, Time(5));
        assert_eq!(nothing, After::Nothing);
    }
    assert_eq!(after(&held(2, 4, Keeper::StatefulSet), true, none), After::Nothing);
    assert_eq!(del("n1", "c", "net1", None, true, none, Time(5)), After::Nothing);
}

#[test]
fn an_interface_is_fenced_when_the_watch_is_new_enough_to_know() {
    let attached = Attached {
        network: "lan".into(),
        address: ip(2),
        container_id: "c".into(),
        interface: "net1".into(),
        version: Version(4),
    };
    assert!(!must_fence(&Taken::new("n1"), &attached), "nothing is known");
    assert!(!must_fence(&knows(&[active(1, "n2", 3)]), &attached), "the watch is older");
    assert!(!must_fence(&knows(&[active(2, "n1", 4)]), &attached), "it is its own");
    for lost in [active(2, "n2", 6), held(2, 6, Keeper::StatefulSet), active(1, "n2", 6)] {
        assert!(must_fence(&knows(&[lost]), &attached));
    }
    let renewed = Claim {
        owner: claims::Owner { container_id: "d".into(), ..active(2, "n1", 6).owner },
        ..active(2, "n1", 6)
    };
    assert!(must_fence(&knows(&[renewed]), &attached), "another sandbox's");
}

#[test]
fn orphans_are_this_nodes_claims_that_nobody_knows() {
    let taken = knows(&[active(1, "n1", 1), active(2, "n1", 2), active(3, "n2", 3)]);
    let found = orphans(&taken, |claim| claim.address == ip(1));
    assert_eq!(found, [active(2, "n1", 2)]);
}

#[test]
fn silence_is_asked_about() {
    let create = active(2, "n1", 0);
    assert_eq!(outcome(&create, None), Outcome::Again);
    assert_eq!(outcome(&create, Some(&active(2, "n1", 7))), Outcome::Done);
    assert_eq!(outcome(&create, Some(&active(2, "n2", 7))), Outcome::Refused);
    let take = kept(2, "n1", 4, Keeper::StatefulSet);
    assert_eq!(outcome(&take, Some(&held(2, 4, Keeper::StatefulSet))), Outcome::Again);
    assert_eq!(outcome(&take, Some(&held(2, 5, Keeper::StatefulSet))), Outcome::Refused);
    assert_eq!(outcome(&take, None), Outcome::Refused);
}
