//! The declared state: nmstate's language, read with key paths in its errors and written back.

mod bond;
mod check;
mod interface;
mod keys;
mod lent;
mod merge;
mod routes;
mod show;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use bond::{BOND_OPTIONS, BondMode, BondOption, BondOptions, Needs};
pub use interface::{
    Declared, HostAccess, HostAccessWay, Identifier, Interface, InterfaceState, InterfaceType, Ip, IpAddress,
    Lifetime, LinkAggregation, Llano, MacVlan, MacVlanMode, Registration, Tag, Veth, VlanTag,
};
pub(crate) use merge::{order, stands_on_parent};
pub use routes::{Absent, RouteAction, RouteEntry, RouteRules, RouteType, Routes, RuleEntry};

use crate::{Error, Result};

/// The longest file that is read.
const LIMIT: usize = 1 << 20;

/// A declared state. What it does not say stays as it is.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct State {
    /// Interfaces, each name once.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "values::list")]
    pub interfaces: Vec<Interface>,
    /// Routes.
    #[serde(skip_serializing_if = "Routes::is_empty")]
    pub routes: Routes,
    /// Rules.
    #[serde(skip_serializing_if = "RouteRules::is_empty")]
    pub route_rules: RouteRules,
}

impl State {
    /// Reads a file's text. A key that cannot be applied is an error that names it; keys that only tell, as `show`
    /// prints them, are left out.
    ///
    /// # Errors
    /// The key path, what is wrong there and what to do.
    pub fn parse(yaml: &str) -> Result<Self> {
        let state = Self::read(yaml)?;
        state.check()?;
        Ok(state)
    }

    /// As [`State::parse`], of a file that was declared earlier, maybe to an older program: what cannot be brought up at
    /// boot, or is not any more, is left out.
    ///
    /// # Errors
    /// As [`State::parse`].
    pub fn parse_kept(yaml: &str) -> Result<Self> {
        let mut state = Self::read(yaml)?;
        state.without_lent(None);
        state.routes = state.routes.without_the_replaced();
        state.check()?;
        Ok(state)
    }

    fn read(yaml: &str) -> Result<Self> {
        if yaml.len() > LIMIT {
            return Err(Error::key("the file", "is longer than 1 MiB"));
        }
        let value: serde_yaml_ng::Value =
            serde_yaml_ng::from_str(yaml).map_err(|error| Error::Yaml(error.to_string()))?;
        if value.is_null() {
            return Ok(Self::default());
        }
        keys::walk(&value)?;
        let mut state: Self =
            serde_yaml_ng::from_str(yaml).map_err(|error| Error::Yaml(error.to_string()))?;
        state.normalize()?;
        Ok(state)
    }

    /// The state as a file.
    pub fn to_yaml(&self) -> String {
        // Nothing in it is a map with keys that are no strings, which alone cannot be written.
        serde_yaml_ng::to_string(self).unwrap_or_default()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.interfaces.is_empty() && self.routes.is_empty() && self.route_rules.is_empty()
    }

    /// The interfaces that it speaks of: those declared, ports, parents, and those of routes.
    pub fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for interface in &self.interfaces {
            names.insert(interface.name.clone());
            names.extend(interface.ports().into_iter().flatten().cloned());
            names.extend(interface.parent().map(str::to_owned));
            names.extend(interface.copy_mac_from.clone());
        }
        names.extend(self.routes.config.iter().filter_map(|route| route.next_hop_interface.clone()));
        names
    }

    /// The interface of a name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// Adds what a newer state says: it wins key by key.
    pub fn overlay(&mut self, newer: &Self) {
        for interface in &newer.interfaces {
            self.without_ports_of(interface);
            match self.interfaces.iter_mut().find(|old| old.name == interface.name) {
                // What is absent has no other keys, and what comes back has none of those before.
                Some(old) if interface.is_absent() || old.is_absent() => *old = interface.clone(),
                Some(old) => old.overlay(interface),
                None => self.interfaces.push(interface.clone()),
            }
        }
        self.routes.overlay(&newer.routes);
        self.route_rules.overlay(&newer.route_rules);
    }

    /// Ports that a newer list takes, or that it leaves out, are said of nobody else; what becomes a port has neither
    /// addresses nor a MAC and an MTU of its own.
    fn without_ports_of(&mut self, newer: &Interface) {
        let Some(ports) = newer.ports() else { return };
        for old in self.interfaces.iter_mut().filter(|old| old.name != newer.name) {
            if let Some(bond) = &mut old.link_aggregation
                && let Some(list) = &mut bond.port
            {
                list.retain(|port| !ports.contains(port));
                bond.options.primary.take_if(|primary| ports.contains(primary));
            }
            if ports.contains(&old.name) {
                (old.ipv4, old.ipv6, old.mac_address, old.copy_mac_from, old.mtu) =
                    (None, None, None, None, None);
                old.controller = None;
            } else if old.controller.as_ref() == Some(&newer.name) {
                old.controller = None;
            }
        }
    }
}

/// The path of an interface's keys.
fn keys_of(name: &str) -> String {
    format!("interfaces[{name}]")
}
