//! The settings of the runtime's last call, kept on disk: an agent that has just started follows annotations, and looks for what was
//! lost, without waiting for a call.

use std::path::Path;

use cni::Request;
use cni::json::{self, Object};

use super::locks::lock;
use super::{Config, Engine};

/// The settings of a call, and their text.
#[derive(Debug, Default)]
pub(super) struct Known {
    text: String,
    config: Option<Config>,
}

impl Known {
    /// What an earlier agent kept. A file that is not there, or cannot be used, is replaced by the next call.
    pub(super) fn read(path: &Path) -> Known {
        let Ok(text) = std::fs::read_to_string(path) else { return Known::default() };
        let config = json::parse(text.as_bytes()).and_then(|value| Config::parse(&Object::root(&value)?));
        match config {
            Ok(config) => Known { text, config: Some(config) },
            Err(error) => {
                tracing::warn!(path = %path.display(), error = %error, "settings of the last call not read");
                Known::default()
            }
        }
    }
}

impl Engine {
    /// The settings of this call; what the agent's own leave open is taken from the call.
    pub(super) fn config(&self, request: &Request) -> cni::Result<Config> {
        let root = request.root();
        let theirs = Config::parse(&root)?;
        let text = Config::part(&root).to_compact();
        let mut known = lock(&self.known);
        if known.text != text {
            let first = known.config.is_none();
            let path = &self.setup.settings;
            if let Err(error) = durable::write(path, text.as_bytes(), None) {
                tracing::warn!(path = %path.display(), error = %error, "settings of the call not kept");
            }
            *known = Known { text, config: Some(theirs.clone()) };
            if first && self.store.is_lost() {
                self.later.look_after(self.setup.limits.retry);
            }
        }
        drop(known);
        Ok(self.setup.config.clone().or(theirs))
    }

    /// The settings without a call. None before the node's first one, unless the agent has its own.
    pub(super) fn known_config(&self) -> Option<Config> {
        let own = self.setup.config.clone();
        match lock(&self.known).config.clone() {
            Some(theirs) => Some(own.or(theirs)),
            None => own.names_network().then_some(own),
        }
    }
}
