//! A node: its files, and the arguments of its processes.

use std::fs;
use std::path::Path;

use lab::Host;
use rustix::mount::mount_bind;
use serde_json::json;

use crate::cgroup;
use crate::component::Component;
use crate::directory::{self, Directory};
use crate::error::{Error, Result};
use crate::image::PAUSE_IMAGE;
use crate::pki::{Authority, DIR};
use crate::programs::{PLUGINS, Programs};
use crate::spec::{Containerd, DNS, PODS, node_address, node_name, node_pods};

const CONTAINERD_CONFIG: &str = "/etc/kubernetes/containerd.toml";
/// Where containerd listens.
pub(crate) const SOCKET: &str = "/run/containerd/containerd.sock";
/// Where a kubelet answers once it has found its runtime; its own default.
pub(crate) const KUBELET_HEALTH: &str = "127.0.0.1:10248";

/// MTU of the primary network: the LAN's less what VXLAN adds.
const MTU: u32 = 1450;

/// Kernel settings of the whole machine that a kubelet wants and writes. It finds them as it wants them, on a node's own copies.
const MACHINE_SETTINGS: [(&str, &str); 6] = [
    ("/proc/sys/vm/overcommit_memory", "1"),
    ("/proc/sys/vm/panic_on_oom", "0"),
    ("/proc/sys/kernel/panic", "10"),
    ("/proc/sys/kernel/panic_on_oops", "1"),
    ("/proc/sys/kernel/keys/root_maxkeys", "1000000"),
    ("/proc/sys/kernel/keys/root_maxbytes", "25000000"),
];

/// Writes the files on a node's disk.
pub(crate) fn write(
    directory: &Directory,
    authority: &Authority,
    programs: &Programs,
    containerd: Containerd,
    number: u8,
) -> Result<()> {
    let name = node_name(number);
    let put = |path: &str, text: String| directory::write(&directory.on_disk(&name, path), text);
    authority.write_certificate(directory, &name)?;
    let kubelet = authority.kubeconfig(&format!("system:node:{name}"), Some("system:nodes"))?;
    put("/etc/kubernetes/kubelet.conf", kubelet)?;
    put("/etc/kubernetes/kube-proxy.conf", authority.kubeconfig("system:kube-proxy", None)?)?;
    put("/etc/kubernetes/flannel.conf", authority.kubeconfig("system:flannel", None)?)?;
    put("/etc/kubernetes/kubelet.yaml", kubelet_config(&format!("/llano-lab-{}/{name}", directory.cluster)))?;
    put("/etc/kubernetes/kube-proxy.yaml", proxy_config(&name))?;
    put("/etc/kubernetes/flannel.json", flannel_config())?;
    put(CONTAINERD_CONFIG, containerd_config(containerd))?;
    put("/etc/cni/net.d/10-flannel.conflist", primary_network(number))?;
    for plugin in PLUGINS {
        let (from, to) = (programs.get(plugin), directory.on_disk(&name, &format!("/opt/cni/bin/{plugin}")));
        directory::write(&to, [])?;
        fs::copy(&from, &to).map_err(|error| Error::io("copy", from.display(), error))?;
    }
    Ok(())
}

/// What a fresh boot has to bring: cgroups, and the machine's settings as copies of the node's own.
pub(crate) fn boot(host: &Host) -> Result<()> {
    cgroup::make(&host.cgroup())?;
    host.run_in(|| {
        let copies = Path::new("/run/settings");
        for (at, (setting, value)) in MACHINE_SETTINGS.iter().enumerate() {
            let copy = copies.join(at.to_string());
            directory::write(&copy, format!("{value}\n"))?;
            if Path::new(setting).exists() {
                mount_bind(&copy, *setting).map_err(|errno| Error::io("bind onto", setting, errno))?;
            }
        }
        Ok(())
    })?
}

/// The arguments of a node's process.
pub(crate) fn args(component: &Component, number: u8) -> Vec<String> {
    let kubelet = || {
        vec![
            "--config=/etc/kubernetes/kubelet.yaml".to_owned(),
            "--kubeconfig=/etc/kubernetes/kubelet.conf".to_owned(),
            format!("--hostname-override={}", node_name(number)),
            format!("--node-ip={}", node_address(number)),
        ]
    };
    match component {
        Component::Containerd(_) => vec![format!("--config={CONTAINERD_CONFIG}")],
        Component::Proxy(_) => vec!["--config=/etc/kubernetes/kube-proxy.yaml".to_owned()],
        Component::Flannel(_) => vec![
            "--kubeconfig-file=/etc/kubernetes/flannel.conf".to_owned(),
            "--net-config-path=/etc/kubernetes/flannel.json".to_owned(),
            "--iface=eth0".to_owned(),
        ],
        _ => kubelet(),
    }
}

fn containerd_config(containerd: Containerd) -> String {
    let head = format!(
        "root = \"/var/lib/containerd\"\nstate = \"/run/containerd\"\n[grpc]\n  address = \"{SOCKET}\"\n"
    );
    match containerd {
        Containerd::Distribution => format!(
            "version = 2\n{head}\
             [plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"{PAUSE_IMAGE}\"\n  \
             disable_apparmor = true\n  restrict_oom_score_adj = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  snapshotter = \"overlayfs\"\n"
        ),
        Containerd::V2 => format!(
            "version = 3\n{head}\
             [plugins.'io.containerd.cri.v1.images']\n  snapshotter = 'overlayfs'\n\
             [plugins.'io.containerd.cri.v1.images'.pinned_images]\n  sandbox = '{PAUSE_IMAGE}'\n\
             [plugins.'io.containerd.cri.v1.runtime']\n  disable_apparmor = true\n  restrict_oom_score_adj = true\n"
        ),
    }
}

fn kubelet_config(cgroup: &str) -> String {
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "x509": {"clientCAFile": format!("{DIR}/ca.crt")},
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [DNS.to_string()],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": false,
        // The machine's name server is none of the pods'.
        "resolvConf": "",
        // A lab is on whatever disk there is.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "registerWithTaints": [],
        "maxPods": 250,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "serializeImagePulls": false,
        "shutdownGracePeriod": "0s",
    });
    format!("{config:#}")
}

fn proxy_config(name: &str) -> String {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": PODS,
        "hostnameOverride": name,
        "clientConnection": {"kubeconfig": "/etc/kubernetes/kube-proxy.conf"},
        // The machine's tables are not a node's to size.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "nftables": {"minSyncPeriod": "100ms"},
    });
    format!("{config:#}")
}

fn flannel_config() -> String {
    format!("{:#}", json!({"Network": PODS, "EnableNFTables": true, "Backend": {"Type": "vxlan"}}))
}

/// What flannel's CNI plugin would ask of `bridge`. A node's range is ours to give, so the list can be there from the start.
fn primary_network(number: u8) -> String {
    let list = json!({
        "cniVersion": "1.0.0",
        "name": "cbr0",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "mtu": MTU, "isDefaultGateway": true, "hairpinMode": true,
                "ipam": {"type": "host-local", "subnet": node_pods(number), "routes": [{"dst": PODS}]},
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    format!("{list:#}")
}
