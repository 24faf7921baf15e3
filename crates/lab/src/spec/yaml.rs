//! A reader of YAML mappings that knows the path of every key, so that an error can name it.

use serde_yaml_ng::Value;

use crate::error::{Error, Result};

/// A mapping at a path. Every key must be one of the allowed ones.
pub(super) struct Map<'a> {
    path: String,
    entries: Vec<(&'a str, &'a Value)>,
}

/// A value at a path.
pub(super) struct Node<'a> {
    pub(super) path: String,
    pub(super) value: &'a Value,
}

impl<'a> Node<'a> {
    pub(super) fn new(path: String, value: &'a Value) -> Self {
        Node { path, value }
    }

    fn wrong(&self, allowed: &str) -> Error {
        Error::spec(&self.path, show(self.value), allowed)
    }

    /// A mapping whose keys are names chosen by the user.
    pub(super) fn entries(&self) -> Result<Vec<(String, Node<'a>)>> {
        let Value::Mapping(mapping) = self.value else {
            return if self.value.is_null() { Ok(vec![]) } else { Err(self.wrong("a mapping of names")) };
        };
        mapping
            .iter()
            .map(|(key, value)| {
                let key = key.as_str().ok_or_else(|| {
                    Error::spec(&self.path, show(key), "keys must be text (quote a name that is a number)")
                })?;
                Ok((key.to_owned(), Node::new(join(&self.path, key), value)))
            })
            .collect()
    }

    /// A mapping whose keys are ours.
    pub(super) fn map(&self, allowed: &[&str]) -> Result<Map<'a>> {
        let mut entries = Vec::new();
        match self.value {
            Value::Null => {}
            Value::Mapping(mapping) => {
                for (key, value) in mapping {
                    let Some(name) = key.as_str().filter(|key| allowed.contains(key)) else {
                        let key = join(&self.path, &show(key));
                        return Err(Error::spec(&key, "this key", format!("one of {}", allowed.join(", "))));
                    };
                    entries.push((name, value));
                }
            }
            _ => return Err(self.wrong(&format!("a mapping with {}", allowed.join(", ")))),
        }
        Ok(Map { path: self.path.clone(), entries })
    }

    pub(super) fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.wrong("text"))
    }

    /// Text, or a number or truth value as it was written.
    pub(super) fn scalar(&self) -> Result<String> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(_) | Value::Bool(_) => Ok(show(self.value)),
            _ => Err(self.wrong("text or a number")),
        }
    }

    pub(super) fn parsed<T: std::str::FromStr>(&self, allowed: &str) -> Result<T> {
        self.text()?.parse().map_err(|_| self.wrong(allowed))
    }

    pub(super) fn truth(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    pub(super) fn number(&self, min: u32, max: u32) -> Result<u32> {
        self.value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| self.wrong(&format!("a whole number from {min} to {max}")))
    }

    /// A list, or one value as a list of one.
    pub(super) fn list(&self) -> Vec<Node<'a>> {
        match self.value {
            Value::Null => vec![],
            Value::Sequence(items) => items
                .iter()
                .enumerate()
                .map(|(at, value)| Node::new(format!("{}[{at}]", self.path), value))
                .collect(),
            value => vec![Node::new(self.path.clone(), value)],
        }
    }
}

impl<'a> Map<'a> {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        self.entries
            .iter()
            .find(|(name, value)| *name == key && !value.is_null())
            .map(|(name, value)| Node::new(join(&self.path, name), value))
    }

    pub(super) fn list(&self, key: &str) -> Vec<Node<'a>> {
        self.get(key).map(|node| node.list()).unwrap_or_default()
    }

    pub(super) fn entries(&self, key: &str) -> Result<Vec<(String, Node<'a>)>> {
        self.get(key).map_or_else(|| Ok(vec![]), |node| node.entries())
    }

    pub(super) fn required(&self, key: &str, allowed: &str) -> Result<Node<'a>> {
        self.get(key).ok_or_else(|| Error::spec(&join(&self.path, key), "nothing", allowed))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}").trim_matches('"').to_owned(),
        other => serde_yaml_ng::to_string(other).unwrap_or_default().trim().replace('\n', " "),
    }
}
