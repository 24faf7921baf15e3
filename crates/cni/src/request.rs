//! One call of a plugin: environment and configuration.

use std::ffi::OsString;

use crate::env::{RawEnv, is_identifier};
use crate::error::shorten;
use crate::json::{self, Object, Value};
use crate::{CniResult, Dns, Env, Error, Result, Verb, Version};

/// Most bytes of a configuration. GC alone may carry more: it lists every attachment of the node, twice.
pub(crate) const CONFIG_LIMIT: usize = 1 << 20;
/// Most bytes of a configuration given to GC.
pub(crate) const GC_CONFIG_LIMIT: usize = 32 << 20;

/// One call: who, where, and with which configuration.
#[derive(Debug, Clone)]
pub struct Request {
    /// The environment.
    pub env: Env,
    /// The configuration's `cniVersion`.
    pub version: Version,
    /// The network's name: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, so it is safe as a file name.
    pub name: String,
    /// The whole configuration; always an object.
    pub conf: Value,
    /// The configuration as it came.
    pub raw: Vec<u8>,
}

/// An attachment that GC must leave alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValidAttachment {
    /// The container's ID, as the runtime gave it to ADD.
    pub container_id: String,
    /// The interface's name in the container.
    pub ifname: String,
}

impl Request {
    /// Validates in the reference's order: variables, then the configuration's form (code 6), its name
    /// (code 7), its version (code 1), and whether the version has the verb. `supported` are the versions
    /// of the plugin.
    pub fn new(raw_env: &RawEnv, config: Vec<u8>, supported: &[Version]) -> Result<Request> {
        raw_env.check()?;
        let limit = config_limit(raw_env.verb());
        if config.len() > limit {
            return Err(too_long(limit));
        }
        let conf = json::parse(&config).map_err(|error| error.context(DECODE))?;
        let name = network_name(&conf)?;
        let env = raw_env.validate()?;
        let version = negotiate(&conf, env.verb, supported)?;
        Ok(Request { env, version, name, conf, raw: config })
    }

    /// For callers inside a process (the agent, tests): the same rules from plain texts, with every version
    /// supported.
    pub fn from_texts(variables: &[(&str, &str)], config: &str) -> Result<Request> {
        let get = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        Request::new(&RawEnv::read(&get), config.as_bytes().to_vec(), Version::ALL)
    }

    /// The configuration for reading.
    pub fn root(&self) -> Object<'_> {
        // `new` made sure that it is an object or null.
        Object::root(&self.conf).unwrap_or_else(|_| Object::empty())
    }

    /// `prevResult`, in the version it names, else in the configuration's. None when absent or `null`.
    /// Errors with `could not parse prevResult: ...`, code 6 or 7.
    pub fn prev_result(&self) -> Result<Option<CniResult>> {
        match self.root().get("prevResult") {
            None => Ok(None),
            Some(node) => CniResult::parse_at(&node, self.version)
                .map(Some)
                .map_err(|error| error.context("could not parse prevResult")),
        }
    }

    /// `prevResult` of a plugin that cannot work without one: absent, code 7 with `msg`, the reference's words.
    pub fn required_prev_result(&self, msg: &str) -> Result<CniResult> {
        self.prev_result()?.ok_or_else(|| Error::invalid_config(msg))
    }

    /// `runtimeConfig`: the capabilities the runtime filled in.
    pub fn runtime_config(&self) -> Result<Option<Object<'_>>> {
        self.root().object("runtimeConfig")
    }

    /// `args.cni`: the specification's place for structured arguments.
    pub fn args_cni(&self) -> Result<Option<Object<'_>>> {
        match self.root().object("args")? {
            Some(args) => args.object("cni"),
            None => Ok(None),
        }
    }

    /// The configuration's own `dns`, with what the runtime gives by the capability `dns` in its place; empty when
    /// both are absent.
    pub fn dns(&self) -> Result<Dns> {
        let mut dns = self.conf_dns()?;
        if let Some(runtime) = self.runtime_config()?
            && let Some(object) = runtime.object("dns")?
        {
            // The words of the CNI conventions, which are not the configuration's.
            for (key, list) in [
                ("servers", &mut dns.nameservers),
                ("searches", &mut dns.search),
                ("options", &mut dns.options),
            ] {
                let given = object.strings(key)?;
                if !given.is_empty() {
                    *list = given.into_iter().map(str::to_owned).collect();
                }
            }
        }
        Ok(dns)
    }

    fn conf_dns(&self) -> Result<Dns> {
        match self.root().object("dns")? {
            Some(dns) => Dns::parse(&dns),
            None => Ok(Dns::default()),
        }
    }

    /// `ipam`, when it is there.
    pub fn ipam(&self) -> Result<Option<Object<'_>>> {
        self.root().object("ipam")
    }

    /// `ipam.type`; none when absent or empty, which means layer 2 only.
    pub fn ipam_type(&self) -> Result<Option<&str>> {
        match self.root().object("ipam")? {
            Some(ipam) => ipam.text("type"),
            None => Ok(None),
        }
    }

    /// The attachments GC must keep: `cni.dev/valid-attachments`, or `cni.dev/attachments` as libcni 1.1
    /// also writes it. `Some` of an empty list (also for `null`, which is how Go writes one) says that
    /// nothing is valid; `None` says that the runtime sent no list at all.
    pub fn valid_attachments(&self) -> Result<Option<Vec<ValidAttachment>>> {
        let root = self.root();
        let keys = ["cni.dev/valid-attachments", "cni.dev/attachments"];
        let Some(key) = keys.into_iter().find(|key| root.has(key)) else {
            return Ok(None);
        };
        // An entry that names nobody protects nobody: better an error than a running pod's address.
        let read = |object: &Object<'_>| {
            let text = |key: &str| match object.text(key)? {
                Some(text) => Ok(text.to_owned()),
                None => Err(object.missing(key, "whose attachment is to be kept")),
            };
            Ok(ValidAttachment { container_id: text("containerID")?, ifname: text("ifname")? })
        };
        root.objects(key)?.iter().map(read).collect::<Result<_>>().map(Some)
    }
}

