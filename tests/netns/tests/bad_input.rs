//! Wrong configurations, environments and results: the right CNI code, a message that names the key, and nothing
//! changed on the system. The parsers' own tables are in `crates/cni`; here every row goes through the binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)] // A test ends where it cannot go on.

use std::io::Write;
use std::process::Stdio;

use kernel::Netlink;
use lab::{Host, Lab, LabSpec, Plugins};
use netns_tests::llano_plugins;
use serde_json::{Value, json};

const SPEC: &str = "
switches:
  lan: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.1/24] }
";

/// One wrong call.
struct Row {
    plugin: &'static str,
    verb: &'static str,
    env: Vec<(&'static str, String)>,
    stdin: Vec<u8>,
    code: u64,
    needle: &'static str,
}

fn base(plugin: &str) -> Value {
    let ipam =
        json!({"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/24"}]], "dataDir": "/run/leases"});
    match plugin {
        "macvlan" => {
            json!({"cniVersion": "1.1.0", "name": "net", "type": "macvlan", "master": "eth0", "ipam": ipam})
        }
        "vlan" => {
            json!({"cniVersion": "1.1.0", "name": "net", "type": "vlan", "master": "eth0", "vlanId": 5, "ipam": ipam})
        }
        "host-local" => json!({"cniVersion": "1.1.0", "name": "net", "type": "macvlan", "ipam": ipam}),
        "static" => json!({"cniVersion": "1.1.0", "name": "net", "type": "macvlan",
                           "ipam": {"type": "static", "addresses": [{"address": "10.9.0.9/24"}]}}),
        "dhcp" => json!({"cniVersion": "1.1.0", "name": "net", "type": "macvlan", "ipam": {"type": "dhcp"}}),
        chained => json!({"cniVersion": "1.1.0", "name": "net", "type": chained, "prevResult": {
            "cniVersion": "1.1.0",
            "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:09", "sandbox": "/run/netns/pod"}],
            "ips": [{"address": "10.9.0.9/24", "interface": 0}]
        }}),
    }
}

/// Sets `path` (`ipam.ranges.0.0.subnet`) to `value`.
fn with(plugin: &str, path: &str, value: Value) -> Value {
    let mut conf = base(plugin);
    let mut place = &mut conf;
    for part in path.split('.') {
        place = match part.parse::<usize>() {
            Ok(index) => place.get_mut(index).expect("a path of the base configuration"),
            Err(_) => {
                if !place.is_object() {
                    *place = json!({});
                }
                place.as_object_mut().unwrap().entry(part).or_insert(Value::Null)
            }
        };
    }
    *place = value;
    conf
}

fn row(plugin: &'static str, path: &str, value: Value, code: u64, needle: &'static str) -> Row {
    let stdin = with(plugin, path, value).to_string().into_bytes();
    Row { plugin, verb: "ADD", env: Vec::new(), stdin, code, needle }
}

fn raw(plugin: &'static str, stdin: impl Into<Vec<u8>>, code: u64, needle: &'static str) -> Row {
    Row { plugin, verb: "ADD", env: Vec::new(), stdin: stdin.into(), code, needle }
}

fn env(
    plugin: &'static str,
    key: &'static str,
    value: impl Into<String>,
    code: u64,
    needle: &'static str,
) -> Row {
    let stdin = base(plugin).to_string().into_bytes();
    Row { plugin, verb: "ADD", env: vec![(key, value.into())], stdin, code, needle }
}

fn verb(plugin: &'static str, verb: &'static str, conf: &Value, code: u64, needle: &'static str) -> Row {
    Row { plugin, verb, env: Vec::new(), stdin: conf.to_string().into_bytes(), code, needle }
}

