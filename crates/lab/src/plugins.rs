//! Calling CNI plugins as a runtime does: one binary for each call, the network's configuration on its stdin.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use ipnet::IpNet;
use serde_json::Value;

use crate::container::Container;
use crate::error::{Error, Result};

/// The names `llano-cni` answers to.
pub const TYPES: [&str; 10] =
    ["macvlan", "host-local", "static", "dhcp", "loopback", "tuning", "sbr", "bandwidth", "vlan", "llano"];

/// Makes the names of files that are to be renamed unique within the process.
static INSTALLS: AtomicU32 = AtomicU32::new(0);

/// A directory of plugin binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugins {
    dir: PathBuf,
}

/// A CNI result.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The result as the plugin printed it; `Null` when it printed nothing.
    pub json: Value,
}

/// Who asks: what a runtime puts into the environment of each call.
#[derive(Debug)]
pub struct Call<'a> {
    /// The container.
    pub container: &'a Container<'a>,
    /// `CNI_IFNAME`.
    pub ifname: &'a str,
    /// `CNI_CONTAINERID`; the container's name is a good one.
    pub id: &'a str,
    /// `CNI_ARGS`.
    pub args: &'a str,
}

impl Plugins {
    /// Plugins that are in a directory already, as the reference's in /usr/lib/cni.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Plugins { dir: dir.into() }
    }

    /// Links each of [`TYPES`] in `dir` to the binary `llano-cni`. May be done by many at once.
    ///
    /// # Errors
    /// When the directory or a link cannot be made.
    pub fn install(llano_cni: &Path, dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|error| Error::io("create", dir.display(), error))?;
        for name in TYPES {
            let link = dir.join(name);
            if std::fs::read_link(&link).is_ok_and(|target| target == llano_cni) {
                continue;
            }
            let unique = INSTALLS.fetch_add(1, Ordering::Relaxed);
            let next = dir.join(format!(".{name}.{}-{unique}", std::process::id()));
            let _ = std::fs::remove_file(&next);
            std::os::unix::fs::symlink(llano_cni, &next)
                .and_then(|()| std::fs::rename(&next, &link))
                .map_err(|error| Error::io("link", link.display(), error))?;
        }
        Ok(Plugins { dir: dir.to_owned() })
    }

    /// The directory, for `CNI_PATH`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// ADD: one plugin, or a list's plugins in order, each given its predecessor's result.
    ///
    /// # Errors
    /// [`Error::Plugin`] as the plugin told it. What earlier plugins of a list did stays: DEL removes it, as a runtime
    /// would.
    pub fn add(&self, config: &Value, call: &Call<'_>) -> Result<Answer> {
        let mut previous = Value::Null;
        for plugin in chain(config) {
            previous = self.run("ADD", &with_previous(plugin, &previous), call)?;
        }
        Ok(Answer { json: previous })
    }

    /// DEL: a list's plugins in reverse order, each given `previous`, the ADD's result (`Null` for none).
    ///
    /// # Errors
    /// [`Error::Plugin`] of the first that failed.
    pub fn del(&self, config: &Value, call: &Call<'_>, previous: &Value) -> Result<()> {
        let mut plugins = chain(config).into_iter().rev();
        plugins.try_for_each(|plugin| self.run("DEL", &with_previous(plugin, previous), call).map(drop))
    }

    /// CHECK: a list's plugins in order, each given the ADD's result.
    ///
    /// # Errors
    /// [`Error::Plugin`] of the first that failed.
    pub fn check(&self, config: &Value, call: &Call<'_>, previous: &Value) -> Result<()> {
        let mut plugins = chain(config).into_iter();
        plugins.try_for_each(|plugin| self.run("CHECK", &with_previous(plugin, previous), call).map(drop))
    }

    /// One call of one plugin.
    ///
    /// # Errors
    /// [`Error::Plugin`] when it says so, [`Error::Program`] when it says nothing understandable.
    pub fn run(&self, verb: &'static str, config: &Value, call: &Call<'_>) -> Result<Value> {
        let kind = config.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let bytes = serde_json::to_vec(config).unwrap_or_default();
        let output = self.run_raw(verb, &kind, &bytes, call)?;
        understand(&kind, verb, &output)
    }

    /// One call with these very bytes on stdin, and whatever came of it.
    ///
    /// # Errors
    /// [`Error::Program`] when the plugin cannot be started.
    pub fn run_raw(&self, verb: &str, kind: &str, stdin: &[u8], call: &Call<'_>) -> Result<Output> {
        let path = self.dir.join(kind);
        let failed = |error: std::io::Error| Error::Program {
            program: path.display().to_string(),
            reason: error.to_string(),
        };
        let mut child = call
            .container
            .host()
            .command(&path)?
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", call.id)
            .env("CNI_NETNS", call.container.path())
            .env("CNI_IFNAME", call.ifname)
            .env("CNI_ARGS", call.args)
            .env("CNI_PATH", &self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut pipe) = child.stdin.take() {
            // A plugin may refuse before it has read everything.
            let _ = pipe.write_all(stdin);
        }
        child.wait_with_output().map_err(failed)
    }
}

