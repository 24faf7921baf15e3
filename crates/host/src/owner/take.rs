//! Keeping a tool off our interfaces.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Foreign, Owner, Subject, Tool, View};
use crate::files::File;
use crate::{Error, Result};

const NETWORKD: &str = "etc/systemd/network/00-llano-unmanaged.network";
const NETWORKD_CONF: &str = "etc/systemd/networkd.conf.d/90-llano.conf";
const NETWORK_MANAGER: &str = "etc/NetworkManager/conf.d/90-llano.conf";
const MARK: &str = "# Written by llano host apply --take; llano host disable takes it away.\n";

/// How long a tool may take to read its files again.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);

/// What keeps other tools off.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Taking {
    /// Files to be written before the network is changed.
    pub files: Vec<File>,
}

/// The files that keep these owners off their interfaces. Interfaces that earlier files name stay in them.
///
/// # Errors
/// [`Error::Owned`] for one that no file can keep off.
pub fn taking(view: &View, owners: &[Owner]) -> Result<Taking> {
    if let Some(owner) = owners.iter().find(|owner| !owner.tool.can_be_kept_off()) {
        return Err(Error::owned(owner));
    }
    let of = |tool: Tool| {
        owners.iter().filter(move |owner| owner.tool == tool).map(|owner| owner.interface.clone())
    };
    let mut files = Vec::new();
    let names = with_earlier(view, NETWORKD, "Name=", of(Tool::SystemdNetworkd).collect());
    if !names.is_empty() {
        let text = format!("{MARK}[Match]\nName={}\n\n[Link]\nUnmanaged=yes\n", joined(&names, " "));
        files.push(File::text(view.path(NETWORKD), text));
    }
    if Foreign::of(view).is_some_and(|foreign| foreign.routes || foreign.rules) {
        let text = format!("{MARK}[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n");
        files.push(File::text(view.path(NETWORKD_CONF), text));
    }
    let names = with_earlier(view, NETWORK_MANAGER, "match-device=", of(Tool::NetworkManager).collect());
    if !names.is_empty() {
        let devices: BTreeSet<String> = names.iter().map(|name| format!("interface-name:={name}")).collect();
        let text = format!("{MARK}[device-llano]\nmatch-device={}\nmanaged=0\n", joined(&devices, ";"));
        files.push(File::text(view.path(NETWORK_MANAGER), text));
    }
    Ok(Taking { files })
}

/// These names with those of the file that we wrote earlier; nothing when there are no new ones.
fn with_earlier(view: &View, path: &str, key: &str, mut names: BTreeSet<String>) -> BTreeSet<String> {
    if names.is_empty() {
        return names;
    }
    names.extend(names_in(view, path, key));
    names
}

/// The interfaces that a file of ours names.
fn names_in(view: &View, path: &str, key: &str) -> Vec<String> {
    let text = view.read(&view.path(path)).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    let words = line.split([' ', ';']).map(|word| word.trim_start_matches("interface-name:="));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn joined(names: &BTreeSet<String>, by: &str) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(by)
}

/// Asks the tools that these files are of to read them again, and waits until they have let go of those of these
/// interfaces that the files name. A tool that does not run, or is not there, needs nothing.
pub fn reload(view: &View, paths: &[PathBuf], subjects: &[Subject]) {
    let wrote = |path: &str| paths.iter().any(|written| *written == view.path(path));
    if wrote(NETWORKD) && view.runs("systemd-network") {
        ask("networkctl", &["reload"]);
    }
    if wrote(NETWORK_MANAGER) && view.runs("NetworkManager") {
        ask("nmcli", &["general", "reload", "conf"]);
    }
    let mut ours = BTreeSet::new();
    for (path, key) in [(NETWORKD, "Name="), (NETWORK_MANAGER, "match-device=")] {
        if wrote(path) {
            ours.extend(names_in(view, path, key));
        }
    }
    let let_go: Vec<Subject> =
        subjects.iter().filter(|subject| ours.contains(&subject.name)).cloned().collect();
    if !let_go.is_empty() {
        super::release::wait(view, &let_go);
    }
    if paths.iter().any(|path| path.extension() == Some("link".as_ref()))
        && Path::new("/run/udev/control").exists()
    {
        ask("udevadm", &["control", "--reload"]);
    }
    if paths.iter().any(|path| path.extension() == Some("service".as_ref()))
        && Path::new("/run/systemd/system").exists()
    {
        ask("systemctl", &["daemon-reload"]);
    }
}

/// Asks a tool, and waits for no answer that does not come: a change of the network waits meanwhile.
fn ask(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It may not be installed, or its bus not be up: what was written counts from its next start.
    let Ok(mut child) = command.spawn() else { return };
    let end = Instant::now() + LONGEST_ANSWER;
    while let Ok(None) = child.try_wait() {
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