fn bytes_and_versions(rows: &mut Vec<Row>) {
    for plugin in ["macvlan", "host-local", "tuning"] {
        rows.push(raw(plugin, "", 6, "unmarshal"));
        rows.push(raw(plugin, "{", 6, "unmarshal"));
        rows.push(raw(plugin, "[]", 6, "unmarshal"));
        rows.push(raw(plugin, "\"text\"", 6, "unmarshal"));
        rows.push(raw(plugin, "{} trailing", 6, "unmarshal"));
        rows.push(raw(plugin, b"{\"name\": \"\xff\xfe\"}".to_vec(), 6, "unmarshal"));
        rows.push(raw(plugin, "[".repeat(100_000), 6, "unmarshal"));
        rows.push(raw(plugin, "{\"a\":".repeat(5_000), 6, "unmarshal"));
        rows.push(raw(plugin, format!("{{\"name\": \"{}\"}}", "x".repeat(2 << 20)), 6, ""));
        rows.push(row(plugin, "cniVersion", json!("9.9.9"), 1, "incompatible CNI versions"));
        rows.push(row(plugin, "cniVersion", json!("1.0"), 1, "incompatible CNI versions"));
        rows.push(row(plugin, "cniVersion", json!("v1.0.0"), 1, "incompatible CNI versions"));
        rows.push(row(plugin, "cniVersion", json!(1), 6, "cniVersion"));
        rows.push(row(plugin, "name", Value::Null, 7, "missing network name"));
        rows.push(row(plugin, "name", json!(""), 7, "missing network name"));
        rows.push(row(plugin, "name", json!("../../etc"), 7, "invalid characters found in network name"));
        rows.push(row(plugin, "name", json!("a/b"), 7, "invalid characters found in network name"));
        rows.push(row(plugin, "name", json!("-net"), 7, "invalid characters found in network name"));
        rows.push(row(plugin, "name", json!(7), 6, "name"));
    }
}

fn environments(rows: &mut Vec<Row>) {
    for (key, value, needle) in [
        ("CNI_CONTAINERID", "", "CNI_CONTAINERID"),
        ("CNI_CONTAINERID", "../escape", "invalid characters in containerID"),
        ("CNI_CONTAINERID", "a/b", "invalid characters in containerID"),
        ("CNI_CONTAINERID", ".hidden", "invalid characters in containerID"),
        ("CNI_CONTAINERID", "a b", "invalid characters in containerID"),
        ("CNI_CONTAINERID", "a\nb", "invalid characters in containerID"),
        ("CNI_CONTAINERID", "a;rm", "invalid characters in containerID"),
        ("CNI_CONTAINERID", "ünïcode", "invalid characters in containerID"),
        ("CNI_IFNAME", "", "CNI_IFNAME"),
        ("CNI_IFNAME", ".", "interface name"),
        ("CNI_IFNAME", "..", "interface name"),
        ("CNI_IFNAME", "a/b", "interface name"),
        ("CNI_IFNAME", "a:b", "interface name"),
        ("CNI_IFNAME", "a b", "interface name"),
        ("CNI_IFNAME", "sixteencharacter", "interface name"),
        ("CNI_NETNS", "", "CNI_NETNS"),
        ("CNI_PATH", "", "CNI_PATH"),
        ("CNI_COMMAND", "FROB", "unknown CNI_COMMAND"),
        ("CNI_COMMAND", "add", "unknown CNI_COMMAND"),
        ("CNI_ARGS", "FOO=bar", "CNI_ARGS"),
        ("CNI_ARGS", "MAC", "CNI_ARGS"),
        ("CNI_ARGS", "MAC=1=2", "CNI_ARGS"),
        ("CNI_ARGS", "IgnoreUnknown=maybe;FOO=1", "CNI_ARGS"),
        ("CNI_ARGS", "mac=02:00:00:00:00:01", "CNI_ARGS"),
    ] {
        rows.push(env("macvlan", key, value, 4, needle));
    }
    rows.push(env("macvlan", "CNI_ARGS", "MAC=zz", 7, "MAC"));
    rows.push(env("macvlan", "CNI_ARGS", "MAC=01:00:5e:00:00:01", 7, "MAC"));
    rows.push(env("macvlan", "CNI_NETNS", "/run/netns/absent", 8, "/run/netns/absent"));
    rows.push(env("macvlan", "CNI_NETNS", "/etc/passwd", 8, "/etc/passwd"));
    rows.push(env("macvlan", "CNI_NETNS", "/proc/self/ns/mnt", 8, "namespace"));
    rows.push(env("macvlan", "CNI_NETNS", "/proc/self/ns/net", 8, "netns"));
    rows.push(env("host-local", "CNI_ARGS", "IP=nonsense", 4, "IP"));
    rows.push(env("host-local", "CNI_ARGS", "IP=10.200.0.1", 7, "10.200.0.1"));
    rows.push(env("static", "CNI_ARGS", "IP=10.9.0.7", 4, "CIDR"));
    rows.push(env("static", "CNI_ARGS", "IP=10.9.0.7/24;GATEWAY=zz", 4, "gateway"));
}

