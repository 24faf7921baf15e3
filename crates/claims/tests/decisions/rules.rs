use claims::{Actor, Claim, Keeper, Reason, Time, allowed};

use crate::given::{active, held, kept, resting};

fn agent() -> Actor {
    Actor::Agent("n1".into())
}

fn with(claim: &Claim, change: impl FnOnce(&mut Claim)) -> Claim {
    let mut claim = claim.clone();
    change(&mut claim);
    claim
}

#[track_caller]
fn yes(actor: &Actor, before: Option<&Claim>, after: Option<&Claim>) {
    assert_eq!(allowed(actor, before, after), Ok(()));
}

#[track_caller]
fn no(actor: &Actor, before: Option<&Claim>, after: Option<&Claim>, why: &str) {
    let refusal = allowed(actor, before, after).unwrap_err().to_string();
    assert!(refusal.contains(why), "{refusal}");
    assert!(refusal.contains("10.0.0.5"), "{refusal}");
}

#[test]
fn an_agent_makes_and_deletes_its_own_active_claims() {
    let (own, other) = (active(5, "n1", 0), active(5, "n2", 0));
    yes(&agent(), None, Some(&own));
    yes(&agent(), Some(&own), None);
    no(&agent(), None, Some(&other), "may only create active claims with its own name");
    no(&agent(), Some(&other), None, "may only delete active claims with its own name");
    let held = held(5, 1, Keeper::Reservation);
    no(&agent(), None, Some(&held), "may only create active claims");
    no(&agent(), Some(&held), None, "may only delete active claims");
    no(&Actor::Agent(String::new()), None, Some(&own), "token names no node");
}

#[test]
fn an_agent_renews_and_lets_go_of_its_own() {
    let own = kept(5, "n1", 1, Keeper::StatefulSet);
    let renewed = with(&own, |claim| claim.owner.container_id = "d".into());
    yes(&agent(), Some(&own), Some(&renewed));
    yes(&agent(), Some(&own), Some(&held(5, 1, Keeper::StatefulSet)));
    let other_pod = with(&own, |claim| claim.owner.uid = "v".into());
    no(&agent(), Some(&own), Some(&other_pod), "cannot become another pod's");
    let moved = with(&own, |claim| claim.owner.node = "n2".into());
    no(&agent(), Some(&own), Some(&moved), "belongs to node \"n2\"");
    let unkept = with(&own, |claim| claim.kept_for = None);
    no(&agent(), Some(&own), Some(&unkept), "only the controller may change spec.keptFor");
}

#[test]
fn an_agent_leaves_the_claims_of_others_alone() {
    let other = kept(5, "n2", 1, Keeper::Reservation);
    let mine = with(&other, |claim| claim.owner.node = "n1".into());
    no(&agent(), Some(&other), Some(&mine), "belongs to node \"n2\"");
    no(&agent(), Some(&other), Some(&held(5, 1, Keeper::Reservation)), "belongs to node \"n2\"");
    let held = held(5, 1, Keeper::Reservation);
    let longer = with(&held, |claim| claim.hold.as_mut().unwrap().since = Time(9));
    no(&agent(), Some(&held), Some(&longer), "belongs to node \"\"");
}

#[test]
fn a_held_claim_is_taken_by_whom_it_is_kept_for() {
    for kind in [Keeper::StatefulSet, Keeper::Reservation] {
        let taken = with(&kept(5, "n1", 1, kind), |claim| claim.owner.uid = "v".into());
        yes(&agent(), Some(&held(5, 1, kind)), Some(&taken));
        let strange = with(&taken, |claim| claim.owner.namespace = "elsewhere".into());
        no(&agent(), Some(&held(5, 1, kind)), Some(&strange), "keptFor.namespace must be the owner's");
    }
    let pod = |kind| with(&kept(5, "n1", 1, kind), |claim| claim.owner.pod = "q".into());
    yes(&agent(), Some(&held(5, 1, Keeper::Reservation)), Some(&pod(Keeper::Reservation)));
    no(
        &agent(),
        Some(&held(5, 1, Keeper::StatefulSet)),
        Some(&pod(Keeper::StatefulSet)),
        "kept for pod ns/p",
    );
    let net2 = with(&kept(5, "n1", 1, Keeper::StatefulSet), |claim| claim.owner.interface = "net2".into());
    no(&agent(), Some(&held(5, 1, Keeper::StatefulSet)), Some(&net2), "kept for pod ns/p (net1)");
}

