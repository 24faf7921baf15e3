//! Where addresses come from: `ipam.type`. Ours run in-process, any other plugin is executed.
//!
//! The recipe ([`crate::macvlan`], [`crate::vlan`]) knows only [`Ipam`].

pub mod dhcp;

use std::net::IpAddr;
use std::time::Duration;

use cni::{CniResult, IpConfig, Request};
use kernel::MacAddr;

use crate::paths::Paths;
use crate::{Error, Result};

/// The IPAM of a network, parsed.
#[derive(Debug)]
pub enum Ipam {}

impl Ipam {
    /// The IPAM that the configuration names; `None` for a network without addresses (no `ipam`, no `ipam.type`).
    pub fn parse(request: &Request, paths: &Paths) -> Result<Option<Self>> {
        let _ = (request, paths);
        Ok(None)
    }

    /// The same for DEL and GC, which must work whatever became of the rest of the configuration.
    pub fn parse_for_removal(request: &Request, paths: &Paths) -> Result<Option<Self>> {
        let _ = (request, paths);
        Ok(None)
    }

    /// Whether it speaks over the pod's link (dhcp, any foreign plugin): then the link must be up before [`Self::claim`]
    /// and still there at [`Self::release`].
    pub fn needs_link_up(&self) -> bool {
        false
    }

    /// Whether it asks the LAN itself before it hands out an address (dhcp).
    pub fn probes_itself(&self) -> bool {
        false
    }

    /// Claims the attachment's addresses: `ips`, `routes`, `dns` of a result. A failed claim leaves nothing.
    pub fn claim(&self, request: &Request) -> Result<CniResult> {
        let _ = request;
        Ok(CniResult::default())
    }

    /// One of the claimed addresses is in use on the LAN by `holder`: puts it in quarantine, gives it back and claims
    /// another of the same range set. [`Error::AddressInUse`] where the address was asked for by name or the IPAM has no other.
    pub fn replace(
        &self,
        request: &Request,
        conflict: IpAddr,
        holder: MacAddr,
        quarantine: Duration,
    ) -> Result<IpConfig> {
        let _ = (request, quarantine);
        Err(Error::AddressInUse { address: conflict, holder })
    }

    /// Gives back what the attachment holds; nothing held is success.
    pub fn release(&self, request: &Request) -> Result<()> {
        let _ = request;
        Ok(())
    }

    /// CHECK.
    pub fn check(&self, request: &Request) -> Result<()> {
        let _ = request;
        Ok(())
    }

    /// STATUS: fails when a claim would.
    pub fn status(&self, request: &Request) -> Result<()> {
        let _ = request;
        Ok(())
    }

    /// GC: gives back what belongs to no valid attachment.
    pub fn gc(&self, request: &Request) -> Result<()> {
        let _ = request;
        Ok(())
    }
}

/// The CNI error of an address directory's error.
pub(crate) fn cni_error(error: ipam::Error) -> cni::Error {
    cni::Error::internal(error.to_string())
}
