//! How each check is broken.

/// How to break one check.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    /// Broken where: on the checked host, or on another node or switch of the lab.
    pub(crate) at: &'static str,
    /// A shell script.
    pub(crate) how: &'static str,
    /// What the check then is.
    pub(crate) status: &'static str,
    /// What its summary or advice says.
    pub(crate) says: &'static str,
    /// What the program is started by, for what cannot be broken otherwise.
    pub(crate) by: &'static [&'static str],
}

const fn row(
    id: &'static str,
    at: &'static str,
    how: &'static str,
    status: &'static str,
    says: &'static str,
) -> Row {
    Row { id, at, how, status, says, by: &[] }
}

/// A node: a kubelet's file, in a /var/lib of its own.
macro_rules! node {
    ($then:literal) => {
        concat!("mount -t tmpfs lib /var/lib && mkdir -p /var/lib/kubelet && echo kind: KubeletConfiguration > /var/lib/kubelet/config.yaml && ", $then)
    };
}

/// A second interface of the host in the LAN's subnet.
macro_rules! second {
    ($then:literal) => {
        concat!("ip link add link eth0 name second type macvlan mode bridge && ip address add 172.16.129.150/24 dev second && ip link set second up && ", $then)
    };
}

/// The switch lets only the host's own MAC in, as port security does.
const PORT_SECURITY: &str = "bridge fdb replace 02:00:00:00:01:01 dev host1-eth0 master static && bridge link set dev host1-eth0 learning off locked on";

