//! `tuning`.

use lab::{Call, Container, Plugins};
use serde_json::{Value, json};

use crate::support::{
    anonymous, both, both_with, call, config, host_shell, lab, llano, macvlan_pod, previous, reference,
    refused, remove, shell,
};

const LIST: &str = "/etc/cni/tuning/allowlist.conf";

/// What `tuning` can change, as the pod shows it.
pub(crate) fn state(pod: &Container<'_>) -> String {
    let link = shell(pod, "ip -d link show eth0");
    let word = |key: &str| {
        let mut words = link.split_whitespace().skip_while(|word| *word != key);
        words.nth(1).unwrap_or_default().to_owned()
    };
    let flags = link.split(['<', '>']).nth(1).unwrap();
    let flag = |name: &str| flags.split(',').any(|flag| flag == name);
    let sysctls = shell(
        pod,
        "cat /proc/sys/net/ipv4/conf/eth0/arp_notify /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_local_port_range",
    );
    let (mac, mtu, qlen) = (word("link/ether"), word("mtu"), word("qlen"));
    let (promisc, allmulti) = (flag("PROMISC"), flag("ALLMULTI"));
    format!("mac {mac} mtu {mtu} qlen {qlen} promisc {promisc} allmulti {allmulti} sysctls {sysctls:?}")
}

/// The part of [`state`] that is the link's.
pub(crate) fn link_of(state: &str) -> String {
    state.split(" sysctls ").next().unwrap().to_owned()
}

pub(crate) fn files(pod: &Container<'_>) -> String {
    host_shell(pod.host(), "ls -A /run/cni/tuning 2>/dev/null || true")
}

fn add(plugins: &Plugins, pod: &Container<'_>, keys: Value) -> Value {
    let previous = previous(pod, "1.0.0", &[("10.9.0.7/24", None)]);
    plugins.run("ADD", &config("tuning", "1.0.0", keys, &previous), &call(pod)).unwrap()
}

/// Every key that Debian's reference has; `txQLen` came after it.
fn every_key() -> Value {
    json!({
        "sysctl": {
            "net.ipv4.conf.IFNAME.arp_notify": "1",
            "net.core.somaxconn": "1234",
            "net.ipv4.ip_local_port_range": "20000 30000",
        },
        "mac": "02:00:00:00:00:AA",
        "mtu": 1400,
        "promisc": true,
        "allmulti": true,
    })
}

#[test]
fn both_change_and_restore_the_same() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let mut shown = Vec::new();
    for (number, (name, plugins)) in both().into_iter().enumerate() {
        let pod = macvlan_pod(host, name, 1);
        let before = state(&pod);
        let result = add(&plugins, &pod, every_key());
        let changed = state(&pod);
        assert_eq!(result["interfaces"][0]["mac"].as_str().unwrap().to_lowercase(), "02:00:00:00:00:aa");
        let backup = host_shell(host, &format!("cat /run/cni/tuning/{name}_eth0.json"));
        let mut backup: Value = serde_json::from_str(&backup).unwrap();
        // Ours says whose it is, which the reference ignores.
        backup.as_object_mut().unwrap().remove("network");
        plugins.run("DEL", &config("tuning", "1.0.0", every_key(), &result), &call(&pod)).unwrap();
        let after = state(&pod);
        assert_eq!(link_of(&after), link_of(&before), "{name}: the link is as it was");
        assert_ne!(after, before, "{name}: sysctls stay");
        assert_eq!(files(&pod), "");
        let result = anonymous(&result, &pod).to_string().to_lowercase();
        shown.push((before, changed, backup, after, result));
        // Both would have the same MAC on one parent.
        remove(&pod);
        assert_eq!(shown.len(), number + 1);
    }
    assert_eq!(shown[0], shown[1]);
    assert!(
        shown[0].1.contains("mtu 1400") && shown[0].1.contains("promisc true allmulti true"),
        "{}",
        shown[0].1
    );
}

#[test]
fn either_restores_what_the_other_changed() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    for (name, adds, dels) in [("a", llano(), reference()), ("b", reference(), llano())] {
        let pod = macvlan_pod(host, name, 1);
        let keys = json!({"mac": "02:00:00:00:00:aa", "mtu": 1400, "promisc": true, "allmulti": true});
        let before = state(&pod);
        let result = add(&adds, &pod, keys.clone());
        assert_ne!(state(&pod), before);
        dels.run("DEL", &config("tuning", "1.0.0", keys, &result), &call(&pod)).unwrap();
        assert_eq!(state(&pod), before, "{name}");
        assert_eq!(files(&pod), "");
        remove(&pod);
    }
}