fn macvlan(rows: &mut Vec<Row>) {
    for (path, value, needle) in [
        ("master", json!(1), "master"),
        ("master", json!(["eth0"]), "master"),
        ("master", json!("absent"), "absent"),
        ("master", json!("a/b"), "a/b"),
        ("mode", json!("bridged"), "mode"),
        ("mode", json!("BRIDGE"), "mode"),
        ("mode", json!(4), "mode"),
        ("mtu", json!("1500"), "mtu"),
        ("mtu", json!(1500.5), "mtu"),
        ("mtu", json!(-1), "MTU"),
        ("mtu", json!(9001), "MTU"),
        ("mtu", json!(99_999_999_999_999_u64), "MTU"),
        ("mac", json!("zz"), "mac"),
        ("mac", json!(12), "mac"),
        ("mac", json!("01:00:5e:00:00:01"), "mac"),
        ("mac", json!("00:00:00:00:00:00"), "mac"),
        ("mac", json!("02:00:00:00:00"), "mac"),
        ("mac", json!("02:00:00:00:00:01:02:03"), "mac"),
        ("bcqueuelen", json!(-1), "bcqueuelen"),
        ("bcqueuelen", json!("9"), "bcqueuelen"),
        ("bcqueuelen", json!(4_294_967_296_u64), "bcqueuelen"),
        ("linkInContainer", json!("true"), "linkInContainer"),
        ("nopromisc", json!(true), "nopromisc"),
        ("nopromisc", json!(1), "nopromisc"),
        ("nodst", json!(true), "nodst"),
        ("nodst", json!("yes"), "nodst"),
        ("sourceMacs", json!(["02:00:00:00:00:01"]), "sourceMacs"),
        ("sourceMacs", json!("02:00:00:00:00:01"), "sourceMacs"),
        ("probe", json!("yes"), "probe"),
        ("probe", json!(1), "probe"),
        ("probe", json!({"count": 0}), "probe.count"),
        ("probe", json!({"count": 11}), "probe.count"),
        ("probe", json!({"interval": 1}), "probe.interval"),
        ("probe", json!({"interval": "100ms"}), "probe.interval"),
        ("probe", json!({"quarantine": 0}), "probe.quarantine"),
        ("probe", json!({"temporaryMac": "no"}), "probe.temporaryMac"),
        ("announce", json!("off"), "announce"),
        ("announce", json!({"count": 99}), "announce.count"),
        ("announce", json!({"interval": 5}), "announce.interval"),
        ("hostAccess", json!("on"), "hostAccess"),
        ("hostAccess", json!({"exclude": "10.0.0.0/8"}), "hostAccess.exclude"),
        ("hostAccess", json!({"exclude": ["nonsense"]}), "hostAccess.exclude[0]"),
        ("ipv6", json!(true), "ipv6"),
        ("ipv6", json!({"acceptRA": "no"}), "ipv6.acceptRA"),
        ("ipam", json!("host-local"), "ipam"),
        ("ipam.type", json!(5), "ipam.type"),
        ("dns", json!("8.8.8.8"), "dns"),
        ("dns", json!({"nameservers": "8.8.8.8"}), "dns.nameservers"),
        ("runtimeConfig", json!([]), "runtimeConfig"),
        ("runtimeConfig", json!({"mac": "zz"}), "runtimeConfig.mac"),
    ] {
        rows.push(row("macvlan", path, value, 7, needle));
    }
    for mode in ["private", "vepa", "passthru"] {
        let mut conf = with("macvlan", "mode", json!(mode));
        conf["hostAccess"] = json!(true);
        rows.push(verb("macvlan", "ADD", &conf, 7, mode));
    }
    let mut source = with("macvlan", "mode", json!("source"));
    rows.push(verb("macvlan", "ADD", &source, 7, "sourceMacs"));
    source["sourceMacs"] = json!(["02:00:00:00:00:01", "nonsense"]);
    rows.push(verb("macvlan", "ADD", &source, 7, "sourceMacs[1]"));
    source["sourceMacs"] = json!(["02:00:00:00:00:01"]);
    source["hostAccess"] = json!(true);
    rows.push(verb("macvlan", "ADD", &source, 7, "mode source"));
    let mut inside = with("macvlan", "linkInContainer", json!(true));
    rows.push(verb("macvlan", "ADD", &inside, 7, "eth0"));
    inside["hostAccess"] = json!(true);
    rows.push(verb("macvlan", "ADD", &inside, 7, "linkInContainer"));
    rows.push(row("macvlan", "ipam.type", json!("absent-ipam"), 7, "failed to find plugin \"absent-ipam\""));
    rows.push(row("macvlan", "ipam.type", json!("../../bin/sh"), 7, "invalid plugin name: ../../bin/sh"));
}

