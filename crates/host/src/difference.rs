//! What is different between two networks, as a person reads it.

mod rows;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::host_access::shims;
use crate::plan::addresses::{alike, is_kernels};
use crate::plan::model::comes_with_address;
use crate::plan::routes;
use crate::same;
use crate::{Link, Network, Route, State, Wanted};

/// What changes when the current network becomes the wanted one.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Difference {
    /// By interface.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub interfaces: BTreeMap<String, Vec<Change>>,
    /// Routes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Change>,
    /// Rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Change>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// In nmstate's words where it has them.
    pub key: String,
    /// What is; `None` is not there.
    pub before: Option<String>,
    /// What shall be; `None` is not there.
    pub after: Option<String>,
}

impl Difference {
    /// What of the affected links, their addresses and routes, and of the rules is not as wanted.
    pub fn of(current: &Network, wanted: &Wanted) -> Self {
        let mut all = Self::default();
        for name in &wanted.affected {
            let changes = of_link(name, current, &wanted.network);
            if !changes.is_empty() {
                all.interfaces.insert(name.clone(), changes);
            }
        }
        let (gone, made) = routes_of(current, wanted);
        all.routes.extend(gone.into_iter().map(|route| Change::new("route", Some(route.to_string()), None)));
        all.routes.extend(made.into_iter().map(|route| Change::new("route", None, Some(route.to_string()))));
        if wanted.rules {
            let (before, after) = (&current.rules, &wanted.network.rules);
            let words = |rule| Some(crate::plan::words_of(rule));
            all.rules.extend(
                before
                    .iter()
                    .filter(|rule| !after.contains(rule))
                    .map(|rule| Change::new("rule", words(rule), None)),
            );
            all.rules.extend(
                after
                    .iter()
                    .filter(|rule| !before.contains(rule))
                    .map(|rule| Change::new("rule", None, words(rule))),
            );
        }
        all
    }

    /// Adds the shims that come and go. One that is declared already is there when there are containers, whatever is now.
    pub fn host_access(&mut self, current: &Network, wanted: &Wanted, declared: &State) {
        for (parent, comes) in shims(current, wanted, declared) {
            let word = |on: bool| on.then(|| "shim".to_owned());
            let change = Change::new("host access", word(!comes), word(comes));
            self.interfaces.entry(parent).or_default().push(change);
        }
    }

    /// Whether all is as wanted.
    pub fn is_empty(&self) -> bool {
        self.interfaces.is_empty() && self.routes.is_empty() && self.rules.is_empty()
    }
}

impl Change {
    fn new(key: &str, before: Option<String>, after: Option<String>) -> Self {
        Self { key: key.to_owned(), before, after }
    }
}

fn of_link(name: &str, current: &Network, wanted: &Network) -> Vec<Change> {
    let (before, after) = (current.links.get(name), wanted.links.get(name));
    let mut changes = Vec::new();
    match (before, after) {
        (None, None) => {}
        (Some(before), None) => {
            changes.push(Change::new("interface", Some(before.kind.name().to_owned()), None))
        }
        (before, Some(after)) => {
            let rows = before.map(|link| rows::rows(current, link)).unwrap_or_default();
            if before.is_none() {
                changes.push(Change::new("interface", None, Some(after.kind.name().to_owned())));
            }
            for (key, value) in rows::rows(wanted, after) {
                // What the bond chooses in the wanted network is no key there; what it chooses now counts as it is.
                let old = rows.iter().find(|(old, _)| *old == key).map(|(_, value)| value.clone());
                let unset = old.is_none() && (value == "none" || value.is_empty());
                if old.as_ref() != Some(&value) && !(unset || before.is_none() && value == "off") {
                    changes.push(Change::new(&key, old, Some(value)));
                }
            }
            changes.extend(addresses(before, after));
        }
    }
    changes
}

fn addresses(before: Option<&Link>, after: &Link) -> Vec<Change> {
    let old: Vec<_> = before.into_iter().flat_map(counting).collect();
    let new: Vec<_> = counting(after).collect();
    let mut changes = Vec::new();
    for address in &old {
        // One that the kernel may make again by itself is not in the way.
        if !new.iter().any(|new| alike(address, new)) {
            changes.push(Change::new("address", Some(rows::address(address)), None));
        }
    }
    for address in &new {
        if !old.iter().any(|old| alike(old, address)) {
            changes.push(Change::new("address", None, Some(rows::address(address))));
        }
    }
    if changes.is_empty() {
        let words = |list: &[&kernel::Address]| {
            same::in_order(list).iter().map(|a| a.net.to_string()).collect::<Vec<_>>().join(" ")
        };
        let (old, new) = (words(&old), words(&new));
        if old != new {
            changes.push(Change::new("order of addresses", Some(old), Some(new)));
        }
    }
    let neighbours =
        |link: &Link| link.neighbours.iter().map(|n| (n.address, n.mac)).collect::<BTreeMap<_, _>>();
    let (old, new) = (before.map(neighbours).unwrap_or_default(), neighbours(after));
    let words =
        |(ip, mac): (&std::net::IpAddr, &Option<kernel::MacAddr>)| mac.map(|mac| format!("{ip} {mac}"));
    changes.extend(
        old.iter()
            .filter(|(ip, mac)| new.get(ip) != Some(mac))
            .map(|n| Change::new("neighbour", words(n), None)),
    );
    changes.extend(
        new.iter()
            .filter(|(ip, mac)| old.get(ip) != Some(mac))
            .map(|n| Change::new("neighbour", None, words(n))),
    );
    changes
}

/// The addresses that somebody asked for.
fn counting(link: &Link) -> impl Iterator<Item = &kernel::Address> {
    link.addresses.iter().filter(|address| !is_kernels(address, link.mac))
}

/// Routes that are and shall not be, and routes that shall be and are not.
fn routes_of<'a>(current: &'a Network, wanted: &'a Wanted) -> (Vec<&'a Route>, Vec<&'a Route>) {
    let ours = |route: &&Route| {
        !comes_with_address(current, route)
            && !comes_with_address(&wanted.network, route)
            && same::is_by(route, |dev| wanted.affected.contains(dev), wanted.rules)
    };
    let missing =
        |route: &Route, from: &Network| !from.routes.iter().any(|other| routes::alike(route, other));
    let gone = current.routes.iter().filter(ours).filter(|route| missing(route, &wanted.network));
    let made = wanted.network.routes.iter().filter(ours).filter(|route| missing(route, current));
    (gone.collect(), made.collect())
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = self.interfaces.iter().map(|(name, list)| (name.as_str(), list));
        let lists = lists.chain([("routes", &self.routes), ("rules", &self.rules)]);
        let mut first = true;
        for (name, list) in lists.filter(|(_, list)| !list.is_empty()) {
            let width = list.iter().map(|change| change.key.len()).max().unwrap_or(0);
            for (at, change) in list.iter().enumerate() {
                if !first {
                    writeln!(f)?;
                }
                first = false;
                let name = if at == 0 { name } else { "" };
                write!(f, "{name:<16}{:<width$}  ", change.key)?;
                match (&change.before, &change.after) {
                    (Some(before), Some(after)) => write!(f, "{before} → {after}")?,
                    (None, Some(after)) => write!(f, "+ {after}")?,
                    (Some(before), None) => write!(f, "- {before}")?,
                    (None, None) => {}
                }
            }
        }
        Ok(())
    }
}
