use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// What an address is given to: one interface of one container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// The runtime's ID of the container.
    pub container_id: String,
    /// The interface's name in the container.
    pub ifname: String,
}

/// An address given to an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The address with the prefix length of its range's subnet.
    pub address: IpNet,
    /// The range's gateway.
    pub gateway: Option<IpAddr>,
    /// The place of the range's set in the list of sets, from 0.
    pub set: usize,
}

/// One file of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address, which is the file's name.
    pub address: IpAddr,
    /// The file's content.
    pub record: Record,
}

/// What a lease file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// `<container ID>\r\n<ifname>`, as host-local writes it since 0.8.
    Owned(Owner),
    /// `<container ID>` alone, as host-local wrote it before 0.8, or a person who reserves an address.
    Legacy(String),
    /// Nothing, or the start of a record: what is left of a write that a crash cut off. It has no owner.
    Torn,
    /// Something else. The address is taken and nobody's to release.
    Foreign,
}

impl Owner {
    /// An owner from its two names. Surrounding white space of the ID is dropped, as host-local does.
    pub fn new(container_id: &str, ifname: &str) -> Owner {
        Owner { container_id: container_id.trim().to_owned(), ifname: ifname.to_owned() }
    }

    /// The content of a lease file of this owner: `<container ID>\r\n<ifname>`.
    pub fn record_text(&self) -> String {
        let mut text = String::with_capacity(self.container_id.len() + self.ifname.len() + 2);
        text.push_str(&self.container_id);
        text.push_str("\r\n");
        text.push_str(&self.ifname);
        text
    }
}

impl Record {
    /// Whether the record is this owner's in the form written today.
    pub fn is_of(&self, owner: &Owner) -> bool {
        matches!(self, Record::Owned(held) if held == owner)
    }

    /// Whether the record is of this owner's container in the old form, which names no interface.
    pub fn is_legacy_of(&self, owner: &Owner) -> bool {
        matches!(self, Record::Legacy(id) if *id == owner.container_id)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Owned(owner) => write!(f, "{}/{}", owner.container_id, owner.ifname),
            Record::Legacy(id) => f.write_str(id),
            Record::Torn => f.write_str("(unfinished)"),
            Record::Foreign => f.write_str("(unknown content)"),
        }
    }
}

/// The longest content that is still taken for a record, in bytes. Container IDs are at most a file
/// name long in every runtime.
pub(crate) const LONGEST_RECORD: usize = 1024;

/// Reads the content of a lease file. Never fails: bytes that no version of host-local writes are
/// `Record::Foreign`.
pub fn parse_record(content: &[u8]) -> Record {
    if content.len() > LONGEST_RECORD {
        return Record::Foreign;
    }
    // A power cut leaves the length without the bytes on some file systems: zeros.
    if content.contains(&0) {
        return Record::Torn;
    }
    let Ok(text) = std::str::from_utf8(content) else { return Record::Foreign };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Record::Torn;
    }
    match trimmed.split_once("\r\n") {
        Some((id, ifname)) if is_word(id) && is_word(ifname) => Record::Owned(Owner::new(id, ifname)),
        Some(_) => Record::Foreign,
        // The old form has no line end; one that stops at the separator was to become the new form.
        None if text.ends_with('\r') || text.ends_with("\r\n") => Record::Torn,
        None if is_word(trimmed) => Record::Legacy(trimmed.to_owned()),
        None => Record::Foreign,
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// Reads the content of a `last_reserved_ip.N` file: an address and nothing else. Anything that
/// host-local does not understand gives `None`, which starts the round from the first address.
pub fn parse_cursor(content: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(content).ok()?.parse().ok()?;
    Some(address.to_canonical())
}