fn host_local(rows: &mut Vec<Row>) {
    // The same rules whether macvlan calls it in-process or a runtime calls it by its own name.
    for plugin in ["host-local", "macvlan"] {
        for (path, value, needle) in [
            ("ipam.ranges", json!("10.9.0.0/24"), "ranges"),
            ("ipam.ranges", json!([]), "no IP ranges specified"),
            ("ipam.ranges", json!([[]]), "range set 0"),
            ("ipam.ranges", json!([[{}]]), "subnet"),
            ("ipam.ranges.0.0.subnet", json!("10.9.0.0"), "subnet"),
            ("ipam.ranges.0.0.subnet", json!("10.9.0.5/24"), "ipam.ranges[0][0]"),
            ("ipam.ranges.0.0.subnet", json!("10.9.0.0/31"), "too small"),
            ("ipam.ranges.0.0.subnet", json!("fd00::/127"), "too small"),
            ("ipam.ranges.0.0.subnet", json!(10), "subnet"),
            ("ipam.ranges.0.0.rangeStart", json!("10.8.0.1"), "10.8.0.1"),
            ("ipam.ranges.0.0.rangeStart", json!("nonsense"), "rangeStart"),
            ("ipam.ranges.0.0.rangeEnd", json!("10.10.0.1"), "10.10.0.1"),
            ("ipam.ranges.0.0.gateway", json!("nonsense"), "gateway"),
            ("ipam.ranges", json!([[{"subnet": "10.9.0.0/24"}, {"subnet": "10.9.0.0/25"}]]), "overlap"),
            (
                "ipam.ranges",
                json!([[{"subnet": "10.9.0.0/24"}, {"subnet": "fd00::/64"}]]),
                "mixed address families",
            ),
            ("ipam.ranges", json!([[{"subnet": "10.9.0.0/24"}], [{"subnet": "10.9.0.0/24"}]]), "overlap"),
            ("ipam.routes", json!({"dst": "0.0.0.0/0"}), "routes"),
            ("ipam.routes", json!([{"dst": "everywhere"}]), "dst"),
            ("ipam.routes", json!([{"dst": "0.0.0.0/0", "gw": "nonsense"}]), "gw"),
            ("ipam.dataDir", json!(1), "dataDir"),
            ("args", json!({"cni": {"ips": "10.9.0.5"}}), "args.cni.ips"),
            ("args", json!({"cni": {"ips": ["nonsense"]}}), "args.cni.ips"),
            ("runtimeConfig", json!({"ips": ["nonsense"]}), "runtimeConfig.ips"),
            ("runtimeConfig", json!({"ipRanges": {}}), "runtimeConfig.ipRanges"),
        ] {
            rows.push(row(plugin, path, value, 7, needle));
        }
        rows.push(row(plugin, "args", json!({"cni": {"ips": ["10.9.0.1"]}}), 7, "gateway"));
        rows.push(row(plugin, "args", json!({"cni": {"ips": ["10.200.0.1"]}}), 7, "10.200.0.1"));
    }
    rows.push(row("host-local", "ipam", Value::Null, 7, "ipam"));
}