pub(crate) const ROWS: &[Row] = &[
    Row {
        by: &["setarch", "x86_64", "--uname-2.6"],
        ..row("kernel-version", "host1", "true", "fail", "macvlan needs 3.9")
    },
    row(
        "vlan",
        "host1",
        "mkdir -p /etc/llano && echo 'interfaces: [{name: eth0.5, type: vlan}]' > /etc/llano/host.yaml",
        "fail",
        "modprobe 8021q",
    ),
    row(
        "bonding",
        "host1",
        "mkdir -p /etc/llano && echo 'interfaces: [{name: bond0, type: bond}]' > /etc/llano/host.yaml",
        "fail",
        "modprobe bonding",
    ),
    row(
        "conntrack",
        "host1",
        "cat /proc/sys/net/netfilter/nf_conntrack_max > /run/count && mount --bind /run/count /proc/sys/net/netfilter/nf_conntrack_count",
        "fail",
        "packets are dropped",
    ),
    row("link-state", "host1", "ip link set eth0 down", "fail", "eth0 is down"),
    row("link-state", "lan", "ip link set host1-eth0 down", "fail", "no carrier"),
    row(
        "mtu",
        "host1",
        "sed -i 's/\"ipam\"/\"mtu\": 9000, \"ipam\"/' /etc/cni/net.d/10-lan.conf",
        "fail",
        "wants MTU 9000",
    ),
    row(
        "promiscuity",
        "host1",
        "mkdir -p /etc/llano && echo 'interfaces: [{name: eth0, type: ethernet, accept-all-mac-addresses: true}]' > /etc/llano/host.yaml",
        "fail",
        "declared promiscuous",
    ),
    row(
        "mac-filters",
        "host1",
        "dir=$(readlink -f /sys/class/net/eth0) && mount -t tmpfs nic $dir && mkdir $dir/device && ln -s /drivers/bnx2 $dir/device/driver",
        "warn",
        "filters 3 MACs",
    ),
    row(
        "rp-filter",
        "host1",
        second!("echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter"),
        "fail",
        "rp_filter=2",
    ),
    row("arp-settings", "host1", second!("true"), "warn", "arp_ignore=1"),
    row("arp-settings", "host1", "echo 8 > /proc/sys/net/ipv4/conf/all/arp_ignore", "fail", "answers no ARP"),
    row(
        "forwarding",
        "host1",
        r#"echo '{"cniVersion": "1.0.0", "name": "pods", "type": "bridge"}' > /etc/cni/net.d/20-pods.conf"#,
        "fail",
        "ip_forward=1",
    ),
    row(
        "bridge-netfilter",
        "host1",
        node!(
            r#"echo '{"cniVersion": "1.0.0", "name": "pods", "type": "bridge"}' > /etc/cni/net.d/20-pods.conf && echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables"#
        ),
        "fail",
        "bridge-nf-call-iptables=1",
    ),
    row("cni-directories", "host1", "rm -r /opt/cni/bin", "fail", "mkdir -p /opt/cni/bin"),
    row(
        "cni-configs",
        "host1",
        "echo '{\"name\": ' > /etc/cni/net.d/20-broken.conf",
        "fail",
        "20-broken.conf cannot be used",
    ),
    row(
        "cni-configs",
        "host1",
        "sed -i s/macvlan\\\",/'macvlan\",\"mode\":\"brigde\",'/ /etc/cni/net.d/10-lan.conf",
        "fail",
        "brigde",
    ),
    row(
        "cni-names",
        "host1",
        "cp /etc/cni/net.d/10-lan.conf /etc/cni/net.d/20-copy.conf",
        "fail",
        "10-lan.conf, 20-copy.conf",
    ),
    row(
        "cni-masters",
        "host1",
        "sed -i s/eth0/nic7/ /etc/cni/net.d/10-lan.conf",
        "fail",
        "nic7, which is not there",
    ),
    row(
        "cni-plugins",
        "host1",
        "rm /opt/cni/bin/macvlan",
        "fail",
        "macvlan of network lan is not in /opt/cni/bin",
    ),
    row(
        "cni-plugins",
        "host1",
        "rm /opt/cni/bin/macvlan && touch /opt/cni/bin/macvlan",
        "fail",
        "chmod +x /opt/cni/bin/macvlan",
    ),
    row(
        "cni-plugins",
        "host1",
        "rm /opt/cni/bin/macvlan && printf '#!/bin/sh\\necho hello\\n' > /opt/cni/bin/macvlan && chmod +x /opt/cni/bin/macvlan",
        "fail",
        "does not answer VERSION",
    ),
    row(
        "dhcp-daemon",
        "host1",
        r#"echo '{"cniVersion": "1.0.0", "name": "leased", "type": "macvlan", "master": "eth0", "ipam": {"type": "dhcp"}}' > /etc/cni/net.d/20-leased.conf"#,
        "fail",
        "nothing listens",
    ),
    row("swap", "host1", node!("echo '/dev/sda2 partition 1000 0 -2' >> /run/swaps"), "fail", "swapoff -a"),
    row(
        "kubelet",
        "host1",
        node!(
            "echo 'KUBELET_KUBEADM_ARGS=\"--cni-conf-dir=/run/nowhere --v=2\"' > /var/lib/kubelet/kubeadm-flags.env"
        ),
        "fail",
        "/run/nowhere, which is not there",
    ),
    row(
        "containerd",
        "host1",
        node!(
            r#"mkdir -p /etc/containerd /run/other && printf '[plugins."io.containerd.grpc.v1.cri".cni]\n  conf_dir = "/run/other"\n' > /etc/containerd/config.toml"#
        ),
        "fail",
        "looks for configurations in /run/other",
    ),
    row(
        "config-order",
        "host1",
        node!(
            r#"echo '{"cniVersion": "0.3.1", "name": "multus", "type": "multus-shim"}' > /etc/cni/net.d/70-multus.conf"#
        ),
        "fail",
        "multus is never asked",
    ),
    row(
        "hypervisor",
        "host1",
        "mount -t tmpfs class /sys/class && mkdir -p /sys/class/dmi/id && echo 'VMware, Inc.' > /sys/class/dmi/id/sys_vendor && ip route del default && sed -i 's/, \"gateway\": \"[0-9.]*\"//' /etc/cni/net.d/10-lan.conf",
        "warn",
        "forged transmits",
    ),
    row("foreign-macs", "lan", PORT_SECURITY, "fail", "drops frames of containers"),
    row(
        "gateways",
        "gateway",
        "echo 8 > /proc/sys/net/ipv4/conf/all/arp_ignore",
        "fail",
        "172.16.129.254 of network lan does not answer",
    ),
    row(
        "duplicates",
        "node3",
        "ip address add 172.16.129.113/24 dev eth0",
        "fail",
        "172.16.129.113 is used by 02:00:00:00:01:03",
    ),
    // It does not answer the interface that it is on: the host itself has to know of it.
    row(
        "duplicates",
        "host1",
        "ip netns add web && ip link add link eth0 name web0 netns web type macvlan mode bridge && ip -n web address add 172.16.129.114/24 dev web0 && ip -n web link set web0 up",
        "fail",
        "172.16.129.114 is used by netns web on this host",
    ),
    row(
        "cni-directories",
        "host1",
        node!(
            "echo 'KUBELET_KUBEADM_ARGS=\"--cni-bin-dir=/opt/cni/bin,/run/nowhere\"' > /var/lib/kubelet/kubeadm-flags.env"
        ),
        "fail",
        "/run/nowhere is missing",
    ),
];
