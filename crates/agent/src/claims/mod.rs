//! Addresses of the cluster: how the interfaces of this node's pods get them and give them back.
//!
//! | file | what |
//! |---|---|
//! | `view` | what the watches know |
//! | `watches` | the watches |
//! | `wish` | from what a pod asks for to the ways to an address |
//! | `lan` | the networks as they are on this node |
//! | `claimer` | an ADD's way to its claims, and what becomes of them afterwards |
//! | `turns` | who may create next |
//! | `holders` | who has the addresses of full subnets |
//! | `counts` | what became of claims, for Prometheus |
//! | `write` | one write whose answer may get lost |
//! | `server` | the API server behind it |
//! | `object` | a claim as a watch reads it |
//!
//! What may become of a claim is decided by the crate `claims`; here it is done.

mod claimer;
mod counts;
mod error;
mod holders;
mod lan;
mod object;
mod server;
#[cfg(test)]
pub(crate) mod tests;
mod turns;
mod view;
mod watches;
mod wish;
mod write;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::IfName;
use api::addresses::Request;
use api::kinds::Subnet;
use claims::Claim;
use kernel::MacAddr;

pub use claimer::{Claimer, Limits};
pub use counts::ClaimCounts;
pub use error::ClaimError;
pub use lan::OnNode;
pub(crate) use server::connect;

use crate::PodView;

/// Who wants addresses, and which.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The MacvlanNetwork.
    pub network: &'a str,
    /// The pod.
    pub pod: &'a PodView,
    /// The sandbox.
    pub container_id: &'a str,
    /// The interface.
    pub interface: &'a IfName,
    /// What the pod asks for this interface, if anything.
    pub request: Option<&'a Request>,
    /// The MAC that the pod asks for outside of its request for addresses.
    pub mac: Option<MacAddr>,
    /// Whether the interface can have a MAC of its own; in mode passthru it has its parent's.
    pub own_mac: bool,
}

/// An interface that is gone.
#[derive(Debug, Clone, Copy)]
pub struct Gone<'a> {
    /// The MacvlanNetwork.
    pub network: &'a str,
    /// The sandbox.
    pub container_id: &'a str,
    /// The interface.
    pub interface: &'a str,
    /// The addresses it had, as its record says; none when it was never made.
    pub addresses: &'a [IpAddr],
    /// Whether it may have been on the LAN with them.
    pub used: bool,
}

/// A claim of this node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owned {
    /// The network.
    pub network: String,
    /// The address.
    pub address: IpAddr,
    /// The sandbox.
    pub container_id: String,
    /// The interface.
    pub interface: String,
}

impl Owned {
    fn of(claim: &Claim) -> Owned {
        Owned {
            network: claim.network.clone(),
            address: claim.address,
            container_id: claim.owner.container_id.clone(),
            interface: claim.owner.interface.clone(),
        }
    }
}

/// An address, and the subnet that it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// The address.
    pub address: IpAddr,
    /// Its subnet.
    pub subnet: Arc<Subnet>,
    /// Whether it was kept for the pod and a pod has had it before, with which it may still be on the LAN.
    pub kept: bool,
}

/// The addresses of an interface, IPv4 first; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The addresses: one of a family.
    pub addresses: Vec<Given>,
    /// The interface's MAC; none where it has its parent's.
    pub mac: Option<MacAddr>,
    /// Whether the MAC was made up for this claim: nobody on the LAN has had it.
    pub new_mac: bool,
}

/// Who claims addresses. All functions may block and may be called from any thread.
pub trait Claims: Send + Sync {
    /// Claims an address of each family that the pod is to have. What this interface of this sandbox has already, it keeps. What
    /// was claimed before something failed stays claimed: the caller releases, as after every failure.
    ///
    /// # Errors
    /// Why there is none by `until`.
    fn claim(&self, ask: &Ask<'_>, until: Instant) -> Result<Claimed, ClaimError>;

    /// The interface is gone: its claims are held for who is to get them, or go. Claims that are not this interface's of this
    /// sandbox stay as they are. To be repeated when it fails.
    ///
    /// # Errors
    /// The API server does not answer.
    fn release(&self, gone: &Gone<'_>, until: Instant) -> Result<(), ClaimError>;

    /// Nobody is behind this claim: it goes as after its interface's end. No other claim of the sandbox does.
    ///
    /// # Errors
    /// The API server does not answer.
    fn let_go(&self, owned: &Owned, until: Instant) -> Result<(), ClaimError>;

    /// Somebody else on the LAN answers for this address: nobody gets it for a while.
    ///
    /// # Errors
    /// The API server does not answer.
    fn quarantine(&self, owned: &Owned, why: &str, pause: Duration, until: Instant)
    -> Result<(), ClaimError>;

    /// An interface was taken down because its address was not its own any more.
    fn fenced(&self) {}

    /// This node's claims; `None` while that is not known.
    fn owned(&self) -> Option<Vec<Owned>>;

    /// Whether the claim is this interface's of this sandbox still; `None` while that is not known.
    fn has(&self, owned: &Owned) -> Option<bool>;

    /// What a MacvlanNetwork is on this node; `None` in a cluster without subnets, whose networks are not watched.
    ///
    /// # Errors
    /// There is no such network by `until`, or it is not on this node.
    fn on_node(&self, network: &str, until: Instant) -> Result<Option<OnNode>, ClaimError>;

    /// The VLANs that the networks have on this node, each with its parent; `None` while that is not known.
    fn vlans(&self) -> Option<BTreeSet<(String, u16)>>;

    /// What an ADD would wait for now.
    fn waits_for(&self) -> Option<&'static str>;
}
