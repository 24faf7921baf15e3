//! What an agent knows of the claims, from its watch and from its own writes.

mod kept;
mod network;
mod seen;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use kept::Kept;
pub use network::{Network, Numbers};
use network::{Recent, What};
use seen::Seen;

use crate::claim::{Claim, Version};

/// What the watch of the claims says, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// A claim was made or changed.
    Applied(Claim),
    /// A claim is gone. Its version is that of the deletion, as Kubernetes sends it.
    Deleted(Claim),
    /// The claims are listed anew. Until the list has ended, what was known before counts.
    ListBegun,
    /// A claim of the list.
    Listed(Claim),
    /// The list is complete; it shows the claims as they were at this version.
    ListEnded(Version),
}

/// The taken addresses of all networks, which of them are this node's, and which are kept for whom. Of claims that are
/// neither only the address is remembered: 20,000 need less than a megabyte.
///
/// A watch is behind. What this agent has written or found out since (`trying` and what follows it) stands above what
/// the watch says, until the watch has come to the same version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Taken {
    node: String,
    networks: BTreeMap<String, Network>,
    /// For networks without a claim.
    empty: Network,
    listing: Option<BTreeMap<String, Seen>>,
    /// Whether a list has been complete.
    ready: bool,
    /// The newest version that the watch has shown.
    watched: Version,
    /// The newest version that is known of, from own writes too.
    newest: Version,
}

impl Taken {
    /// Nothing known yet, on the node of this name.
    pub fn new(node: &str) -> Taken {
        Taken { node: node.to_owned(), ..Taken::default() }
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Whether the claims have been listed once. Nothing can be decided before.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The newest version that the watch has shown.
    pub fn watched(&self) -> Version {
        self.watched
    }

    /// What is known of a network.
    pub fn network(&self, name: &str) -> &Network {
        self.networks.get(name).unwrap_or(&self.empty)
    }

    /// The claims of this node.
    pub fn own(&self) -> impl Iterator<Item = &Claim> {
        self.networks.values().flat_map(Network::own)
    }

    /// Takes in what the watch says.
    pub fn apply(&mut self, event: Event) {
        match event {
            // A watch goes up in versions: this one came before.
            Event::Applied(claim) | Event::Deleted(claim) if claim.version <= self.watched => {}
            Event::Applied(claim) => {
                self.saw(claim.version);
                let network = self.networks.entry(claim.network.clone()).or_default();
                network.caught_up(claim.address, claim.version);
                network.seen.apply(claim, &self.node);
            }
            Event::Deleted(claim) => {
                self.saw(claim.version);
                if let Some(network) = self.networks.get_mut(&claim.network) {
                    network.caught_up(claim.address, claim.version);
                    network.seen.remove(claim.address);
                }
            }
            Event::ListBegun => self.listing = Some(BTreeMap::new()),
            Event::Listed(claim) => {
                let listing = self.listing.get_or_insert_default();
                listing.entry(claim.network.clone()).or_default().apply(claim, &self.node);
            }
            Event::ListEnded(version) => {
                self.saw(version);
                self.ready = true;
                let mut listing = self.listing.take().unwrap_or_default();
                for (name, network) in &mut self.networks {
                    network.relisted(listing.remove(name).unwrap_or_default(), version);
                }
                let new = listing.into_iter().map(|(name, seen)| (name, Network::of(seen)));
                self.networks.extend(new);
            }
        }
    }

    /// A write for this address is about to be sent: no other call of this node may choose it. One of the five
    /// below ends this.
    pub fn trying(&mut self, network: &str, address: IpAddr) {
        let recent = self.networks.get(network).and_then(|network| network.recent.get(&address));
        let before = match recent.map(|recent| &recent.what) {
            Some(What::Written(claim)) => Some(claim.clone()),
            _ => None,
        };
        let freed = recent.filter(|recent| recent.what == What::Free).map(|recent| recent.at);
        // No watch comes to this version.
        self.note(network, address, Version(u64::MAX), What::InDoubt(before), freed);
    }

    /// The write was not sent, or had no effect and cannot have one any more.
    pub fn given_up(&mut self, network: &str, address: IpAddr) {
        let recent = self.networks.get_mut(network).and_then(|network| network.recent.remove(&address));
        match recent {
            Some(Recent { what: What::InDoubt(Some(claim)), .. }) => self.wrote(&claim),
            Some(Recent { freed: Some(freed), .. }) if self.shows_older(network, address, freed) => {
                self.note(network, address, freed, What::Free, None);
            }
            _ => {}
        }
    }

    /// The API server has answered a create or an update with this claim.
    pub fn wrote(&mut self, claim: &Claim) {
        self.newest = self.newest.max(claim.version);
        let what = What::Written(Box::new(claim.clone()));
        let news = self.watched < claim.version;
        self.end_try(&claim.network, claim.address, news.then_some((claim.version, what)));
    }

    /// The API server has deleted this claim for us.
    pub fn deleted(&mut self, claim: &Claim) {
        let news = self.is_behind(claim);
        // Whatever is found at this address from now on came after the deletion.
        self.newest = self.newest.max(claim.version.next());
        self.end_try(&claim.network, claim.address, news.then_some((claim.version.next(), What::Free)));
    }

    /// A create was refused: there is a claim already, which the watch has yet to show.
    pub fn refused(&mut self, network: &str, address: IpAddr) {
        // It was there no earlier than all that is known, so an older deletion does not mean this one. Nor is it the claim that
        // the watch may still show, when this agent has deleted that one.
        let known = self.network(network);
        let freed = known.recent.get(&address).and_then(|recent| recent.freed);
        let news = !known.seen.taken.contains(address)
            || freed.is_some_and(|freed| self.shows_older(network, address, freed));
        self.end_try(network, address, news.then_some((self.newest, What::InDoubt(None))));
    }

    /// An update or delete was refused: the claim has changed since this version.
    pub fn outdated(&mut self, claim: &Claim) {
        let news = self.is_behind(claim);
        let in_doubt = What::InDoubt(Some(Box::new(claim.clone())));
        self.end_try(&claim.network, claim.address, news.then_some((claim.version.next(), in_doubt)));
    }

    fn saw(&mut self, version: Version) {
        self.watched = self.watched.max(version);
        self.newest = self.newest.max(version);
    }

    /// Whether the watch has yet to show what came after this version of a claim.
    fn is_behind(&self, claim: &Claim) -> bool {
        let shown = self.network(&claim.network).seen.version_of(claim.address);
        self.watched < claim.version || shown == Some(claim.version)
    }

    /// Whether the watch shows a claim of the address from before this version.
    fn shows_older(&self, network: &str, address: IpAddr, version: Version) -> bool {
        self.network(network).seen.version_of(address).is_some_and(|shown| shown < version)
    }

    /// What is known of the address from now on: what the watch says, or else this until it says more.
    fn end_try(&mut self, network: &str, address: IpAddr, news: Option<(Version, What)>) {
        match news {
            Some((at, what)) => self.note(network, address, at, what, None),
            None => {
                let network = self.networks.get_mut(network);
                network.and_then(|network| network.recent.remove(&address));
            }
        }
    }

    fn note(&mut self, network: &str, address: IpAddr, at: Version, what: What, freed: Option<Version>) {
        let network = self.networks.entry(network.to_owned()).or_default();
        network.recent.insert(address, Recent { at, what, freed });
    }
}
