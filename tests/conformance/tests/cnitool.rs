//! The example's file, called by cnitool; and the verbs that its version does not have, by copies of a later one.

use conformance_tests::{
    Caller, Cnitool, LEASES, PLUGINS, Whose, leftovers, ours_delivers, prepare, reference_does_not_deliver,
    state,
};
use lab::runtime::Runtime;
use lab::{Call, Plugins, SEED_002_CONF};
use serde_json::json;

#[test]
fn cnitool_containers_reach_each_other_and_the_gateway_and_leave_nothing() {
    ours_delivers(Caller::Cnitool);
}

#[test]
fn cnitool_with_the_reference_plugins_reaches_the_gateway_only() {
    reference_does_not_deliver(Caller::Cnitool);
}

/// The example's file with another version in it, and nothing else changed.
fn of_version(version: &str) -> String {
    let (old, new) = ("\"cniVersion\": \"0.3.0\"", format!("\"cniVersion\": \"{version}\""));
    assert_eq!(SEED_002_CONF.matches(old).count(), 1);
    SEED_002_CONF.replace(old, &new)
}

#[test]
fn version_0_3_0_has_no_check() {
    let lab = netns_tests::silent_gateway();
    let host = lab.host("host1").unwrap();
    prepare(host, Whose::Llano, SEED_002_CONF, None);
    let cnitool = Cnitool::new(host);
    let pod = cnitool.run("a").unwrap();
    let refused = cnitool.call("check", "a").unwrap_err().to_string();
    assert!(refused.contains("does not support the CHECK command"), "{refused}");
    cnitool.remove(pod).unwrap();
}

#[test]
fn check_of_1_0_0_passes_and_sees_what_is_gone() {
    let lab = netns_tests::silent_gateway();
    let host = lab.host("host1").unwrap();
    prepare(host, Whose::Llano, &of_version("1.0.0"), None);
    let before = state(host);
    let cnitool = Cnitool::new(host);
    let pod = cnitool.run("a").unwrap();
    cnitool.call("check", "a").unwrap();
    cnitool.exec("a", &["ip", "address", "del", "172.16.129.110/24", "dev", "eth0"]).unwrap();
    let refused = cnitool.call("check", "a").unwrap_err().to_string();
    assert!(refused.contains("172.16.129.110"), "{refused}");
    cnitool.remove(pod).unwrap();
    assert_eq!(state(host), before);
}

#[test]
fn status_of_1_1_0_tells_whether_an_add_would_work() {
    let lab = netns_tests::silent_gateway();
    let host = lab.host("host1").unwrap();
    prepare(host, Whose::Llano, &of_version("1.1.0"), None);
    let cnitool = Cnitool::new(host);
    cnitool.call("status", "none").unwrap();
    assert!(host.command("ip").unwrap().args(["link", "set", "eth0", "down"]).status().unwrap().success());
    let refused = cnitool.call("status", "none").unwrap_err().to_string();
    assert!(refused.contains("eth0"), "{refused}");
}

#[test]
fn gc_of_1_1_0_frees_what_nobody_holds() {
    let lab = netns_tests::silent_gateway();
    let host = lab.host("host1").unwrap();
    let conf = of_version("1.1.0");
    prepare(host, Whose::Llano, &conf, None);
    let before = state(host);
    let cnitool = Cnitool::new(host);
    let orphans = || {
        for name in ["a", "b"] {
            cnitool.run(name).unwrap();
            host.open_container(name).unwrap().delete().unwrap();
        }
        assert_eq!(leftovers(host).len(), 6, "leases, libcni's notes, cursor, lock: {:?}", leftovers(host));
    };
    let nothing = ["last_reserved_ip.0", "lock"].map(|file| format!("{LEASES}/{file}"));

    // libcni first deletes every attachment that it has a note of. Then it calls GC, and cnitool does not give it the
    // list that the specification wants. A plugin that took that for "none is valid" would free what is in use.
    orphans();
    let refused = cnitool.call("gc", "none").unwrap_err().to_string();
    assert!(refused.contains("cni.dev/valid-attachments: missing"), "{refused}");
    assert_eq!(leftovers(host), nothing);

    // Without libcni's notes only the plugin's own GC can find the leases.
    orphans();
    host.run_in(|| std::fs::remove_dir_all("/var/lib/cni/results")).unwrap().unwrap();
    let live = host.container("live").unwrap();
    let mut conf: serde_json::Value = serde_json::from_str(&conf).unwrap();
    live.cni_add(&Plugins::at(PLUGINS), &conf, "eth0").unwrap();
    conf["cni.dev/valid-attachments"] = json!([{"containerID": "live", "ifname": "eth0"}]);
    let call = Call { container: &live, ifname: "eth0", id: "live", args: "" };
    Plugins::at(PLUGINS).run("GC", &conf, &call).unwrap();
    let lease = leftovers(host).into_iter().filter(|path| path.contains("/172.16.129.")).collect::<Vec<_>>();
    assert_eq!(lease, [format!("{LEASES}/172.16.129.114")], "the live one's, and no other");
    live.cni_del(&Plugins::at(PLUGINS), &conf, "eth0").unwrap();
    live.delete().unwrap();
    assert_eq!(leftovers(host), nothing);
    assert_eq!(state(host), before);
}
