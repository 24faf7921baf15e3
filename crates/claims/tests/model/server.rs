//! The API server: claims by address, each with the version of its last write.

use std::collections::BTreeMap;
use std::net::IpAddr;

use claims::{Actor, Claim, Event, Version, allowed};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) claims: BTreeMap<IpAddr, Claim>,
    pub(crate) version: u64,
}

/// A request of one actor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Write {
    /// A create when the claim's version is zero, else an update of that version.
    Put(Claim),
    /// A delete of that version.
    Delete(Claim),
}

impl Write {
    pub(crate) fn claim(&self) -> &Claim {
        match self {
            Write::Put(claim) | Write::Delete(claim) => claim,
        }
    }
}

/// Why a write had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The claim is there already, has changed since, or is gone.
    Conflict,
    /// The policy forbids it.
    Forbidden,
}

impl Server {
    /// What the watches will show of it. `policy`: whether the server asks the rules.
    pub(crate) fn write(&mut self, actor: &Actor, write: &Write, policy: bool) -> Result<Event, Refused> {
        let address = write.claim().address;
        let before = self.claims.get(&address);
        let there = before.map_or(Version::default(), |claim| claim.version);
        let after = match write {
            Write::Put(claim) => Some(claim),
            Write::Delete(_) => None,
        };
        if there != write.claim().version {
            return Err(Refused::Conflict);
        }
        if policy && allowed(actor, before, after).is_err() {
            return Err(Refused::Forbidden);
        }
        self.version += 1;
        let mut claim = write.claim().clone();
        claim.version = Version(self.version);
        match write {
            Write::Put(_) => {
                self.claims.insert(address, claim.clone());
                Ok(Event::Applied(claim))
            }
            Write::Delete(_) => {
                self.claims.remove(&address);
                Ok(Event::Deleted(claim))
            }
        }
    }
}
