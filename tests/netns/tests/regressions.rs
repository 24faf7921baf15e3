//! Defects that a review found, each with the smallest call that showed it. They need root.

// A test that cannot look at the machine has failed.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use kernel::{Change, Link, Netlink};
use lab::{Container, Ephemeral, Host, Lab, LabSpec, Plugins, capture};
use netns_tests::llano_plugins;
use serde_json::{Value, json};

const SPEC: &str = "
switches:
  lan: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.1/24, \"fd09::1/64\"], mac: \"02:00:00:00:09:01\" }
  peer:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.2/24, \"fd09::2/64\"], mac: \"02:00:00:00:09:02\" }
";

fn lab() -> Ephemeral {
    Lab::ephemeral(&LabSpec::parse(SPEC).unwrap()).unwrap()
}

fn conf(extra: Value) -> Value {
    let mut conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "macvlan", "master": "eth0",
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/leases",
            "ranges": [
                [{"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.100", "rangeEnd": "10.9.0.200", "gateway": "10.9.0.2"}],
                [{"subnet": "fd09::/64", "rangeStart": "fd09::100", "rangeEnd": "fd09::200", "gateway": "fd09::2"}],
            ],
        },
    });
    for (key, value) in extra.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

fn leases(host: &Host) -> Vec<String> {
    let names = host.run_in(|| {
        let entries = fs::read_dir("/run/leases/net").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    });
    names.unwrap().into_iter().filter(|name| name.parse::<IpAddr>().is_ok()).collect()
}

fn shims(host: &Host) -> Vec<Link> {
    let mut links = Netlink::open_in(host.net()).unwrap().links().unwrap();
    links.retain(|link| link.alias.as_deref().is_some_and(|alias| alias.starts_with("llano host access")));
    links
}

fn with_previous(conf: &Value, previous: Value) -> Value {
    let mut conf = conf.clone();
    conf["prevResult"] = previous;
    conf
}

/// One call for a container, with the namespace path of the test's choice.
fn run(
    plugins: &Plugins,
    host: &Host,
    verb: &'static str,
    conf: &Value,
    id: &str,
    netns: &str,
) -> (bool, String) {
    let program = plugins.dir().join(conf["type"].as_str().unwrap());
    let mut command = host.command(program).unwrap();
    command
        .env("CNI_COMMAND", verb)
        .env("CNI_CONTAINERID", id)
        .env("CNI_NETNS", netns)
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", plugins.dir());
    let mut input = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut input, conf.to_string().as_bytes()).unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let output = command.stdin(input).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn ip(container: &Container<'_>, args: &[&str]) {
    assert!(container.command("ip").unwrap().args(args).status().unwrap().success(), "ip {args:?}");
}

#[test]
fn del_with_a_path_that_is_no_namespace_says_so_and_gives_the_address_back() {
    let (plugins, lab) = (llano_plugins(), lab());
    let host = lab.host("host").unwrap();
    let conf = conf(json!({}));
    for netns in ["/run/plain", "/proc/self/ns/net"] {
        let pod = host.container("pod").unwrap();
        host.run_in(|| fs::write("/run/plain", "")).unwrap().unwrap();
        assert!(run(&plugins, host, "ADD", &conf, "pod", "/run/netns/pod").0);
        assert_eq!(leases(host).len(), 2);
        let (success, text) = run(&plugins, host, "DEL", &conf, "pod", netns);
        assert!(!success && text.contains("\"code\": 8"), "{netns}: {text}");
        assert!(leases(host).is_empty(), "{netns}");
        pod.delete().unwrap();
    }
    assert!(
        Netlink::open_in(host.net()).unwrap().link_by_name("eth0").unwrap().is_some(),
        "the host's own stays"
    );
}

#[test]
fn del_and_gc_of_a_network_that_never_was_make_no_directory() {
    let (plugins, lab) = (llano_plugins(), lab());
    let host = lab.host("host").unwrap();
    for (verb, extra) in [("DEL", json!({})), ("GC", json!({"cni.dev/valid-attachments": []}))] {
        let (success, text) = run(&plugins, host, verb, &conf(extra), "pod", "/run/netns/gone");
        assert!(success, "{verb}: {text}");
        assert!(!host.run_in(|| fs::exists("/run/leases")).unwrap().unwrap(), "{verb}");
    }
}

#[test]
fn gc_without_a_right_list_takes_nothing() {
    let (plugins, lab) = (llano_plugins(), lab());
    let host = lab.host("host").unwrap();
    let _pod = host.container("pod").unwrap();
    assert!(run(&plugins, host, "ADD", &conf(json!({})), "pod", "/run/netns/pod").0);
    let wrong = json!({"cni.dev/valid-attachments": [{"id": "pod", "ifname": "eth0"}]});
    for (kind, extra) in
        [("macvlan", wrong), ("macvlan", json!({})), ("vlan", json!({})), ("host-local", json!({}))]
    {
        let mut conf = conf(extra);
        conf["type"] = kind.into();
        let (success, text) = run(&plugins, host, "GC", &conf, "", "");
        assert!(!success && text.contains("\"code\": 7"), "{kind}: {text}");
        assert_eq!(leases(host).len(), 2, "{kind}");
    }
}

