//! The runtime's result cache (`/var/lib/cni/results`), as libcni writes it: what a runtime believes to be
//! attached. Read only.

use std::path::{Path, PathBuf};

use crate::env::is_identifier;
use crate::json::{self, Node, Object, Value};
use crate::{CniResult, Error, Result, Version};

/// Where libcni keeps it unless told otherwise.
pub const DEFAULT_DIR: &str = "/var/lib/cni/results";

/// Most bytes of a cache file.
const FILE_LIMIT: u64 = 4 << 20;

/// One attachment in the cache.
#[derive(Debug, Clone)]
pub struct Cached {
    /// The network's name; empty in the legacy form.
    pub network: String,
    /// The container's ID; empty in the legacy form.
    pub container_id: String,
    /// The interface's name; empty in the legacy form.
    pub ifname: String,
    /// Path of the namespace at the time of ADD; empty when unknown.
    pub netns: String,
    /// The runtime's `CNI_ARGS`, such as `K8S_POD_NAME`; empty in the legacy form.
    pub args: Vec<(String, String)>,
    /// The configuration list; empty in the legacy form.
    pub config: Vec<u8>,
    /// The result of the whole chain.
    pub result: Option<CniResult>,
}

/// The file of one attachment. None unless the three parts are safe inside a file name.
pub fn file(directory: &Path, network: &str, container_id: &str, ifname: &str) -> Option<PathBuf> {
    let safe = is_identifier(network.as_bytes())
        && is_identifier(container_id.as_bytes())
        && !ifname.is_empty()
        && !ifname.contains(['/', '\0']);
    safe.then(|| directory.join(format!("{network}-{container_id}-{ifname}")))
}

/// Reads one file of the cache. None when it does not exist or is empty (a power loss leaves such files).
pub fn read(file: &Path) -> Result<Option<Cached>> {
    let fail = |error: &dyn std::fmt::Display| Error::io(format!("cannot read {}: {error}", file.display()));
    let bytes = match std::fs::metadata(file) {
        Ok(metadata) if metadata.len() > FILE_LIMIT => return Err(fail(&"it is too long")),
        Ok(_) => std::fs::read(file).map_err(|error| fail(&error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(&error)),
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    parse(&bytes).map(Some).map_err(|error| error.context(&format!("cannot read {}", file.display())))
}

/// Parses a cache file of either form: `cniCacheV1`, or a bare result.
pub fn parse(bytes: &[u8]) -> Result<Cached> {
    let value = json::parse(bytes)?;
    let root = Object::root(&value)?;
    let text = |key| root.string(key).map(|text| text.unwrap_or_default().to_owned());
    if root.string("kind")? != Some("cniCacheV1") {
        return Ok(Cached {
            network: String::new(),
            container_id: String::new(),
            ifname: String::new(),
            netns: String::new(),
            args: Vec::new(),
            config: Vec::new(),
            result: Some(CniResult::parse(&value, Version::V010)?),
        });
    }
    let config = match root.get("config") {
        None => Vec::new(),
        Some(node) => decode_base64(node.string()?).ok_or_else(|| node.refuse("base64"))?,
    };
    Ok(Cached {
        network: text("networkName")?,
        container_id: text("containerId")?,
        ifname: text("ifName")?,
        netns: text("netns")?,
        args: root.get("cniArgs").map_or_else(Vec::new, |node| pairs(&node)),
        result: match root.get("result") {
            None => None,
            Some(node) => Some(CniResult::parse_at(&node, config_version(&config))?),
        },
        config,
    })
}

/// `[["KEY","value"], …]`; what is no pair of strings is left out.
fn pairs(list: &Node<'_>) -> Vec<(String, String)> {
    let pair = |node: Node<'_>| match node.items().ok()?.as_slice() {
        [key, value] => Some((key.string().ok()?.to_owned(), value.string().ok()?.to_owned())),
        _ => None,
    };
    list.items().unwrap_or_default().into_iter().filter_map(pair).collect()
}

/// The version of a configuration list, for results that do not name theirs.
fn config_version(config: &[u8]) -> Version {
    let version = |value: &Value| {
        let text = Object::root(value).ok()?.string("cniVersion").ok()??.to_owned();
        Version::from_text(&text)
    };
    json::parse(config).ok().as_ref().and_then(version).unwrap_or(Version::V010)
}

/// RFC 4648, section 4, with padding.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| -> Option<u32> {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        Some(value.into())
    };
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut bits = 0;
        for byte in group {
            bits = bits << 6 | digit(*byte)?;
        }
        bits <<= 6 * (4 - group.len());
        // Four digits are three bytes, three are two, two are one.
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(out)
}
