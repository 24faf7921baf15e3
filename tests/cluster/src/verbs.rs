//! STATUS and GC, which no runtime of today calls both of: by the CNI project's own caller, and by hand where that one does not
//! say what the specification wants.

use cluster::Cluster;
use serde_json::{Value, json};

use crate::daemon::{self, IMAGE};
use crate::kept::{Kept, back_to, delete};
use crate::networks::{Footprint, leases};
use crate::{agent, on};

/// On a node with the agents of the DaemonSet.
pub(crate) fn status_and_gc(cluster: &Cluster) {
    const DIR: &str = "/etc/llano/cnitool";
    let kept = Kept::all(cluster);
    let cnitool = std::env::var("LLANO_CNITOOL").expect("LLANO_CNITOOL says where cnitool is");
    // The runtime's own configuration, in the version that knows these verbs, and under a name that no runtime has attachments of.
    let file = cluster.on_disk("node1", "/etc/cni/net.d/00-llano.conflist");
    let mut list: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    list["cniVersion"] = json!("1.1.0");
    list["name"] = json!("tool");
    // Seconds that an agent is waited for: here nobody comes.
    list["plugins"][0]["agentTimeout"] = json!(1);
    let dir = cluster.on_disk("node1", DIR);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("tool.conflist"), list.to_string()).unwrap();
    let conf = format!("NETCONFPATH={DIR}");
    let call = |verb: &str| {
        let words = ["env", "CNI_PATH=/opt/cni/bin", &conf, &cnitool, verb, "tool", "/run/netns/leaked"];
        on(cluster, "node1", &words)
    };
    // Of the list, its only plugin, as a runtime calls it.
    let mut config = list["plugins"][0].clone();
    config["cniVersion"] = json!("1.1.0");
    config["name"] = json!("tool");
    let by_hand = |verb: &str, config: &Value| {
        std::fs::write(dir.join("stdin.json"), config.to_string()).unwrap();
        let script =
            format!("CNI_PATH=/opt/cni/bin CNI_COMMAND={verb} /opt/cni/bin/llano < {DIR}/stdin.json");
        on(cluster, "node1", &["sh", "-c", &script])
    };
    call("status").unwrap_or_else(|error| panic!("{error}"));

    let before = Footprint::of(cluster, "node1");
    let attached = agent::page(cluster, "node1", "dump").unwrap();
    let leak = || {
        on(cluster, "node1", &["ip", "netns", "add", "leaked"]).unwrap();
        call("add").unwrap_or_else(|error| panic!("{error}"));
        on(cluster, "node1", &["ip", "netns", "delete", "leaked"]).unwrap();
        assert_eq!(leases(cluster, "node1").len(), before.leases.len() + 1, "one that nobody deletes");
    };
    // libcni deletes what it has a note of. Then it calls GC, and cnitool gives no list of what is valid: taken for "nothing is",
    // every pod of the node would lose its network.
    leak();
    let refused = call("gc").unwrap_err();
    assert!(refused.contains("cni.dev/valid-attachments: missing"), "{refused}");
    back_to(cluster, "node1", &before);
    // Without libcni's note, only GC itself finds it.
    leak();
    on(cluster, "node1", &["sh", "-c", "rm /var/lib/cni/results/tool-*"]).unwrap();
    let dump: Value = serde_json::from_str(&attached).unwrap();
    let ids = dump["pods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| pod["container"].as_str().unwrap_or_else(|| panic!("{dump:#}")));
    let valid: Vec<Value> = ids.map(|id| json!({"containerID": id, "ifname": "eth0"})).collect();
    assert!(!valid.is_empty(), "{dump:#}");
    config["cni.dev/valid-attachments"] = json!(valid);
    by_hand("GC", &config).unwrap_or_else(|error| panic!("{error}"));
    back_to(cluster, "node1", &before);
    kept.iter().for_each(|kept| kept.assert_same(cluster));

    daemon::end(cluster);
    let refused = call("status").unwrap_err();
    assert!(refused.contains("nothing listens"), "{refused}");
    let answer: Value = serde_json::from_str(&by_hand("STATUS", &config).unwrap_err()).unwrap();
    assert_eq!(answer["code"], 50, "{answer}");
    daemon::apply(cluster, IMAGE);
    call("status").unwrap_or_else(|error| panic!("{error}"));
    std::fs::remove_dir_all(&dir).unwrap();
    delete(cluster, &["kept-node1", "kept-node2"]);
}