#[test]
fn host_access_is_taken_back_when_the_configuration_names_another_master_since() {
    let (plugins, lab) = (llano_plugins(), lab());
    let host = lab.host("host").unwrap();
    let pod = host.container("pod").unwrap();
    pod.cni_add(&plugins, &conf(json!({"hostAccess": true})), "eth0").unwrap();
    assert_eq!(shims(host).len(), 1);
    pod.cni_del(&plugins, &conf(json!({"master": "lan0"})), "eth0").unwrap();
    assert!(shims(host).is_empty());
}

#[test]
fn host_access_on_a_master_that_is_a_macvlan_serves_every_pod() {
    let (plugins, lab) = (llano_plugins(), lab());
    let host = lab.host("host").unwrap();
    for args in [
        &["link", "add", "mv0", "link", "eth0", "type", "macvlan", "mode", "bridge"][..],
        &["link", "set", "mv0", "up"],
    ] {
        assert!(host.command("ip").unwrap().args(args).status().unwrap().success());
    }
    let conf = conf(json!({"master": "mv0", "hostAccess": true}));
    for name in ["a", "b"] {
        host.container(name).unwrap().cni_add(&plugins, &conf, "eth0").unwrap();
    }
    let filter = kernel::RouteFilter { protocol: Some(76), ..kernel::RouteFilter::default() };
    let routes = Netlink::open_in(host.net()).unwrap().routes(&filter).unwrap();
    assert_eq!(routes.len(), 4, "two families of two pods: {routes:?}");
}

#[test]
fn the_shim_of_a_host_that_routes_keeps_silent() {
    let (plugins, lab) = (llano_plugins(), lab());
    let (host, peer) = (lab.host("host").unwrap(), lab.host("peer").unwrap());
    let forward = |value: &'static str| {
        host.run_in(move || {
            for which in ["all", "default"] {
                kernel::sysctl::write(&format!("net/ipv6/conf/{which}/forwarding"), value).unwrap();
            }
        })
        .unwrap();
    };
    forward("1");
    let seen = capture(peer.net(), "eth0").unwrap();
    let pod = host.container("pod").unwrap();
    let conf = conf(json!({"hostAccess": true}));
    pod.cni_add(&plugins, &conf, "eth0").unwrap();
    let shim = shims(host).first().and_then(|shim| shim.mac).unwrap();
    // MLD reports come twice, up to a second apart.
    std::thread::sleep(Duration::from_millis(1200));
    // Who turns routing on later must not wake it.
    forward("0");
    forward("1");
    std::thread::sleep(Duration::from_millis(1200));
    let frames = seen.stop().unwrap();
    assert!(!frames.is_empty(), "the capture works");
    let own = frames.iter().filter(|frame| frame.source() == Some(shim)).count();
    assert_eq!(own, 0, "frames from the shim");
}

#[test]
fn check_sees_a_lost_neighbour_entry_on_the_shim() {
    let (plugins, lab) = (llano_plugins(), lab());
    let host = lab.host("host").unwrap();
    let pod = host.container("pod").unwrap();
    let conf = conf(json!({"hostAccess": true}));
    let answer = pod.cni_add(&plugins, &conf, "eth0").unwrap();
    let checked = with_previous(&conf, answer.json.clone());
    let (success, text) = run(&plugins, host, "CHECK", &checked, "pod", "/run/netns/pod");
    assert!(success, "{text}");
    let mut socket = Netlink::open_in(host.net()).unwrap();
    let shim = shims(host).remove(0).index;
    let lost =
        socket.neighbours(Some(shim)).unwrap().into_iter().find(|entry| entry.address.is_ipv4()).unwrap();
    socket.apply(&Change::DeleteNeighbour(lost)).unwrap();
    let (success, text) = run(&plugins, host, "CHECK", &checked, "pod", "/run/netns/pod");
    assert!(!success && text.contains("neighbour entry for 10.9.0."), "{text}");
}

