//! The MacvlanNetwork behind an interface: what a definition leaves open, the parent first, is taken from it and becomes part of the
//! call before that is written down. So the record has what ADD used, and DEL and CHECK need no network.
//!
//! Where the network is a VLAN, its link is made now if it is not there. It stays as long as a network wants it or an interface is on
//! it; whether it is ours the kernel knows, so nothing of it is in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Instant;

use api::kinds::Network;
use api::{DelegateCall, NetConfig};
use cni::json::Value;
use host::keep::Places;
use host::pod_vlan::{self, PodVlan};
use kernel::Netlink;

use super::locks::lock;
use super::{Arc, Engine, claimed};
use crate::claims::{ClaimError, OnNode};

/// The VLANs' links of this node.
#[derive(Default)]
pub(super) struct Vlans {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Calls that are about to put an interface on them.
    held: BTreeMap<PodVlan, usize>,
    /// The links that we made, by name; none before the kernel was asked.
    made: Option<BTreeMap<PodVlan, String>>,
}

/// Keeps VLANs' links while interfaces are being put on them. When it goes, so do links that nobody wants.
pub(super) struct Held {
    engine: Arc<Engine>,
    vlans: Vec<PodVlan>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.vlans.is_empty() {
            return;
        }
        let mut state = lock(&self.engine.vlans.state);
        for vlan in &self.vlans {
            if let Some(calls) = state.held.get_mut(vlan) {
                *calls -= 1;
            }
        }
        state.held.retain(|_, calls| *calls > 0);
        drop(state);
        self.engine.lans_changed();
    }
}

impl Engine {
    /// Puts into each call what its network says and its definition does not. The answer is to be kept until the interfaces are made.
    pub(super) fn fill<'a>(
        self: &Arc<Engine>,
        calls: impl Iterator<Item = &'a mut DelegateCall>,
        until: Instant,
    ) -> Result<Held, ClaimError> {
        let mut held = Held { engine: Arc::clone(self), vlans: Vec::new() };
        for call in calls {
            self.fill_one(call, until, |on| held.master(on))?;
        }
        Ok(held)
    }

    /// As [`Engine::fill`] for a call that makes nothing: its parent is what carries the VLAN.
    pub(super) fn fill_to_look(&self, call: &mut DelegateCall) -> Result<(), ClaimError> {
        self.fill_one(call, Instant::now(), |on| Ok(on.parent.clone()))
    }

    fn fill_one(
        &self,
        call: &mut DelegateCall,
        until: Instant,
        master: impl FnOnce(&OnNode) -> Result<String, ClaimError>,
    ) -> Result<(), ClaimError> {
        // Who has no API server is told so when it comes to the addresses.
        let (Some(claims), Some(network)) = (self.cluster.claims(), claimed::network(call)) else {
            return Ok(());
        };
        let Some(index) = open(&call.config) else { return Ok(()) };
        if let Some(on) = claims.on_node(&network, until)? {
            let master = master(&on)?;
            put(&mut call.config, index, &on.network, &master);
        }
        Ok(())
    }

    /// Networks have changed, or interfaces have gone: takes the VLAN links away that we made and nobody wants.
    pub fn lans_changed(&self) {
        let Some(wanted) = self.cluster.claims().and_then(crate::claims::Claims::vlans) else { return };
        let mut state = lock(&self.vlans.state);
        if let Err(error) = self.drop_vlans(&mut state, &wanted) {
            tracing::warn!(error = %error, "VLAN links not looked at, it is tried again");
            self.later.look_after(self.setup.limits.slowest);
        }
    }

    fn drop_vlans(&self, state: &mut State, wanted: &BTreeSet<(String, u16)>) -> host::Result<()> {
        if state.made.as_ref().is_some_and(|made| unwanted(made, &state.held, wanted).is_empty()) {
            return Ok(());
        }
        let mut netlink = Netlink::open()?;
        if state.made.is_none() {
            state.made = Some(pod_vlan::made(&mut netlink)?.into_iter().collect());
        }
        let made = state.made.get_or_insert_default();
        let unwanted = unwanted(made, &state.held, wanted);
        if unwanted.is_empty() {
            return Ok(());
        }
        // The kernel's interfaces count as well, but not every namespace need be visible.
        let Some(recorded) = self.recorded_masters() else { return Ok(()) };
        for (vlan, name) in unwanted.into_iter().filter(|(_, name)| !recorded.contains(name)) {
            if pod_vlan::remove_unused(&self.setup.paths, &Places::default(), &mut netlink, &name)? {
                tracing::info!(link = name, "VLAN link taken away: no network wants it");
                made.remove(&vlan);
            }
        }
        Ok(())
    }

    /// What the interfaces of all records are on, those that are being deleted among them; none when the store cannot be read.
    fn recorded_masters(&self) -> Option<BTreeSet<String>> {
        let records = match self.store.all() {
            Ok(records) => records,
            Err(error) => {
                tracing::error!(error = %error, "store not read, no VLAN link taken away");
                return None;
            }
        };
        let attachments = records.iter().flatten().flat_map(|record| &record.attachments);
        let plugins = attachments.flat_map(|attachment| attachment.call.config.plugins());
        Some(plugins.filter_map(|plugin| Some(plugin.root().text("master").ok()??.to_owned())).collect())
    }
}

