//! Where addresses come from: `ipam.type`. Ours run in-process, any other plugin is executed.
//!
//! The recipe ([`crate::macvlan`], [`crate::vlan`]) knows only [`Ipam`].

mod delegate;
pub mod dhcp;
pub mod host_local;
mod resolv_conf;
pub mod static_addresses;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use cni::{CniResult, IpConfig, Request, ValidAttachment, Verb, Version};
use kernel::MacAddr;

pub use delegate::Delegate;
pub use dhcp::{Dhcp, DhcpPlugin};
pub use host_local::{HostLocal, HostLocalPlugin};
pub use resolv_conf::parse_resolv_conf;
pub use static_addresses::{StaticAddresses, StaticPlugin};

use crate::error::CODE_ADDRESS_IN_USE;
use crate::paths::Paths;
use crate::{Error, Result};

/// The IPAM of a network, parsed.
#[derive(Debug)]
pub enum Ipam {
    /// Ranges of this host.
    HostLocal(Box<HostLocal>),
    /// Named addresses; `None` when parsed for a removal, which has nothing to do.
    Static(Option<Box<StaticAddresses>>),
    /// Leases from the LAN's DHCP servers, kept by the daemon.
    Dhcp(Box<Dhcp>),
    /// A plugin to execute.
    Delegate(Delegate),
}

impl Ipam {
    /// The IPAM that the configuration names; `None` for a network without addresses (no `ipam`, no `ipam.type`).
    ///
    /// # Errors
    /// Code 7, or 4 for `CNI_ARGS`.
    pub fn parse(request: &Request, paths: &Paths) -> Result<Option<Self>> {
        Ok(match request.ipam_type()? {
            None => None,
            Some("host-local") => Some(Self::HostLocal(Box::new(HostLocal::parse(request, paths)?))),
            Some("static") => Some(Self::Static(Some(Box::new(StaticAddresses::parse(request)?)))),
            Some("dhcp") => Some(Self::Dhcp(Box::new(Dhcp::parse(request, paths)?))),
            Some(other) => Some(Self::Delegate(Delegate::new(other))),
        })
    }

    /// The same for DEL and GC, which must work whatever became of the rest of the configuration.
    ///
    /// # Errors
    /// Code 7 when not even the IPAM's type and directory can be read.
    pub fn parse_for_removal(request: &Request, paths: &Paths) -> Result<Option<Self>> {
        Ok(match request.ipam_type()? {
            None => None,
            Some("host-local") => {
                Some(Self::HostLocal(Box::new(HostLocal::parse_for_removal(request, paths)?)))
            }
            Some("static") => Some(Self::Static(None)),
            Some("dhcp") => Some(Self::Dhcp(Box::new(Dhcp::parse_for_removal(request, paths)?))),
            Some(other) => Some(Self::Delegate(Delegate::new(other))),
        })
    }

    /// Whether it speaks over the pod's link (dhcp, any foreign plugin): then the link must be up before [`Self::claim`]
    /// and still there at [`Self::release`].
    pub fn needs_link_up(&self) -> bool {
        matches!(self, Self::Dhcp(_) | Self::Delegate(_))
    }

    /// Whether it asks the LAN itself before it hands out an address (dhcp).
    pub fn probes_itself(&self) -> bool {
        matches!(self, Self::Dhcp(_))
    }

    /// Claims the attachment's addresses: `ips`, `routes`, `dns` of a result. A failed claim leaves nothing.
    ///
    /// # Errors
    /// The IPAM's own.
    pub fn claim(&self, request: &Request) -> Result<CniResult> {
        match self {
            Self::HostLocal(host_local) => host_local.claim(request),
            Self::Static(addresses) => {
                Ok(addresses.as_ref().map_or_else(CniResult::default, |addresses| addresses.claim()))
            }
            Self::Dhcp(dhcp) => dhcp.claim(request),
            Self::Delegate(delegate) => delegate.claim(request),
        }
    }

