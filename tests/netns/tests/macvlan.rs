//! `type: macvlan` as a runtime sees it: results of every version, CHECK, DEL, STATUS, GC, parents and MTUs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)] // A test ends where it cannot go on.

use kernel::{LinkKind, Netlink};
use lab::{Call, Container, Error, Host};
use netns_tests::{llano_plugins, reference_plugins, up};
use serde_json::{Value, json};

const SPEC: &str = "
switches:
  lan: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.1/24] }
    gateway: 10.9.0.254
  peer:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.2/24] }
";

const VERSIONS: [&str; 7] = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

fn conf(version: &str) -> Value {
    json!({
        "cniVersion": version, "name": "net", "type": "macvlan", "master": "eth0",
        "mac": "02:00:00:00:00:42",
        "dns": {"nameservers": ["9.9.9.9"], "search": ["lan.example"]},
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/leases",
            "subnet": "10.9.0.0/24", "rangeStart": "10.9.0.10", "rangeEnd": "10.9.0.20", "gateway": "10.9.0.254",
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "192.0.2.0/24", "gw": "10.9.0.2"}],
        },
    })
}

fn call<'a>(pod: &'a Container<'a>) -> Call<'a> {
    Call { container: pod, ifname: "eth0", id: pod.name(), args: "" }
}

fn links(net: &kernel::NetNs) -> Vec<kernel::Link> {
    let mut links = Netlink::open_in(net).unwrap().links().unwrap();
    links.retain(|link| link.name != "lo");
    links
}

fn leases(host: &Host) -> Vec<String> {
    let names = host.run_in(|| {
        let entries = std::fs::read_dir("/run/leases/net").into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    });
    names.unwrap().into_iter().filter(|name| name.starts_with("10.")).collect()
}

fn show(pod: &Container<'_>, words: &[&str]) -> String {
    String::from_utf8(pod.command("ip").unwrap().args(words).output().unwrap().stdout).unwrap()
}

#[test]
fn the_result_of_every_version_is_the_references() {
    let (ours, theirs) = (llano_plugins(), reference_plugins());
    for version in VERSIONS {
        let texts = [&ours, &theirs].map(|plugins| {
            let lab = up(SPEC);
            let host = lab.host("host").unwrap();
            let pod = host.container("pod").unwrap();
            let output =
                plugins.run_raw("ADD", "macvlan", conf(version).to_string().as_bytes(), &call(&pod)).unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let routes = show(&pod, &["route"]);
            // Ours says the MTU too where the version has a place for it.
            (text.replace("            \"mtu\": 1500,\n", ""), routes)
        });
        if version == "1.1.0" && texts[1].0.contains("incompatible CNI versions") {
            continue; // Debian's reference plugins are older than 1.1.0.
        }
        if version < "1.0.0" {
            assert_eq!(texts[0], texts[1], "{version}");
        } else {
            // Debian's release writes the keys in another order than those after it, which sort them.
            let [ours, theirs] =
                texts.map(|(text, routes)| (serde_json::from_str::<Value>(&text).unwrap(), routes));
            assert_eq!(ours, theirs, "{version}");
        }
    }
}

#[test]
fn layer_two_only_ends_as_the_references_suite_wants() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    for version in VERSIONS {
        let pod = host.container(&format!("l2-{version}")).unwrap();
        let mut conf = conf(version);
        conf.as_object_mut().unwrap().remove("ipam");
        conf.as_object_mut().unwrap().remove("mac");
        let added = pod.cni_add(&plugins, &conf, "eth0");
        match (version, added) {
            ("0.1.0" | "0.2.0", Err(Error::Plugin { msg, .. })) => {
                assert_eq!(msg, "cannot convert: no valid IP addresses")
            }
            ("0.1.0" | "0.2.0", other) => panic!("{other:?}"),
            (_, added) => assert!(added.unwrap().addresses().is_empty()),
        }
        let link = links(pod.net()).pop().expect("the link stays in every version");
        assert!(link.is_up() && link.name == "eth0");
        pod.cni_del(&plugins, &conf, "eth0").unwrap();
        assert!(links(pod.net()).is_empty());
    }
}

