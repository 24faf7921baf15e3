//! What the declared state of the host (`/etc/llano/host.yaml`) needs of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_yaml_ng::Value;

/// Where `llano host` keeps what was declared and confirmed.
pub(crate) const HOST_YAML: &str = "/etc/llano/host.yaml";

/// What matters here of a declared state. A file that `llano host` could not read is told by `llano host`.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    types: BTreeSet<String>,
    /// Interfaces that shall be promiscuous.
    pub(crate) promiscuous: BTreeSet<String>,
}

impl Declared {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        serde_yaml_ng::from_str(&text).map(|value| Self::of(&value)).unwrap_or_default()
    }

    fn of(value: &Value) -> Self {
        let mut declared = Self::default();
        let interfaces = value.get("interfaces").and_then(Value::as_sequence);
        for interface in interfaces.into_iter().flatten() {
            if interface.get("state").and_then(Value::as_str) == Some("absent") {
                continue;
            }
            declared.types.extend(interface.get("type").and_then(Value::as_str).map(str::to_owned));
            let ours = interface.get("llano").and_then(|llano| llano.get("promiscuity"));
            let nmstates = interface.get("accept-all-mac-addresses");
            if [ours, nmstates].into_iter().flatten().any(|value| value.as_bool() == Some(true)) {
                declared.promiscuous.extend(interface.get("name").and_then(Value::as_str).map(str::to_owned));
            }
        }
        declared
    }

    /// Whether an interface of this nmstate type is declared.
    pub(crate) fn needs(&self, kind: &str) -> bool {
        self.types.contains(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_promiscuity_of_what_shall_be_there() {
        let text = "
interfaces:
- { name: bond0, type: bond, state: up, llano: { promiscuity: true } }
- { name: eth0, type: ethernet, accept-all-mac-addresses: true }
- { name: old.5, type: vlan, state: absent }
";
        let declared = Declared::of(&serde_yaml_ng::from_str(text).unwrap());
        assert!(declared.needs("bond") && !declared.needs("vlan"));
        assert!(declared.promiscuous.contains("bond0") && declared.promiscuous.contains("eth0"));
    }
}
