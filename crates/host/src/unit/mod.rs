//! What brings the declared state up at boot: a systemd unit with what belongs to it, or the line to call without systemd.

mod manifest;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use manifest::Manifest;

use crate::files::File;
use crate::state::InterfaceType;
use crate::{MoveAddress, State};

/// First line of what we write into directories of others.
pub(crate) const MARK: &str = "# Written by llano host enable; llano host disable takes it away.\n";

/// What is needed to have the declared state after a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enabling {
    /// Where everything goes, `/` or a tree that is made into a host later.
    pub root: PathBuf,
    /// The files, in the order in which they are written.
    pub files: Vec<File>,
    /// Without systemd: what to call, and where.
    pub by_hand: Option<ByHand>,
}

/// What to call at boot where there is no systemd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ByHand {
    /// The command.
    pub command: String,
    /// A place for it and what to write there.
    pub places: Vec<(String, String)>,
}

/// What a declared state makes that did not come with the machine.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Made {
    /// Names of virtual links.
    pub links: BTreeSet<String>,
    /// Kernel modules for them.
    pub modules: BTreeSet<&'static str>,
}

impl Made {
    /// Of a declared state.
    pub fn of(state: &State) -> Self {
        let mut made = Self::default();
        for interface in state.interfaces.iter().filter(|i| !i.is_absent() && !i.is_ignored()) {
            if let Some(how) = MoveAddress::declared(interface) {
                made.links.insert(how.child());
                made.modules.insert("macvlan");
            }
            let module = match interface.kind {
                Some(InterfaceType::Bond) => "bonding",
                Some(InterfaceType::Vlan) => "8021q",
                Some(InterfaceType::MacVlan) => "macvlan",
                Some(InterfaceType::MacVtap) => "macvtap",
                Some(InterfaceType::Dummy) => "dummy",
                _ => continue,
            };
            made.links.insert(interface.name.clone());
            made.modules.insert(module);
        }
        made
    }
}

impl Enabling {
    /// Plans it. `program` is where this program will be at boot.
    pub fn plan(root: &Path, program: &Path, made: &Made) -> Self {
        let mut files = host_files(root, made);
        let has_systemd =
            ["usr/lib/systemd/systemd", "lib/systemd/systemd", "run/systemd/system", "etc/systemd/system"]
                .iter()
                .any(|path| root.join(path).exists());
        let by_hand = if has_systemd {
            files.extend(service::files(root, program));
            None
        } else {
            Some(ByHand::of(program))
        };
        Self { root: root.to_owned(), files, by_hand }
    }
}

/// What udev and the module loader have to know, whoever calls us at boot.
pub fn host_files(root: &Path, made: &Made) -> Vec<File> {
    let mut files = Vec::new();
    if !made.modules.is_empty() {
        let modules = made.modules.iter().fold(MARK.to_owned(), |text, name| format!("{text}{name}\n"));
        files.push(File::text(root.join("etc/modules-load.d/llano.conf"), modules));
    }
    if made.modules.contains("bonding") {
        // The module makes a bond0 of its own when it is loaded.
        let text = format!("{MARK}options bonding max_bonds=0\n");
        files.push(File::text(root.join("etc/modprobe.d/llano.conf"), text));
    }
    files.extend(link_file(&root.join("etc/systemd/network"), made));
    files
}

/// Keeps udev from giving our links the MAC of its own policy. The first file that matches counts: ours names only links
/// that we make, and sorts early.
pub fn link_file(dir: &Path, made: &Made) -> Option<File> {
    if made.links.is_empty() {
        return None;
    }
    let names: Vec<&str> = made.links.iter().map(String::as_str).collect();
    let text = format!(
        "{MARK}[Match]\nOriginalName={}\n\n[Link]\nNamePolicy=keep\nMACAddressPolicy=none\n",
        names.join(" ")
    );
    Some(File::text(dir.join("05-llano.link"), text))
}

impl ByHand {
    fn of(program: &Path) -> Self {
        let command = format!("{} host boot", program.display());
        let openrc = format!(
            "#!/sbin/openrc-run\ndescription=\"Network of this host, by llano\"\n\ndepend() {{\n\tneed localmount\n\
             \tafter modules sysctl bootmisc\n\tbefore net containerd docker crio kubelet\n\tprovide net\n}}\n\n\
             start() {{\n\tebegin \"Network of /etc/llano/host.yaml\"\n\t{command}\n\teend $?\n}}\n"
        );
        let places = vec![
            ("/etc/rc.local, before its exit".to_owned(), format!("{command}\n")),
            ("/etc/init.d/llano-host with OpenRC, then: rc-update add llano-host boot".to_owned(), openrc),
        ];
        Self { command, places }
    }
}