#[test]
fn check_knows_ipv6_routes_that_the_kernel_has_made_one_of() {
    let (plugins, lab) = (llano_plugins(), lab());
    let host = lab.host("host").unwrap();
    let pod = host.container("pod").unwrap();
    let conf = conf(json!({"ipam": {
        "type": "static",
        "addresses": [{"address": "fd09::50/64"}],
        "routes": [{"dst": "::/0", "gw": "fd09::2"}, {"dst": "::/0", "gw": "fd09::3"}],
    }}));
    let answer = pod.cni_add(&plugins, &conf, "eth0").unwrap();
    let checked = with_previous(&conf, answer.json.clone());
    let (success, text) = run(&plugins, host, "CHECK", &checked, "pod", "/run/netns/pod");
    assert!(success, "{text}");
    ip(&pod, &["-6", "route", "del", "default", "via", "fd09::3"]);
    let (success, text) = run(&plugins, host, "CHECK", &checked, "pod", "/run/netns/pod");
    assert!(!success && text.contains("Expected Route default not found"), "{text}");
}

#[test]
fn check_takes_the_mtu_that_a_later_plugin_has_promised() {
    let (plugins, lab) = (llano_plugins(), lab());
    let host = lab.host("host").unwrap();
    let pod = host.container("pod").unwrap();
    let conf = conf(json!({"mtu": 1400}));
    let mut result = pod.cni_add(&plugins, &conf, "eth0").unwrap().json.clone();
    ip(&pod, &["link", "set", "eth0", "mtu", "1300"]);
    let checked = with_previous(&conf, result.clone());
    assert!(!run(&plugins, host, "CHECK", &checked, "pod", "/run/netns/pod").0, "nobody promised 1300");
    result["interfaces"][0]["mtu"] = 1300.into();
    let (success, text) =
        run(&plugins, host, "CHECK", &with_previous(&conf, result), "pod", "/run/netns/pod");
    assert!(success, "{text}");
}

#[test]
fn the_addresses_of_a_foreign_ipam_are_announced_too() {
    let (plugins, lab) = (llano_plugins(), lab());
    let (host, peer) = (lab.host("host").unwrap(), lab.host("peer").unwrap());
    let name = format!("foreign-{}", std::process::id());
    let foreign = plugins.dir().join(&name);
    let script = "#!/bin/sh
cat > /dev/null
[ $CNI_COMMAND = ADD ] || exit 0
echo '{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.9.0.60/24\"}]}'
";
    fs::write(&foreign, script).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o755)).unwrap();
    let seen = capture(peer.net(), "eth0").unwrap();
    let pod = host.container("pod").unwrap();
    let added = pod.cni_add(&plugins, &conf(json!({"ipam": {"type": name}})), "eth0");
    fs::remove_file(foreign).unwrap();
    added.unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let address: IpAddr = "10.9.0.60".parse().unwrap();
    let announced = seen
        .stop()
        .unwrap()
        .iter()
        .filter_map(lab::Frame::arp)
        .any(|arp| IpAddr::from(arp.sender_ip) == address);
    assert!(announced, "a gratuitous ARP");
}

#[test]
fn a_probe_knows_the_hosts_own_address_which_cannot_answer() {
    let (plugins, lab) = (llano_plugins(), lab());
    let host = lab.host("host").unwrap();
    let pod = host.container("pod").unwrap();
    // .1 is the parent's, .2 the peer's.
    let ranges = json!([[{"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.1", "rangeEnd": "10.9.0.9", "gateway": "10.9.0.254"}]]);
    let conf = conf(json!({
        "probe": true, "ipam": {"type": "host-local", "dataDir": "/run/leases", "ranges": ranges},
    }));
    let answer = pod.cni_add(&plugins, &conf, "eth0").unwrap();
    assert_eq!(answer.address(), Some("10.9.0.3".parse().unwrap()));
    assert_eq!(leases(host), ["10.9.0.3"], "what was in use is given back");
}

#[test]
fn a_full_queue_of_the_parent_loses_an_announcement_and_not_the_pod() {
    let (plugins, lab) = (llano_plugins(), lab());
    let host = lab.host("host").unwrap();
    let shaped =
        ["qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "8kbit", "burst", "1600", "limit", "100"];
    assert!(host.command("tc").unwrap().args(shaped).status().unwrap().success());
    let pod = host.container("pod").unwrap();
    let conf =
        conf(json!({"probe": {"count": 10, "interval": 10}, "announce": {"count": 10, "interval": 10}}));
    pod.cni_add(&plugins, &conf, "eth0").unwrap();
}

#[test]
fn an_ipv6_pod_may_begin_to_talk_at_once() {
    let (plugins, lab) = (llano_plugins(), lab());
    let host = lab.host("host").unwrap();
    let pod = host.container("pod").unwrap();
    pod.cni_add(&plugins, &conf(json!({})), "eth0").unwrap();
    // The kernel's own duplicate address detection takes one to two seconds.
    let echo = lab::Ping::new("fd09::2".parse().unwrap()).count(1).timeout(Duration::from_millis(900));
    let answer = echo.run(pod.net()).unwrap();
    assert_eq!(answer.received, 1);
}
