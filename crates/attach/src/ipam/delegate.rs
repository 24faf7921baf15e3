//! Any other IPAM: a plugin that is found in `CNI_PATH` and executed.

use cni::{CniResult, Request, Verb, delegate};

use crate::Result;

/// An IPAM plugin of somebody else.
#[derive(Debug)]
pub struct Delegate {
    name: String,
}

impl Delegate {
    /// The plugin of this name. Whether there is one shows when it is called.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// ADD. When it fails, DEL is called on it too, as the specification asks: what it had done by then is its own
    /// to undo, and nobody else will call it.
    ///
    /// # Errors
    /// The plugin's own; code 7 when there is none of the name in `CNI_PATH`.
    pub fn claim(&self, request: &Request) -> Result<CniResult> {
        let plugin = delegate::find(&self.name, &request.env.path)?;
        match delegate::exec(&plugin, request, Verb::Add) {
            Ok(result) => Ok(result.unwrap_or_default()),
            Err(error) => {
                let _ = delegate::exec(&plugin, request, Verb::Del);
                Err(error.into())
            }
        }
    }

    /// Any other verb.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub fn call(&self, request: &Request, verb: Verb) -> Result<()> {
        let plugin = delegate::find(&self.name, &request.env.path)?;
        delegate::exec(&plugin, request, verb)?;
        Ok(())
    }
}
