//! Names that come from users and become other things: objects of the API server, interfaces, parts of file names.

use std::fmt;

/// A network-attachment-definition by its names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkRef {
    namespace: String,
    name: String,
}

impl NetworkRef {
    /// `None` unless both are names that the API server allows: a DNS label of up to 63 bytes, and a DNS subdomain of up
    /// to 253. Neither can be `..` or hold a `/`.
    pub fn new(namespace: &str, name: &str) -> Option<NetworkRef> {
        (is_label(namespace) && is_subdomain(name))
            .then(|| NetworkRef { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name in it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// `namespace/name`.
impl fmt::Display for NetworkRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a namespace may be called, for messages.
pub(crate) const LABEL: &str = "lower case letters, digits and -, at most 63, the first and last no -";
/// What a definition may be called, for messages.
pub(crate) const SUBDOMAIN: &str =
    "lower case letters, digits, - and ., at most 253, a letter or digit around each dot and at both ends";
/// What an interface may be called, for messages.
pub(crate) const IFNAME: &str =
    "an interface name: 1 to 15 bytes, not . or .. or lo, without /, :, % and white space";

/// RFC 1123's label, in lower case.
pub(crate) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// Labels with dots between; the API server limits the whole only.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

fn is_part(text: &str) -> bool {
    let edge =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// What is safe as a plugin's file name and as a network's name.
pub(crate) fn is_identifier(text: &str) -> bool {
    text.len() <= 255
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The name of an interface in a pod, as the kernel takes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IfName(String);

impl IfName {
    /// `None` unless the kernel takes the name as it stands, and it is not the loopback's.
    pub fn new(text: &str) -> Option<IfName> {
        let allowed = !matches!(text, "" | "." | ".." | "lo")
            && text.len() <= 15
            && !text.chars().any(|c| matches!(c, '/' | ':' | '%') || c.is_whitespace() || c.is_control());
        allowed.then(|| IfName(text.to_owned()))
    }

    /// `net` with the attachment's place among the pod's networks.
    pub(crate) fn numbered(position: usize) -> IfName {
        IfName(format!("net{position}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
