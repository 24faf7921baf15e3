//! One delegate call: everything that is needed to make an attachment and, later and from a record alone, to undo it.

use std::fmt;
use std::net::IpAddr;

use cni::json::{Object, Value};

use crate::capability::Asked;
use crate::{Error, IfName, NetConfig, NetworkRef, Result, Role, Selection};

/// A network by what it was found as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// A definition.
    Definition(NetworkRef),
    /// A configuration of the node, by its own name.
    Configuration(String),
}

/// As the status and events name it.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Definition(network) => network.fmt(f),
            Network::Configuration(name) => f.write_str(name),
        }
    }
}

/// What an attachment has to do with the pod's default route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultRoute {
    /// Nobody asked: each plugin's routes stay as they are.
    Unasked,
    /// It goes by these gateways, one of a family, and by no other interface.
    Gateways(Vec<IpAddr>),
    /// The plugin's own stays, and no other interface's of that family.
    Own,
    /// Another attachment asked for it.
    Yields,
}

/// A device that the attachment uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its ID, such as a PCI address.
    pub id: String,
    /// The resource it was allocated as; none when the pod named it.
    pub resource: Option<String>,
    /// The file in which the plugin tells of it.
    pub info_file: String,
}

/// One attachment of the pod to make: which network, with which configuration, under which name.
#[derive(Debug, Clone, PartialEq)]
pub struct DelegateCall {
    /// The place among the pod's networks; 0 is the first interface.
    pub position: usize,
    /// Where it was asked for: `k8s.v1.cni.cncf.io/networks[0]`, `clusterNetwork`.
    pub asked_at: String,
    /// The network.
    pub network: Network,
    /// The definition's role.
    pub role: Option<Role>,
    /// The configuration, with device and `cni-args` in it.
    pub config: NetConfig,
    /// `CNI_IFNAME`.
    pub ifname: IfName,
    /// `runtimeConfig` by capability; a plugin is given what it declares.
    pub runtime: Vec<(String, Value)>,
    /// The pairs of `CNI_ARGS`.
    pub args: Vec<(String, String)>,
    /// The default route.
    pub default_route: DefaultRoute,
    /// The device, if it uses one.
    pub device: Option<Device>,
    /// The element of the annotation; none for the networks of the cluster's options.
    pub selection: Option<Selection>,
}

impl DelegateCall {
    /// `CNI_ARGS`.
    pub fn cni_args(&self) -> String {
        let pairs: Vec<String> = self.args.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(";")
    }

    /// Whether the result has the address and MAC asked for, where no plugin has said that it would.
    ///
    /// # Errors
    /// [`Error::NotGiven`].
    pub fn verify(&self, result: &cni::CniResult) -> Result<()> {
        match &self.selection {
            None => Ok(()),
            Some(selection) => {
                let network = &self.network.to_string();
                Asked { selection, config: &self.config, path: &self.asked_at, network }.verify(result)
            }
        }
    }

    /// The call as JSON for a record.
    pub fn to_value(&self) -> Value {
        let network = match &self.network {
            Network::Definition(network) => ("definition", network.to_string()),
            Network::Configuration(name) => ("configuration", name.clone()),
        };
        let pairs = self
            .args
            .iter()
            .map(|(key, value)| Value::Array(vec![key.as_str().into(), value.as_str().into()]));
        let mut value = Value::object([
            ("position", Value::from(self.position as u64)),
            ("askedAt", self.asked_at.as_str().into()),
            (network.0, network.1.into()),
            ("ifname", self.ifname.as_str().into()),
            ("config", self.config.to_text().into()),
            ("runtime", Value::Object(self.runtime.clone())),
            ("args", Value::Array(pairs.collect())),
        ]);
        if let Some(role) = self.role {
            value.set("role", role.as_str().into());
        }
        match &self.default_route {
            DefaultRoute::Unasked => {}
            DefaultRoute::Own => value.set("defaultRoute", "own".into()),
            DefaultRoute::Yields => value.set("defaultRoute", "yields".into()),
            DefaultRoute::Gateways(gateways) => {
                let list: Vec<Value> = gateways.iter().map(|ip| ip.to_string().into()).collect();
                value.set("defaultRoute", list.into());
            }
        }
        if let Some(device) = &self.device {
            let mut object = Value::object([
                ("id", device.id.as_str().into()),
                ("infoFile", device.info_file.as_str().into()),
            ]);
            if let Some(resource) = &device.resource {
                object.set("resource", resource.as_str().into());
            }
            value.set("device", object);
        }
        if let Some(selection) = &self.selection {
            value.set("selection", selection.to_value());
        }
        value
    }

    /// What [`Self::to_value`] wrote.
    ///
    /// # Errors
    /// [`Error::Unreadable`] naming the key.
    pub fn from_value(value: &Value) -> Result<DelegateCall> {
        read(value).map_err(|error| Error::Unreadable {
            what: "record of an attachment".to_owned(),
            problem: error.to_string(),
        })
    }
}

fn read(value: &Value) -> cni::Result<DelegateCall> {
    let root = Object::root(value)?;
    let text = |key: &str| root.string(key)?.ok_or_else(|| root.missing(key, "a text"));
    let bad = |key: &str| cni::Error::config(key, "a value", "what a record holds");
    let network = match root.string("definition")? {
        Some(names) => {
            let (namespace, name) = names.split_once('/').unwrap_or_default();
            Network::Definition(NetworkRef::new(namespace, name).ok_or_else(|| bad("definition"))?)
        }
        None => Network::Configuration(text("configuration")?.to_owned()),
    };
    let mut args = Vec::new();
    for pair in root.items("args")? {
        match pair.items()?.as_slice() {
            [key, value] => args.push((key.string()?.to_owned(), value.string()?.to_owned())),
            _ => return Err(bad("args")),
        }
    }
    let default_route = match root.get("defaultRoute") {
        None => DefaultRoute::Unasked,
        Some(node) => match node.value {
            Value::String(word) if word == "own" => DefaultRoute::Own,
            Value::String(word) if word == "yields" => DefaultRoute::Yields,
            _ => DefaultRoute::Gateways(
                node.items()?.iter().map(cni::json::Node::address).collect::<cni::Result<_>>()?,
            ),
        },
    };
    let device = match root.object("device")? {
        None => None,
        Some(device) => Some(Device {
            id: device.string("id")?.unwrap_or_default().to_owned(),
            resource: device.string("resource")?.map(str::to_owned),
            info_file: device.string("infoFile")?.unwrap_or_default().to_owned(),
        }),
    };
    let selection = match root.get("selection") {
        None => None,
        Some(node) => Some(Selection::from_value(node.value).map_err(|error| error.to_cni())?),
    };
    Ok(DelegateCall {
        position: root
            .integer("position", 0..=i64::from(u32::MAX))?
            .and_then(|position| usize::try_from(position).ok())
            .ok_or_else(|| bad("position"))?,
        asked_at: text("askedAt")?.to_owned(),
        network,
        role: root.string("role")?.and_then(Role::from_text),
        config: NetConfig::parse(text("config")?, None).map_err(cni::Error::invalid_config)?,
        ifname: IfName::new(text("ifname")?).ok_or_else(|| bad("ifname"))?,
        runtime: root.object("runtime")?.map(|runtime| runtime.raw().to_vec()).unwrap_or_default(),
        args,
        default_route,
        device,
        selection,
    })
}
