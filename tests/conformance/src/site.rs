//! A lab's host as an administrator prepares it, and what must be left of it in the end.

use std::fs;
use std::path::Path;

use kernel::{Netlink, RouteFilter};
use lab::{Host, Plugins};

/// Where runtimes look for plugins.
pub const PLUGINS: &str = "/opt/cni/bin";
/// Where the handbook puts its file.
pub const NETWORK_FILE: &str = "/etc/cni/net.d/macvlan.conf";
/// Where the handbook's file has the leases: its dataDir and its name.
pub const LEASES: &str = "/run/my-orchestrator/container-ipam-state/k8s-pod-network";

/// Whose plugins a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Ours.
    Llano,
    /// Debian's package containernetworking-plugins.
    Reference,
}

/// Gives a host its plugins, its network's file, and the address it gave out last.
///
/// # Panics
/// When something cannot be written.
pub fn prepare(host: &Host, whose: Whose, conf: &str, last: Option<&str>) {
    let llano_cni = netns_tests::bin_dir().join("llano-cni");
    let reference = netns_tests::reference_plugins();
    let write = || {
        match whose {
            Whose::Llano => drop(Plugins::install(&llano_cni, Path::new(PLUGINS)).unwrap()),
            Whose::Reference => {
                fs::create_dir_all(PLUGINS).unwrap();
                for name in ["macvlan", "host-local", "loopback"] {
                    std::os::unix::fs::symlink(reference.dir().join(name), Path::new(PLUGINS).join(name))
                        .unwrap();
                }
            }
        }
        fs::create_dir_all("/etc/cni/net.d").unwrap();
        fs::write(NETWORK_FILE, conf).unwrap();
        if let Some(last) = last {
            fs::create_dir_all(LEASES).unwrap();
            fs::write(format!("{LEASES}/last_reserved_ip.0"), last).unwrap();
        }
    };
    host.run_in(write).unwrap_or_else(|error| panic!("{error}"));
}

/// The links, addresses and routes of a host, one a line.
///
/// # Panics
/// When the kernel does not tell.
pub fn state(host: &Host) -> Vec<String> {
    let mut netlink = Netlink::open_in(host.net()).unwrap();
    let links = netlink.links().unwrap().into_iter().map(|link| format!("link {}", link.name));
    let mut all: Vec<String> = links.collect();
    let addresses = netlink.addresses(None).unwrap();
    all.extend(addresses.iter().map(|address| format!("address {} on {}", address.net, address.index)));
    let routes = netlink.routes(&RouteFilter::default()).unwrap();
    let route = |route: &kernel::Route| {
        format!("route {:?} via {:?} table {}", route.dst, route.gateway, route.table)
    };
    // The kernel's own table follows from the addresses, and of IPv6 only once duplicate address detection has passed.
    const LOCAL: u32 = 255;
    all.extend(routes.iter().filter(|route| route.table != LOCAL).map(route));
    all.sort();
    all
}

/// The files of a host in which an attachment leaves its trace: leases, libcni's results, runtimes' namespaces.
///
/// # Panics
/// When the host cannot be entered.
pub fn leftovers(host: &Host) -> Vec<String> {
    let look = || {
        let mut found = Vec::new();
        for dir in [LEASES, "/var/lib/cni/results", "/run/netns"] {
            let names = fs::read_dir(dir).into_iter().flatten().flatten();
            found.extend(names.map(|entry| entry.path().display().to_string()));
        }
        found.sort();
        found
    };
    host.run_in(look).unwrap_or_else(|error| panic!("{error}"))
}