#[test]
fn nobody_takes_what_the_last_pod_may_come_back_for() {
    let held = with(&held(5, 1, Keeper::Reservation), |claim| claim.owner.uid = "u".into());
    let same = kept(5, "n1", 1, Keeper::Reservation);
    yes(&agent(), Some(&held), Some(&same));
    let successor = with(&same, |claim| claim.owner.uid = "v".into());
    yes(&agent(), Some(&held), Some(&successor));
    let other = with(&successor, |claim| claim.owner.pod = "q".into());
    no(&agent(), Some(&held), Some(&other), "still exists");
}

#[test]
fn nobody_takes_what_rests() {
    for reason in [Reason::ReuseDelay, Reason::Quarantine] {
        let resting = resting(5, 1, reason, 10);
        no(
            &agent(),
            Some(&resting),
            Some(&active(5, "n1", 1)),
            &format!("held for {reason} cannot be taken"),
        );
    }
}

#[test]
fn the_controller_gives_up_and_collects_but_gives_to_nobody() {
    let actor = Actor::Controller;
    let (other, held) = (kept(5, "n2", 1, Keeper::Reservation), held(5, 1, Keeper::Reservation));
    yes(&actor, None, Some(&held));
    yes(&actor, Some(&other), Some(&held));
    yes(&actor, Some(&other), None);
    yes(&actor, Some(&held), None);
    let unkept = with(&other, |claim| claim.kept_for = None);
    yes(&actor, Some(&other), Some(&unkept));
    no(&actor, None, Some(&other), "controller may not set spec.owner.node");
    no(&actor, Some(&held), Some(&other), "controller may not set spec.owner.node");
    let moved = with(&other, |claim| claim.owner.node = "n1".into());
    no(&actor, Some(&other), Some(&moved), "controller may not set spec.owner.node");
}

#[test]
fn a_claim_is_whole_and_its_name_stays() {
    let own = active(5, "n1", 1);
    type Change = fn(&mut Claim);
    let changes: [(Change, &str); 9] = [
        (|claim| claim.owner.node.clear(), "needs spec.owner.node"),
        (|claim| claim.owner.uid.clear(), "needs spec.owner.uid"),
        (|claim| claim.owner.container_id.clear(), "needs spec.owner.containerID"),
        (
            |claim| claim.hold = resting(5, 1, Reason::ReuseDelay, 2).hold,
            "must have an empty spec.owner.node",
        ),
        (
            |claim| *claim = with(&held(5, 1, Keeper::StatefulSet), |c| c.kept_for = None),
            "needs a StatefulSet",
        ),
        (
            |claim| *claim = with(&held(5, 1, Keeper::Reservation), |c| c.kept_for = None),
            "needs a Reservation",
        ),
        (|claim| claim.network = "wan".into(), "spec.network cannot change"),
        (|claim| claim.subnet = "wan".into(), "spec.subnet cannot change"),
        (
            |claim| {
                *claim = resting(5, 1, Reason::Quarantine, 2);
                claim.hold.as_mut().unwrap().until = None;
            },
            "needs spec.hold.until",
        ),
    ];
    for (change, why) in changes {
        for actor in [agent(), Actor::Controller] {
            no(&actor, Some(&own), Some(&with(&own, change)), why);
        }
    }
    let rests = with(&resting(5, 1, Reason::ReuseDelay, 2), |claim| {
        claim.kept_for = held(5, 1, Keeper::Reservation).kept_for;
    });
    no(&Actor::Controller, None, Some(&rests), "needs an empty spec.keptFor");
}
