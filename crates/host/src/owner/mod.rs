//! Which other tool on the host looks after an interface, with the file that says so.
//!
//! A tool counts when it runs in this network namespace, or will at the next boot. What a running tool wrote down about
//! itself comes before what its configuration lets one expect.

mod dhcp_client;
mod glob;
mod ifupdown;
mod ini;
mod netplan;
mod network_manager;
mod networkd;
mod release;
mod take;
#[cfg(test)]
mod tests;
mod view;

use std::path::PathBuf;

use kernel::{LinkKind, MacAddr, Netlink};
use serde::Serialize;

pub use networkd::Foreign;
pub use take::{Taking, reload, taking};
pub use view::{Running, View};

use crate::Result;

/// A tool that configures interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// NetworkManager.
    NetworkManager,
    /// systemd-networkd.
    SystemdNetworkd,
    /// netplan, which writes for one of the two above.
    Netplan,
    /// ifupdown's `/etc/network/interfaces`.
    Ifupdown,
    /// dhclient, dhcpcd or udhcpc on its own.
    DhcpClient,
}

/// That a tool looks after an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The interface.
    pub interface: String,
    /// The tool.
    pub tool: Tool,
    /// The file or process that says so.
    pub evidence: PathBuf,
    /// What it says.
    pub says: String,
    /// Whether the tool runs now, or only comes with the next boot.
    pub running: bool,
}

/// An interface as the tools match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its number; 0 when it is still to be made.
    pub index: u32,
    /// Its MAC.
    pub mac: Option<MacAddr>,
    /// The MAC of its hardware.
    pub permanent_mac: Option<MacAddr>,
    /// The kernel's word for its kind, none for hardware.
    pub kind: Option<String>,
    /// Whether it is the loopback.
    pub loopback: bool,
}

impl Subject {
    /// Every link of a namespace.
    ///
    /// # Errors
    /// When the kernel refuses a dump.
    pub fn all(netlink: &mut Netlink) -> Result<Vec<Self>> {
        let subject = |link: kernel::Link| Self {
            index: link.index,
            mac: link.mac,
            permanent_mac: link.perm_mac,
            kind: match &link.kind {
                LinkKind::Physical => None,
                kind => kind.name().map(str::to_owned),
            },
            loopback: link.is_loopback(),
            name: link.name,
        };
        Ok(netlink.links()?.into_iter().map(subject).collect())
    }

    /// A link of that name that is still to be made.
    pub fn to_be_made(name: &str) -> Self {
        Self { name: name.to_owned(), index: 0, mac: None, permanent_mac: None, kind: None, loopback: false }
    }
}

/// Who looks after these interfaces; several tools may claim one.
pub fn find(view: &View, subjects: &[Subject]) -> Vec<Owner> {
    let subjects: Vec<&Subject> = subjects.iter().filter(|subject| !subject.loopback).collect();
    let mut owners = network_manager::owners(view, &subjects);
    owners.extend(networkd::owners(view, &subjects));
    // netplan writes for the other two: it is the one to be told, and they are not named beside it.
    for owner in netplan::owners(view, &subjects) {
        owners.retain(|other| {
            let writes_for = matches!(other.tool, Tool::NetworkManager | Tool::SystemdNetworkd);
            !(writes_for && other.interface == owner.interface)
        });
        owners.retain(|other| (&other.interface, other.tool) != (&owner.interface, owner.tool));
        owners.push(owner);
    }
    owners.extend(ifupdown::owners(view, &subjects));
    owners.extend(dhcp_client::owners(view, &subjects));
    owners.sort_by(|a, b| (&a.interface, a.tool).cmp(&(&b.interface, b.tool)));
    owners
}

impl Tool {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetworkManager => "NetworkManager",
            Self::SystemdNetworkd => "systemd-networkd",
            Self::Netplan => "netplan",
            Self::Ifupdown => "ifupdown",
            Self::DhcpClient => "a DHCP client",
        }
    }

    /// Whether `--take` can keep it off an interface.
    pub fn can_be_kept_off(self) -> bool {
        matches!(self, Self::NetworkManager | Self::SystemdNetworkd)
    }

    /// What a person does to keep it off an interface.
    pub fn remedy(self, interface: &str) -> String {
        match self {
            Self::NetworkManager | Self::SystemdNetworkd => {
                "apply with --take, which tells it to leave the interface alone".to_owned()
            }
            Self::Netplan => format!(
                "netplan has no word for an interface that it shall leave alone: take {interface} out of its \
                 file, then `netplan apply`, then apply again"
            ),
            Self::Ifupdown => format!(
                "take the stanza of {interface} out of that file (`ifdown {interface}` first, if its addresses \
                 are to go), then apply again"
            ),
            Self::DhcpClient => format!(
                "end it and what starts it (`dhclient -x {interface}`, `dhcpcd --exit {interface}`), or leave \
                 {interface} to it and declare no addresses there"
            ),
        }
    }
}