#[test]
fn every_source_counts_and_the_queue_length_too() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let pod = macvlan_pod(host, "pod", 1);
    let before = state(&pod);
    // The reference panics here: no `sysctl` beside that of the arguments.
    let keys = json!({
        "mac": "02:00:00:00:00:01",
        "runtimeConfig": {"mac": "02:00:00:00:00:02"},
        "args": {"cni": {"sysctl": {"net/core/somaxconn": "77"}, "txQLen": 77, "mtu": 1300}},
    });
    let result = add(&llano(), &pod, keys.clone());
    let changed = state(&pod);
    for part in ["mac 02:00:00:00:00:02", "mtu 1300", "qlen 77", "77\\n"] {
        assert!(changed.contains(part), "{part} in {changed}");
    }
    let tuned = config("tuning", "1.0.0", keys.clone(), &result);
    llano().run("CHECK", &tuned, &call(&pod)).unwrap();
    // An argument of the environment loses to runtimeConfig.
    let args = Call { args: "IgnoreUnknown=1;MAC=02:00:00:00:00:09;K8S_POD_NAME=x", ..call(&pod) };
    llano().run("CHECK", &tuned, &args).unwrap();
    llano().run("DEL", &tuned, &call(&pod)).unwrap();
    llano().run("DEL", &tuned, &call(&pod)).unwrap();
    assert_eq!(link_of(&state(&pod)), link_of(&before));
}

#[test]
fn an_mtu_of_the_result_follows() {
    let lab = lab();
    let pod = macvlan_pod(lab.host("host").unwrap(), "pod", 1);
    let mut previous = previous(&pod, "1.1.0", &[]);
    previous["interfaces"][0]["mtu"] = json!(1500);
    let host_end = json!({"name": "eth0", "mac": "02:00:00:00:00:77"});
    previous["interfaces"].as_array_mut().unwrap().push(host_end.clone());
    let keys = json!({"mac": "02-00-00-00-00-AB", "mtu": 1280});
    let result = llano().run("ADD", &config("tuning", "1.1.0", keys, &previous), &call(&pod)).unwrap();
    assert_eq!(result["interfaces"][0]["mtu"], 1280);
    assert_eq!(result["interfaces"][0]["mac"], "02:00:00:00:00:ab");
    assert_eq!(result["interfaces"][1], host_end, "the host's interface of the same name is another");
}

#[test]
fn check_names_what_differs() {
    let lab = lab();
    let pod = macvlan_pod(lab.host("host").unwrap(), "pod", 1);
    let mut keys = every_key();
    keys["txQLen"] = json!(500);
    let result = add(&llano(), &pod, keys.clone());
    let tuned = config("tuning", "1.0.0", keys, &result);
    llano().run("CHECK", &tuned, &call(&pod)).unwrap();
    for (change, back, words) in [
        (
            "ip link set eth0 mtu 1399",
            "ip link set eth0 mtu 1400",
            "MTU of eth0 is 1400, current value is 1399",
        ),
        ("ip link set eth0 promisc off", "ip link set eth0 promisc on", "promisc"),
        ("ip link set eth0 allmulticast off", "ip link set eth0 allmulticast on", "all-multicast"),
        ("ip link set eth0 txqueuelen 3", "ip link set eth0 txqueuelen 500", "Transmit Queue Length"),
        (
            "ip link set eth0 address 02:00:00:00:00:01",
            "ip link set eth0 address 02:00:00:00:00:aa",
            "Ethernet",
        ),
        (
            "echo 5 > /proc/sys/net/core/somaxconn",
            "echo 1234 > /proc/sys/net/core/somaxconn",
            "value of /proc/sys/net/core/somaxconn is 1234, current value is 5",
        ),
    ] {
        shell(&pod, change);
        let (code, text) = refused(&llano(), "CHECK", &tuned, &call(&pod));
        assert!(code >= 100 && text.contains(words), "{change}: {code} {text}");
        shell(&pod, back);
        llano().run("CHECK", &tuned, &call(&pod)).unwrap();
    }
    // What is not configured may be changed by others: the reference takes any capture for a difference.
    let result = add(&llano(), &pod, json!({}));
    llano().run("CHECK", &config("tuning", "1.0.0", json!({}), &result), &call(&pod)).unwrap();
}

#[test]
fn a_failed_add_leaves_nothing() {
    let lab = lab();
    let pod = macvlan_pod(lab.host("host").unwrap(), "pod", 1);
    let before = state(&pod);
    for (keys, words) in [
        // A macvlan cannot be larger than its parent.
        (
            json!({"sysctl": {"net.core.somaxconn": "9"}, "mac": "02:00:00:00:00:aa", "mtu": 9000, "promisc": true}),
            "mtu",
        ),
        (json!({"sysctl": {"net.core.somaxconn": "9", "net.ipv4.conf.IFNAME.nonsense": "1"}}), "nonsense"),
        (
            json!({"sysctl": {"net.core.somaxconn": "9", "net.ipv4.conf.IFNAME.arp_notify": "x"}}),
            "arp_notify",
        ),
    ] {
        let previous = previous(&pod, "1.0.0", &[]);
        let (code, text) = refused(&llano(), "ADD", &config("tuning", "1.0.0", keys, &previous), &call(&pod));
        assert!(code == 7 && text.contains(words), "{code} {text}");
        assert_eq!(state(&pod), before);
        assert_eq!(files(&pod), "");
    }
}

