//! A claim with what its object says of itself.

use std::time::SystemTime;

use api::kinds::{Claim, ClaimOwner, HoldReason, Holder, KeeperKind, MacvlanIP, MacvlanIPSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use super::moment::left;

/// An address that is not free.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) claim: Claim,
    pub(super) object: MacvlanIP,
}

/// For programs: the object's name and age, and its spec key by key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record<'a> {
    name: &'a str,
    created: Option<&'a Time>,
    #[serde(flatten)]
    spec: &'a MacvlanIPSpec,
}

impl Entry {
    /// In order of network and address; and what is wrong with those that cannot be read.
    pub(super) fn read(objects: Vec<MacvlanIP>) -> (Vec<Entry>, Vec<String>) {
        let (mut entries, mut unread) = (Vec::with_capacity(objects.len()), Vec::new());
        for object in objects {
            match Claim::parse(&object) {
                Ok(claim) => entries.push(Entry { claim, object }),
                Err(error) => unread.push(error.to_string()),
            }
        }
        entries.sort_by(|a, b| (&a.claim.network, a.claim.address).cmp(&(&b.claim.network, b.claim.address)));
        (entries, unread)
    }

    pub(super) fn created(&self) -> Option<SystemTime> {
        self.object.metadata.creation_timestamp.as_ref().map(|time| time.0.into())
    }

    pub(super) fn record(&self) -> Record<'_> {
        Record {
            name: self.object.metadata.name.as_deref().unwrap_or_default(),
            created: self.object.metadata.creation_timestamp.as_ref(),
            spec: &self.object.spec,
        }
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self.claim.holder, Holder::Held { .. })
    }

    /// Who has it, or had it last.
    pub(super) fn owner(&self) -> Option<&ClaimOwner> {
        self.object.spec.owner.as_ref()
    }

    /// `shop/web-0` of who has it or had it last.
    pub(super) fn pod(&self) -> Option<String> {
        let owner = self.owner().filter(|owner| !owner.pod.is_empty())?;
        Some(format!("{}/{}", owner.namespace, owner.pod))
    }

    /// The namespace whose pods have it, had it or will have it.
    pub(super) fn namespace(&self) -> Option<&str> {
        let owner = self.owner().map(|owner| &*owner.namespace).filter(|namespace| !namespace.is_empty());
        owner.or(self.claim.kept_for.as_ref().map(|keeper| &*keeper.namespace))
    }

    /// `StatefulSet shop/web`, `MacvlanReservation shop/web`.
    pub(super) fn keeper(&self) -> Option<String> {
        let keeper = self.claim.kept_for.as_ref()?;
        let kind = match keeper.kind {
            KeeperKind::StatefulSet => "StatefulSet",
            KeeperKind::Reservation => "MacvlanReservation",
        };
        Some(format!("{kind} {}/{}", keeper.namespace, keeper.name))
    }

    /// Why it is held and until when, as a cell of a table; nothing when it is in use.
    pub(super) fn hold(&self, now: SystemTime) -> String {
        let Holder::Held { reason, until, .. } = &self.claim.holder else { return String::new() };
        let left = until.map(|until| left(until, now)).unwrap_or_default();
        match reason {
            HoldReason::StatefulSet | HoldReason::Reservation => self.keeper().unwrap_or_default(),
            HoldReason::ReuseDelay => format!("rests, {left}"),
            HoldReason::Quarantine => format!("quarantined, {left}"),
        }
    }
}

/// Says what was left out because it could not be read.
pub(super) fn warn(unread: &[String]) {
    for problem in unread {
        eprintln!("llano: left out: {problem}");
    }
}
