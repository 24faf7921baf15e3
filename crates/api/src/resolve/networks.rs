//! The resolver: one call after the other, each with what the reference puts into it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cni::Args;
use cni::json::{Object, Value};

use super::{
    ClusterNetwork, DefaultRoute, DelegateCall, Device, Lookup, Network, Options, Plan, Pod, Sandbox,
};
use crate::capability::Asked;
use crate::error::shorten;
use crate::event::IGNORED;
use crate::name::IFNAME;
use crate::place;
use crate::role::{check_beside, check_first, is_standalone};
use crate::{
    DEFAULT_NETWORK, Error, Event, IfName, MOST_NETWORKS, NETWORKS, Nad, NetConfig, NetworkRef, Result, Role,
    Selection, Selections,
};

/// Where plugins tell of their devices.
const DEVICE_INFO: &str = "/var/run/k8s.cni.cncf.io/devinfo/cni";

pub(crate) struct Resolver<'a> {
    pod: &'a Pod<'a>,
    sandbox: &'a Sandbox<'a>,
    options: &'a Options,
    lookup: &'a dyn Lookup,
    /// Devices not used yet, by resource.
    devices: BTreeMap<String, Vec<String>>,
    pub(crate) plan: Plan,
}

/// A network as it was found.
struct Found {
    network: Network,
    role: Option<Role>,
    config: NetConfig,
    resource: Option<String>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(
        pod: &'a Pod<'a>,
        sandbox: &'a Sandbox<'a>,
        options: &'a Options,
        lookup: &'a dyn Lookup,
    ) -> Resolver<'a> {
        let plan = Plan { calls: Vec::new(), events: Vec::new() };
        Resolver { pod, sandbox, options, lookup, devices: BTreeMap::new(), plan }
    }

    /// The pod's first network: its annotation's, else the cluster's.
    pub(crate) fn first(&mut self) -> Result<()> {
        let namespace = &self.options.system_namespace;
        let asked = match self.pod.default_network {
            None => None,
            Some(text) => Selections::parse_default(text, namespace)?,
        };
        let ifname = IfName::new(self.sandbox.ifname).ok_or_else(|| Error::Unreadable {
            what: format!("CNI_IFNAME {:?}", shorten(self.sandbox.ifname)),
            problem: format!("expected {IFNAME}"),
        })?;
        let Some((selection, ignored)) = asked else {
            let found = self.configured(&self.options.cluster)?;
            if let Network::Definition(network) = &found.network {
                check_first(network, found.role)?;
            }
            return self.push(found, None, "clusterNetwork".to_owned(), 0, ifname);
        };
        self.ignore(ignored);
        // Differs: Multus has no isolation here, and any pod can name any network.
        self.options.isolation.check(self.pod.namespace, &selection.network, DEFAULT_NETWORK)?;
        // Differs: Multus obeys, and the runtime does not find its interface.
        if let Some(other) = selection.interface.as_ref().filter(|other| **other != ifname) {
            let path = format!("{DEFAULT_NETWORK}[0].interface");
            return Err(Error::Key(cni::Error::config(
                &path,
                other,
                &format!("{ifname}: the runtime names it"),
            )));
        }
        let found = self.definition(&selection.network)?;
        check_first(&selection.network, found.role)?;
        self.push(found, Some(selection), format!("{DEFAULT_NETWORK}[0]"), 0, ifname)
    }

    /// The networks that every pod has beside its first one.
    pub(crate) fn default_networks(&mut self) -> Result<()> {
        if self.options.system_namespaces.iter().any(|namespace| namespace == self.pod.namespace) {
            return Ok(());
        }
        for (at, network) in self.options.default_networks.iter().enumerate() {
            let found = self.configured(network)?;
            let position = self.plan.calls.len();
            self.push_beside(
                found,
                None,
                format!("defaultNetworks[{at}]"),
                position,
                IfName::numbered(position),
            )?;
        }
        Ok(())
    }

    /// The networks of the pod's annotation.
    pub(crate) fn annotation(&mut self) -> Result<()> {
        let Selections { elements, ignored } = match self.pod.networks {
            None => return Ok(()),
            Some(text) => Selections::parse(text, self.pod.namespace)?,
        };
        self.ignore(ignored);
        for (at, selection) in elements.into_iter().enumerate() {
            // An element with a name of its own uses up its number all the same.
            let position = self.plan.calls.len();
            let ifname = selection.interface.clone().unwrap_or_else(|| IfName::numbered(position));
            self.select(selection, at, position, ifname)?;
        }
        Ok(())
    }

    /// One element of the networks annotation.
    pub(crate) fn select(
        &mut self,
        selection: Selection,
        at: usize,
        position: usize,
        ifname: IfName,
    ) -> Result<()> {
        self.options.isolation.check(self.pod.namespace, &selection.network, NETWORKS)?;
        let found = self.definition(&selection.network)?;
        self.push_beside(found, Some(selection), format!("{NETWORKS}[{at}]"), position, ifname)
    }

    /// The plan, once its names and default routes go together.
    pub(crate) fn finish(mut self) -> Result<Plan> {
        if self.plan.calls.len() > MOST_NETWORKS {
            let count = self.plan.calls.len();
            return Err(Error::TooMany {
                what: "networks of the pod".to_owned(),
                count,
                most: MOST_NETWORKS,
            });
        }
        check_names(&self.plan.calls)?;
        add_default_routes(&mut self.plan.calls)?;
        Ok(self.plan)
    }

    pub(crate) fn ignore(&mut self, sentences: Vec<String>) {
        let events = sentences.into_iter().map(|sentence| Event::warning(IGNORED, sentence));
        self.plan.events.extend(events);
    }

    fn configured(&self, network: &ClusterNetwork) -> Result<Found> {
        match network {
            ClusterNetwork::Configuration(config) => Ok(configuration(config.clone())),
            ClusterNetwork::Definition(network) => self.definition(network),
            ClusterNetwork::Named(name) => self.named(name),
        }
    }

    /// A definition of the system namespace, else a configuration of the node.
    fn named(&self, name: &str) -> Result<Found> {
        match NetworkRef::new(&self.options.system_namespace, name).map(|network| self.definition(&network)) {
            // Differs: a definition that is there and has no use is not hidden by a file.
            None | Some(Err(Error::NoNetwork(_))) => self.lookup.configuration(name).map(configuration),
            Some(found) => found,
        }
    }

    fn definition(&self, network: &NetworkRef) -> Result<Found> {
        let nad: Arc<Nad> = self.lookup.definition(network)?;
        let config = match &nad.config {
            Some(config) => {
                let refuse = |problem| Error::Definition { network: network.clone(), problem };
                place::check(config, &self.options.data_dirs).map_err(refuse)?;
                config.clone()
            }
            // The administrator's own.
            None => self.lookup.configuration(network.name())?,
        };
        Ok(Found {
            network: Network::Definition(network.clone()),
            role: nad.role,
            config,
            resource: nad.resource.clone(),
        })
    }

    fn push_beside(
        &mut self,
        found: Found,
        selection: Option<Selection>,
        asked_at: String,
        position: usize,
        ifname: IfName,
    ) -> Result<()> {
        if let Network::Definition(network) = &found.network
            && let Some(first) = self.plan.calls.first()
        {
            let standalone = is_standalone(first.role, &first.config);
            check_beside(network, found.role, &first.network.to_string(), standalone)?;
        }
        self.push(found, selection, asked_at, position, ifname)
    }

    fn push(
        &mut self,
        found: Found,
        selection: Option<Selection>,
        asked_at: String,
        position: usize,
        ifname: IfName,
    ) -> Result<()> {
        let Found { network, role, mut config, resource } = found;
        let network_text = network.to_string();
        let first = position == 0;
        let mut runtime = if first { self.kubelets_runtime_config() } else { Vec::new() };
        let mut args = self.args(first);
        let mut device = None;
        if let Some(resource) = resource
            && let Some(id) = self.next_device(&resource)?
        {
            config.put_device(&id);
            device = Some((id, Some(resource)));
        }
        if let Some(selection) = &selection {
            let asked = Asked { selection, config: &config, path: &asked_at, network: &network_text };
            asked.check()?;
            // Differs: Multus gives the first network only what the runtime says.
            for (key, value) in asked.runtime() {
                put(&mut runtime, key, value);
            }
            for (key, value) in asked.args() {
                put(&mut args, key, value);
            }
            if let Some(given) = &selection.cni_args {
                config.put_cni_args(given);
            }
            // A device that was allocated counts for more than one that was named.
            device = device.or_else(|| selection.device_id.clone().map(|id| (id, None)));
        }
        let device = device.map(|(id, resource)| {
            let file = format!("{network_text}-{}_{ifname}", self.sandbox.container_id).replace('/', "-");
            Device { id, resource, info_file: format!("{DEVICE_INFO}/{file}") }
        });
        if let Some(device) = &device {
            put(&mut runtime, "deviceID".to_owned(), device.id.as_str().into());
            put(&mut runtime, "CNIDeviceInfoFile".to_owned(), device.info_file.as_str().into());
        }
        self.plan.calls.push(DelegateCall {
            position,
            asked_at,
            network,
            role,
            config,
            ifname,
            runtime,
            args,
            default_route: DefaultRoute::Unasked,
            device,
            selection,
        });
        Ok(())
    }

    /// Differs: Multus gives it to every network, so that a pod's host ports reach all that declare `portMappings`; and it
    /// passes only the capabilities that it knows.
    fn kubelets_runtime_config(&self) -> Vec<(String, Value)> {
        let object = self.sandbox.runtime_config.and_then(|value| Object::root(value).ok());
        let members = object.map(|object| object.raw()).unwrap_or_default();
        members.iter().filter(|(_, value)| *value != Value::Null).cloned().collect()
    }

    /// `CNI_ARGS`: the pod's five, in the order of old, and what else the runtime says. Requests of the runtime are for the
    /// first network only.
    fn args(&self, first: bool) -> Vec<(String, String)> {
        let runtime = Args::lenient(self.sandbox.args);
        let infra = runtime.get("K8S_POD_INFRA_CONTAINER_ID").unwrap_or(self.sandbox.container_id);
        let mut args: Vec<(String, String)> = [
            ("IgnoreUnknown", "true"),
            ("K8S_POD_NAMESPACE", self.pod.namespace),
            ("K8S_POD_NAME", self.pod.name),
            ("K8S_POD_INFRA_CONTAINER_ID", infra),
            ("K8S_POD_UID", self.pod.uid),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        for (key, value) in runtime.iter() {
            let request = matches!(key, "IP" | "MAC" | "GATEWAY");
            if (first || !request) && !args.iter().any(|(known, _)| known == key) {
                args.push((key.to_owned(), value.to_owned()));
            }
        }
        args
    }

    /// The next device of a resource. Differs: in Multus the default network's annotation counts anew, and two attachments
    /// get one device. Without any left the plugin goes without, as in Multus: a resource may be there for scheduling only.
    fn next_device(&mut self, resource: &str) -> Result<Option<String>> {
        if !self.devices.contains_key(resource) {
            let mut devices = self.lookup.devices(resource)?;
            devices.reverse();
            self.devices.insert(resource.to_owned(), devices);
        }
        Ok(self.devices.get_mut(resource).and_then(Vec::pop))
    }
}

