//! The world as a plan meets it: our plugin types in this process, every other one executed from `CNI_PATH`.

use std::path::PathBuf;
use std::sync::Arc;

use api::status::DeviceInfo;
use api::{Delegate, Device, NetConfig, PluginConfig, RouteChange, sequence::PluginCall};
use cni::{CniResult, Plugin, RawEnv, Request, Verb, Version, delegate};
use kernel::NetNs;

use super::claimed::{self, Claimant};
use super::{Engine, routes};

/// One container, as its plugins are told of it.
#[derive(Clone)]
pub(super) struct World {
    pub(super) engine: Arc<Engine>,
    /// `CNI_CONTAINERID`.
    pub(super) container_id: String,
    /// `CNI_NETNS`.
    pub(super) netns: Option<PathBuf>,
    /// `CNI_PATH`.
    pub(super) path: Vec<PathBuf>,
    /// What is deleted was begun and never answered for: a plugin that nobody finds has made nothing of it.
    pub(super) unmade: bool,
    /// The pod whose interfaces are made; none for what makes nothing.
    pub(super) claimant: Option<Arc<Claimant>>,
}

impl World {
    /// Forgets the path of a namespace that is gone. A runtime that is killed while it ends a sandbox leaves a plain file where the
    /// namespace was bound, for ever; what was in the namespace went with it, and plugins would refuse the file each time.
    pub(super) fn forget_dead_netns(&mut self) {
        let is_dead = |path: &PathBuf| matches!(NetNs::open(path), Err(kernel::Error::NotANamespace { .. }));
        self.netns = self.netns.take().filter(|path| !is_dead(path));
    }

    pub(super) fn request(&self, plugin: &PluginCall<'_>) -> cni::Result<Request> {
        let path: Vec<_> = self.path.iter().map(|path| path.as_os_str()).collect();
        let raw = RawEnv {
            command: plugin.verb.as_str().into(),
            container_id: self.container_id.as_str().into(),
            netns: self.netns.clone().unwrap_or_default().into(),
            ifname: plugin.call.ifname.as_str().into(),
            args: plugin.args.as_str().into(),
            path: path.join(std::ffi::OsStr::new(":")),
            netns_override: std::ffi::OsString::new(),
        };
        Request::new(&raw, plugin.config.clone().into_bytes(), Version::ALL)
    }
}

impl World {
    /// Runs one plugin as it is.
    pub(super) fn run_plugin(&mut self, plugin: &PluginCall<'_>) -> cni::Result<Option<CniResult>> {
        // It would ask the agent, which waits for it.
        if plugin.kind == "llano" {
            if plugin.verb == Verb::Del {
                return Ok(None);
            }
            let allowed = "the plugin that makes the interface, such as macvlan";
            return Err(cni::Error::config("type", plugin.kind, allowed));
        }
        let request = self.request(plugin)?;
        if let Some(own) = attach::types::plugin(plugin.kind, &self.engine.setup.paths) {
            return dispatch(own.as_ref(), &request);
        }
        let file = match delegate::find(plugin.kind, &request.env.path) {
            Err(_) if self.unmade && plugin.verb == Verb::Del => return Ok(None),
            found => found?,
        };
        let _slot = self.engine.foreign.take();
        delegate::exec(&file, &request, plugin.verb)
    }
}

impl Delegate for World {
    fn run(&mut self, plugin: &PluginCall<'_>) -> cni::Result<Option<CniResult>> {
        let conf = plugin.call.config.plugins().get(plugin.index);
        match conf.and_then(PluginConfig::ipam) {
            Some(claimed::KIND) => claimed::run(self, plugin),
            _ => self.run_plugin(plugin),
        }
    }

    fn change_default_route(&mut self, change: &RouteChange) -> cni::Result<()> {
        match &self.netns {
            Some(netns) => routes::change(netns, change),
            None => Err(cni::Error::netns("the pod has no network namespace")),
        }
    }

    fn device_info(&mut self, device: &Device) -> Option<DeviceInfo> {
        let bytes = std::fs::read(&device.info_file).ok()?;
        DeviceInfo::parse(&bytes)
            .inspect_err(
                |error| tracing::warn!(file = device.info_file, error = %error, "device file not read"),
            )
            .ok()
    }
}

fn dispatch(plugin: &dyn Plugin, request: &Request) -> cni::Result<Option<CniResult>> {
    match request.env.verb {
        Verb::Add => plugin.add(request).and_then(|result| said(&result, request.version)).map(Some),
        Verb::Del => plugin.del(request).map(|()| None),
        Verb::Check => plugin.check(request).map(|()| None),
        Verb::Status => plugin.status(request).map(|()| None),
        Verb::Gc => plugin.gc(request).map(|()| None),
        Verb::Version => Ok(None),
    }
}

/// The result as it would have come from a process: with what the configuration's version can say, and no more.
fn said(result: &CniResult, version: Version) -> cni::Result<CniResult> {
    CniResult::parse(&result.to_json(version)?, version)
}

/// Whether everything of the network runs in this process, so that it ends soon.
pub(super) fn is_ours(config: &NetConfig) -> bool {
    let ours = |kind: &str| attach::types::TYPES.contains(&kind);
    // A lease of a DHCPv6 server is given back with its acknowledgement, and the daemon may have to be started.
    let soon = |kind: &str| ours(kind) && kind != "dhcp";
    config.plugins().iter().all(|plugin| ours(plugin.kind()) && plugin.ipam().is_none_or(soon))
}

#[cfg(test)]
mod tests {
    use cni::Interface;

    use super::*;

    #[test]
    fn a_result_has_what_its_version_can_say() {
        let interface = Interface { name: "net1".into(), mtu: Some(1400), ..Interface::default() };
        let result = CniResult { interfaces: vec![interface], ..CniResult::default() };
        let mtu = |version| said(&result, version).unwrap().interfaces[0].mtu;
        assert_eq!((mtu(Version::V040), mtu(Version::V100)), (None, Some(1400)));
        assert!(said(&result, Version::V020).is_err(), "no address, no such result");
    }
}
