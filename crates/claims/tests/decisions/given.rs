//! Claims to begin with.

use std::net::{IpAddr, Ipv4Addr};

use claims::plan::{Identity, Request};
use claims::{Claim, Event, Hold, Keeper, KeptFor, Owner, Reason, Run, Taken, Time, Version};

pub(crate) fn ip(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, n).into()
}

pub(crate) fn run(from: u8, to: u8) -> Run {
    (ip(from), ip(to))
}

/// Pod `p` (UID `u`) on the node has the address.
pub(crate) fn active(n: u8, node: &str, version: u64) -> Claim {
    Claim {
        network: "lan".into(),
        subnet: "lan".into(),
        address: ip(n),
        mac: None,
        owner: Owner {
            namespace: "ns".into(),
            pod: "p".into(),
            uid: "u".into(),
            node: node.into(),
            container_id: "c".into(),
            interface: "net1".into(),
        },
        kept_for: None,
        hold: None,
        version: Version(version),
    }
}

pub(crate) fn kept_for(kind: Keeper) -> Option<KeptFor> {
    Some(KeptFor { kind, namespace: "ns".into(), name: "k".into() })
}

/// The same, kept for something.
pub(crate) fn kept(n: u8, node: &str, version: u64, kind: Keeper) -> Claim {
    Claim { kept_for: kept_for(kind), ..active(n, node, version) }
}

/// Held for what it is kept for; nobody may come back for it.
pub(crate) fn held(n: u8, version: u64, kind: Keeper) -> Claim {
    let claim = kept(n, "n1", version, kind);
    let reason = claim.kept_for.as_ref().unwrap().reason();
    claim.held(Hold { reason, since: Time(1), until: None, message: None }, "")
}

/// Held until a time.
pub(crate) fn resting(n: u8, version: u64, reason: Reason, until: u64) -> Claim {
    let hold = Hold { reason, since: Time(1), until: Some(Time(until)), message: None };
    active(n, "n1", version).held(hold, "")
}

/// What the agent of node `n1` knows when these are all claims.
pub(crate) fn knows(claims: &[Claim]) -> Taken {
    let mut taken = Taken::new("n1");
    let newest = claims.iter().map(|claim| claim.version).max().unwrap_or_default();
    taken.apply(Event::ListBegun);
    claims.iter().for_each(|claim| taken.apply(Event::Listed(claim.clone())));
    taken.apply(Event::ListEnded(newest));
    taken
}

/// A new sandbox of pod `p` with this UID.
pub(crate) fn identity(uid: &str, kind: Option<Keeper>) -> Identity {
    Identity {
        namespace: "ns".into(),
        pod: "p".into(),
        uid: uid.into(),
        container_id: "new".into(),
        interface: "net1".into(),
        kept_for: kind.and_then(kept_for),
    }
}

pub(crate) fn request(usable: Run) -> Request {
    Request {
        network: "lan".into(),
        subnet: "lan".into(),
        usable: vec![usable],
        wanted: Vec::new(),
        mac: None,
    }
}
