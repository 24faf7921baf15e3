//! The table of checks.

use crate::context::Context;
use crate::error::Result;
use crate::finding::{Finding, Group};
use crate::{interfaces, kernel_group, kubernetes, runtime, switch};

/// One check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its id: stable, unique over all groups.
    pub id: &'static str,
    /// Its group.
    pub group: Group,
    /// What it looks at, one line.
    pub about: &'static str,
    /// Looks. An error means that it could not be looked at.
    pub(crate) run: fn(&Context) -> Result<Vec<Finding>>,
}

const fn row(
    group: Group,
    id: &'static str,
    about: &'static str,
    run: fn(&Context) -> Result<Vec<Finding>>,
) -> Check {
    Check { id, group, about, run }
}

use Group::{Interfaces, Kernel, Kubernetes, Runtime, Switch};

/// All checks, group by group. docs/check.md tells what each means; a test keeps the two equal.
pub const CHECKS: &[Check] = &[
    row(Kernel, "kernel-version", "the kernel is new enough", kernel_group::version),
    row(Kernel, "macvlan-modes", "each macvlan mode is made in a scratch namespace", kernel_group::modes),
    row(Kernel, "macvtap", "a macvtap is made in a scratch namespace", kernel_group::macvtap),
    row(Kernel, "vlan", "an 802.1Q VLAN is made in a scratch namespace", kernel_group::vlan),
    row(Kernel, "bonding", "a bond is made in a scratch namespace", kernel_group::bonding),
    row(
        Kernel,
        "neighbour-table",
        "the neighbour table holds the ranges' addresses",
        kernel_group::neighbours,
    ),
    row(Kernel, "conntrack", "the table of tracked connections has room", kernel_group::conntrack),
    row(Interfaces, "link-state", "parents are up and have a carrier", interfaces::link_state),
    row(Interfaces, "bond-ports", "ports of bonds carry, and at one speed", interfaces::bond_ports),
    row(Interfaces, "mtu", "no link carries more than the one below it", interfaces::mtu),
    row(Interfaces, "promiscuity", "parents are promiscuous where they must be", interfaces::promiscuity),
    row(
        Interfaces,
        "mac-filters",
        "the parent's own filter has room for the containers' MACs",
        interfaces::filters,
    ),
    row(
        Interfaces,
        "rp-filter",
        "the reverse path filter drops nothing that belongs here",
        interfaces::rp_filter,
    ),
    row(Interfaces, "arp-settings", "the host answers ARP on the right interface", interfaces::arp),
    row(Interfaces, "forwarding", "forwarding is on where something needs it", interfaces::forwarding),
    row(
        Interfaces,
        "bridge-netfilter",
        "bridged frames pass iptables only where wanted",
        interfaces::bridge_nf,
    ),
    row(Runtime, "cni-directories", "the directories of CNI are there", runtime::directories),
    row(Runtime, "cni-configs", "each configuration parses", runtime::configs),
    row(Runtime, "cni-names", "no two configurations share a name", runtime::names),
    row(Runtime, "cni-masters", "the interface that a configuration names is there", runtime::masters),
    row(
        Runtime,
        "cni-plugins",
        "each plugin named is there, executable and answers VERSION",
        runtime::plugins,
    ),
    row(
        Runtime,
        "dhcp-daemon",
        "the DHCP daemon listens where a configuration needs it",
        runtime::dhcp_daemon,
    ),
    row(Kubernetes, "swap", "swap is as the kubelet wants it", kubernetes::swap),
    row(Kubernetes, "kubelet", "the kubelet looks into CNI's directories", kubernetes::kubelet),
    row(Kubernetes, "containerd", "containerd looks into CNI's directories", kubernetes::containerd),
    row(Kubernetes, "config-order", "the first configuration is the cluster's", kubernetes::order),
    row(Switch, "hypervisor", "whether this machine's network is a hypervisor's", switch::hypervisor),
    row(
        Switch,
        "foreign-macs",
        "frames of another MAC than the parent's pass the switch",
        switch::foreign_macs,
    ),
    row(Switch, "gateways", "each network's gateway answers", switch::gateways),
    row(Switch, "duplicates", "nobody else uses an address of the ranges", switch::duplicates),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_words_and_groups_stand_together() {
        let ids: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), CHECKS.len());
        assert!(ids.iter().all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c == '-')), "{ids:?}");
        assert!(CHECKS.is_sorted_by_key(|check| check.group));
    }

    /// Rows of the page's tables: the first cell is an id in backquotes.
    #[test]
    fn the_page_tells_every_check_and_no_other() {
        let page = include_str!("../../../docs/check.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let told: BTreeSet<&str> = rows.map(|(id, _)| id).collect();
        let ids = CHECKS.iter().map(|check| check.id).chain(crate::OVERLAY_IDS);
        assert_eq!(told, ids.collect());
    }
}
