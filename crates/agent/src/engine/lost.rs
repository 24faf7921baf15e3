//! Records that were lost: pods that live get theirs again, from the runtime, their annotations and the kernel; what is left of
//! pods that have ended is found by its leases.
//!
//! What has no lease of host-local and no namespace any more is not found: a lease of DHCP ends by itself, a route of host access
//! stays until its address is given to the next pod.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use api::{DefaultRoute, DelegateCall, IfName, NetConfig, Network, NetworkRef, Options, sequence};
use attach::ipam::HostLocal;
use cni::{CniResult, Interface, IpConfig, Verb};
use kernel::uapi::RT_SCOPE_UNIVERSE;
use kernel::{NetNs, Netlink};

use super::asking::{Asking, FIRST};
use super::{Arc, Config, Engine, host_access};
use crate::{Found, Sandbox};

/// How long the API server may take for one pod that the watch does not have.
const POD: Duration = Duration::from_secs(5);

impl Engine {
    /// After records were lost, until all is found of what was in them. Safe at any moment and beside any call.
    pub(super) fn find_lost(self: &Arc<Engine>) {
        if !self.store.is_lost() {
            return;
        }
        match self.search() {
            Ok(0) => match self.store.found() {
                Ok(()) => tracing::info!("what the lost records told of is found"),
                Err(error) => tracing::error!(error = %error, "end of the search not written"),
            },
            Ok(left) => {
                tracing::warn!(left, "attachments of lost records that cannot be told yet");
                self.later.look_after(self.setup.limits.slowest);
            }
            Err(reason) => {
                tracing::warn!(reason, "what lost records told of is not looked for yet");
                self.later.look_after(self.setup.limits.slowest);
            }
        }
    }

    /// A record that cannot be read is a lost one.
    pub(super) fn lose(&self, id: &str, reason: &str) {
        tracing::error!(container = id, reason, "record cannot be read, and is given up");
        // In this order: what is forgotten must be looked for, also by the next agent.
        if let Err(error) = self.store.lose().and_then(|()| self.store.forget(id)) {
            tracing::error!(container = id, error = %error, "it stays");
        }
    }

    /// How many there are of which nothing can be said now.
    fn search(self: &Arc<Engine>) -> Result<usize, String> {
        let config =
            self.known_config().ok_or("the runtime has not called yet, so the settings are not known")?;
        let options = config.options().map_err(|error| error.to_string())?;
        let networks =
            self.cluster.definitions().ok_or("the API server has not listed the definitions yet")?;
        let sandboxes = self.runtime.sandboxes().map_err(|error| error.to_string())?;
        let mut living = BTreeSet::new();
        let mut left = 0;
        for sandbox in &sandboxes {
            let netns = sandbox.netns.as_deref().filter(|path| path.exists());
            if sandbox.ready || netns.is_some() {
                living.insert(sandbox.id.as_str());
            }
            // Without a namespace of its own it is on the host's network.
            if let Some(netns) = netns.filter(|_| sandbox.ready)
                && !self.record_again(sandbox, netns, &config, &options)
            {
                left += 1;
            }
        }
        for network in &networks {
            left += self.collect(network, &living, &config);
        }
        Ok(left)
    }

    /// Whether a running pod has its record, now or again.
    fn record_again(
        self: &Arc<Engine>,
        sandbox: &Sandbox,
        netns: &Path,
        config: &Config,
        options: &Options,
    ) -> bool {
        let id = sandbox.id.as_str();
        // A call makes its own record, or ends the pod.
        let Some(_turn) = self.locks.try_take(id) else { return true };
        if !matches!(self.store.get(id), Ok(None)) {
            return true;
        }
        let view = match self.cluster.pod(&sandbox.pod, Instant::now() + POD) {
            Ok(Found::Pod(view)) => view,
            // Its DEL comes soon, and what that does not find is collected after it.
            Ok(Found::Gone) | Err(_) => return false,
        };
        if view.host_network {
            return true;
        }
        let asking = Asking::running(id, FIRST, &sandbox.pod, &view);
        let mut calls = match asking.plan(options, &self.definitions(config, asking.key())) {
            Ok(plan) => plan.calls,
            Err(error) => {
                tracing::warn!(container = id, error = %error, "a lost record cannot be made again");
                return false;
            }
        };
        // The annotation may have changed: only what is there was made.
        let mut made = Vec::new();
        for call in &calls {
            match there(netns, call.ifname.as_str()) {
                Ok(Some(result)) => made.push((call.position, result)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(container = id, error = %error, "a lost record cannot be made again");
                    return false;
                }
            }
        }
        calls.retain(|call| made.iter().any(|(position, _)| *position == call.position));
        if calls.is_empty() {
            return true;
        }
        let record = asking.record(Some(netns.to_owned()), vec![self.setup.config.bin_dir().to_owned()]);
        let results: Vec<(usize, &CniResult)> =
            made.iter().map(|(position, result)| (*position, result)).collect();
        match self.store.restore(&record, &calls, &results) {
            Ok(_) => {
                tracing::info!(pod = %super::add::Name(&record), container = id, count = calls.len(), "record made again");
                true
            }
            Err(error) => {
                tracing::error!(container = id, error = %error, "record not made again");
                false
            }
        }
    }

