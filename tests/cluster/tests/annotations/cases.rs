//! The cases: annotations, what the status says, what the pod sees.

use cluster_tests::networks::{DEFAULT_NETWORK, NETWORKS};

/// An element of a status: `NETWORK INTERFACE`; addresses and MAC are those that the pod itself sees.
pub(crate) struct Element {
    pub(crate) at: &'static str,
    pub(crate) first: bool,
    pub(crate) gateway: Option<&'static str>,
    /// Whether its plugin tells the MTU: ours do from CNI 1.0.0 on.
    pub(crate) mtu: bool,
}

/// What the primary network gives on node1.
pub(crate) const PRIMARY: Element =
    Element { at: "cbr0 eth0", first: true, gateway: Some("10.244.1.1"), mtu: false };

pub(crate) const fn more(at: &'static str) -> Element {
    Element { at, first: false, gateway: None, mtu: true }
}

/// Of a plugin, or of a configuration, that does not know of MTUs in results.
pub(crate) const fn old(at: &'static str) -> Element {
    Element { mtu: false, ..more(at) }
}

pub(crate) struct Case {
    pub(crate) pod: &'static str,
    pub(crate) annotations: &'static [(&'static str, &'static str)],
    pub(crate) status: &'static [Element],
    /// What the pod sees has these, each a part of one line.
    pub(crate) inside: &'static [&'static str],
}

pub(crate) const ALONE: Element =
    Element { at: "kube-system/alone eth0", first: true, gateway: Some("10.63.5.1"), mtu: true };

pub(crate) const CASES: &[Case] = &[
    Case {
        pod: "no-annotation",
        annotations: &[],
        status: &[PRIMARY],
        inside: &["default via 10.244.1.1 dev eth0"],
    },
    Case {
        pod: "one-network",
        annotations: &[(NETWORKS, "lan-a")],
        status: &[PRIMARY, more("default/lan-a net1")],
        inside: &["net1    inet 10.63.1."],
    },
    Case {
        pod: "white-space",
        annotations: &[(NETWORKS, "  lan-a ,\tteam-a / own @ lan1 ")],
        status: &[PRIMARY, more("default/lan-a net1"), more("team-a/own lan1")],
        inside: &["lan1    inet 10.63.6."],
    },
    Case {
        pod: "three-times",
        annotations: &[(NETWORKS, "lan-a,lan-a,lan-a")],
        status: &[
            PRIMARY,
            more("default/lan-a net1"),
            more("default/lan-a net2"),
            more("default/lan-a net3"),
        ],
        inside: &["net1    inet 10.63.1.", "net2    inet 10.63.1.", "net3    inet 10.63.1."],
    },
    Case {
        pod: "numbers-are-places",
        annotations: &[(NETWORKS, "lan-l2@first,lan-l2")],
        status: &[PRIMARY, more("default/lan-l2 first"), more("default/lan-l2 net2")],
        inside: &["link first ", "link net2 "],
    },
    Case {
        pod: "json-namespace-interface",
        annotations: &[(NETWORKS, r#"[ { "name": "own", "namespace": "team-a", "interface": "eth1" } ]"#)],
        status: &[PRIMARY, more("team-a/own eth1")],
        inside: &["eth1    inet 10.63.6."],
    },
    Case {
        pod: "address-and-mac",
        annotations: &[(NETWORKS, r#"[{"name":"lan-a","ips":["10.63.1.77/24"],"mac":"02:00:5e:10:00:01"}]"#)],
        status: &[PRIMARY, more("default/lan-a net1")],
        inside: &["link net1 02:00:5e:10:00:01 ", "net1    inet 10.63.1.77/24"],
    },
    Case {
        pod: "address-by-cni-args",
        annotations: &[(NETWORKS, r#"[{"name":"lan-b","ips":["10.63.2.77/24"]}]"#)],
        status: &[PRIMARY, old("default/lan-b net1")],
        inside: &["net1    inet 10.63.2.77/24"],
    },
    Case {
        pod: "two-families",
        annotations: &[(NETWORKS, r#"[{"name":"lan-6","ips":["10.63.3.10/24","fd63:3::10/64"]}]"#)],
        status: &[PRIMARY, more("default/lan-6 net1")],
        inside: &["net1    inet 10.63.3.10/24", "net1    inet6 fd63:3::10/64"],
    },
    Case {
        pod: "default-route",
        annotations: &[(
            NETWORKS,
            r#"[{"name":"lan-a"},{"name":"lan-l2"},{"name":"lan-a","default-route":["10.63.1.1"]}]"#,
        )],
        status: &[
            PRIMARY,
            more("default/lan-a net1"),
            more("default/lan-l2 net2"),
            more("default/lan-a net3"),
        ],
        inside: &["default via 10.63.1.1 dev net3"],
    },
    Case {
        pod: "cni-args",
        annotations: &[(NETWORKS, r#"[{"name":"lan-a","cni-args":{"ips":["10.63.1.88/24"]}}]"#)],
        status: &[PRIMARY, more("default/lan-a net1")],
        inside: &["net1    inet 10.63.1.88/24"],
    },
    Case {
        pod: "a-list-of-plugins",
        annotations: &[(NETWORKS, r#"[{"name":"chain","mac":"02:00:5e:10:00:02"}]"#)],
        status: &[PRIMARY, more("default/chain net1")],
        inside: &["link net1 02:00:5e:10:00:02 1400", "net1    inet 10.63.4."],
    },
    Case {
        pod: "configuration-on-disk",
        annotations: &[(NETWORKS, "on-disk")],
        status: &[PRIMARY, more("default/on-disk net1")],
        inside: &["net1    inet 10.63.9."],
    },
    Case {
        pod: "a-foreign-plugin",
        annotations: &[(NETWORKS, "foreign")],
        status: &[PRIMARY, old("default/foreign net1")],
        inside: &["net1    inet 10.63.7."],
    },
    Case {
        pod: "another-first-network",
        annotations: &[(DEFAULT_NETWORK, "alone")],
        status: &[ALONE],
        inside: &["eth0    inet 10.63.5.", "default via 10.63.5.1 dev eth0"],
    },
    Case {
        pod: "first-network-with-address",
        annotations: &[
            (
                DEFAULT_NETWORK,
                r#"[{"name":"alone","namespace":"kube-system","ips":["10.63.5.77"],"mac":"02:00:5e:10:00:03"}]"#,
            ),
            (NETWORKS, "kube-system/alone"),
        ],
        status: &[ALONE, Element { at: "kube-system/alone net1", first: false, ..ALONE }],
        inside: &["link eth0 02:00:5e:10:00:03 ", "eth0    inet 10.63.5.77/24"],
    },
    Case {
        pod: "an-unknown-key",
        annotations: &[(NETWORKS, r#"[{"name":"lan-l2","interfce":"x","example.com/colour":"red"}]"#)],
        status: &[PRIMARY, more("default/lan-l2 net1")],
        inside: &["link net1 "],
    },
];
