//! One write of a claim. An answer that does not come says nothing: then the claim is read, and it tells.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use api::kinds::claim_name;
use claims::Claim;
use claims::plan::{Outcome, outcome};

use super::{ClaimCounts, ClaimError};

/// The longest time between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Where the claims are. Each function gives up at `until`.
pub(super) trait Objects: Send + Sync {
    /// Makes the object; the claim as it is then.
    fn create(&self, claim: &Claim, until: Instant) -> Result<Claim, Failure>;
    /// Replaces the version that the claim names; the claim as it is then.
    fn update(&self, claim: &Claim, until: Instant) -> Result<Claim, Failure>;
    /// Deletes the version that the claim names.
    fn delete(&self, claim: &Claim, until: Instant) -> Result<(), Failure>;
    /// Reads the object of an address.
    fn read(&self, network: &str, address: IpAddr, until: Instant) -> Result<Option<Claim>, Failure>;
    /// The claims of these subnets, not all when they are many: one request.
    fn list(&self, subnets: &[String], until: Instant) -> Result<Page, Failure>;
}

/// Some claims.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    pub(super) claims: Vec<Claim>,
    /// Whether there are more.
    pub(super) more: bool,
}

/// Why a request had no effect, or whether it had one is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is there already, not there any more, or there as another version.
    Conflict,
    /// There is no such object. Of a create: no such kind.
    Gone(String),
    /// The API server will not do it.
    Refused(String),
    /// No answer, or one that says nothing of what became of it.
    Unknown(String),
}

/// Writes claims.
pub(super) struct Writer {
    pub(super) objects: Box<dyn Objects>,
    /// Before a request that had no answer is repeated; twice as long each time.
    pub(super) pause: Duration,
    pub(super) counts: ClaimCounts,
}

/// What is tried until a time, with growing pauses.
struct Tries {
    pause: Duration,
    until: Instant,
}

impl Tries {
    /// Pauses; the error when there is no time left.
    fn pause(&mut self, error: ClaimError) -> Result<(), ClaimError> {
        if Instant::now() + self.pause >= self.until {
            return Err(error);
        }
        sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

impl Writer {
    /// Creates a claim of no version, updates one that has one. The claim as it is then; `None` when it is there already, or is not
    /// there any more at that version.
    pub(super) fn put(&self, claim: &Claim, until: Instant) -> Result<Option<Claim>, ClaimError> {
        let creates = claim.version == claims::Version::default();
        let mut tries = Tries { pause: self.pause, until };
        let mut in_doubt = false;
        loop {
            let sent = match creates {
                true => self.objects.create(claim, until),
                false => self.objects.update(claim, until),
            };
            let reason = match sent {
                Ok(done) => return Ok(Some(done)),
                // After a write without an answer it may be that one that is in the way.
                Err(Failure::Conflict) if !in_doubt => return Ok(None),
                Err(Failure::Conflict) => String::new(),
                Err(Failure::Refused(reason) | Failure::Gone(reason)) => return Err(refused(claim, reason)),
                Err(Failure::Unknown(reason)) => reason,
            };
            in_doubt = true;
            self.counts.in_doubt();
            let found = self.find(&claim.network, claim.address, &mut tries)?;
            match outcome(claim, found.as_ref()) {
                Outcome::Done => return Ok(found),
                Outcome::Refused => return Ok(None),
                Outcome::Again => tries.pause(unreachable(&claim.network, claim.address, reason))?,
            }
        }
    }

    /// Deletes a claim. False when it is not there any more at that version.
    pub(super) fn delete(&self, claim: &Claim, until: Instant) -> Result<bool, ClaimError> {
        let mut tries = Tries { pause: self.pause, until };
        loop {
            let reason = match self.objects.delete(claim, until) {
                Ok(()) => return Ok(true),
                Err(Failure::Conflict) => return Ok(false),
                Err(Failure::Refused(reason) | Failure::Gone(reason)) => return Err(refused(claim, reason)),
                Err(Failure::Unknown(reason)) => reason,
            };
            self.counts.in_doubt();
            tries.pause(unreachable(&claim.network, claim.address, reason))?;
        }
    }

    /// Reads a claim.
    pub(super) fn read(
        &self,
        network: &str,
        address: IpAddr,
        until: Instant,
    ) -> Result<Option<Claim>, ClaimError> {
        self.find(network, address, &mut Tries { pause: self.pause, until })
    }

    fn find(&self, network: &str, address: IpAddr, tries: &mut Tries) -> Result<Option<Claim>, ClaimError> {
        loop {
            let reason = match self.objects.read(network, address, tries.until) {
                Ok(found) => return Ok(found),
                Err(Failure::Conflict) => return Ok(None),
                Err(Failure::Refused(reason) | Failure::Gone(reason)) => {
                    return Err(ClaimError::Refused { name: claim_name(network, address), reason });
                }
                Err(Failure::Unknown(reason)) => reason,
            };
            tries.pause(unreachable(network, address, reason))?;
        }
    }
}

fn refused(claim: &Claim, reason: String) -> ClaimError {
    ClaimError::Refused { name: claim_name(&claim.network, claim.address), reason }
}

fn unreachable(network: &str, address: IpAddr, reason: String) -> ClaimError {
    ClaimError::Unreachable { name: claim_name(network, address), reason }
}
