//! Why the kernel refused a macvlan: its bare EINVAL or EBUSY, explained from a look at the parent's children.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kernel::{Link, LinkKind, MacvlanMode, NetNs, Netlink};

use crate::Error;

/// A macvlan on the parent, wherever it is.
struct Child {
    name: String,
    mode: MacvlanMode,
    place: String,
}

/// Turns the kernel's refusal into one that names what stands in the way; other errors pass unchanged. `creator` speaks to
/// `home`, the parent's namespace.
pub(super) fn explain(
    error: Error,
    home: &NetNs,
    creator: &mut Netlink,
    parent: &Link,
    mode: MacvlanMode,
    ifname: &str,
) -> Error {
    let errno = match &error {
        Error::Kernel(error) => error.errno(),
        _ => None,
    };
    let known = |errno: &kernel::Errno| {
        matches!(*errno, kernel::Errno::INVAL | kernel::Errno::BUSY | kernel::Errno::EXIST)
    };
    let Some(errno) = errno.filter(known) else { return error };
    let reason = if errno == kernel::Errno::EXIST {
        format!(
            "{error}: Llano gives the link this name for a moment, and another interface has it \
             (older kernels look on the host too)"
        )
    } else if let Some(port_of) = owner(creator, parent) {
        format!("{} is {port_of}, and an interface can only be one of the two", parent.name)
    } else {
        let real = real_parent(parent);
        let children = children(parent, home, creator);
        match (children.iter().find(|child| child.mode == MacvlanMode::Passthru), children.first()) {
            (Some(child), _) => format!(
                "{} belongs wholly to {} in {}, which has mode passthru",
                parent.name, child.name, child.place
            ),
            (None, Some(child)) if mode == MacvlanMode::Passthru => format!(
                "mode passthru needs {} for itself, and it carries {} already, such as {} (mode {}) in {}",
                parent.name,
                counted(children.len()),
                child.name,
                child.mode,
                child.place
            ),
            _ => format!("{}{} ({error})", unexplained(errno), real),
        }
    };
    Error::Refused { kind: "macvlan", ifname: ifname.to_owned(), parent: parent.name.clone(), reason }
}

fn counted(count: usize) -> String {
    match count {
        1 => "one macvlan".to_owned(),
        _ => format!("{count} macvlans"),
    }
}

fn unexplained(errno: kernel::Errno) -> &'static str {
    match errno {
        kernel::Errno::BUSY => "another driver (ipvlan, bridge, bond, team) holds it",
        _ => "the kernel refuses it, and no interface that Llano can see stands in the way",
    }
}

/// A parent that is itself a macvlan stands for its own parent: say so when that one is elsewhere.
fn real_parent(parent: &Link) -> String {
    match (&parent.kind, parent.parent_nsid) {
        (LinkKind::Macvlan(child), Some(_)) => format!(
            "; {} is itself a macvlan (mode {}) whose parent is in another network namespace, and that parent counts",
            parent.name, child.mode
        ),
        (LinkKind::Macvlan(child), None) => {
            format!("; {} is itself a macvlan (mode {})", parent.name, child.mode)
        }
        _ => String::new(),
    }
}

/// What holds the parent's receive handler, when it is a port of something.
fn owner(creator: &mut Netlink, parent: &Link) -> Option<String> {
    let master = creator.link_by_index(parent.master?).ok()??;
    Some(format!("a port of {} {}", master.kind.name().unwrap_or("interface"), master.name))
}

/// The macvlans on `parent` in every namespace that this process can see.
fn children(parent: &Link, home: &NetNs, creator: &mut Netlink) -> Vec<Child> {
    let mut found = Vec::new();
    // The number by which the children's namespace names the parent's: elsewhere another link has the same index.
    let mut look = |links: kernel::Result<Vec<Link>>, place: &str, number: Option<i32>| {
        for link in links.unwrap_or_default() {
            let on_parent = link.parent == Some(parent.index) && link.parent_nsid == number;
            if let LinkKind::Macvlan(macvlan) | LinkKind::Macvtap(macvlan) = &link.kind
                && on_parent
            {
                found.push(Child { name: link.name.clone(), mode: macvlan.mode, place: place.to_owned() });
            }
        }
    };
    look(creator.links(), "the same namespace", None);
    let mut seen = BTreeSet::from_iter(home.id());
    for path in namespaces() {
        let Ok(netns) = NetNs::open(&path) else { continue };
        if netns.id().is_ok_and(|id| seen.insert(id))
            && let Ok(mut socket) = Netlink::open_in(&netns)
        {
            // It is the list that makes the kernel give out the number.
            let links = socket.links();
            if let Ok(number @ Some(_)) = socket.nsid_of(home) {
                look(links, &path.display().to_string(), number);
            }
        }
    }
    found
}

/// Where runtimes keep namespaces, names before process numbers, which say less.
fn namespaces() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for dir in ["/run/netns", "/run/docker/netns"] {
        paths.extend(entries(Path::new(dir)));
    }
    let processes = entries(Path::new("/proc")).into_iter();
    let numbered = processes.filter(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    });
    paths.extend(numbered.map(|path| path.join("ns/net")));
    paths
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}
