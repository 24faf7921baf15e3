//! A claim as an object.

use std::time::{Duration, SystemTime};

use claims::{Claim, Hold, Keeper, KeptFor, Owner, Reason, Time, Version};
use kernel::MacAddr;

fn active() -> Claim {
    Claim {
        network: "lan".into(),
        subnet: "lan4".into(),
        address: "10.0.0.5".parse().unwrap(),
        mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
        owner: Owner {
            namespace: "shop".into(),
            pod: "db-0".into(),
            uid: "u1".into(),
            node: "node1".into(),
            container_id: "c1".into(),
            interface: "eth0".into(),
        },
        kept_for: None,
        hold: None,
        version: Version(7),
    }
}

fn kept(kind: Keeper, name: &str) -> Claim {
    let kept_for = KeptFor { kind, namespace: "shop".into(), name: name.into() };
    Claim { kept_for: Some(kept_for), ..active() }
}

#[test]
fn a_claim_comes_back_from_its_object() {
    let now = Time(1_700_000_000);
    let hold = |reason, until, message: Option<&str>| Hold {
        reason,
        since: now,
        until,
        message: message.map(str::to_owned),
    };
    let set = kept(Keeper::StatefulSet, "db");
    let reserved = Claim {
        owner: Owner { namespace: "shop".into(), ..Owner::default() },
        mac: None,
        hold: Some(hold(Reason::Reservation, None, None)),
        ..kept(Keeper::Reservation, "team")
    };
    let quarantine = hold(Reason::Quarantine, Some(now.after(Duration::from_secs(600))), Some("answered"));
    for claim in [
        active(),
        set.clone(),
        set.held(hold(Reason::StatefulSet, None, None), "u1"),
        Claim { owner: Owner::default(), ..reserved.clone() },
        reserved,
        active().held(hold(Reason::ReuseDelay, Some(now), None), ""),
        active().held(quarantine, ""),
    ] {
        let object = claim.to_object().unwrap();
        assert_eq!(object.metadata.resource_version.as_deref(), Some("7"));
        let text = serde_json::to_string(&object).unwrap();
        assert_eq!(Claim::from_object(&serde_json::from_str(&text).unwrap()).unwrap(), claim, "{text}");
    }
}

#[test]
fn an_object_that_is_to_be_made_names_no_version() {
    let claim = Claim { version: Version::default(), ..active() };
    assert_eq!(claim.to_object().unwrap().metadata.resource_version, None);
}

#[test]
fn nobodys_interface_can_have_no_name() {
    let mut claim = active();
    claim.owner.interface = String::new();
    assert!(claim.to_object().is_none());
}

#[test]
fn times_and_versions_beyond_what_kubernetes_has_stay_in_order() {
    let end = SystemTime::from(Time(u64::MAX));
    assert_eq!(Time::from(end), Time(253_402_300_799), "the last second of the year 9999");
    assert_eq!(Time::from(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), Time(0));
    assert_eq!((Version::of("12"), Version::of(""), Version::of("x")), (Version(12), Version(0), Version(0)));
}