#[test]
fn check_finds_each_difference() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    let breaks: [(&[&str], &str); 6] = [
        (&["link", "set", "eth0", "down"], "down"),
        (&["addr", "del", "10.9.0.10/24", "dev", "eth0"], "10.9.0.10/24"),
        (&["route", "del", "default"], "default"),
        (&["route", "del", "192.0.2.0/24"], "192.0.2.0/24"),
        (&["link", "set", "eth0", "address", "02:00:00:00:00:43"], "02:00:00:00:00:43"),
        (&["link", "del", "eth0"], "gone"),
    ];
    for (number, (words, needle)) in breaks.iter().enumerate() {
        let pod = host.container(&format!("pod{number}")).unwrap();
        let mut conf = conf("1.0.0");
        conf["ipam"]["rangeEnd"] = json!("10.9.0.10");
        let result = pod.cni_add(&plugins, &conf, "eth0").unwrap().json;
        plugins.check(&conf, &call(&pod), &result).unwrap();
        assert!(pod.command("ip").unwrap().args(*words).status().unwrap().success());
        match plugins.check(&conf, &call(&pod), &result) {
            Err(Error::Plugin { msg, .. }) => assert!(msg.contains(needle), "{words:?}: {msg}"),
            other => panic!("{words:?}: {other:?}"),
        }
        pod.cni_del(&plugins, &conf, "eth0").unwrap();
        pod.cni_del(&plugins, &conf, "eth0").unwrap();
    }
    let pod = host.container("pod").unwrap();
    let result = pod.cni_add(&plugins, &conf("1.0.0"), "eth0").unwrap().json;
    let mut changed = conf("1.0.0");
    changed["mode"] = json!("private");
    let told = plugins.check(&changed, &call(&pod), &result).unwrap_err().to_string();
    assert!(told.contains("mode bridge does not match expected value: private"), "{told}");
    assert!(
        plugins
            .check(&conf("1.0.0"), &call(&pod), &Value::Null)
            .unwrap_err()
            .to_string()
            .contains("prevResult")
    );
}

#[test]
fn a_second_add_is_refused_and_changes_nothing() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    let pod = host.container("pod").unwrap();
    pod.cni_add(&plugins, &conf("1.0.0"), "eth0").unwrap();
    let before =
        (links(pod.net()), leases(host), show(&pod, &["addr", "show", "dev", "eth0", "scope", "global"]));
    let told = pod.cni_add(&plugins, &conf("1.0.0"), "eth0").unwrap_err().to_string();
    assert!(told.contains("file exists"), "{told}");
    let after =
        (links(pod.net()), leases(host), show(&pod, &["addr", "show", "dev", "eth0", "scope", "global"]));
    assert_eq!((before.0.len(), &before.1, &before.2), (after.0.len(), &after.1, &after.2));
}

