//! The control plane: its files and the arguments of its processes.

use crate::component::Component;
use crate::directory::{self, Directory};
use crate::error::Result;
use crate::pki::{Authority, DIR};
use crate::spec::{API, API_PORT, CONTROL, PODS, SERVICES};

/// Kubeconfig of the one who may do everything.
const ADMIN: &str = "/etc/kubernetes/admin.conf";

const CONTROLLER_MANAGER: &str = "/etc/kubernetes/controller-manager.conf";
const SCHEDULER: &str = "/etc/kubernetes/scheduler.conf";

/// Writes the files on the disk of the control plane's host.
pub(crate) fn write(directory: &Directory, authority: &Authority) -> Result<()> {
    authority.write_control(directory)?;
    for (file, user, group) in [
        (ADMIN, "admin", Some("system:masters")),
        (CONTROLLER_MANAGER, "system:kube-controller-manager", None),
        (SCHEDULER, "system:kube-scheduler", None),
    ] {
        directory::write(&directory.on_disk(CONTROL, file), authority.kubeconfig(user, group)?)?;
    }
    Ok(())
}

/// The administrator's kubeconfig as the machine sees it.
pub(crate) fn admin(directory: &Directory) -> std::path::PathBuf {
    directory.on_disk(CONTROL, ADMIN)
}

/// The arguments of a process of the control plane.
pub(crate) fn args(component: &Component) -> Vec<String> {
    match component {
        Component::Etcd => etcd(),
        Component::ApiServer => api_server(),
        Component::ControllerManager => controller_manager(),
        _ => scheduler(),
    }
}

fn etcd() -> Vec<String> {
    words(&[
        "--name=control",
        "--data-dir=/var/lib/etcd",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=control=http://127.0.0.1:2380",
        // A lab's data need not survive the machine's power.
        "--unsafe-no-fsync",
        "--logger=zap",
    ])
}

fn api_server() -> Vec<String> {
    let mut args = words(&[
        "--bind-address=0.0.0.0",
        "--etcd-servers=http://127.0.0.1:2379",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        // exec and logs would look the node's name up otherwise.
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        // Webhooks are asked at their pods' addresses: no kube-proxy runs here that would know a service's.
        "--enable-aggregator-routing=true",
        "--profiling=false",
    ]);
    args.push(format!("--advertise-address={API}"));
    args.push(format!("--secure-port={API_PORT}"));
    args.push(format!("--service-cluster-ip-range={SERVICES}"));
    for (flag, file) in [
        ("client-ca-file", "ca.crt"),
        ("tls-cert-file", "apiserver.crt"),
        ("tls-private-key-file", "apiserver.key"),
        ("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
        ("kubelet-client-key", "apiserver-kubelet-client.key"),
        ("service-account-key-file", "sa.pub"),
        ("service-account-signing-key-file", "sa.key"),
    ] {
        args.push(format!("--{flag}={DIR}/{file}"));
    }
    args
}

fn controller_manager() -> Vec<String> {
    let mut args = words(&[
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=true",
        "--profiling=false",
    ]);
    args.extend(kubeconfigs(CONTROLLER_MANAGER));
    args.push(format!("--cluster-cidr={PODS}"));
    args.push(format!("--service-cluster-ip-range={SERVICES}"));
    for (flag, file) in [
        ("root-ca-file", "ca.crt"),
        ("cluster-signing-cert-file", "ca.crt"),
        ("cluster-signing-key-file", "ca.key"),
        ("service-account-private-key-file", "sa.key"),
    ] {
        args.push(format!("--{flag}={DIR}/{file}"));
    }
    args
}

fn scheduler() -> Vec<String> {
    let mut args = words(&["--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false"]);
    args.extend(kubeconfigs(SCHEDULER));
    args
}

fn kubeconfigs(file: &str) -> [String; 3] {
    ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"]
        .map(|flag| format!("--{flag}={file}"))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
