//! Certificates over time, with a clock of the test's own.

use std::time::{Duration, SystemTime};

use controller::webhook::{Certificates, LIFETIME, Pair, RENEW_BEFORE, SETTLE};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const NAME: &str = "llano-webhook.llano.svc";
const SECOND: Duration = Duration::from_secs(1);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

#[test]
fn a_pair_is_valid_for_its_name_and_its_time() {
    let pair = Pair::new(NAME, start()).unwrap();
    for (at, valid) in [
        (start() - SECOND, false),
        (start(), true),
        (start() + LIFETIME - SECOND, true),
        (start() + LIFETIME + SECOND, false),
    ] {
        assert_eq!(pair.is_valid(NAME, at), valid, "{at:?}");
    }
    assert!(!pair.is_valid("other.llano.svc", start() + SECOND));
    pair.certified().unwrap();
}

#[test]
fn parts_of_two_pairs_are_none() {
    let (one, other) = (Pair::new(NAME, start()).unwrap(), Pair::new(NAME, start()).unwrap());
    let foreign_authority = Pair { authority: other.authority.clone(), ..one.clone() };
    assert!(!foreign_authority.is_valid(NAME, start() + SECOND));
    let foreign_key = Pair { key: other.key.clone(), ..one.clone() };
    assert!(foreign_key.certified().is_err());
    for broken in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(!Pair { certificate: broken.to_owned(), ..one.clone() }.is_valid(NAME, start() + SECOND));
        assert!(Pair { certificate: broken.to_owned(), ..one.clone() }.certified().is_err());
    }
}

#[test]
fn authority_and_server_have_names_of_their_own() {
    // rcgen's default is one name for both, which OpenSSL takes for a self-signed certificate.
    let pair = Pair::new(NAME, start()).unwrap();
    let authority = format!("authority of {NAME}");
    let count = |pem: &str| {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        der.windows(authority.len()).filter(|window| *window == authority.as_bytes()).count()
    };
    assert_eq!(count(&pair.authority), 2, "as issuer and as subject");
    assert_eq!(count(&pair.certificate), 1, "as issuer");
}

#[test]
fn a_key_does_not_come_into_a_log() {
    let certificates = Certificates::default().renewed(NAME, start()).unwrap().unwrap();
    assert!(!format!("{certificates:?}").contains("PRIVATE"));
}

#[test]
fn the_first_pair_is_served_at_once() {
    let first = Certificates::default().renewed(NAME, start()).unwrap().unwrap();
    assert_eq!(first.previous, None);
    assert_eq!(first.serving(NAME, start()), first.newest.as_ref());
    assert_eq!(first.renewed(NAME, start()).unwrap(), None, "it is not due again");
}

#[test]
fn the_next_pair_is_made_ahead_and_served_when_it_is_known() {
    let first = Certificates::default().renewed(NAME, start()).unwrap().unwrap();
    let due = start() - SETTLE + LIFETIME - RENEW_BEFORE;
    assert_eq!(first.renewed(NAME, due - SECOND).unwrap(), None);
    let both = first.renewed(NAME, due + SECOND).unwrap().unwrap();
    assert_eq!(both.previous, first.newest);
    let known = both.authorities();
    for pair in [&both.newest, &both.previous] {
        assert!(known.contains(pair.as_ref().unwrap().authority.trim()));
    }
    assert_eq!(both.serving(NAME, due + SECOND), both.previous.as_ref(), "not everybody knows the new one");
    assert_eq!(both.serving(NAME, due + SETTLE), both.previous.as_ref());
    assert_eq!(both.serving(NAME, due + SETTLE + 2 * SECOND), both.newest.as_ref());
    assert_eq!(both.renewed(NAME, due + SETTLE).unwrap(), None);
}

#[test]
fn there_is_always_one_to_serve_that_was_announced() {
    let mut certificates = Certificates::default();
    let mut known = String::new();
    // Ten years, looked at every 29 hours; the API server hears of authorities one look late.
    for look in 0..3_020u32 {
        let now = start() + look * Duration::from_secs(29 * 3600);
        if let Some(renewed) = certificates.renewed(NAME, now).unwrap() {
            certificates = renewed;
        }
        let served = certificates.serving(NAME, now).expect("one to serve");
        assert!(served.is_valid(NAME, now));
        if look > 0 {
            assert!(
                known.contains(served.authority.trim()),
                "look {look}: the API server does not know it yet"
            );
        }
        known = certificates.authorities();
    }
}

#[test]
fn what_was_lost_or_has_ended_is_made_anew() {
    let first = Certificates::default().renewed(NAME, start()).unwrap().unwrap();
    // Nobody looked for two years.
    let late = start() + 2 * LIFETIME;
    assert_eq!(first.serving(NAME, late), None);
    let anew = first.renewed(NAME, late).unwrap().unwrap();
    assert_eq!((anew.serving(NAME, late), &anew.previous), (anew.newest.as_ref(), &None));
    // The service has another name now.
    let moved = first.renewed("llano-webhook.other.svc", start()).unwrap().unwrap();
    assert!(moved.serving("llano-webhook.other.svc", start()).is_some());
}
