//! A claim as the API server has it, and as decisions take it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::kinds::{self, ClaimKeeper, ClaimOwner, HoldReason, Holder, KeeperKind, MacvlanIP, PodOn};
use api::{IfName, Mac};
use kernel::MacAddr;

use crate::claim::{Claim, Hold, Keeper, KeptFor, Owner, Reason, Time, Version};

/// The end of the year 9999: later times have no form in Kubernetes.
const LAST_SECOND: u64 = 253_402_300_799;

impl Claim {
    /// Reads the object.
    ///
    /// # Errors
    /// [`api::Error`] with the field, its value and what is allowed.
    pub fn from_object(object: &MacvlanIP) -> api::Result<Claim> {
        let claim = kinds::Claim::parse(object)?;
        let (owner, hold) = match claim.holder {
            Holder::Active(pod) => {
                let owner = Owner {
                    namespace: pod.namespace,
                    pod: pod.pod,
                    uid: pod.uid,
                    node: pod.node,
                    container_id: pod.container_id,
                    interface: pod.interface.as_str().to_owned(),
                };
                (owner, None)
            }
            Holder::Held { reason, since, until, message, last } => {
                let (since, until) = (since.into(), until.map(Time::from));
                let hold = Hold { reason: reason.into(), since, until, message };
                (last.map(from_owner).unwrap_or_default(), Some(hold))
            }
        };
        Ok(Claim {
            network: claim.network,
            subnet: claim.subnet,
            address: claim.address,
            mac: claim.mac.map(mac_addr),
            owner,
            kept_for: claim.kept_for.map(KeptFor::from),
            hold,
            version: Version::of(object.metadata.resource_version.as_deref().unwrap_or_default()),
        })
    }

    /// The object that says this, with the version that it replaces. `None` for an active claim whose interface has a name that no
    /// interface can have.
    pub fn to_object(&self) -> Option<MacvlanIP> {
        let owner = &self.owner;
        let holder = match &self.hold {
            None => Holder::Active(PodOn {
                namespace: owner.namespace.clone(),
                pod: owner.pod.clone(),
                uid: owner.uid.clone(),
                node: owner.node.clone(),
                container_id: owner.container_id.clone(),
                interface: IfName::new(&owner.interface)?,
            }),
            Some(hold) => Holder::Held {
                reason: hold.reason.into(),
                since: hold.since.into(),
                until: hold.until.map(SystemTime::from),
                message: hold.message.clone(),
                last: (*owner != Owner::default()).then(|| to_owner(owner)),
            },
        };
        let parsed = kinds::Claim {
            network: self.network.clone(),
            subnet: self.subnet.clone(),
            address: self.address,
            mac: self.mac.and_then(|mac| Mac::new(mac.0)),
            kept_for: self.kept_for.as_ref().map(ClaimKeeper::from),
            holder,
        };
        let mut object = parsed.object();
        if self.version != Version::default() {
            object.metadata.resource_version = Some(self.version.0.to_string());
        }
        Some(object)
    }
}

impl Version {
    /// Reads `metadata.resourceVersion`; one that is no number is older than all.
    pub fn of(text: &str) -> Version {
        Version(text.parse().unwrap_or_default())
    }
}

/// Seconds are cut off; a moment before 1970 is 1970.
impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Time {
        Time(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }
}

impl From<Time> for SystemTime {
    fn from(time: Time) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(time.0.min(LAST_SECOND))
    }
}

/// A MAC of an object or a pod, as the kernel takes it.
pub fn mac_addr(mac: Mac) -> MacAddr {
    MacAddr(mac.bytes())
}

fn from_owner(owner: ClaimOwner) -> Owner {
    let ClaimOwner { namespace, pod, uid, node, container_id, interface } = owner;
    Owner { namespace, pod, uid, node, container_id, interface }
}

fn to_owner(owner: &Owner) -> ClaimOwner {
    let Owner { namespace, pod, uid, node, container_id, interface } = owner.clone();
    ClaimOwner { namespace, pod, uid, node, container_id, interface }
}

impl From<ClaimKeeper> for KeptFor {
    fn from(keeper: ClaimKeeper) -> KeptFor {
        let kind = match keeper.kind {
            KeeperKind::StatefulSet => Keeper::StatefulSet,
            KeeperKind::Reservation => Keeper::Reservation,
        };
        KeptFor { kind, namespace: keeper.namespace, name: keeper.name }
    }
}

impl From<&KeptFor> for ClaimKeeper {
    fn from(kept_for: &KeptFor) -> ClaimKeeper {
        let kind = match kept_for.kind {
            Keeper::StatefulSet => KeeperKind::StatefulSet,
            Keeper::Reservation => KeeperKind::Reservation,
        };
        ClaimKeeper { kind, namespace: kept_for.namespace.clone(), name: kept_for.name.clone() }
    }
}

impl From<HoldReason> for Reason {
    fn from(reason: HoldReason) -> Reason {
        match reason {
            HoldReason::StatefulSet => Reason::StatefulSet,
            HoldReason::Reservation => Reason::Reservation,
            HoldReason::ReuseDelay => Reason::ReuseDelay,
            HoldReason::Quarantine => Reason::Quarantine,
        }
    }
}

impl From<Reason> for HoldReason {
    fn from(reason: Reason) -> HoldReason {
        match reason {
            Reason::StatefulSet => HoldReason::StatefulSet,
            Reason::Reservation => HoldReason::Reservation,
            Reason::ReuseDelay => HoldReason::ReuseDelay,
            Reason::Quarantine => HoldReason::Quarantine,
        }
    }
}
