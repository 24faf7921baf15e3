//! `MacvlanIP`, parsed.

use std::net::IpAddr;
use std::time::SystemTime;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;

use super::object::Object;
use crate::kinds::{
    ClaimHold, ClaimKeeper, ClaimOwner, HoldReason, KeeperKind, MacvlanIP, MacvlanIPSpec, NETWORK_LABEL,
    SUBNET_LABEL, claim_name,
};
use crate::{IfName, Mac, Result};

/// One address that is not free.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The network's name.
    pub network: String,
    /// The subnet's name.
    pub subnet: String,
    /// The address, IPv4 never in IPv6 form.
    pub address: IpAddr,
    /// The MAC that goes with it.
    pub mac: Option<Mac>,
    /// What it is kept for; always there when it is held for it.
    pub kept_for: Option<ClaimKeeper>,
    /// Who has it, or why nobody does.
    pub holder: Holder,
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq)]
pub enum Holder {
    /// The interface of a pod.
    Active(PodOn),
    /// Nobody.
    Held {
        /// Why it is not free. `StatefulSet` and `Reservation`: the claim's keeper is of that kind.
        reason: HoldReason,
        /// Since when, in whole seconds.
        since: SystemTime,
        /// Until when, in whole seconds; for `ReuseDelay` and `Quarantine`, and for no other reason.
        until: Option<SystemTime>,
        /// More for people.
        message: Option<String>,
        /// Who had it last; its node is empty.
        last: Option<ClaimOwner>,
    },
}

/// An interface of a pod on a node. No text is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodOn {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// The node that has the pod.
    pub node: String,
    /// The pod's sandbox.
    pub container_id: String,
    /// The interface in the pod.
    pub interface: IfName,
}

impl Claim {
    /// Reads the object.
    ///
    /// # Errors
    /// [`crate::Error::Object`] with the field, its value and what is allowed.
    pub fn parse(object: &MacvlanIP) -> Result<Claim> {
        let spec = &object.spec;
        let at = Object::new("MacvlanIP", &object.metadata);
        let network = at.label("spec.network", &spec.network)?;
        let address = at.address("spec.address", &spec.address)?;
        let name = claim_name(&network, address);
        if at.name() != name {
            return Err(at.refuse("metadata.name", format!("must be {name}")));
        }
        if let Some(keeper) = &spec.kept_for {
            at.label("spec.keptFor.namespace", &keeper.namespace)?;
            at.subdomain("spec.keptFor.name", &keeper.name)?;
        }
        if let (Some(keeper), Some(owner)) = (&spec.kept_for, &spec.owner)
            && !owner.namespace.is_empty()
            && owner.namespace != keeper.namespace
        {
            let problem =
                format!("{:?} must be that of spec.keptFor, {:?}", owner.namespace, keeper.namespace);
            return Err(at.refuse("spec.owner.namespace", problem));
        }
        Ok(Claim {
            subnet: at.label("spec.subnet", &spec.subnet)?,
            mac: spec.mac.as_ref().map(|mac| at.mac("spec.mac", mac)).transpose()?,
            kept_for: spec.kept_for.clone(),
            holder: match &spec.hold {
                None => Holder::Active(read_owner(at, spec.owner.as_ref())?),
                Some(hold) => read_hold(at, hold, spec)?,
            },
            network,
            address,
        })
    }

    /// The name of its object.
    pub fn name(&self) -> String {
        claim_name(&self.network, self.address)
    }

    /// The object that says this, with the labels that its watchers select by.
    pub fn object(&self) -> MacvlanIP {
        let (owner, hold) = match &self.holder {
            Holder::Active(pod) => (Some(pod.owner()), None),
            Holder::Held { reason, since, until, message, last } => {
                let (since, until) = (time(*since), until.map(time));
                (last.clone(), Some(ClaimHold { reason: *reason, since, until, message: message.clone() }))
            }
        };
        let labels = [(NETWORK_LABEL, &self.network), (SUBNET_LABEL, &self.subnet)];
        MacvlanIP {
            metadata: ObjectMeta {
                name: Some(self.name()),
                labels: Some(labels.map(|(label, value)| (label.to_owned(), value.clone())).into()),
                ..ObjectMeta::default()
            },
            spec: MacvlanIPSpec {
                network: self.network.clone(),
                subnet: self.subnet.clone(),
                address: self.address.to_string(),
                mac: self.mac.map(|mac| mac.to_string()),
                owner,
                kept_for: self.kept_for.clone(),
                hold,
            },
        }
    }
}

impl PodOn {
    /// As an object has it.
    fn owner(&self) -> ClaimOwner {
        ClaimOwner {
            namespace: self.namespace.clone(),
            pod: self.pod.clone(),
            uid: self.uid.clone(),
            node: self.node.clone(),
            container_id: self.container_id.clone(),
            interface: self.interface.as_str().to_owned(),
        }
    }
}

fn read_owner(at: Object<'_>, owner: Option<&ClaimOwner>) -> Result<PodOn> {
    let Some(owner) = owner else {
        return Err(at.refuse("spec.owner", "must be given, since without spec.hold the address is in use"));
    };
    let text = |key: &str, text: &str| match text {
        "" => {
            let path = format!("spec.owner.{key}");
            Err(at.refuse(path, "must not be empty, since without spec.hold the address is in use"))
        }
        text => Ok(text.to_owned()),
    };
    Ok(PodOn {
        namespace: text("namespace", &owner.namespace)?,
        pod: text("pod", &owner.pod)?,
        uid: text("uid", &owner.uid)?,
        node: text("node", &owner.node)?,
        container_id: text("containerID", &owner.container_id)?,
        interface: at.interface("spec.owner.interface", &owner.interface)?,
    })
}

fn read_hold(at: Object<'_>, hold: &ClaimHold, spec: &MacvlanIPSpec) -> Result<Holder> {
    if spec.owner.as_ref().is_some_and(|owner| !owner.node.is_empty()) {
        return Err(
            at.refuse("spec.owner.node", "must be empty while spec.hold says why nobody has the address")
        );
    }
    let keeper = match hold.reason {
        HoldReason::StatefulSet => Some(KeeperKind::StatefulSet),
        HoldReason::Reservation => Some(KeeperKind::Reservation),
        HoldReason::ReuseDelay | HoldReason::Quarantine => None,
    };
    if keeper.is_some() && spec.kept_for.as_ref().map(|keeper| keeper.kind) != keeper {
        return Err(at.refuse("spec.keptFor", format!("must name the {:?} of spec.hold.reason", hold.reason)));
    }
    if keeper.is_some() == hold.until.is_some() {
        let problem = "must be given with reason ReuseDelay or Quarantine, and with no other";
        return Err(at.refuse("spec.hold.until", problem));
    }
    let until = hold.until.as_ref().map(|until| SystemTime::from(until.0));
    let since = SystemTime::from(hold.since.0);
    if until.is_some_and(|until| until < since) {
        return Err(at.refuse("spec.hold.until", "must not be before spec.hold.since"));
    }
    Ok(Holder::Held {
        reason: hold.reason,
        since,
        until,
        message: hold.message.clone(),
        last: spec.owner.clone(),
    })
}

/// As an object has it: whole seconds. A time beyond the year 9999 becomes the last that can be written.
fn time(time: SystemTime) -> Time {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
