//! `CNI_ARGS`: `KEY=value;KEY=value`.

use crate::{Error, Result};

/// The pairs of `CNI_ARGS`, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    pairs: Vec<(String, String)>,
}

impl Args {
    /// As the reference's `LoadArgs`: every pair has exactly one `=`, keys are matched with case, and a key
    /// that is not in `known` is an error unless `IgnoreUnknown=1` (or `true`) stands anywhere.
    /// Errors: code 4, naming `CNI_ARGS` and the pair.
    pub fn strict(text: &str, known: &[&str]) -> Result<Args> {
        let mut args = Args::default();
        let mut unknown: Vec<&str> = Vec::new();
        let mut ignore_unknown = false;
        if text.is_empty() {
            return Ok(args);
        }
        for pair in text.split(';') {
            let (key, value) = match pair.split_once('=') {
                Some((key, value)) if !value.contains('=') => (key, value),
                _ => return Err(refuse(&format!("ARGS: invalid pair {pair:?}"))),
            };
            if key == "IgnoreUnknown" {
                ignore_unknown = match value.to_ascii_lowercase().as_str() {
                    "1" | "true" => true,
                    "0" | "false" => false,
                    _ => {
                        return Err(refuse(&format!(
                            "ARGS: error parsing value of pair {pair:?}: \
                             boolean unmarshal error: invalid input {value}"
                        )));
                    }
                };
            } else if known.contains(&key) {
                args.pairs.push((key.to_owned(), value.to_owned()));
            } else {
                unknown.push(pair);
            }
        }
        if !unknown.is_empty() && !ignore_unknown {
            // Go's %q of a list: ["A=1" "B=2"].
            let list: Vec<String> = unknown.iter().map(|pair| format!("{pair:?}")).collect();
            return Err(refuse(&format!("ARGS: unknown args [{}]", list.join(" "))));
        }
        Ok(args)
    }

    /// As the reference's `dhcp` reads it: pairs split at the first `=`, what has none is skipped, every key
    /// is kept.
    pub fn lenient(text: &str) -> Args {
        let pairs = text
            .split(';')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        Args { pairs: pairs.collect() }
    }

    /// The value of `key` (with case); the last one when it stands more than once.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Every pair, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn refuse(msg: &str) -> Error {
    Error::env(crate::error::shorten(msg, 1024))
        .with_details("see CNI_ARGS; IgnoreUnknown=1 in it allows unknown keys")
}
