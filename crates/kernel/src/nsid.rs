//! The numbers by which one namespace knows another (`RTM_GETNSID`).

use std::os::fd::{AsFd, AsRawFd};

use crate::uapi::*;
use crate::wire::{Attrs, Writer};
use crate::{Error, NetNs, Netlink, Result};

/// Length of `struct rtgenmsg`, padded.
const HEADER: usize = 4;

impl Netlink {
    /// The number that this socket's namespace has for another: what [`crate::Link::parent_nsid`] says. `None` while it
    /// has none.
    pub fn nsid_of(&mut self, ns: &NetNs) -> Result<Option<i32>> {
        let encode = |w: &mut Writer| {
            w.begin(RTM_GETNSID, 0);
            w.raw(&[AF_UNSPEC, 0, 0, 0]);
            w.attr(NETNSA_FD, &ns.as_fd().as_raw_fd().to_ne_bytes());
            w.end()
        };
        let mut found = None;
        let mut read = |raw: &crate::wire::Raw<'_>| {
            if raw.kind == RTM_NEWNSID {
                let attr = Attrs::after(raw.body, HEADER).find(|attr| attr.kind == NETNSA_NSID);
                found = attr.and_then(|attr| attr.value.first_chunk()).map(|b| i32::from_ne_bytes(*b));
            }
        };
        self.get(&encode, &mut read)?
            .map_err(|errno| Error::new("read", "the number of a namespace", errno))?;
        Ok(found.filter(|number| *number >= 0))
    }
}
