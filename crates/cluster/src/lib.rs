//! A real Kubernetes cluster on one machine: its nodes and its LAN are the namespaces of a lab.
//!
//! etcd, the API server, the controller manager and the scheduler run on the host `control`; each node is a host with a disk, and
//! runs containerd, kubelet, kube-proxy and flanneld. Two switches are two L2 networks, with a gateway and a plain machine on
//! both. [`Cluster::up`] starts it all, [`Cluster::down`] leaves nothing, also after a crash at any point.

mod addons;
mod cgroup;
mod cluster;
mod component;
mod control;
mod directory;
mod error;
mod image;
mod node;
mod pki;
mod programs;
mod spec;
mod up;

pub use cluster::{Cluster, ComponentStatus, Status};
pub use component::Component;
pub use error::{Error, Result};
pub use image::{ECHO_IMAGE, PAUSE_IMAGE};
pub use programs::{KUBERNETES, Programs};
pub use spec::{ClusterSpec, Containerd};
