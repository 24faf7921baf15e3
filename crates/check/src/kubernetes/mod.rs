//! What a node of Kubernetes needs beside.

mod checks;
mod containerd;
mod node;

pub(crate) use checks::{containerd, kubelet, order, swap};
pub(crate) use node::Node;