    /// One of the claimed addresses is in use on the LAN by `holder`: puts it in quarantine, gives it back and claims
    /// another of the same range set.
    ///
    /// # Errors
    /// [`Error::AddressInUse`] where the address was asked for by name or the IPAM has no other.
    pub fn replace(
        &self,
        request: &Request,
        conflict: IpAddr,
        holder: MacAddr,
        quarantine: Duration,
    ) -> Result<IpConfig> {
        match self {
            Self::HostLocal(host_local) => host_local.replace(request, conflict, holder, quarantine),
            _ => Err(Error::AddressInUse { address: conflict, holder }),
        }
    }

    /// Gives back what the attachment holds; nothing held is success.
    ///
    /// # Errors
    /// The IPAM's own.
    pub fn release(&self, request: &Request) -> Result<()> {
        match self {
            Self::HostLocal(host_local) => host_local.release(request),
            Self::Static(_) => Ok(()),
            Self::Dhcp(dhcp) => dhcp.release(request),
            Self::Delegate(delegate) => delegate.call(request, Verb::Del),
        }
    }

    /// CHECK.
    ///
    /// # Errors
    /// [`Error::Mismatch`], or the IPAM's own.
    pub fn check(&self, request: &Request) -> Result<()> {
        match self {
            Self::HostLocal(host_local) => host_local.check(request),
            Self::Static(addresses) => {
                addresses.as_ref().map_or(Ok(()), |addresses| addresses.check(request))
            }
            Self::Dhcp(dhcp) => dhcp.check(request),
            Self::Delegate(delegate) => delegate.call(request, Verb::Check),
        }
    }

    /// STATUS: fails when a claim would.
    ///
    /// # Errors
    /// Code 50 when there is nothing to give, or the IPAM's own.
    pub fn status(&self, request: &Request) -> Result<()> {
        match self {
            Self::HostLocal(host_local) => host_local.status(),
            Self::Static(_) => Ok(()),
            Self::Dhcp(dhcp) => dhcp.status(request),
            Self::Delegate(delegate) => delegate.call(request, Verb::Status),
        }
    }

    /// GC: gives back what belongs to no valid attachment.
    ///
    /// # Errors
    /// Code 7 without a list of valid attachments, or the IPAM's own.
    pub fn gc(&self, request: &Request) -> Result<()> {
        match self {
            Self::HostLocal(host_local) => host_local.gc(valid_attachments(request)?),
            Self::Static(_) => Ok(()),
            Self::Dhcp(dhcp) => dhcp.gc(request),
            Self::Delegate(delegate) => delegate.call(request, Verb::Gc),
        }
    }
}

/// What GC must keep. No list at all is an error, an empty one is not: to guess here would take running pods' addresses.
pub(crate) fn valid_attachments(request: &Request) -> cni::Result<Vec<ValidAttachment>> {
    request.valid_attachments()?.ok_or_else(|| {
        cni::Error::invalid_config(
            "cni.dev/valid-attachments: missing, expected a list of attachments to keep",
        )
    })
}

/// One line on a plugin type.
fn about(name: &str) -> String {
    format!("CNI {name} plugin llano-cni {}", env!("CARGO_PKG_VERSION"))
}

/// Results before 0.3.0 have one place for each family.
fn too_many(version: Version) -> cni::Error {
    cni::Error::invalid_config(format!(
        "CNI version {} does not support more than 1 address per family",
        version.as_str()
    ))
}

/// The CNI error of an address directory's error: code 11 for a set that is exhausted now, 110 for a requested address
/// that another has, 7 for what the configuration asks in vain, 5 for the system's refusals.
#[allow(clippy::needless_pass_by_value)] // the shape of a conversion
pub(crate) fn cni_error(error: ipam::Error) -> cni::Error {
    let (text, details) = (error.to_string(), error.details());
    let typed = match cause(&error) {
        ipam::Error::Exhausted(_) => cni::Error::try_again(text),
        ipam::Error::NotAvailable(..) => cni::Error::plugin(CODE_ADDRESS_IN_USE, text),
        ipam::Error::Duplicate { .. } => cni::Error::internal(text),
        ipam::Error::Io { .. } => cni::Error::io(text),
        _ => cni::Error::invalid_config(text),
    };
    match details {
        Some(details) => typed.with_details(details),
        None => typed,
    }
}

fn cause(error: &ipam::Error) -> &ipam::Error {
    match error {
        ipam::Error::InSet { source, .. } => cause(source),
        other => other,
    }
}
