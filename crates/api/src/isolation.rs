//! Namespace isolation: whose definitions a pod may name.

use crate::{Error, NetworkRef, Result};

/// `namespaceIsolation` and `globalNamespaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    on: bool,
    global: Vec<String>,
}

impl Isolation {
    /// `global` is Multus's comma-separated text: when it is absent or empty, `default` alone is global; otherwise only what
    /// it lists.
    pub fn new(on: bool, global: Option<&str>) -> Isolation {
        let global = match global.filter(|text| !text.is_empty()) {
            None => vec!["default".to_owned()],
            Some(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
        };
        Isolation { on, global }
    }

    /// Refuses a pod of `namespace` that names a network elsewhere.
    pub(crate) fn check(&self, pod: &str, network: &NetworkRef, annotation: &'static str) -> Result<()> {
        let target = network.namespace();
        if !self.on || pod == target || self.global.iter().any(|global| global == target) {
            return Ok(());
        }
        Err(Error::Isolation {
            pod: pod.to_owned(),
            target: target.to_owned(),
            annotation,
            network: network.clone(),
        })
    }
}

/// Off.
impl Default for Isolation {
    fn default() -> Isolation {
        Isolation::new(false, None)
    }
}