fn other_types(rows: &mut Vec<Row>) {
    for (path, value, needle) in [
        ("ipam.addresses", json!([{"address": "10.9.0.9"}]), "CIDR"),
        ("ipam.addresses", json!([{"address": 9}]), "address"),
        ("ipam.addresses", json!([{"address": "10.9.0.9/24", "gateway": "zz"}]), "gateway"),
        ("ipam.addresses", json!("10.9.0.9/24"), "addresses"),
        ("runtimeConfig", json!({"ips": ["10.9.0.9"]}), "CIDR"),
        ("args", json!({"cni": {"ips": ["10.9.0.9"]}}), "CIDR"),
    ] {
        rows.push(row("static", path, value, 7, needle));
    }
    for (path, value, needle) in [
        ("vlanId", json!(-1), "vlanId"),
        ("vlanId", json!(4095), "vlanId"),
        ("vlanId", json!("5"), "vlanId"),
        ("master", json!(""), "master"),
        ("master", json!("absent"), "absent"),
        ("mtu", json!(9001), "MTU"),
        ("ipam", json!({}), "ipam"),
    ] {
        rows.push(row("vlan", path, value, 7, needle));
    }
    for (path, value, needle) in [
        ("sysctl", json!("net.ipv4.ip_forward"), "sysctl"),
        ("sysctl", json!({"kernel.panic": "1"}), "kernel"),
        ("sysctl", json!({"net.ipv4.../../../kernel/panic": "1"}), "net"),
        ("sysctl", json!({"net.ipv4.ip_forward": 1}), "net.ipv4.ip_forward"),
        ("mac", json!("zz"), "mac"),
        ("mtu", json!("1500"), "mtu"),
        ("txQLen", json!(-1), "txQLen"),
        ("promisc", json!("on"), "promisc"),
        ("allmulti", json!(1), "allmulti"),
    ] {
        rows.push(row("tuning", path, value, 7, needle));
    }
    for (path, value, needle) in [
        ("ingressRate", json!(1000), "burst"),
        ("egressRate", json!(1000), "burst"),
        ("ingressBurst", json!(1000), "rate"),
        ("ingressRate", json!(-5), "ingressRate"),
        ("egressRate", json!("1M"), "egressRate"),
        ("runtimeConfig", json!({"bandwidth": {"ingressRate": "x"}}), "ingressRate"),
    ] {
        rows.push(row("bandwidth", path, value, 7, needle));
    }
    for (path, value, needle) in [
        ("table", json!("main"), "table"),
        ("table", json!(-1), "table"),
        ("gateways", json!("10.9.0.254"), "gateways"),
        ("gateways", json!(["nonsense"]), "gateways"),
    ] {
        rows.push(row("sbr", path, value, 7, needle));
    }
    for chained in ["tuning", "sbr", "bandwidth"] {
        let mut alone = base(chained);
        alone.as_object_mut().unwrap().remove("prevResult");
        if chained == "bandwidth" {
            alone["ingressRate"] = json!(8_000_000);
            alone["ingressBurst"] = json!(8_000_000);
        }
        rows.push(verb(chained, "ADD", &alone, 7, ""));
        for (previous, code) in [
            (json!("text"), 7),
            (json!([]), 7),
            (json!({"cniVersion": "7.0.0"}), 6),
            (json!({"cniVersion": "1.0.0", "ips": [{"address": "nonsense"}]}), 7),
            (json!({"cniVersion": "1.0.0", "ips": {}}), 7),
            (json!({"cniVersion": "1.0.0", "interfaces": [1]}), 7),
            (json!({"cniVersion": "0.2.0", "ip4": {"ip": 5}}), 7),
        ] {
            rows.push(row(chained, "prevResult", previous, code, "prevResult"));
        }
    }
}

