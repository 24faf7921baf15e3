//! `llano link add`, `set`, `del`, `source-mac`, `show`, `watch` as they are typed; read back by `ip`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A test ends where it cannot go on.

mod watch;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use kernel::NetNs;
use lab::{Container, Ephemeral, Host};
use netns_tests::{LeakCheck, bin_dir, llano_plugins, up};
use serde_json::{Value, json};

const SPEC: &str = "
switches: { lan: {}, lan2: {} }
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: 10.9.0.1/24 }
      eth1: { switch: lan2 }
  other:
    interfaces:
      eth0: { switch: lan }
";

fn lab() -> Ephemeral {
    up(SPEC)
}

fn llano(host: &Host, words: &str) -> Output {
    host.command(bin_dir().join("llano")).unwrap().args(words.split(' ')).output().unwrap()
}

#[track_caller]
fn ok(host: &Host, words: &str) -> String {
    let output = llano(host, words);
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Must be refused with one line that has this in it.
#[track_caller]
fn refused(host: &Host, words: &str, reason: &str) {
    let output = llano(host, words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}: {said}");
    assert!(said.contains(reason) && said.lines().count() == 1, "{words}: {said}");
}

/// `ip -d -j link show` of a namespace, by name; counters and the kernel's own choices are left out.
fn links(net: &NetNs) -> Vec<Value> {
    let output = net.run(|| Command::new("ip").args(["-d", "-j", "link"]).output().unwrap()).unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn link(net: &NetNs, name: &str) -> Value {
    links(net).into_iter().find(|link| link["ifname"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn info<'a>(link: &'a Value, key: &str) -> &'a Value {
    &link["linkinfo"]["info_data"][key]
}

fn macs(link: &Value) -> BTreeSet<String> {
    let list = info(link, "macaddr_data").as_array().cloned().unwrap_or_default();
    list.iter().map(|mac| mac.as_str().unwrap().to_owned()).collect()
}

#[test]
fn five_modes_are_made_changed_and_deleted() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let web = host.container("web").unwrap();
    for (mode, more) in [
        ("bridge", ""),
        ("private", ""),
        ("vepa", ""),
        ("source", " --source-mac 02:00:00:00:09:02 --source-mac 02:00:00:00:09:03"),
        ("passthru", " --nopromisc"),
    ] {
        for (place, net) in [("", host.net()), (" --netns web", web.net())] {
            ok(
                host,
                &format!("link add mv0 --parent eth1 --mode {mode}{more}{place} --bc-queue-len 500 --up"),
            );
            let made = link(net, "mv0");
            assert_eq!(info(&made, "mode"), mode, "{made}");
            assert!(made["flags"].as_array().unwrap().contains(&"UP".into()), "{made}");
            assert_eq!(info(&made, "bcqueuelen"), 500, "{made}");
            if mode == "source" {
                assert_eq!(macs(&made).len(), 2, "{made}");
            }
            if mode == "passthru" {
                assert_eq!(made["address"], link(host.net(), "eth1")["address"]);
                assert_eq!(link(host.net(), "eth1")["promiscuity"], 0, "nopromisc");
                ok(host, &format!("link set mv0 --nopromisc off{place}"));
                assert_eq!(link(host.net(), "eth1")["promiscuity"], 1);
                ok(host, &format!("link set mv0 --nopromisc on{place}"));
                assert_eq!(link(host.net(), "eth1")["promiscuity"], 0);
                refused(host, &format!("link set mv0 --mode bridge{place}"), "no mode from or to passthru");
            } else {
                ok(host, &format!("link set mv0 --mode vepa --bc-queue-len 700{place}"));
                let changed = link(net, "mv0");
                assert_eq!(
                    (info(&changed, "mode"), info(&changed, "bcqueuelen")),
                    (&json!("vepa"), &json!(700))
                );
                refused(host, &format!("link set mv0 --mode passthru{place}"), "no mode from or to passthru");
            }
            ok(host, &format!("link del mv0{place}"));
            assert!(links(net).iter().all(|link| link["ifname"] != "mv0"));
        }
    }
}

#[test]
fn the_list_of_senders_is_changed_and_read_back() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let (one, two, three) = ("02:00:00:00:09:01", "02:00:00:00:09:02", "02:00:00:00:09:03");
    let set = |macs: &[&str]| macs.iter().map(|mac| (*mac).to_owned()).collect::<BTreeSet<_>>();
    let now = || macs(&link(host.net(), "mv0"));
    ok(host, "link add mv0 --parent eth0 --mode source");
    assert_eq!(now(), set(&[]));
    ok(host, &format!("link source-mac add mv0 {one} {two} {one}"));
    assert_eq!(now(), set(&[one, two]));
    ok(host, &format!("link source-mac del mv0 {one} {three}"));
    assert_eq!(now(), set(&[two]));
    ok(host, &format!("link source-mac set mv0 {one} {three}"));
    assert_eq!(now(), set(&[one, three]));
    let shown: Value = serde_json::from_str(&ok(host, "link show mv0 --output json")).unwrap();
    assert_eq!(shown[0]["sourceMacs"].as_array().unwrap().len(), 2, "{shown}");
    let dry = ok(host, &format!("link source-mac add mv0 {two} --dry-run"));
    assert!(dry.contains(&format!("ip link set dev mv0 type macvlan macaddr add {two}")), "{dry}");
    refused(host, "link source-mac add mv0 01:00:5e:00:00:01", "is no sender");
    assert_eq!(now(), set(&[one, three]), "nothing was changed");
    ok(host, "link source-mac flush mv0");
    assert_eq!(now(), set(&[]));
    ok(host, "link set mv0 --mode bridge");
    refused(host, &format!("link source-mac add mv0 {one}"), "only mode source has a list of senders");
    refused(host, &format!("link source-mac add eth0 {one}"), "only a macvlan");
}

#[test]
fn a_namespace_has_many_names() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let plugins = llano_plugins();
    let web = host.container("web").unwrap();
    let mut sleeper = web.command("sleep").unwrap().arg("1000").spawn().unwrap();
    // A pod as the kubelet's runtime leaves it in CNI's cache.
    let conf = json!({"cniVersion": "1.0.0", "name": "lan", "type": "macvlan", "master": "eth0",
        "ipam": {"type": "static", "addresses": [{"address": "10.9.0.20/24"}]}});
    web.cni_add(&plugins, &conf, "eth0").unwrap();
    let id = "f00d".repeat(16);
    let cache = json!({"kind": "cniCacheV1", "containerId": id, "config": "e30=", "ifName": "eth0", "networkName": "lan",
        "netns": "/run/netns/web", "result": {"cniVersion": "1.0.0", "ips": []},
        "cniArgs": [["K8S_POD_NAMESPACE", "shop"], ["K8S_POD_NAME", "web-0"], ["K8S_POD_UID", "u-1"]]});
    let write = || {
        std::fs::create_dir_all("/var/lib/cni/results").unwrap();
        std::fs::write("/var/lib/cni/results/lan-f00d-eth0", cache.to_string()).unwrap();
        // Torn by a power cut, too long, not JSON: of no use and no harm.
        std::fs::write("/var/lib/cni/results/torn", &cache.to_string()[..90]).unwrap();
        std::fs::write("/var/lib/cni/results/noise", [0xff; 64]).unwrap();
        std::fs::File::create("/var/lib/cni/results/huge").unwrap().set_len(1 << 34).unwrap();
    };
    host.run_in(write).unwrap();
    let pid = sleeper.id().to_string();
    for text in ["web", "/run/netns/web", pid.as_str(), "f00df00df00d", id.as_str(), "shop/web-0"] {
        ok(host, &format!("link add mv0 --parent eth0 --netns {text}"));
        assert_eq!(link(web.net(), "mv0")["ifname"], "mv0", "{text}");
        ok(host, &format!("link del mv0 --netns {text}"));
    }
    refused(host, "link add mv0 --parent eth0 --netns nobody", "is no network namespace");
    refused(host, "link add mv0 --parent eth0 --netns shop/web-1", "is no network namespace");
    let tree: Value = serde_json::from_str(&ok(host, "link tree eth0 --output json")).unwrap();
    let owners: Vec<&str> =
        tree["namespaces"].as_array().unwrap().iter().map(|n| n["owner"].as_str().unwrap()).collect();
    assert_eq!(owners, ["host", "pod shop/web-0"], "{tree}");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

/// All that a refused call might have left: links with addresses, of the host and of the container.
fn state(host: &Host, container: &Container<'_>) -> Vec<Value> {
    [host.net(), container.net()]
        .into_iter()
        .flat_map(|net| {
            let run = || Command::new("ip").args(["-d", "-j", "address"]).output().unwrap();
            let list: Vec<Value> = serde_json::from_slice(&net.run(run).unwrap().stdout).unwrap();
            list
        })
        .collect()
}

#[test]
fn what_is_refused_says_why_and_leaves_nothing() {
    let leaks = LeakCheck::begin();
    let lab = lab();
    let host = lab.host("host").unwrap();
    let web = host.container("web").unwrap();
    ok(host, "link add mv0 --parent eth0 --netns web --address 10.9.0.30/24");
    ok(host, "link add pass --parent eth1 --mode passthru --netns web");
    ok(host, "link add v0 --type veth --peer v1");
    // Another host's, on a link of the same number: of no interest here.
    let other = lab.host("other").unwrap();
    let same = other.container("same").unwrap();
    let mut sleeper = same.command("sleep").unwrap().arg("1000").spawn().unwrap();
    ok(other, "link add mv0 --parent eth0 --netns same --mode private");
    let before = state(host, &web);
    let cases = [
        ("link add mv0 --parent eth0 --netns web", "there is a link \"mv0\" in web already"),
        ("link add mv1 --parent eth9", "there is no link \"eth9\" here"),
        ("link add mv1 --parent eth1", "belongs wholly to pass"),
        (
            "link add mv1 --parent eth0 --mode passthru",
            "needs eth0 for itself, and it carries one macvlan already, such as mv0 (mode bridge)",
        ),
        ("link add mv1 --parent eth0 --mtu 9000", "invalid MTU 9000"),
        ("link add mv1 --parent eth0 --nopromisc", "only with mode passthru"),
        ("link add mv1 --parent eth0 --source-mac 02:00:00:00:09:01", "only with mode source"),
        ("link add mv1 --parent eth0 --mode router", "--mode: unknown macvlan mode"),
        ("link add mv1 --parent eth0 --id 7", "--id: not for a link of type macvlan"),
        ("link add mv1", "--parent: a macvlan needs one"),
        ("link add br0 --type bridge --parent eth0", "a bridge has no parent"),
        ("link add a/b --parent eth0", "interface name"),
        ("link add mv1 --parent eth0 --mac 01:00:00:00:00:01", "unicast"),
        ("link add v2 --type veth --peer v1", "there is a link \"v1\" in that namespace already"),
        // Made, then refused: taken away again.
        (
            "link add mv1 --parent eth0 --netns web --address 10.9.0.31/24 --address 10.9.0.31/24 --up",
            "EEXIST",
        ),
        ("link add v2 --type veth --peer v3 --controller eth0", "cannot change link"),
        // Changed, then refused: changed back.
        (
            "link set mv0 --netns web --mac 02:00:00:00:09:77 --mtu 1300 --mode private --alias x --up --address 10.9.0.30/24",
            "--address: mv0 in web has the address 10.9.0.30/24 already",
        ),
        (
            "link set mv0 --netns web --mtu 1300 --delete-address 10.9.0.30/24 --delete-address 10.9.0.99/24",
            "--delete-address: mv0 in web has no address 10.9.0.99/24",
        ),
        (
            "link set mv0 --netns web --mac 02:00:00:00:09:77 --mtu 1300 --mode private --alias x --up --address ff02::9/64",
            "cannot add address",
        ),
        ("link set v0 --mtu 1300 --promisc on --arp off --controller eth0", "cannot change link"),
        (
            "link set mv0 --netns web --mac 02:00:00:00:09:77 --mtu 9000",
            "--mtu: mv0 stands on eth0 (host), and no more than its 1500 is allowed",
        ),
        ("link set eth0 --mode vepa", "are for macvlans"),
        ("link set mv0 --netns web", "nothing to change"),
        ("link del eth0", "would vanish with it"),
        ("link del lo", "stays"),
        ("link del nothing", "there is no link"),
    ];
    for (words, reason) in cases {
        refused(host, words, reason);
        assert_eq!(state(host, &web), before, "{words}");
    }
    // A kernel without the module says so; one with it makes the link.
    let output = llano(host, "link add eth0.7 --type vlan --parent eth0 --id 7");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || said.contains("this kernel has no links of type vlan"), "{said}");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    drop(lab);
    leaks.assert_clean();
}

