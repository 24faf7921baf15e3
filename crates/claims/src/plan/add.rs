use std::fmt;
use std::net::IpAddr;

use kernel::MacAddr;

use crate::choice::Place;
use crate::claim::{Claim, Keeper, KeptFor, Owner, Version};
use crate::rules::{Actor, allowed};
use crate::run::Run;
use crate::taken::{Kept, Network, Numbers, Taken};

/// Which interface wants an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// The sandbox.
    pub container_id: String,
    /// The interface's name in the pod.
    pub interface: String,
    /// The pod's StatefulSet, or the reservation that its addresses come from.
    pub kept_for: Option<KeptFor>,
}

/// Which address it wants: one of one subnet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// The network.
    pub network: String,
    /// The subnet.
    pub subnet: String,
    /// The addresses that the subnet may give, in order and apart.
    pub usable: Vec<Run>,
    /// If not empty, one of these and no other, in this order of preference.
    pub wanted: Vec<IpAddr>,
    /// The interface's hardware address, unless the claim that it takes has one.
    pub mac: Option<MacAddr>,
}

/// The next step of an ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The claim is this sandbox's already.
    Have(Claim),
    /// The pod's own claim, for its new sandbox: update it to this.
    Renew(Claim),
    /// A held claim: update it to this.
    Take(Claim),
    /// Create this claim. If it is there already, say `Taken::refused` and `Place::refused` and plan again.
    Create(Claim),
    /// Nothing can be done until the watch shows a change.
    Wait(Waiting),
    /// The subnet has no free address.
    Exhausted(Numbers),
}

/// What an ADD waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Waiting {
    /// The claims have not been listed yet.
    #[error("the cluster's claims are still being listed")]
    List,
    /// The pod's own address is still somebody's: its predecessor has not let go of it.
    #[error("{address} is kept for this pod, but still in use{}; it is free when the pod before it has let go", on(.node))]
    Predecessor {
        /// The address.
        address: IpAddr,
        /// The node that has it; empty when it is not known just now.
        node: String,
    },
    /// All addresses of the reservation are used.
    #[error("no address of reservation {name} is free; they are used by {}", Holders(.holders))]
    Reservation {
        /// The reservation's name.
        name: String,
        /// The pods that have them: at most `HOLDERS`, lowest address first.
        holders: Vec<(IpAddr, String)>,
    },
    /// All wanted addresses are taken.
    #[error("the wanted addresses are taken: {}", Commas(.0))]
    Wanted(Vec<IpAddr>),
}

/// How many holders are named.
const HOLDERS: usize = 5;

/// The next step to an address for an interface. `place` is this node's in this subnet.
pub fn add(identity: &Identity, request: &Request, taken: &Taken, place: &mut Place) -> Next {
    if !taken.is_ready() {
        return Next::Wait(Waiting::List);
    }
    let network = taken.network(&request.network);
    if let Some(claim) = network.own().find(|claim| is_its_own(claim, identity, request)) {
        if claim.owner.container_id == identity.container_id {
            return Next::Have(claim.clone());
        }
        return Next::Renew(claim_of(identity, request, taken, claim.clone()));
    }
    if let Some(kept_for) = &identity.kept_for
        && let Some(next) = kept(kept_for, identity, request, taken, network)
    {
        return next;
    }
    let create = |address| Next::Create(new_claim(identity, request, taken, address));
    if request.wanted.is_empty() {
        let free = place.next(&request.usable, network);
        return free.map_or_else(|| Next::Exhausted(network.numbers(&request.usable)), create);
    }
    let free = request.wanted.iter().copied().find(|address| !network.is_taken(*address));
    free.map_or_else(|| Next::Wait(Waiting::Wanted(request.wanted.clone())), create)
}

fn suits(request: &Request, subnet: &str, address: IpAddr) -> bool {
    subnet == request.subnet && (request.wanted.is_empty() || request.wanted.contains(&address))
}

fn is_its_own(claim: &Claim, identity: &Identity, request: &Request) -> bool {
    let owner = &claim.owner;
    owner.uid == identity.uid
        && owner.interface == identity.interface
        && suits(request, &claim.subnet, claim.address)
}

/// The step for a pod whose addresses are kept. `None`: nothing is kept for it yet.
fn kept(
    kept_for: &KeptFor,
    identity: &Identity,
    request: &Request,
    taken: &Taken,
    network: &Network,
) -> Option<Next> {
    let is_predecessors = |kept: &Kept| *kept.pod == identity.pod && *kept.interface == identity.interface;
    let known = || network.kept(kept_for).filter(|(address, kept)| suits(request, &kept.subnet, *address));
    // What this pod had before comes first.
    let first = known().filter(|(_, kept)| is_predecessors(kept));
    let then = known().filter(|(_, kept)| !is_predecessors(kept));
    let mut takes = first.chain(then).filter_map(|(address, kept)| {
        let held = kept.claim(&request.network, address).filter(|_| !network.is_in_doubt(address))?;
        let after = claim_of(identity, request, taken, held.clone());
        let actor = Actor::Agent(taken.node().to_owned());
        allowed(&actor, Some(&held), Some(&after)).is_ok().then_some(after)
    });
    if let Some(claim) = takes.next() {
        return Some(Next::Take(claim));
    }
    match kept_for.kind {
        Keeper::Reservation => {
            let used = known().map(|(address, kept)| (address, kept.pod.to_string())).take(HOLDERS);
            let name = kept_for.name.clone();
            Some(Next::Wait(Waiting::Reservation { name, holders: used.collect() }))
        }
        // In quarantine it is nobody's for a long time: another one then.
        Keeper::StatefulSet => {
            let (address, kept) = known().find(|(_, kept)| is_predecessors(kept) && !kept.quarantined)?;
            let node = if network.is_in_doubt(address) { String::new() } else { kept.node.to_string() };
            Some(Next::Wait(Waiting::Predecessor { address, node }))
        }
    }
}

fn new_claim(identity: &Identity, request: &Request, taken: &Taken, address: IpAddr) -> Claim {
    let claim = Claim {
        network: request.network.clone(),
        subnet: request.subnet.clone(),
        address,
        mac: None,
        owner: Owner::default(),
        kept_for: identity.kept_for.clone(),
        hold: None,
        version: Version::default(),
    };
    claim_of(identity, request, taken, claim)
}

/// The claim as this interface's.
fn claim_of(identity: &Identity, request: &Request, taken: &Taken, claim: Claim) -> Claim {
    let owner = Owner {
        namespace: identity.namespace.clone(),
        pod: identity.pod.clone(),
        uid: identity.uid.clone(),
        node: taken.node().to_owned(),
        container_id: identity.container_id.clone(),
        interface: identity.interface.clone(),
    };
    Claim { mac: claim.mac.or(request.mac), owner, hold: None, ..claim }
}

fn on(node: &str) -> String {
    if node.is_empty() { String::new() } else { format!(" on node {node}") }
}

struct Commas<'a>(&'a [IpAddr]);

impl fmt::Display for Commas<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, address) in self.0.iter().enumerate() {
            write!(f, "{}{address}", if n > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

struct Holders<'a>(&'a [(IpAddr, String)]);

impl fmt::Display for Holders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nobody; the controller has yet to hold them");
        }
        for (n, (address, pod)) in self.0.iter().enumerate() {
            write!(f, "{}{address} ({pod})", if n > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}