    /// Deletes the attachments to a network that have a lease, but neither a record nor a sandbox. How many could not be.
    fn collect(self: &Arc<Engine>, network: &NetworkRef, living: &BTreeSet<&str>, config: &Config) -> usize {
        let found = self.cluster.definition(network).and_then(|nad| match &nad.config {
            Some(known) => Ok(known.clone()),
            None => api::disk::by_name(config.conf_dir(), network.name()),
        });
        // No pod can have been made with it.
        let Ok(conf) = found else { return 0 };
        let mut left = 0;
        for (id, ifname) in self.owners(network, &conf) {
            if living.contains(id.as_str()) || elsewhere(&conf, &id, &ifname) {
                continue;
            }
            let Some(call) = bare(network, &conf, &ifname) else { continue };
            let Some(_turn) = self.locks.try_take(&id) else { continue };
            if !matches!(self.store.get(&id), Ok(None)) {
                continue;
            }
            match sequence::del_one(&call, None, &mut self.world(&id, None, &[])) {
                Ok(()) => {
                    tracing::info!(container = id, network = %network, "deleted: its record was lost, and it has ended")
                }
                Err(error) => {
                    tracing::warn!(container = id, network = %network, error = %error, "not deleted yet");
                    left += 1;
                }
            }
        }
        left
    }

    /// Container and interface of each of a network's leases.
    fn owners(self: &Arc<Engine>, network: &NetworkRef, conf: &NetConfig) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        let Some(call) = bare(network, conf, FIRST) else { return found };
        let world = self.world("lost", None, &[]);
        for (index, plugin) in conf.plugins().iter().enumerate() {
            if plugin.ipam() != Some("host-local") {
                continue;
            }
            let owners = conf.stdin(index, None, &[]).and_then(|config| {
                let (kind, config) = (plugin.kind(), config.unwrap_or_default());
                let asked = sequence::PluginCall {
                    verb: Verb::Del,
                    call: &call,
                    index,
                    kind,
                    args: String::new(),
                    config,
                };
                let request = world.request(&asked)?;
                let leases = HostLocal::parse_for_removal(&request, &self.setup.paths)?;
                leases.owners().map_err(cni::Error::from)
            });
            match owners {
                Ok(owners) => {
                    found.extend(owners.into_iter().map(|owner| (owner.container_id, owner.ifname)))
                }
                Err(error) => tracing::warn!(network = %network, error = %error, "leases not read"),
            }
        }
        found
    }
}

/// Another caller than us made it: libcni keeps what it makes under the network's name, which in our calls is `llano`'s.
fn elsewhere(conf: &NetConfig, id: &str, ifname: &str) -> bool {
    let cached = cni::cache::file(Path::new(cni::cache::DEFAULT_DIR), conf.name(), id, ifname);
    cached.is_some_and(|file| file.exists())
}

/// A call with nothing but what its deletion needs.
fn bare(network: &NetworkRef, conf: &NetConfig, ifname: &str) -> Option<DelegateCall> {
    let mut call = DelegateCall {
        position: 0,
        asked_at: "a lost record".to_owned(),
        network: Network::Definition(network.clone()),
        role: None,
        config: conf.clone(),
        ifname: IfName::new(ifname)?,
        runtime: Vec::new(),
        args: Vec::new(),
        default_route: DefaultRoute::Unasked,
        device: None,
        selection: None,
    };
    // Where it was made as a first interface.
    host_access::default_on(&mut call);
    Some(call)
}

/// The interface as the kernel has it; none when it is not there.
fn there(netns: &Path, ifname: &str) -> kernel::Result<Option<CniResult>> {
    let mut netlink = Netlink::open_in(&NetNs::open(netns)?)?;
    let Some(link) = netlink.links()?.into_iter().find(|link| link.name == ifname) else {
        return Ok(None);
    };
    let interface = Interface {
        name: ifname.to_owned(),
        mac: link.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        mtu: Some(link.mtu),
        sandbox: netns.to_string_lossy().into_owned(),
        ..Interface::default()
    };
    let addresses = netlink.addresses(Some(link.index))?;
    let given = addresses.iter().filter(|address| address.scope == RT_SCOPE_UNIVERSE);
    let ips =
        given.map(|address| IpConfig { address: address.net, gateway: None, interface: Some(0) }).collect();
    Ok(Some(CniResult { interfaces: vec![interface], ips, ..CniResult::default() }))
}