/// `IFLA_LINK` of a VXLAN in another namespace than its link is its own number, which any link of the host may have.
#[test]
fn a_vxlan_hangs_on_its_link_across_namespaces() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let web = host.container("web").unwrap();
    for words in [
        "link add name vx0 index 77 netns web type vxlan id 7 remote 10.9.0.3 dev eth0 dstport 4789",
        "link add decoy index 77 type bridge",
    ] {
        assert!(host.command("ip").unwrap().args(words.split(' ')).status().unwrap().success(), "{words}");
    }
    let tree: Value = serde_json::from_str(&ok(host, "link tree --output json")).unwrap();
    let links = tree["links"].as_array().unwrap();
    let named =
        |name: &str| links.iter().find(|link| link["name"] == name).unwrap_or_else(|| panic!("{tree:#}"));
    assert_eq!(named("vx0")["parent"]["index"], named("eth0")["index"], "{:#}", named("vx0"));
    refused(host, "link del eth0", "would vanish with it");
    ok(host, "link del decoy");
    assert_eq!(link(web.net(), "vx0")["ifname"], "vx0");
}

/// The kernel deletes a primary address with its secondaries: what was not asked for stays.
#[test]
fn addresses_go_one_by_one() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let addresses = || {
        let output =
            host.command("ip").unwrap().args(["-4", "-o", "addr", "show", "dev", "mv0"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.split_ascii_whitespace().nth(3).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = "--address 10.5.0.1/24 --address 10.5.0.2/24 --address 10.5.0.3/24";
    ok(host, &format!("link add mv0 --parent eth0 {all}"));
    ok(host, "link set mv0 --delete-address 10.5.0.1/24 --delete-address 10.5.0.2/24");
    assert_eq!(addresses(), ["10.5.0.3/24"]);
    ok(host, "link set mv0 --address 10.5.0.4/24");
    ok(host, "link set mv0 --delete-address 10.5.0.3/24 --address 10.5.0.9/24");
    assert_eq!(addresses(), ["10.5.0.4/24", "10.5.0.9/24"]);
}

/// Set down, a link loses its routes, neighbours and IPv6 addresses: all of them are back.
#[test]
fn a_link_set_down_in_vain_has_its_routes_again() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let sh = |script: &str| {
        let output = host.command("sh").unwrap().args(["-ec", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    sh("ip addr add fd09::1/64 dev eth0 nodad
        ip route add 10.66.0.0/16 via 10.9.0.3 metric 7
        ip route add 10.67.0.0/16 via 10.66.0.1 dev eth0 onlink table 100 mtu 1400
        ip route add default via 10.9.0.2
        ip -6 route add default via fd09::2
        ip neigh add 10.9.0.99 lladdr 02:00:00:00:00:99 dev eth0 nud permanent");
    let network = || {
        let text = sh(
            "ip -o addr; ip route show table all; ip -6 route show table all; ip neigh show nud permanent",
        );
        // The link's own, whose duplicates the kernel looks for anew.
        let lines = text.lines().filter(|line| !line.contains("fe80") && !line.contains("ff00::"));
        lines.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let before = network();
    assert_eq!(before.iter().filter(|line| line.contains("default via")).count(), 2, "{before:?}");
    for (words, reason) in [
        ("link set eth0 --down --delete-address 10.1.1.1/24", "has no address"),
        ("link set eth0 --down --address ff02::9/64", "cannot add address"),
        ("link set eth0 --delete-address 10.9.0.1/24 --address ff02::9/64", "cannot add address"),
    ] {
        refused(host, words, reason);
        assert_eq!(network(), before, "{words}");
    }
}

#[test]
fn a_dry_run_does_nothing_and_its_ip_command_does_the_same() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let web = host.container("web").unwrap();
    let cases = [
        "link add mv0 --parent eth0 --mode source --source-mac 02:00:00:00:09:01 --bc-queue-len 600 --mtu 1400 --mac 02:00:00:00:09:50 --alias a'b --address 10.9.0.50/24 --up",
        "link add mv0 --parent eth0 --netns web --mode private --mac 02:00:00:00:09:51 --tx-queue-len 77",
        "link add mv0 --parent eth1 --netns web --mode passthru --nopromisc --up",
        "link add mv0 --type veth --peer mv1 --peer-netns web --mac 02:00:00:00:09:52",
        "link add mv0 --type bridge --mac 02:00:00:00:09:53 --mtu 1300 --up",
        "link add mv0 --parent p0 --parent-netns web --mac 02:00:00:00:09:54",
    ];
    ok(host, "link add p0 --type bridge --netns web --mac 02:00:00:00:09:55");
    // Indices grow, generated link-local addresses follow MACs: both are of no interest.
    let facts = || {
        let mut all = links(host.net());
        all.extend(links(web.net()));
        for link in &mut all {
            let object = link.as_object_mut().unwrap();
            for key in ["ifindex", "operstate", "flags"] {
                object.remove(key);
            }
            if object.get("linkinfo").is_some_and(|info| info["info_kind"] == "veth") {
                object.remove("link_index");
            }
            if object["ifname"] == "mv1" {
                object.remove("address");
            }
            if let Some(data) = object.get_mut("linkinfo").and_then(|info| info.get_mut("info_data")) {
                // A bridge's timers and identifiers.
                data.as_object_mut().unwrap().retain(|key, _| !key.contains("timer") && !key.contains("id"));
            }
        }
        all
    };
    let empty = facts();
    for words in cases {
        let dry: Value =
            serde_json::from_str(&ok(host, &format!("{words} --dry-run --output json"))).unwrap();
        assert_eq!(facts(), empty, "a dry run of {words} did something");
        ok(host, words);
        let made = facts();
        assert_ne!(made, empty, "{words}");
        let netns = if words.contains("--netns web") { " --netns web" } else { "" };
        ok(host, &format!("link del mv0{netns}"));
        for line in dry["ip"].as_array().unwrap() {
            let line = line.as_str().unwrap();
            let output = host.command("sh").unwrap().args(["-c", line]).output().unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(facts(), made, "{words}: {dry}");
        ok(host, &format!("link del mv0{netns}"));
        assert_eq!(facts(), empty);
    }
}

#[test]
fn names_and_aliases_of_others_are_harmless() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let web = host.container("web").unwrap();
    for (name, alias) in [("a<b&\"'>", "]]><script>\n\x1b[2J"), ("\x01\x1b[31m", "\\N{};-->")] {
        let status = host
            .command("ip")
            .unwrap()
            .args(["link", "add", "link", "eth0", "name", "tmp0", "netns", "web", "type", "macvlan"])
            .status();
        assert!(status.unwrap().success());
        let mut socket = kernel::Netlink::open_in(web.net()).unwrap();
        let index = socket.index_of("tmp0").unwrap().unwrap();
        let set =
            kernel::SetLink { name: Some(name.into()), alias: Some(alias.into()), ..Default::default() };
        socket.apply(&kernel::Change::SetLink { index, set }).unwrap();
    }
    for words in ["link tree", "link show --netns web", "link tree --output dot", "link tree --output svg"] {
        let text = ok(host, words);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{words}: {text:?}");
        assert!(!text.contains("<script>") || !words.contains("svg"), "{text}");
    }
    let json: Value = serde_json::from_str(&ok(host, "link tree --output json")).unwrap();
    assert!(json["links"].as_array().unwrap().iter().any(|link| link["name"] == "a<b&\"'>"), "{json}");
}
