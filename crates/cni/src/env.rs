//! The environment a plugin is called with.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::error::shorten;
use crate::{Error, Result, code};

/// What the runtime asks for: `CNI_COMMAND`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Make the attachment.
    Add,
    /// Undo it.
    Del,
    /// Say whether it still is as it was made.
    Check,
    /// Say whether ADD can be served.
    Status,
    /// Undo every attachment that is not in the list of valid ones.
    Gc,
    /// Print the supported versions.
    Version,
}

impl Verb {
    /// As it stands in `CNI_COMMAND`.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Add => "ADD",
            Verb::Del => "DEL",
            Verb::Check => "CHECK",
            Verb::Status => "STATUS",
            Verb::Gc => "GC",
            Verb::Version => "VERSION",
        }
    }

    /// The verb of exactly this text.
    pub fn from_text(text: &str) -> Option<Verb> {
        [Verb::Add, Verb::Del, Verb::Check, Verb::Status, Verb::Gc, Verb::Version]
            .into_iter()
            .find(|verb| verb.as_str() == text)
    }

    /// Whether the verb is about one attachment, and so needs a container ID and an interface name.
    fn names_attachment(self) -> bool {
        matches!(self, Verb::Add | Verb::Del | Verb::Check)
    }
}

/// The environment, validated. What a verb does not require is empty when absent; container ID and interface
/// name are validated only for the verbs that require them, as in the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Env {
    /// `CNI_COMMAND`.
    pub verb: Verb,
    /// `CNI_CONTAINERID`: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`. Empty for GC, STATUS and VERSION.
    pub container_id: String,
    /// `CNI_NETNS`; none when absent or empty.
    pub netns: Option<PathBuf>,
    /// `CNI_IFNAME`: 1 to 15 bytes, no `/`, `:`, `%` or white space. Empty for GC, STATUS and VERSION.
    pub ifname: String,
    /// `CNI_ARGS` as it came.
    pub args: String,
    /// The directories of `CNI_PATH`, in order.
    pub path: Vec<PathBuf>,
    /// `CNI_NETNS_OVERRIDE` is `1` or `true`: the plugin may work on its own network namespace.
    pub netns_override: bool,
}

/// The variables as they came, before anything is known about them. `None` and empty are the same.
#[derive(Debug, Clone, Default)]
pub struct RawEnv {
    /// `CNI_COMMAND`.
    pub command: OsString,
    /// `CNI_CONTAINERID`.
    pub container_id: OsString,
    /// `CNI_NETNS`.
    pub netns: OsString,
    /// `CNI_IFNAME`.
    pub ifname: OsString,
    /// `CNI_ARGS`.
    pub args: OsString,
    /// `CNI_PATH`.
    pub path: OsString,
    /// `CNI_NETNS_OVERRIDE`.
    pub netns_override: OsString,
}

impl RawEnv {
    /// Reads every variable by `get`.
    pub fn read(get: &dyn Fn(&str) -> Option<OsString>) -> RawEnv {
        let get = |name| get(name).unwrap_or_default();
        RawEnv {
            command: get("CNI_COMMAND"),
            container_id: get("CNI_CONTAINERID"),
            netns: get("CNI_NETNS"),
            ifname: get("CNI_IFNAME"),
            args: get("CNI_ARGS"),
            path: get("CNI_PATH"),
            netns_override: get("CNI_NETNS_OVERRIDE"),
        }
    }

    /// Presence and form of the variables, in the reference's order: a value of the wrong form is reported
    /// where it stands in the list, missing ones all together at the end. An unknown verb requires nothing.
    pub(crate) fn check(&self) -> Result<()> {
        let verb = self.verb();
        let attachment = verb.is_some_and(Verb::names_attachment);
        let mut missing = Vec::new();
        if self.command.is_empty() {
            missing.push("CNI_COMMAND");
        }
        if attachment {
            if self.container_id.is_empty() {
                missing.push("CNI_CONTAINERID");
            } else {
                check_container_id(&self.container_id)?;
            }
        }
        if self.netns.is_empty() && matches!(verb, Some(Verb::Add | Verb::Check)) {
            missing.push("CNI_NETNS");
        }
        if attachment {
            if self.ifname.is_empty() {
                missing.push("CNI_IFNAME");
            } else {
                check_ifname(&self.ifname)?;
            }
        }
        if self.path.is_empty() && verb.is_some_and(|verb| verb != Verb::Version) {
            missing.push("CNI_PATH");
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::env(format!("required env variables [{}] missing", missing.join(","))))
    }

