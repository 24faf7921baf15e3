//! A running pod whose networks annotation changed: which attachments go, which come, and which stay untouched.

use crate::resolve::Resolver;
use crate::{
    DefaultRoute, DelegateCall, Error, Event, IfName, Lookup, NETWORKS, Options, Pod, Result, Sandbox,
    Selection, Selections,
};

/// What is to be done: removals first, so that names are free again.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Places in the list of attachments of those to delete.
    pub remove: Vec<usize>,
    /// The calls to make.
    pub add: Vec<DelegateCall>,
    /// What the pod's owner should know.
    pub events: Vec<Event>,
}

impl Change {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }
}

/// Compares the attachments that a pod has, in the order they were made, with its annotation now. An element keeps its
/// attachment as long as it asks for the same, wherever it now stands in the list: taking the first of three away renames
/// nothing. Only attachments of the networks annotation come and go.
///
/// # Errors
/// As [`crate::resolve`], for the elements that are new; and for one that asks for the default route, which a running pod
/// cannot change without losing connections.
pub fn change(
    held: &[DelegateCall],
    pod: &Pod<'_>,
    sandbox: &Sandbox<'_>,
    options: &Options,
    lookup: &dyn Lookup,
) -> Result<Change> {
    let Selections { elements, ignored } =
        Selections::parse(pod.networks.unwrap_or_default(), pod.namespace)?;
    let ours = |call: &DelegateCall| call.position > 0 && call.selection.is_some();
    let mut kept = vec![false; held.len()];
    let mut fresh: Vec<(usize, Selection)> = Vec::new();
    // Elements that name their interface choose first.
    let (named, unnamed): (Vec<_>, Vec<_>) =
        elements.into_iter().enumerate().partition(|(_, selection)| selection.interface.is_some());
    for (at, element) in named.into_iter().chain(unnamed) {
        let fits = |call: &DelegateCall| {
            let same_name = element.interface.as_ref().is_none_or(|name| *name == call.ifname);
            same_name && call.selection.as_ref().is_some_and(|old| same_but_interface(old, &element))
        };
        match held.iter().enumerate().position(|(at, call)| !kept[at] && ours(call) && fits(call)) {
            Some(found) => kept[found] = true,
            None => fresh.push((at, element)),
        }
    }
    fresh.sort_by_key(|(at, _)| *at);
    let stays = |at: usize| kept[at] || !ours(&held[at]);
    let mut taken: Vec<(IfName, String)> = Vec::new();
    for (_, call) in held.iter().enumerate().filter(|(at, _)| stays(*at)) {
        taken.push((call.ifname.clone(), format!("the pod's {}", call.network)));
    }
    // Names that are asked for are not given to others.
    let mut names: Vec<Option<IfName>> = Vec::new();
    for (at, selection) in &fresh {
        let name = selection.interface.clone();
        if let Some(name) = &name {
            let second = format!("{NETWORKS}[{at}]");
            if let Some((_, first)) = taken.iter().find(|(other, _)| other == name) {
                return Err(Error::SameInterface { ifname: name.clone(), first: first.clone(), second });
            }
            taken.push((name.clone(), second));
        }
        names.push(name);
    }
    // After the largest place ever used, so that a place names one attachment.
    let mut position = held.iter().map(|call| call.position).max().unwrap_or(0);
    let mut resolver = Resolver::new(pod, sandbox, options, lookup);
    resolver.ignore(ignored);
    resolver.plan.calls.extend(held.iter().find(|call| call.position == 0).cloned());
    let first = resolver.plan.calls.len();
    for ((at, selection), name) in fresh.into_iter().zip(names) {
        if selection.default_route.is_some() {
            return Err(Error::NobodyHonours {
                path: format!("{NETWORKS}[{at}].default-route"),
                network: selection.network.to_string(),
                why: "the default route is chosen when the pod starts".to_owned(),
            });
        }
        let name = name.unwrap_or_else(|| free_name(at, &taken));
        taken.push((name.clone(), format!("{NETWORKS}[{at}]")));
        position += 1;
        resolver.select(selection, at, position, name)?;
    }
    let plan = resolver.finish()?;
    let mut add: Vec<DelegateCall> = plan.calls.into_iter().skip(first).collect();
    // Whoever got the default route when the pod started keeps it.
    if held.iter().any(|call| call.default_route != DefaultRoute::Unasked) {
        add.iter_mut().for_each(|call| call.default_route = DefaultRoute::Yields);
    }
    let remove = (0..held.len()).filter(|at| !stays(*at)).collect();
    Ok(Change { remove, add, events: plan.events })
}

/// `netN` of the element's place as at the pod's start, else the next that is free.
fn free_name(at: usize, taken: &[(IfName, String)]) -> IfName {
    let mut position = at + 1;
    loop {
        let name = IfName::numbered(position);
        if !taken.iter().any(|(other, _)| *other == name) {
            return name;
        }
        position += 1;
    }
}

fn same_but_interface(a: &Selection, b: &Selection) -> bool {
    let (mut a, mut b) = (a.clone(), b.clone());
    (a.interface, b.interface) = (None, None);
    a == b
}