fn verbs(rows: &mut Vec<Row>) {
    let old = with("macvlan", "cniVersion", json!("0.3.1"));
    rows.push(verb("macvlan", "CHECK", &old, 1, "does not allow CHECK"));
    rows.push(verb("macvlan", "GC", &with("macvlan", "cniVersion", json!("1.0.0")), 1, "does not allow GC"));
    rows.push(verb(
        "macvlan",
        "STATUS",
        &with("macvlan", "cniVersion", json!("1.0.0")),
        1,
        "does not allow STATUS",
    ));
    rows.push(verb("macvlan", "STATUS", &with("macvlan", "master", json!("absent")), 50, "absent"));
    rows.push(verb("macvlan", "GC", &base("macvlan"), 7, "cni.dev/valid-attachments"));
    rows.push(verb(
        "macvlan",
        "GC",
        &with("macvlan", "cni.dev/valid-attachments", json!("all")),
        7,
        "valid-attachments",
    ));
}

/// `cni.dev/valid-attachments` has a dot in its key.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    bytes_and_versions(&mut rows);
    environments(&mut rows);
    macvlan(&mut rows);
    host_local(&mut rows);
    other_types(&mut rows);
    verbs(&mut rows);
    rows
}

/// Everything on the host that a plugin could have changed.
fn state(host: &Host) -> String {
    let mut text = String::new();
    let pod = host.open_container("pod").unwrap();
    for net in [host.net(), pod.net()] {
        let mut socket = Netlink::open_in(net).unwrap();
        for link in socket.links().unwrap() {
            text += &format!("{} {} {:?} {} {}\n", link.index, link.name, link.mac, link.mtu, link.flags);
        }
        text += &format!("{:?}\n{:?}\n", socket.addresses(None).unwrap(), socket.rules().unwrap());
    }
    let find = host
        .command("find")
        .unwrap()
        .args(["/run", "/var/lib/cni", "/var/lib/llano", "/etc/cni"])
        .output()
        .unwrap();
    text + &String::from_utf8_lossy(&find.stdout)
}

fn call(host: &Host, plugins: &Plugins, row: &Row) -> (Option<i32>, Value, String) {
    let mut command = host.command(plugins.dir().join(row.plugin)).unwrap();
    command
        .env("CNI_COMMAND", row.verb)
        .env("CNI_CONTAINERID", "pod")
        .env("CNI_NETNS", "/run/netns/pod")
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", plugins.dir());
    for (key, value) in &row.env {
        command.env(key, value);
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A plugin that refuses early closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(&row.stdin);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), text)
}

#[test]
fn every_wrong_call_is_refused_by_name_and_changes_nothing() {
    let plugins = llano_plugins();
    let lab = Lab::ephemeral(&LabSpec::parse(SPEC).unwrap()).unwrap();
    let host = lab.host("host").unwrap();
    let pod = host.container("pod").unwrap();
    // The lease directory and its lock are there from now on; what a refused call adds to them is a leak.
    pod.cni_add(&plugins, &base("macvlan"), "eth0").unwrap();
    pod.cni_del(&plugins, &base("macvlan"), "eth0").unwrap();
    let rows = rows();
    assert!(rows.len() >= 150, "only {} rows", rows.len());
    let before = state(host);
    let mut wrong = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let config: String = String::from_utf8_lossy(&row.stdin).chars().take(300).collect();
        let shown = format!("#{number} {} {} {:?} {config}", row.plugin, row.verb, row.env);
        let (exit, answer, text) = call(host, &plugins, row);
        let said = format!(
            "{} {}",
            answer["msg"].as_str().unwrap_or_default(),
            answer["details"].as_str().unwrap_or_default()
        );
        if exit != Some(1) || answer["code"].as_u64() != Some(row.code) || !said.contains(row.needle) {
            wrong.push(format!(
                "{shown}\n    wanted code {} and {:?}, got exit {exit:?}: {text}",
                row.code, row.needle
            ));
        } else if said.contains('\n') {
            wrong.push(format!("{shown}\n    more than one line: {said}"));
        }
        let after = state(host);
        if after != before {
            wrong.push(format!("{shown}\n    changed the system:\n{before}\n---\n{after}"));
            break;
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}
