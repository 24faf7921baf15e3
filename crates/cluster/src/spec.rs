//! What a cluster is made of, and its addresses.

use std::net::Ipv4Addr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Host of the control plane.
pub(crate) const CONTROL: &str = "control";
/// Address of the API server on the LAN.
pub(crate) const API: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
/// First address of the services, the API server's.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// Address of the cluster's DNS.
pub(crate) const DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// Addresses of services.
pub(crate) const SERVICES: &str = "10.96.0.0/16";
/// Addresses of pods on the primary network.
pub(crate) const PODS: &str = "10.244.0.0/16";
/// Port of the API server.
pub(crate) const API_PORT: u16 = 6443;

/// Largest number of nodes; 2 cores run two or three.
const MOST: u8 = 20;

/// Which containerd the nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Containerd {
    /// The distribution's (1.6 or 1.7), as most clusters have it.
    #[default]
    Distribution,
    /// 2.x, built from source.
    V2,
}

/// What a cluster is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSpec {
    nodes: u8,
    containerd: Containerd,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        ClusterSpec { nodes: 2, containerd: Containerd::default() }
    }
}

impl ClusterSpec {
    /// A cluster of so many nodes, named `node1` and so on.
    ///
    /// # Errors
    /// When there would be none, or too many.
    pub fn new(nodes: u8, containerd: Containerd) -> Result<Self> {
        if !(1..=MOST).contains(&nodes) {
            return Err(Error::Spec { key: "nodes", value: nodes.to_string(), allowed: "1 to 20" });
        }
        Ok(ClusterSpec { nodes, containerd })
    }

    /// A control plane alone. What is done with Node objects in it has no machine behind it.
    pub fn control_plane() -> Self {
        ClusterSpec { nodes: 0, containerd: Containerd::default() }
    }

    /// Which containerd.
    pub fn containerd(&self) -> Containerd {
        self.containerd
    }

    /// The nodes' numbers, from 1.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u8> + use<> {
        1..=self.nodes
    }

    /// The nodes' names.
    pub fn nodes(&self) -> Vec<String> {
        self.numbers().map(node_name).collect()
    }

    /// The lab: one switch for each L2 network; on both of them the nodes, a gateway and a plain machine.
    pub(crate) fn lab(&self, disks: &Path) -> String {
        use std::fmt::Write;
        let mut yaml = String::from("switches: [lan, lan2]\nhosts:\n");
        let disk = |name: &str| disks.join(name).display().to_string();
        let lan = |number: u8| {
            format!(
                "      eth0: {{ switch: lan, addresses: [10.60.0.{number}/24, \"fd60::{number}/64\"], mac: \"02:60:00:00:00:{number:02x}\" }}\n"
            )
        };
        let lan2 = |number: u8| {
            format!(
                "      eth1: {{ switch: lan2, addresses: [10.61.0.{number}/24, \"fd61::{number}/64\"], mac: \"02:61:00:00:00:{number:02x}\" }}\n"
            )
        };
        let gateway = "    gateway: [10.60.0.254, \"fd60::254\"]\n";
        // Writing to a String cannot fail.
        let _ = write!(
            yaml,
            "  {CONTROL}:\n    disk: {}\n    interfaces:\n{}{gateway}    routes:\n",
            disk(CONTROL),
            lan(API.octets()[3])
        );
        // The API server asks webhooks in pods. It is no node: flannel does not tell it where pods are.
        for number in self.numbers() {
            let (pods, node) = (node_pods(number), node_address(number));
            let _ = writeln!(yaml, "      - {{ to: {pods}, via: {node} }}");
        }
        for number in self.numbers() {
            let (name, at) = (node_name(number), node_address(number).octets()[3]);
            let _ = write!(
                yaml,
                "  {name}:\n    disk: {}\n    interfaces:\n{}{}",
                disk(&name),
                lan(at),
                lan2(at)
            );
            let _ = writeln!(yaml, "{gateway}    sysctls: {{ net/ipv4/ip_forward: 1 }}");
        }
        let _ = write!(yaml, "  plain:\n    interfaces:\n{}{}{gateway}", lan(200), lan2(200));
        let _ = write!(yaml, "routers:\n  gateway:\n    interfaces:\n{}{}", lan(254), lan2(254));
        yaml
    }
}

/// `node1`
pub(crate) fn node_name(number: u8) -> String {
    format!("node{number}")
}

/// A node's address on the LAN.
pub(crate) fn node_address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 60, 0, 10 + number)
}

/// A node's range of the primary network.
pub(crate) fn node_pods(number: u8) -> String {
    format!("10.244.{number}.0/24")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_a_valid_lab() {
        for nodes in [1, 2, MOST] {
            let spec = ClusterSpec::new(nodes, Containerd::V2).unwrap();
            let lab = lab::LabSpec::parse(&spec.lab(Path::new("/disks"))).unwrap();
            assert_eq!(lab.nodes.len(), usize::from(nodes) + 3);
            let last = lab.node(&node_name(nodes)).unwrap();
            assert_eq!(last.addresses().next().unwrap().addr(), node_address(nodes));
            assert_eq!(last.interfaces.len(), 2, "two uplinks");
            assert_eq!(last.disk.as_deref(), Some(Path::new("/disks").join(node_name(nodes)).as_path()));
        }
        let lab = lab::LabSpec::parse(&ClusterSpec::control_plane().lab(Path::new("/disks"))).unwrap();
        assert_eq!(lab.nodes.len(), 3, "control, gateway and plain machine");
        assert!(ClusterSpec::new(0, Containerd::V2).is_err());
        assert!(ClusterSpec::new(MOST + 1, Containerd::V2).is_err());
    }
}
