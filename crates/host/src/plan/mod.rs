//! What is to be done, step by step, to turn one network into another.

pub(crate) mod addresses;
mod exchange;
pub mod layer3;
mod links;
mod loose;
pub mod model;
pub(crate) mod routes;
mod rules;
mod words;

pub(crate) use addresses::is_kernels as is_kernels_address;
pub(crate) use links::can_be_made;
pub(crate) use model::uses;

use std::net::IpAddr;

use kernel::{Address, MacAddr, Neighbour, Rule};
use serde::{Deserialize, Serialize};

use crate::host_access::{has_shim, shims};
use crate::{Kind, Link, Network, Result, Route, State, Wanted};
use model::Model;
pub(crate) use words::words_of;

/// Steps in the order in which they are done.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// First to last.
    pub steps: Vec<Step>,
}

/// One thing asked of the kernel, by names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Makes a link: kind, parent, MAC, MTU, queue length. It is born down, without controller and addresses.
    AddLink {
        /// Its name.
        name: String,
        /// What is wanted of it.
        link: Box<Link>,
    },
    /// Changes a link.
    ChangeLink {
        /// Its name.
        name: String,
        /// What of it.
        change: Box<LinkChange>,
    },
    /// Deletes a link.
    DeleteLink {
        /// Its name.
        name: String,
    },
    /// Adds an address, or changes the lifetimes and flags of one that is there.
    AddAddress {
        /// The interface.
        dev: String,
        /// Its index is 0.
        address: Address,
    },
    /// Deletes an address.
    DeleteAddress {
        /// The interface.
        dev: String,
        /// Its index is 0.
        address: Address,
    },
    /// Adds a route or replaces the one to the same destination with the same metric.
    AddRoute(Route),
    /// Adds a route behind those to the same destination with the same metric.
    AppendRoute(Route),
    /// Deletes a route.
    DeleteRoute(Route),
    /// Adds a rule.
    AddRule(Rule),
    /// Deletes a rule.
    DeleteRule(Rule),
    /// Adds a permanent neighbour or changes it.
    SetNeighbour {
        /// The interface.
        dev: String,
        /// Its index is 0.
        neighbour: Neighbour,
    },
    /// Deletes a neighbour.
    DeleteNeighbour {
        /// The interface.
        dev: String,
        /// Its index is 0.
        neighbour: Neighbour,
    },
    /// Writes a sysctl.
    SetSysctl {
        /// Below `/proc/sys`, parts joined by `/`.
        path: String,
        /// As written to the file.
        value: String,
    },
    /// Tells the LAN where addresses are now: gratuitous ARP, unsolicited neighbour advertisements.
    Announce {
        /// The interface.
        dev: String,
        /// Which.
        addresses: Vec<IpAddr>,
    },
    /// Gives the containers on an interface access to the host, by a shim on it.
    AddShim {
        /// The interface.
        parent: String,
    },
    /// Takes that access away.
    RemoveShim {
        /// The interface.
        parent: String,
    },
}

/// What to change of a link; what is `None` stays.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct LinkChange {
    /// Up or down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Its MAC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddr>,
    /// The bond or bridge it becomes a port of; `Some(None)` releases it.
    #[serde(skip_serializing_if = "Option::is_none", with = "given")]
    pub controller: Option<Option<String>>,
    /// Promiscuous by a user's flag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promiscuous: Option<bool>,
    /// All multicast by a user's flag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_multicast: Option<bool>,
    /// Whether it speaks ARP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arp: Option<bool>,
    /// Packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_queue_len: Option<u32>,
    /// `IFLA_INET6_ADDR_GEN_MODE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr_gen_mode: Option<u8>,
    /// Free text; empty removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The parameters of its kind that change; those that are absent in it stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
}

impl LinkChange {
    /// Up and nothing else.
    pub fn up() -> Self {
        Self { up: Some(true), ..Self::default() }
    }

    /// Down and nothing else.
    pub fn down() -> Self {
        Self { up: Some(false), ..Self::default() }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Plan {
    /// What turns the current network into the wanted one, in an order that keeps the host reachable: what is new is
    /// there before what it replaces goes.
    ///
    /// # Errors
    /// What cannot be made, or could not be made again; nothing was changed.
    pub fn new(current: &Network, wanted: &Wanted) -> Result<Self> {
        let links = links::steps(current, wanted)?;
        let mut model = Model::of(current);
        links.before.iter().for_each(|step| model.step(step));
        let layer3 = layer3::plan(&model.network, wanted)?;
        let before = exchange::give_away(links.before, current);
        let steps = [before, layer3.before, layer3.after, links.after].concat();
        Ok(Self { steps })
    }

    /// Adds what is done for containers beside the network: their shim goes first and comes last.
    pub(crate) fn host_access(&mut self, current: &Network, wanted: &Wanted, declared: &State) {
        for (parent, comes) in shims(current, wanted, declared) {
            if comes {
                self.steps.push(Step::AddShim { parent });
            } else if has_shim(current, &parent) {
                self.steps.insert(0, Step::RemoveShim { parent });
            }
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// `Some(None)` is written as null, which is not the same as absent.
mod given {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Option<Option<String>>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Option<String>>, D::Error> {
        Option::<String>::deserialize(from).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_is_not_absence() {
        for controller in [None, Some(None), Some(Some("bond0".to_owned()))] {
            let change = LinkChange { controller, ..LinkChange::default() };
            let text = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<LinkChange>(&text).unwrap(), change, "{text}");
        }
    }
}
