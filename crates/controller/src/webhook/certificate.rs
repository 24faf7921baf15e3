//! The certificate that the API server knows the webhook by.
//!
//! Each certificate has an authority of its own, whose key is gone as soon as it has signed that one: nothing that can be stolen later
//! signs another. A new pair is made long before the old one ends and is kept beside it. The API server is told of both authorities, and
//! nobody serves a pair before it has been valid for [`SETTLE`]: by then the API server has heard of it. So there is no moment at which
//! a replica serves what the API server does not know, whichever of the two reads first.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::{Error, Result};

/// How long a certificate is valid.
pub const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
const LIFETIME_DAYS: u32 = 365;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The next one is made so long before the end.
pub const RENEW_BEFORE: Duration = Duration::from_secs(90 * 24 * 3600);
/// So long a new one waits before it is served; also how far clocks may be apart.
pub const SETTLE: Duration = Duration::from_secs(600);

/// A certificate with its key, and the authority that signed it. All PEM, as a Secret has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The authority's certificate.
    pub authority: String,
    /// The server's.
    pub certificate: String,
    /// The server's key.
    pub key: String,
}

/// Without the key.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Pair {
    /// A new pair for a server of this name, valid from then on for [`LIFETIME`].
    ///
    /// # Errors
    /// The name is none, or there is no randomness.
    pub fn new(name: &str, from: SystemTime) -> Result<Pair> {
        make(name, from).map_err(|error| wrong(error.to_string()))
    }

    /// Whether a client that knows the authority takes it for this name then.
    pub fn is_valid(&self, name: &str, at: SystemTime) -> bool {
        self.verify(name, at).is_some()
    }

    /// For how many whole days from then on it is valid.
    pub fn days_left(&self, name: &str, now: SystemTime) -> u32 {
        let days: Vec<u32> = (0..=LIFETIME_DAYS).collect();
        let lasts = |day: &u32| self.is_valid(name, now + DAY * *day);
        u32::try_from(days.partition_point(lasts)).unwrap_or_default().saturating_sub(1)
    }

    fn verify(&self, name: &str, at: SystemTime) -> Option<()> {
        let authority = CertificateDer::from_pem_slice(self.authority.as_bytes()).ok()?;
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).ok()?;
        // The authority's own times are the certificate's, see `make`.
        let anchors = [anchor_from_trusted_cert(&authority).ok()?];
        let certificate = EndEntityCert::try_from(&certificate).ok()?;
        let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).ok()?);
        certificate
            .verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &[], at, KeyUsage::server_auth(), None, None)
            .ok()?;
        let name = ServerName::try_from(name).ok()?;
        certificate.verify_is_valid_for_subject_name(&name).ok()
    }

    /// As TLS takes it.
    ///
    /// # Errors
    /// It cannot be read, or the key is another's.
    pub fn certified(&self) -> Result<CertifiedKey> {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes());
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        let key =
            PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(vec![certificate], key, &provider).map_err(|error| wrong(error.to_string()))
    }
}

fn wrong(problem: String) -> Error {
    Error::Certificate { problem }
}

fn make(name: &str, from: SystemTime) -> std::result::Result<Pair, rcgen::Error> {
    let since = from.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let from = rcgen::date_time_ymd(1970, 1, 1) + since;
    let named = |common_name: String| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = from;
        params.not_after = from + LIFETIME;
        // Two authorities of one name are told apart by it.
        params.use_authority_key_identifier_extension = true;
        params
    };
    // The two must not have one name: OpenSSL would take the server's for self-signed.
    let mut authority = named(format!("authority of {name}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate()?;
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let mut server = named(name.to_owned());
    server.subject_alt_names = vec![SanType::DnsName(name.try_into()?)];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &issuer)?.pem();
    Ok(Pair { authority: authority_pem, certificate, key: key.serialize_pem() })
}

/// The pairs that there are: the newest, and the one before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificates {
    /// The newest; none before the first is made.
    pub newest: Option<Pair>,
    /// The one before.
    pub previous: Option<Pair>,
}

impl Certificates {
    /// The pair to be served now: the newest that is valid and was made long enough ago, else one that is valid at all.
    pub fn serving(&self, name: &str, now: SystemTime) -> Option<&Pair> {
        let settled = |pair: &&Pair| pair.is_valid(name, now) && pair.is_valid(name, now - SETTLE);
        let pairs = || self.newest.iter().chain(&self.previous);
        pairs().find(settled).or_else(|| pairs().find(|pair| pair.is_valid(name, now)))
    }

    /// What to write instead, when the next pair is due; `None` when it is not.
    ///
    /// # Errors
    /// No pair can be made.
    pub fn renewed(&self, name: &str, now: SystemTime) -> Result<Option<Certificates>> {
        let lasts =
            |pair: &Pair| pair.is_valid(name, now + SETTLE) && pair.is_valid(name, now + RENEW_BEFORE);
        if self.newest.as_ref().is_some_and(lasts) {
            return Ok(None);
        }
        let serving = self.serving(name, now).cloned();
        // Without one that is served there is nothing to wait for.
        let from = if serving.is_some() { now } else { now - SETTLE };
        Ok(Some(Certificates { newest: Some(Pair::new(name, from)?), previous: serving }))
    }

    /// The authorities that the API server is to know, PEM.
    pub fn authorities(&self) -> String {
        let texts = self.newest.iter().chain(&self.previous).map(|pair| pair.authority.trim_end());
        texts.map(|text| format!("{text}\n")).collect()
    }
}