#[test]
fn del_of_a_pod_that_is_gone_removes_its_file() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let pod = macvlan_pod(host, "pod", 1);
    let result = add(&llano(), &pod, json!({"mtu": 1400}));
    assert_eq!(files(&pod).trim(), "pod_eth0.json");
    host_shell(host, "ip netns del pod");
    // A configuration that has gone bad must not stop the chain's DEL either.
    llano().run("DEL", &config("tuning", "1.0.0", json!({"mtu": "x"}), &result), &call(&pod)).unwrap();
    assert_eq!(files(&pod), "");
}

#[test]
fn gc_removes_the_files_of_the_dead() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let pods = [macvlan_pod(host, "alive", 1), macvlan_pod(host, "dead", 2)];
    for pod in &pods {
        add(&llano(), pod, json!({"mtu": 1400}));
    }
    let gc = |keys: Value| {
        llano().run("GC", &config("tuning", "1.1.0", keys, &Value::Null), &call(&pods[0])).unwrap()
    };
    gc(json!({}));
    assert_eq!(files(&pods[0]), "alive_eth0.json\ndead_eth0.json\n", "without a list nothing is garbage");
    gc(json!({"cni.dev/valid-attachments": [{"containerID": "alive", "ifname": "eth0"}]}));
    assert_eq!(files(&pods[0]), "alive_eth0.json\n");
}

#[test]
fn the_allow_list_is_obeyed_as_the_reference_does() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let pod = macvlan_pod(host, "pod", 1);
    let previous = previous(&pod, "1.0.0", &[]);
    let wants = |key: &str| config("tuning", "1.0.0", json!({"sysctl": {key: "1"}}), &previous);
    let lines = r"^net.ipv4.conf.IFNAME.(arp_notify|arp_[a-h]*)$
  net\.core\.

";
    host_shell(host, &format!("mkdir -p /etc/cni/tuning && cat > {LIST} <<'END'\n{lines}\nEND"));
    for (key, allowed) in [
        ("net.ipv4.conf.IFNAME.arp_notify", true),
        ("net.ipv4.conf.IFNAME.arp_accept", false),
        ("net.ipv4.conf.IFNAME.arp_filter", false),
        ("net.ipv4.conf.eth0.arp_notify", false),
        ("net.core.somaxconn", true),
        ("net/core/somaxconn", false),
        ("net.ipv4.ip_forward", false),
    ] {
        for (name, plugins) in both_with("tuning", "allowlist.conf") {
            match plugins.run("ADD", &wants(key), &call(&pod)) {
                Ok(_) => assert!(allowed, "{name} allowed {key}"),
                Err(error) => {
                    assert!(!allowed, "{name} refused {key}: {error}");
                    assert!(error.to_string().contains("is not allowed"), "{name}: {key}: {error}");
                }
            }
        }
    }
    // What only the reference's regular expressions understand allows nothing, and says where.
    host_shell(host, &format!("echo 'net{{1}}' >> {LIST}"));
    let (code, text) = refused(&llano(), "ADD", &wants("net.core.somaxconn"), &call(&pod));
    assert!(code == 7 && text.contains("allowlist.conf line"), "{code} {text}");
    let status = config("tuning", "1.1.0", json!({"sysctl": {"net.core.somaxconn": "1"}}), &Value::Null);
    let (code, text) = refused(&llano(), "STATUS", &status, &call(&pod));
    assert!(code == 50 && text.contains("allowlist.conf line"), "{code} {text}");
    // Without sysctls the list does not matter.
    add(&llano(), &pod, json!({"mtu": 1400}));
}

#[test]
fn a_sysctl_that_can_only_be_written_is_no_obstacle() {
    let lab = lab();
    let pod = macvlan_pod(lab.host("host").unwrap(), "pod", 1);
    let keys = json!({"sysctl": {"net.ipv4.route.flush": "1"}});
    let result = add(&llano(), &pod, keys.clone());
    llano().run("CHECK", &config("tuning", "1.0.0", keys, &result), &call(&pod)).unwrap();
}

#[test]
fn an_interface_with_a_dot_in_its_name_has_sysctls() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let pod = macvlan_pod(host, "pod", 1);
    shell(&pod, "ip link set eth0 name eth0.5");
    let named = Call { ifname: "eth0.5", ..call(&pod) };
    let previous = json!({"cniVersion": "1.0.0", "interfaces": [{"name": "eth0.5", "sandbox": pod.path()}]});
    let path = "/proc/sys/net/ipv4/conf/eth0.5/arp_notify";
    for key in [
        "net.ipv4.conf.IFNAME.arp_notify",
        "net/ipv4/conf/eth0.5/arp_notify",
        "net.ipv4.conf.eth0/5.arp_notify",
    ] {
        shell(&pod, &format!("echo 0 > {path}"));
        let keys = json!({"sysctl": {key: "1"}});
        llano().run("ADD", &config("tuning", "1.0.0", keys, &previous), &named).unwrap();
        assert_eq!(shell(&pod, &format!("cat {path}")).trim(), "1", "{key}");
    }
}
