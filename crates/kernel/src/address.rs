//! Addresses of interfaces.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// An address on an interface (`RTM_NEWADDR`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub index: u32,
    /// The address itself with its prefix length; host bits are kept.
    pub net: IpNet,
    /// The other end of a point-to-point link, to which the prefix length then belongs.
    pub peer: Option<IpAddr>,
    /// `RT_SCOPE_*`.
    pub scope: u8,
    /// `IFA_F_*`.
    pub flags: u32,
    /// The IPv4 broadcast address; `None` sends none and the kernel sets none.
    pub broadcast: Option<Ipv4Addr>,
    /// Seconds it stays; `None` is for ever.
    pub valid: Option<u32>,
    /// Seconds it is preferred; `None` is for ever.
    pub preferred: Option<u32>,
    /// `IFA_PROTO`, who set it; 0 is not said. Kernels before 5.18 ignore it.
    pub proto: u8,
}

impl Address {
    /// An address of global scope that stays for ever. Like the kernel, it has no broadcast address unless asked.
    pub fn new(index: u32, net: IpNet) -> Self {
        Self {
            index,
            net,
            peer: None,
            scope: 0,
            flags: 0,
            broadcast: None,
            valid: None,
            preferred: None,
            proto: 0,
        }
    }

    /// With the customary broadcast address: the last of an IPv4 network of /30 or wider.
    #[must_use]
    pub fn with_broadcast(mut self) -> Self {
        if let IpNet::V4(net) = self.net
            && net.prefix_len() < 31
        {
            self.broadcast = Some(net.broadcast());
        }
        self
    }

    /// With these `IFA_F_*` bits too.
    #[must_use]
    pub fn with_flags(mut self, flags: u32) -> Self {
        self.flags |= flags;
        self
    }
}