    /// The verb, if it is one.
    pub(crate) fn verb(&self) -> Option<Verb> {
        Verb::from_text(self.command.to_str()?)
    }

    /// The environment as a type whose invariants hold. Errors with code 4.
    pub fn validate(&self) -> Result<Env> {
        self.check()?;
        let Some(verb) = self.verb() else {
            let command = self.command.to_string_lossy();
            return Err(Error::env(format!("unknown CNI_COMMAND: {}", shorten(&command, 64))));
        };
        let attachment = verb.names_attachment();
        let text = |value: &OsStr, name: &str| match value.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(Error::env(format!("{name} is not UTF-8"))
                .with_details(shorten(&value.to_string_lossy(), 256))),
        };
        let name = |value: &OsString, name| if attachment { text(value, name) } else { Ok(String::new()) };
        Ok(Env {
            verb,
            container_id: name(&self.container_id, "CNI_CONTAINERID")?,
            netns: (!self.netns.is_empty()).then(|| PathBuf::from(&self.netns)),
            ifname: name(&self.ifname, "CNI_IFNAME")?,
            args: text(&self.args, "CNI_ARGS")?,
            path: self
                .path
                .as_bytes()
                .split(|byte| *byte == b':')
                .filter(|part| !part.is_empty())
                .map(|part| PathBuf::from(OsStr::from_bytes(part)))
                .collect(),
            netns_override: {
                let value = self.netns_override.as_bytes();
                value == b"1" || value.eq_ignore_ascii_case(b"true")
            },
        })
    }
}

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]*`: what container IDs and network names are made of.
pub(crate) fn is_identifier(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphanumeric)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte))
}

/// Bytes of a container ID: those of a file's name. What is longer would not be found again in a lease file.
const LONGEST_CONTAINER_ID: usize = 255;

/// Code 4 unless `id` is an identifier.
fn check_container_id(id: &OsStr) -> Result<()> {
    if is_identifier(id.as_bytes()) {
        if id.len() <= LONGEST_CONTAINER_ID {
            return Ok(());
        }
        // Differs: the reference has no limit; libcni fails later, where the ID becomes part of a file's name.
        return Err(Error::env("containerID is longer than 255 bytes"));
    }
    Err(invalid("invalid characters in containerID", &id.to_string_lossy().escape_debug().to_string()))
}

/// Code 4 unless the kernel takes `name` for a network interface as it stands.
fn check_ifname(name: &OsStr) -> Result<()> {
    let Some(text) = name.to_str() else {
        // Differs: the reference lets other bytes pass; no runtime sends them, and results are JSON.
        return Err(invalid("interface name is not UTF-8", &name.to_string_lossy()));
    };
    if text.len() > 15 {
        return Err(invalid(
            "interface name is too long",
            "interface name should be less than 16 characters",
        ));
    }
    if text == "." || text == ".." {
        return Err(Error::env("interface name is . or .."));
    }
    if text.chars().any(|c| c == '/' || c == ':' || c.is_whitespace()) {
        return Err(Error::env("interface name contains / or : or whitespace characters"));
    }
    if text.contains('%') {
        // Differs: the reference lets it pass, and the kernel turns `eth%d` into another name.
        return Err(invalid(
            "interface name contains %, which the kernel takes for a number to fill in",
            text,
        ));
    }
    Ok(())
}

fn invalid(msg: &str, details: &str) -> Error {
    Error::coded(code::INVALID_ENVIRONMENT, msg).with_details(shorten(details, 256))
}