const DECODE: &str = "error unmarshall network config";

/// How long a configuration of this verb may be.
pub(crate) fn config_limit(verb: Option<Verb>) -> usize {
    if verb == Some(Verb::Gc) { GC_CONFIG_LIMIT } else { CONFIG_LIMIT }
}

fn too_long(limit: usize) -> Error {
    Error::decode(format!("{DECODE}: longer than {limit} bytes"))
}

/// `name` of the configuration: code 6 when it is no string, code 7 when it is missing or not an identifier.
fn network_name(conf: &Value) -> Result<String> {
    let name = match Object::root(conf).map_err(|error| error.context(DECODE))?.get("name") {
        None => "",
        Some(node) => node.string().map_err(|error| Error::decode(format!("{DECODE}: {error}")))?,
    };
    if name.is_empty() {
        return Err(Error::invalid_config("missing network name"));
    }
    if !is_identifier(name.as_bytes()) {
        return Err(Error::invalid_config("invalid characters found in network name")
            .with_details(shorten(name, 256)));
    }
    // Differs: the reference has no limit, and fails later where the name becomes a directory.
    if name.len() > 255 {
        return Err(Error::invalid_config("network name is longer than 255 bytes"));
    }
    Ok(name.to_owned())
}

/// The version of the configuration, once it is known that the plugin has it and that it has the verb.
fn negotiate(conf: &Value, verb: Verb, supported: &[Version]) -> Result<Version> {
    let text = match Object::root(conf)?.get("cniVersion") {
        None => "",
        Some(node) => node
            .string()
            .map_err(|error| Error::decode(format!("decoding version from network config: {error}")))?,
    };
    let text = if text.is_empty() { "0.1.0" } else { text };
    let first = match verb {
        Verb::Check => Some("0.4.0"),
        Verb::Gc | Verb::Status => Some("1.1.0"),
        _ => None,
    };
    if let Some(first) = first {
        let asked = crate::version::parse_triple(text)?;
        if asked < crate::version::parse_triple(first)? {
            return Err(Error::VerbNotAllowed(format!("config version does not allow {}", verb.as_str())));
        }
        let newest =
            supported.last().map_or(Ok([0; 3]), |last| crate::version::parse_triple(last.as_str()))?;
        if newest < asked {
            return Err(Error::VerbNotAllowed(format!("plugin version does not allow {}", verb.as_str())));
        }
    }
    match Version::from_text(text) {
        Some(version) if supported.contains(&version) => Ok(version),
        _ => {
            let list: Vec<String> =
                supported.iter().map(|version| format!("{:?}", version.as_str())).collect();
            let config = shorten(text, 64);
            Err(Error::IncompatibleVersion {
                details: format!("config is {config:?}, plugin supports [{}]", list.join(" ")),
            })
        }
    }
}