impl Held {
    /// The interface under the pod's: the parent, or its VLAN's link.
    fn master(&mut self, on: &OnNode) -> Result<String, ClaimError> {
        let Some(id) = on.network.vlan else { return Ok(on.parent.clone()) };
        let vlan = PodVlan { parent: on.parent.clone(), id };
        let failed = |error: host::Error| ClaimError::NoVlan {
            network: on.network.name.clone(),
            why: error.to_string(),
        };
        // With the lock, so that what is made is not taken away before it is held.
        let mut state = lock(&self.engine.vlans.state);
        let mut netlink = Netlink::open().map_err(|error| failed(error.into()))?;
        let ensured = pod_vlan::ensure(&self.engine.setup.paths, &mut netlink, &vlan).map_err(failed)?;
        if let (true, Some(made)) = (ensured.ours, &mut state.made) {
            made.insert(vlan.clone(), ensured.name.clone());
        }
        *state.held.entry(vlan.clone()).or_default() += 1;
        self.vlans.push(vlan);
        Ok(ensured.name)
    }
}

/// Links that no network wants and no call is about to use.
fn unwanted(
    made: &BTreeMap<PodVlan, String>,
    held: &BTreeMap<PodVlan, usize>,
    wanted: &BTreeSet<(String, u16)>,
) -> Vec<(PodVlan, String)> {
    let is_wanted = |vlan: &PodVlan| wanted.contains(&(vlan.parent.clone(), vlan.id));
    let unwanted = made.iter().filter(|(vlan, _)| !held.contains_key(vlan) && !is_wanted(vlan));
    unwanted.map(|(vlan, name)| (vlan.clone(), name.clone())).collect()
}

/// Which plugin's parent is left open: one that names it, or has it in the pod, keeps all as it is.
fn open(config: &NetConfig) -> Option<usize> {
    let index = config.plugins().iter().position(|plugin| plugin.ipam() == Some(claimed::KIND))?;
    let root = config.plugins().get(index)?.root();
    let is_open =
        matches!(root.text("master"), Ok(None)) && !matches!(root.bool("linkInContainer"), Ok(Some(true)));
    is_open.then_some(index)
}

/// What the network says, as far as the definition does not. What only one mode knows goes with the mode.
fn put(config: &mut NetConfig, index: usize, network: &Network, master: &str) {
    let own_mode = config.plugins().get(index).and_then(|plugin| plugin.root().text("mode").ok()?);
    let same_mode = own_mode.is_none_or(|mode| mode == network.mode.name());
    let mut put = |key, value| config.put_default(index, key, value);
    put("master", master.into());
    put("probe", network.probe.into());
    if let Some(mtu) = network.mtu {
        put("mtu", u64::from(mtu).into());
    }
    if same_mode {
        put("mode", network.mode.name().into());
        put("hostAccess", network.host_access.into());
        if network.nopromisc {
            put("nopromisc", true.into());
        }
        if network.nodst {
            put("nodst", true.into());
        }
        if !network.source_macs.is_empty() {
            let macs = network.source_macs.iter().map(|mac| mac.to_string().into());
            put("sourceMacs", Value::Array(macs.collect()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_while_a_network_wants_it_or_a_call_uses_it() {
        let vlan = |id| PodVlan { parent: "eth0".to_owned(), id };
        let made = BTreeMap::from([10, 20, 30].map(|id| (vlan(id), format!("eth0.{id}"))));
        let held = BTreeMap::from([(vlan(20), 1)]);
        let wanted = BTreeSet::from([("eth0".to_owned(), 10), ("eth1".to_owned(), 30)]);
        assert_eq!(unwanted(&made, &held, &wanted), [(vlan(30), "eth0.30".to_owned())]);
    }
}
