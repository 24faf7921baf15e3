use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use rustix::io::Errno;

use crate::lease::Lease;

/// What every function of this crate that can fail returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a range is no range, or an address was not given. Where host-local has a text for the same
/// refusal, the text is host-local's: tools and people search for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A subnet of fewer than four addresses.
    #[error("Network {0} too small to allocate from")]
    TooSmall(IpNet),
    /// A subnet written with an address of a host in it.
    #[error(
        "Network has host bits set. For a subnet mask of length {} the network address is {}",
        .0.prefix_len(), .0.network()
    )]
    HostBits(IpNet),
    /// An IPv4 subnet written in IPv6 form (`::ffff:10.0.0.0/120`).
    #[error("IPNet IP and Mask version mismatch")]
    MappedSubnet(IpNet),
    /// The range would start outside its subnet, or after its end.
    #[error("RangeStart {start} not in network {subnet}")]
    StartOutside {
        /// The start as given.
        start: IpAddr,
        /// The range's subnet.
        subnet: IpNet,
    },
    /// The range would end outside its subnet, or before its start.
    #[error("RangeEnd {end} not in network {subnet}")]
    EndOutside {
        /// The end as given.
        end: IpAddr,
        /// The range's subnet.
        subnet: IpNet,
    },
    /// A range set without a range.
    #[error("empty range set")]
    EmptySet,
    /// A range set with both IPv4 and IPv6 ranges.
    #[error("mixed address families")]
    MixedFamilies,
    /// Two ranges of one set share an address; both as `start-end`.
    #[error("subnets {0} and {1} overlap")]
    Overlap(String, String),
    /// A requested address is in no range of the set; the set as `a-b,c-d`.
    #[error("{0} not in range set {1}")]
    NotInSet(IpAddr, String),
    /// A requested address is its range's gateway.
    #[error("requested ip {0} is subnet's gateway")]
    IsGateway(IpAddr),
    /// A requested address has an owner already; the set as `a-b,c-d`.
    #[error("requested IP address {0} is not available in range set {1}")]
    NotAvailable(IpAddr, String),
    /// The owner holds an address of this set already.
    #[error("{address} has been allocated to {container_id}, duplicate allocation is not allowed")]
    Duplicate {
        /// The address held.
        address: IpAddr,
        /// Its holder's container ID.
        container_id: String,
    },
    /// No address of the set is free. `Error::details` says how many there are and who holds them.
    #[error("no IP addresses available in range set: {}", .0.set)]
    Exhausted(Box<Exhausted>),
    /// What went wrong for one of the sets of an allocation.
    #[error("failed to allocate for range {index}: {source}")]
    InSet {
        /// The set's place in the configuration, from 0.
        index: usize,
        /// What went wrong.
        source: Box<Error>,
    },
    /// Requested addresses that belong to no set, or of which a set had more than one.
    #[error("failed to allocate all requested IPs:{}", list(.0))]
    Unfulfilled(Vec<IpAddr>),
    /// A network name that cannot be a directory's name.
    #[error("network name {0:?} cannot name a directory: empty, \".\", \"..\" and \"/\" are not allowed")]
    NetworkName(String),
    /// The system refused.
    #[error("cannot {op} {}: {}", .path.display(), errno_text(*.errno))]
    Io {
        /// What was tried, as a verb phrase: `create the directory`.
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
}

/// What a user needs to know about a set that has no free address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// The set as `a-b,c-d`.
    pub set: String,
    /// The subnets of its ranges.
    pub subnets: Vec<IpNet>,
    /// How many addresses its ranges have, gateways left out. Saturates.
    pub size: u128,
    /// How many of them were passed over because they are in quarantine.
    pub skipped: usize,
    /// The first few holders, lowest address first.
    pub holders: Vec<Lease>,
}

impl Error {
    /// The kernel's error number, when the system refused.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Io { errno, .. } => Some(*errno),
            Error::InSet { source, .. } => source.errno(),
            _ => None,
        }
    }

    /// The exhausted set behind this error, if that is what it says.
    pub fn exhausted(&self) -> Option<&Exhausted> {
        match self {
            Error::Exhausted(exhausted) => Some(exhausted),
            Error::InSet { source, .. } => source.exhausted(),
            _ => None,
        }
    }

    /// What does not fit in the one line of the message: for an exhausted set its subnets, its size and
    /// its first holders.
    pub fn details(&self) -> Option<String> {
        let exhausted = self.exhausted()?;
        let mut text = String::new();
        for (n, subnet) in exhausted.subnets.iter().enumerate() {
            if n > 0 {
                text.push_str(", ");
            }
            text.push_str(&subnet.to_string());
        }
        text.push_str(" has ");
        text.push_str(&exhausted.size.to_string());
        text.push_str(" addresses to give, all taken");
        if exhausted.skipped > 0 {
            text.push_str(" or (");
            text.push_str(&exhausted.skipped.to_string());
            text.push_str(") in quarantine");
        }
        for (n, lease) in exhausted.holders.iter().enumerate() {
            text.push_str(if n == 0 { "; held by " } else { ", " });
            text.push_str(&lease.address.to_string());
            text.push(' ');
            text.push_str(&lease.record.to_string());
        }
        Some(text)
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let mut text = String::new();
    for address in addresses {
        text.push(' ');
        text.push_str(&address.to_string());
    }
    text
}

fn errno_text(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}