#[test]
fn a_failed_ipam_leaves_no_link_and_a_retry_works() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    let mut conf = conf("1.0.0");
    conf["ipam"]["rangeEnd"] = json!("10.9.0.10");
    conf.as_object_mut().unwrap().remove("mac");
    let (holder, pod) = (host.container("holder").unwrap(), host.container("pod").unwrap());
    holder.cni_add(&plugins, &conf, "eth0").unwrap();
    match pod.cni_add(&plugins, &conf, "eth0") {
        Err(Error::Plugin { code: 11, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(links(pod.net()).is_empty(), "the reference leaves eth0 behind here, and every retry fails");
    holder.cni_del(&plugins, &conf, "eth0").unwrap();
    pod.cni_add(&plugins, &conf, "eth0").unwrap();
}

#[test]
fn del_leaves_a_foreign_interface_alone() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    let pod = host.container("pod").unwrap();
    assert!(
        pod.command("ip")
            .unwrap()
            .args(["link", "add", "eth0", "type", "bridge"])
            .status()
            .unwrap()
            .success()
    );
    assert!(pod.cni_add(&plugins, &conf("1.0.0"), "eth0").unwrap_err().to_string().contains("file exists"));
    pod.cni_del(&plugins, &conf("1.0.0"), "eth0").unwrap();
    assert!(matches!(links(pod.net())[..], [kernel::Link { kind: LinkKind::Bridge, .. }]));
    assert!(leases(host).is_empty());
}

#[test]
fn parents_by_default_route_in_the_pod_and_with_an_mtu() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    let pod = host.container("pod").unwrap();
    let mut by_route = conf("1.0.0");
    by_route.as_object_mut().unwrap().remove("master");
    by_route["mtu"] = json!(1400);
    by_route["bcqueuelen"] = json!(500);
    let result = pod.cni_add(&plugins, &by_route, "eth0").unwrap().json;
    let link = links(pod.net()).pop().unwrap();
    let macvlan = link.kind.as_macvlan().unwrap();
    assert_eq!((link.mtu, macvlan.bc_queue_len), (1400, Some(500)));
    plugins.check(&by_route, &call(&pod), &result).unwrap();

    // A macvlan on an interface of the pod itself.
    let mut inside = conf("1.0.0");
    inside["linkInContainer"] = json!(true);
    inside["mac"] = json!("02:00:00:00:00:44");
    let nested = Call { container: &pod, ifname: "net1", id: "pod", args: "" };
    let result = plugins.add(&inside, &nested).unwrap().json;
    assert_eq!(links(pod.net()).iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["eth0", "net1"]);
    plugins.check(&inside, &nested, &result).unwrap();
    plugins.del(&inside, &nested, &Value::Null).unwrap();
    assert_eq!(links(pod.net()).len(), 1);
}

#[test]
fn mac_precedence_and_requested_addresses() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    let cases: [(&str, Value, &str); 3] = [
        ("", json!({}), "02:00:00:00:00:42"),
        ("MAC=02:00:00:00:00:43", json!({}), "02:00:00:00:00:43"),
        (
            "MAC=02:00:00:00:00:43",
            json!({"mac": "02:00:00:00:00:44", "ips": ["10.9.0.17"]}),
            "02:00:00:00:00:44",
        ),
    ];
    for (args, runtime, mac) in cases {
        let pod = host.container("pod").unwrap();
        let mut conf = conf("1.0.0");
        conf["RuntimeConfig"] = runtime.clone();
        let call = Call { container: &pod, ifname: "eth0", id: "pod", args };
        let answer = plugins.add(&conf, &call).unwrap();
        assert_eq!((answer.mac(), links(pod.net())[0].mac.unwrap().to_string().as_str()), (Some(mac), mac));
        if runtime.get("ips").is_some() {
            assert_eq!(answer.address(), Some("10.9.0.17".parse().unwrap()));
        }
        plugins.del(&conf, &call, &Value::Null).unwrap();
        pod.delete().unwrap();
    }
}

#[test]
fn gc_keeps_what_is_valid_and_gives_back_the_rest() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    let mut conf = conf("1.1.0");
    conf.as_object_mut().unwrap().remove("mac");
    conf["hostAccess"] = json!(true);
    for name in ["kept", "lost"] {
        host.container(name).unwrap().cni_add(&plugins, &conf, "eth0").unwrap();
    }
    assert_eq!(leases(host).len(), 2);
    let kept = host.open_container("kept").unwrap();
    host.open_container("lost").unwrap().delete().unwrap();
    let mut gc = conf.clone();
    gc["cni.dev/valid-attachments"] = json!([{"containerID": "kept", "ifname": "eth0"}]);
    plugins.run("GC", &gc, &call(&kept)).unwrap();
    assert_eq!(leases(host), ["10.9.0.10"]);
    assert!(lab::Ping::new("10.9.0.10".parse().unwrap()).count(3).run(host.net()).is_ok());
    gc["cni.dev/valid-attachments"] = json!([]);
    plugins.run("GC", &gc, &call(&kept)).unwrap();
    assert!(leases(host).is_empty());
    assert_eq!(links(host.net()).len(), 1, "the shim is gone");
}
