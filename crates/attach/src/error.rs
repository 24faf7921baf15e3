//! What can go wrong with an attachment, and the CNI code that says so.

use std::net::IpAddr;
use std::path::PathBuf;

use kernel::MacAddr;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed step of an attachment. [`From`] turns it into the CNI error that the runtime reads.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration, the environment or a delegate said no; code and text are its own.
    #[error(transparent)]
    Cni(#[from] cni::Error),
    /// The kernel refused a step.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// The address directory refused.
    #[error(transparent)]
    Ipam(#[from] ipam::Error),
    /// The kernel refused a link, and a look at the parent says why.
    #[error("cannot create {kind} {ifname} on {parent}: {reason}")]
    Refused {
        /// `macvlan` or `vlan`.
        kind: &'static str,
        /// The interface asked for.
        ifname: String,
        /// The interface it was to sit on.
        parent: String,
        /// What stands in the way, in a user's words.
        reason: String,
    },
    /// No such parent interface.
    #[error("master \"{parent}\": Link not found")]
    NoParent {
        /// The name asked for.
        parent: String,
    },
    /// `master` is empty and there is no default route to take it from.
    #[error("master: not given, and no default route interface found")]
    NoDefaultRoute,
    /// The MTU is above what the parent carries.
    #[error("mtu: invalid MTU {mtu}, must be [0, master MTU({parent_mtu})]")]
    Mtu {
        /// The value asked for, in bytes.
        mtu: i64,
        /// The parent's, in bytes.
        parent_mtu: u32,
    },
    /// The pod already has an interface of that name.
    #[error(
        "failed to rename {kind} to {ifname:?}: file exists in {netns}: another plugin or an earlier ADD made it"
    )]
    InterfaceExists {
        /// `macvlan` or `vlan`.
        kind: &'static str,
        /// The name.
        ifname: String,
        /// The pod's namespace.
        netns: String,
    },
    /// The namespace path is not usable.
    #[error("failed to open netns {}: {reason}", path.display())]
    Netns {
        /// `CNI_NETNS`.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A claimed address answers on the wire, and this IPAM cannot give another.
    #[error("address {address} is in use on the LAN by {holder}")]
    AddressInUse {
        /// The claimed address.
        address: IpAddr,
        /// Who answered.
        holder: MacAddr,
    },
    /// A claimed address answers on the wire from the MAC that the interface is to have.
    #[error(
        "address {address} is in use on the LAN by {mac}, the MAC of this interface: whoever had both before is still there, so wait until \
         it is gone or switch it off"
    )]
    MacInUse {
        /// The claimed address.
        address: IpAddr,
        /// The interface's MAC.
        mac: MacAddr,
    },
    /// Address after address was in use.
    #[error("gave up after {tried} addresses that were all in use on the LAN, the last one {address}")]
    TooManyConflicts {
        /// How many were tried.
        tried: usize,
        /// The last.
        address: IpAddr,
    },
    /// CHECK found a difference.
    #[error("{0}")]
    Mismatch(String),
    /// The parent is down: STATUS only.
    #[error("master {parent} is down: no frame can pass")]
    ParentDown {
        /// Its name.
        parent: String,
    },
    /// A file of Llano's own state.
    #[error("cannot {op} {}: {source}", path.display())]
    State {
        /// What was tried: `open`, `lock`, …
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// An address of ours is used by somebody else (a plugin-specific code, CNI spec: 100 and above).
pub const CODE_ADDRESS_IN_USE: u32 = 110;
/// CHECK found the attachment different from what was promised.
pub const CODE_MISMATCH: u32 = 111;

impl From<Error> for cni::Error {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Cni(error) => error,
            Error::Ipam(error) => crate::ipam::cni_error(error),
            Error::NoParent { .. } | Error::NoDefaultRoute | Error::Mtu { .. } => {
                cni::Error::invalid_config(text)
            }
            Error::Netns { .. } => cni::Error::netns(text),
            Error::AddressInUse { .. } | Error::MacInUse { .. } | Error::TooManyConflicts { .. } => {
                cni::Error::plugin(CODE_ADDRESS_IN_USE, text)
            }
            Error::Mismatch(_) => cni::Error::plugin(CODE_MISMATCH, text),
            Error::ParentDown { .. } => cni::Error::unavailable(text),
            Error::State { .. } => cni::Error::io(text),
            Error::Kernel(_) | Error::Refused { .. } | Error::InterfaceExists { .. } => {
                cni::Error::internal(text)
            }
        }
    }
}