impl Container<'_> {
    /// ADD of `config` (one plugin's or a list's) for this container, whose name is its ID.
    ///
    /// # Errors
    /// As [`Plugins::add`].
    pub fn cni_add(&self, plugins: &Plugins, config: &Value, ifname: &str) -> Result<Answer> {
        plugins.add(config, &Call { container: self, ifname, id: self.name(), args: "" })
    }

    /// DEL of `config` for this container, without a previous result.
    ///
    /// # Errors
    /// As [`Plugins::del`].
    pub fn cni_del(&self, plugins: &Plugins, config: &Value, ifname: &str) -> Result<()> {
        plugins.del(config, &Call { container: self, ifname, id: self.name(), args: "" }, &Value::Null)
    }
}

impl Answer {
    /// The addresses with their prefix lengths, of any version of the result.
    pub fn addresses(&self) -> Vec<IpNet> {
        let list = self.json.get("ips").and_then(Value::as_array).into_iter().flatten();
        let old = ["ip4", "ip6"].iter().filter_map(|family| self.json.get(family)?.get("ip"));
        let texts = list.filter_map(|ip| ip.get("address")).chain(old).filter_map(Value::as_str);
        texts.filter_map(|text| text.parse().ok()).collect()
    }

    /// The first address without its prefix length.
    pub fn address(&self) -> Option<IpAddr> {
        self.addresses().first().map(IpNet::addr)
    }

    /// The MAC of the interface inside the container.
    pub fn mac(&self) -> Option<&str> {
        let mut interfaces = self.json.get("interfaces")?.as_array()?.iter();
        let inside = interfaces.find(|interface| {
            interface.get("sandbox").and_then(Value::as_str).is_some_and(|sandbox| !sandbox.is_empty())
        });
        inside?.get("mac")?.as_str()
    }
}

/// The plugins of a configuration, each with the list's name and version.
fn chain(config: &Value) -> Vec<Value> {
    let Some(plugins) = config.get("plugins").and_then(Value::as_array) else { return vec![config.clone()] };
    let mut plugins = plugins.clone();
    for plugin in plugins.iter_mut().filter_map(Value::as_object_mut) {
        for key in ["name", "cniVersion"] {
            if let Some(value) = config.get(key) {
                plugin.insert(key.to_owned(), value.clone());
            }
        }
    }
    plugins
}

fn with_previous(mut config: Value, previous: &Value) -> Value {
    if let Some(config) = config.as_object_mut()
        && !previous.is_null()
    {
        config.insert("prevResult".to_owned(), previous.clone());
    }
    config
}

fn understand(kind: &str, verb: &'static str, output: &Output) -> Result<Value> {
    let json: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    if output.status.success() {
        return Ok(json.unwrap_or_default());
    }
    let text = |key: &str| json.as_ref()?.get(key)?.as_str().map(str::to_owned);
    match json.as_ref().and_then(|json| json.get("code")).and_then(Value::as_u64) {
        Some(code) => Err(Error::Plugin {
            plugin: kind.to_owned(),
            verb,
            code,
            msg: text("msg").unwrap_or_default(),
            details: text("details").filter(|details| !details.is_empty()),
        }),
        None => Err(Error::Program {
            program: kind.to_owned(),
            reason: format!("{verb}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_hands_its_name_down() {
        let list = json!({"name": "n", "cniVersion": "1.0.0", "plugins": [{"type": "a"}, {"type": "b"}]});
        assert_eq!(
            chain(&list),
            [
                json!({"type": "a", "name": "n", "cniVersion": "1.0.0"}),
                json!({"type": "b", "name": "n", "cniVersion": "1.0.0"})
            ]
        );
        let single = json!({"type": "a", "name": "n"});
        assert_eq!(chain(&single), [single]);
    }

    #[test]
    fn addresses_of_old_and_new_results_are_read() {
        let new = Answer { json: json!({"ips": [{"address": "10.0.0.2/24"}, {"address": "fd00::2/64"}]}) };
        assert_eq!(new.addresses(), ["10.0.0.2/24".parse().unwrap(), "fd00::2/64".parse().unwrap()]);
        let old = Answer { json: json!({"ip4": {"ip": "10.0.0.2/24"}}) };
        assert_eq!(old.address(), Some("10.0.0.2".parse().unwrap()));
    }
}
