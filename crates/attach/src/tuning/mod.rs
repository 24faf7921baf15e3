//! `tuning`: changes sysctls and a few settings of an interface that an earlier plugin of the chain made.
//!
//! Settings of the link are kept in a file before they are changed and put back by DEL, so that an interface that
//! outlives the container (moved back to the host, say) is as it was. Sysctls are not put back by DEL, as in the
//! reference: those of the interface go with it, those of the namespace go with the namespace, and another attachment
//! of the same pod may rely on the same value. A failed ADD puts back everything.

mod allowlist;
mod backup;
mod config;
mod key;
mod pattern;

use std::path::Path;

use cni::{CniResult, Plugin, Request};
use kernel::{Change, Errno, Link, Netlink, sysctl};

use self::allowlist::AllowList;
use self::backup::{BackupFile, Before, is_allmulti, is_promisc};
use self::config::{Wanted, data_dir};
use crate::link::{open_netns, open_netns_if_present};
use crate::warning::warn;
use crate::{Error, Result};

/// The plugin type `tuning`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tuning;

const NOT_CHAINED: &str = "Required prevResult missing";

impl Plugin for Tuning {
    fn about(&self) -> String {
        concat!("CNI tuning plugin llano-cni ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    fn add(&self, request: &Request) -> cni::Result<CniResult> {
        let wanted = read(request)?;
        let mut result = request.required_prev_result(NOT_CHAINED)?;
        let netns = open_netns(&request.env)?;
        let backup = BackupFile::of(&data_dir(request), &request.env.container_id, &request.env.ifname);
        netns.run(|| apply(request, &wanted, &backup)).map_err(Error::from)??;
        show_in(&mut result, &request.env.ifname, &wanted);
        Ok(result)
    }

    fn del(&self, request: &Request) -> cni::Result<()> {
        let backup = BackupFile::of(&data_dir(request), &request.env.container_id, &request.env.ifname);
        // Whatever goes wrong with putting back, the chain's DEL must go on: it releases addresses and links.
        if let (Some(before), Ok(Some(netns))) = (backup.read(), open_netns_if_present(&request.env))
            && let Err(error) = restore(&netns, &request.env.ifname, &before)
        {
            warn("tuning", format!("cannot put back the settings of {}: {error}", request.env.ifname));
        }
        if let Err(error) = backup.remove() {
            warn("tuning", format!("cannot remove the backup of {}: {error}", request.env.ifname));
        }
        Ok(())
    }

    fn check(&self, request: &Request) -> cni::Result<()> {
        let wanted = Wanted::read(request)?;
        request.required_prev_result(NOT_CHAINED)?;
        let netns = open_netns(&request.env)?;
        Ok(netns.run(|| check(&request.env.ifname, &wanted)).map_err(Error::from)??)
    }

    fn status(&self, request: &Request) -> cni::Result<()> {
        read(request).map(|_| ()).map_err(|error| cni::Error::unavailable(error.to_string()))
    }

    fn gc(&self, request: &Request) -> cni::Result<()> {
        let Some(valid) = request.valid_attachments()? else { return Ok(()) };
        let is_valid = |container_id: &str, ifname: &str| {
            valid
                .iter()
                .any(|attachment| attachment.container_id == container_id && attachment.ifname == ifname)
        };
        let dir = data_dir(request);
        let failed = |source| Error::State { op: "sweep", path: dir.clone(), source };
        Ok(backup::sweep(&dir, &request.name, is_valid).map_err(failed)?)
    }
}

/// The settings, once the administrator's list allows every sysctl among them.
fn read(request: &Request) -> cni::Result<Wanted> {
    let wanted = Wanted::read(request)?;
    if !wanted.sysctls.is_empty() {
        let list = AllowList::read(Path::new(allowlist::PATH))?;
        wanted.sysctls.iter().try_for_each(|(key, _)| list.check(key))?;
    }
    Ok(wanted)
}

/// Changes everything or nothing. The thread is in the pod's namespace.
fn apply(request: &Request, wanted: &Wanted, backup: &BackupFile) -> Result<()> {
    let ifname = &request.env.ifname;
    let undo = write_sysctls(wanted, ifname)?;
    let applied = set_link(request, wanted, backup);
    if applied.is_err() {
        unwrite_sysctls(&undo);
    }
    applied
}

fn set_link(request: &Request, wanted: &Wanted, backup: &BackupFile) -> Result<()> {
    let changes = wanted.changes();
    if changes.is_empty() {
        return Ok(());
    }
    let mut socket = Netlink::open()?;
    let link = find_link(&mut socket, &request.env.ifname)?;
    let before = Before::of(&link, wanted);
    backup.write(&before, &request.name)?;
    let batch: Vec<Change> =
        changes.iter().map(|(_, set)| Change::SetLink { index: link.index, set: set.clone() }).collect();
    socket.apply_all(&batch).map_err(|(failed, error)| {
        put_back(&mut socket, link.index, &before);
        let _ = backup.remove();
        refused(changes.get(failed).map_or("link", |(key, _)| key), &error)
    })
}

fn find_link(socket: &mut Netlink, ifname: &str) -> Result<Link> {
    socket
        .link_by_name(ifname)?
        .ok_or_else(|| Error::Mismatch(format!("Cannot find container link {ifname}")))
}

/// The kernel's refusal of a key: of its value (code 7), or of the change.
fn refused(key: &str, error: &kernel::Error) -> Error {
    let text = format!("{key}: {error}");
    Error::Cni(match error.errno() {
        Some(Errno::INVAL | Errno::RANGE | Errno::NOENT | Errno::ADDRNOTAVAIL) => {
            cni::Error::invalid_config(text)
        }
        Some(Errno::BUSY) if key == "mac" => {
            cni::Error::internal(format!("{text}: this kind of link cannot change it while it is up"))
        }
        Some(Errno::ADDRINUSE) => {
            cni::Error::internal(format!("{text}: the parent or another link on it has this MAC"))
        }
        _ => cni::Error::internal(text),
    })
}

/// Writes the sysctls in order; on failure puts back those already written. Returns what was there before.
fn write_sysctls(wanted: &Wanted, ifname: &str) -> Result<Vec<(String, String)>> {
    let mut undo = Vec::with_capacity(wanted.sysctls.len());
    for (key, value) in &wanted.sysctls {
        let path = key.path(ifname);
        // Some can only be written (`route/flush`): there is nothing to put back then.
        if let Ok(old) = sysctl::read(&path) {
            undo.push((path.clone(), old));
        }
        if let Err(error) = sysctl::write(&path, value) {
            unwrite_sysctls(&undo);
            return Err(refused(&format!("sysctl {} = {value:?}", key.text), &error));
        }
    }
    Ok(undo)
}

fn unwrite_sysctls(undo: &[(String, String)]) {
    for (path, old) in undo.iter().rev() {
        let _ = sysctl::write(path, old.trim_end_matches('\n'));
    }
}

/// Puts back what it can; the first failure is the caller's to tell.
fn put_back(socket: &mut Netlink, index: u32, before: &Before) -> Option<kernel::Error> {
    let mut first = None;
    for set in before.changes() {
        if let Err(error) = socket.apply(&Change::SetLink { index, set }) {
            first.get_or_insert(error);
        }
    }
    first
}

fn restore(netns: &kernel::NetNs, ifname: &str, before: &Before) -> Result<()> {
    let mut socket = Netlink::open_in(netns)?;
    let Some(index) = socket.index_of(ifname)? else { return Ok(()) };
    match put_back(&mut socket, index, before) {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// What changed, in the result that goes on along the chain.
fn show_in(result: &mut CniResult, ifname: &str, wanted: &Wanted) {
    // The host's end of a link may have the same name: it has no sandbox.
    let in_pod =
        result.interfaces.iter().any(|interface| interface.name == ifname && !interface.sandbox.is_empty());
    for interface in &mut result.interfaces {
        if interface.name != ifname || (in_pod && interface.sandbox.is_empty()) {
            continue;
        }
        if let Some(mac) = wanted.mac {
            interface.mac = mac.to_string();
        }
        if interface.mtu.is_some() {
            interface.mtu = wanted.mtu.or(interface.mtu);
        }
    }
}

/// The thread is in the pod's namespace.
fn check(ifname: &str, wanted: &Wanted) -> Result<()> {
    for (key, value) in &wanted.sysctls {
        let path = key.path(ifname);
        let current = match sysctl::read(&path) {
            // It can only be written.
            Err(error) if matches!(error.errno(), Some(Errno::ACCESS | Errno::PERM)) => continue,
            current => current?,
        };
        // The kernel shows a list of numbers with tabs, whatever stood between them when it was written.
        if !current.split_ascii_whitespace().eq(value.split_ascii_whitespace()) {
            return differs(&format!("value of /proc/sys/{path}"), value, current.trim_end());
        }
    }
    let mut socket = Netlink::open()?;
    let link = find_link(&mut socket, ifname)?;
    if let Some(mac) = wanted.mac.filter(|mac| Some(*mac) != link.mac) {
        let current = link.mac.map(|mac| mac.to_string()).unwrap_or_default();
        return differs(&format!("Ethernet of {ifname}"), &mac.to_string(), &current);
    }
    if wanted.promisc && !is_promisc(&link) {
        return differs(&format!("promisc of {ifname}"), "true", "false");
    }
    if let Some(mtu) = wanted.mtu.filter(|mtu| *mtu != link.mtu) {
        return differs(&format!("MTU of {ifname}"), &mtu.to_string(), &link.mtu.to_string());
    }
    if let Some(allmulti) = wanted.allmulti.filter(|allmulti| *allmulti != is_allmulti(&link)) {
        let current = is_allmulti(&link).to_string();
        return differs(&format!("all-multicast mode of {ifname}"), &allmulti.to_string(), &current);
    }
    if let Some(length) = wanted.tx_queue_len.filter(|length| *length != link.tx_queue_len) {
        let current = link.tx_queue_len.to_string();
        return differs(&format!("Transmit Queue Length of {ifname}"), &length.to_string(), &current);
    }
    Ok(())
}

fn differs(what: &str, wanted: &str, current: &str) -> Result<()> {
    Err(Error::Mismatch(format!("Error: Tuning configured {what} is {wanted}, current value is {current}")))
}