fn configuration(config: NetConfig) -> Found {
    let network = Network::Configuration(config.name().to_owned());
    Found { network, role: None, config, resource: None }
}

/// Replaces or appends.
fn put<T>(list: &mut Vec<(String, T)>, key: String, value: T) {
    match list.iter_mut().find(|(known, _)| *known == key) {
        Some(pair) => pair.1 = value,
        None => list.push((key, value)),
    }
}

/// Differs: in Multus the second ADD fails, after the first has been made.
fn check_names(calls: &[DelegateCall]) -> Result<()> {
    for (at, call) in calls.iter().enumerate() {
        if let Some(other) = calls.iter().take(at).find(|other| other.ifname == call.ifname) {
            return Err(Error::SameInterface {
                ifname: call.ifname.clone(),
                first: other.asked_at.clone(),
                second: call.asked_at.clone(),
            });
        }
    }
    Ok(())
}

/// Who has the default route: one attachment of a family.
fn add_default_routes(calls: &mut [DelegateCall]) -> Result<()> {
    let asked =
        |call: &DelegateCall| call.selection.as_ref().and_then(|selection| selection.default_route.clone());
    let mut asking = Vec::new();
    for call in calls.iter() {
        if let Some(gateways) = asked(call) {
            asking.push((call.asked_at.clone(), gateways));
        }
    }
    for (at, (path, gateways)) in asking.iter().enumerate() {
        for (other, others) in &asking[..at] {
            let same =
                |gateway: &std::net::IpAddr| others.iter().any(|other| other.is_ipv4() == gateway.is_ipv4());
            if gateways.is_empty() || others.is_empty() || gateways.iter().any(same) {
                let problem =
                    format!("{other} and {path} both have default-route; one of a family is allowed");
                return Err(Error::ManyDefaultRoutes { problem });
            }
        }
    }
    if asking.is_empty() {
        return Ok(());
    }
    for call in calls {
        call.default_route = match asked(call) {
            None => DefaultRoute::Yields,
            Some(gateways) if gateways.is_empty() => DefaultRoute::Own,
            Some(gateways) => DefaultRoute::Gateways(gateways),
        };
    }
    Ok(())
}
