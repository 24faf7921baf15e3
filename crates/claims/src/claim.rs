use std::net::IpAddr;
use std::time::Duration;

use kernel::MacAddr;

/// A moment, in seconds since 1970: Kubernetes' times are no finer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The first second that is at least this much later.
    pub fn after(self, pause: Duration) -> Time {
        let up = u64::from(pause.subsec_nanos() > 0);
        Time(self.0.saturating_add(pause.as_secs()).saturating_add(up))
    }
}

/// An object's `resourceVersion`. Kubernetes lets clients compare the versions of one kind as numbers (officially since
/// 1.35, in fact ever since etcd counts them). Zero: of an object that is not in the API server yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The least version that is newer.
    pub fn next(self) -> Version {
        Version(self.0.saturating_add(1))
    }
}

/// One address of a network and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The network's name. With the address it is the claim's name, and never changes.
    pub network: String,
    /// The name of the subnet that the address was given from. Never changes.
    pub subnet: String,
    /// The address. Never changes.
    pub address: IpAddr,
    /// The interface's hardware address. `None` only while the claim is held and nobody has had it yet.
    pub mac: Option<MacAddr>,
    /// Who has the address, or had it last.
    pub owner: Owner,
    /// What gets the address back when the owner has gone. It stays while the claim is active and while it is held.
    pub kept_for: Option<KeptFor>,
    /// Why the address is nobody's and yet not free. `None`: the claim is active, a pod has the address.
    pub hold: Option<Hold>,
    /// As which version it was read. In a step that a plan gives: the version that the step replaces.
    pub version: Version,
}

/// One interface of one sandbox of one pod. A held claim names the last one as far as it is still true.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID. In a held claim: of the pod that may still come back for it, empty when none can.
    pub uid: String,
    /// The node whose agent has the interface; empty exactly when the claim is held.
    pub node: String,
    /// The sandbox; empty when the claim is held.
    pub container_id: String,
    /// The interface's name in the pod. It stays when the claim is held: a StatefulSet's pod gets each interface's
    /// own address back.
    pub interface: String,
}

/// What an address can be kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keeper {
    /// A StatefulSet: each of its pods, by name, gets its own addresses back.
    StatefulSet,
    /// A reservation: its pods share its addresses.
    Reservation,
}

/// The object that an address is kept for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeptFor {
    /// Its kind.
    pub kind: Keeper,
    /// Its namespace, and that of its pods.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Why a claim has no pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Its StatefulSet's pod will be back.
    StatefulSet,
    /// Its reservation has it.
    Reservation,
    /// It was used a moment ago; neighbours still know the old MAC.
    ReuseDelay,
    /// Somebody else on the wire answers for it.
    Quarantine,
}

/// What keeps an address that no pod has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: Time,
    /// When it is over. Reuse delay and quarantine always end.
    pub until: Option<Time>,
    /// More about it for people.
    pub message: Option<String>,
}

impl Claim {
    /// Whether a pod has the address.
    pub fn is_active(&self) -> bool {
        self.hold.is_none()
    }

    /// Whether it is active and this interface's of this sandbox on this node.
    pub fn is_of(&self, node: &str, container_id: &str, interface: &str) -> bool {
        let owner = &self.owner;
        self.is_active()
            && owner.node == node
            && owner.container_id == container_id
            && owner.interface == interface
    }

    /// The same claim, held. Node and sandbox have let go of it; namespace, pod and interface stay to be read. `uid`
    /// stays as long as that pod may come back for the address.
    pub fn held(&self, hold: Hold, uid: &str) -> Claim {
        let owner = Owner {
            uid: uid.to_owned(),
            node: String::new(),
            container_id: String::new(),
            ..self.owner.clone()
        };
        Claim { owner, hold: Some(hold), ..self.clone() }
    }

    /// What becomes of the address when its interface has gone: held for what it is kept for, or for the reuse
    /// delay. `None`: the claim goes. `uid`: as in `held`, for a claim that is kept.
    pub(crate) fn afterwards(&self, uid: &str, reuse_delay: Duration, now: Time) -> Option<Claim> {
        if let Some(kept_for) = &self.kept_for {
            return Some(
                self.held(Hold { reason: kept_for.reason(), since: now, until: None, message: None }, uid),
            );
        }
        let until = Some(now.after(reuse_delay));
        let hold = Hold { reason: Reason::ReuseDelay, since: now, until, message: None };
        (!reuse_delay.is_zero()).then(|| self.held(hold, ""))
    }
}

impl KeptFor {
    /// The reason of a hold for it.
    pub fn reason(&self) -> Reason {
        match self.kind {
            Keeper::StatefulSet => Reason::StatefulSet,
            Keeper::Reservation => Reason::Reservation,
        }
    }
}
