//! `sbr`.

use std::collections::BTreeSet;

use lab::{Container, Plugins};
use serde_json::{Value, json};

use crate::support::{
    anonymous, both, both_with, call, config, host_shell, lab, llano, macvlan_pod, previous, refused, remove,
    shell, stdin_file,
};

/// Rules and routes of every table but the kernel's own, without what differs from run to run.
pub(crate) fn state(pod: &Container<'_>) -> BTreeSet<String> {
    let rules = shell(pod, "ip -4 rule; ip -6 rule");
    let routes = shell(
        pod,
        "for family in -4 -6; do ip $family route show table all | grep -v 'table local' | sed \"s/^/$family /\"; done || true",
    );
    let shown = rules.lines().chain(routes.lines());
    shown.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// A pod with addresses and routes, as `macvlan` leaves it.
fn pod<'a>(host: &'a lab::Host, name: &str, mac: u8, lines: &[&str]) -> Container<'a> {
    let pod = macvlan_pod(host, name, mac);
    shell(&pod, "sysctl -qw net.ipv6.conf.eth0.accept_ra=0; ip link set eth0 up");
    for line in lines {
        shell(&pod, &format!("ip {line}"));
    }
    pod
}

const V4: [&str; 4] = [
    "address add 10.1.2.3/24 dev eth0",
    "route add default via 10.1.2.1",
    "route add 10.5.0.0/16 via 10.1.2.9",
    "route add 192.0.2.0/24 dev eth0",
];

fn add(plugins: &Plugins, pod: &Container<'_>, keys: Value, ips: &[(&str, Option<&str>)]) -> Value {
    let previous = previous(pod, "1.0.0", ips);
    plugins.run("ADD", &config("sbr", "1.0.0", keys, &previous), &call(pod)).unwrap()
}

#[test]
fn both_move_the_routes_of_ipv4_in_the_same_way() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let second: Vec<&str> = V4.into_iter().chain(["address add 10.1.7.3/24 dev eth0"]).collect();
    for (case, lines, ips) in [
        ("one", &V4[..], &[("10.1.2.3/24", Some("10.1.2.1"))][..]),
        ("no-gateway", &V4[..1], &[("10.1.2.3/24", None)][..]),
        ("two", &second[..], &[("10.1.2.3/24", Some("10.1.2.1")), ("10.1.7.3/24", Some("10.1.7.1"))][..]),
    ] {
        let mut shown = Vec::new();
        for (name, plugins) in both() {
            let pod = pod(host, &format!("{name}-{case}"), 1, lines);
            let before = state(&pod);
            let result = add(&plugins, &pod, json!({}), ips);
            let routed = state(&pod);
            assert!(routed.contains("32765: from 10.1.2.3 lookup 100"), "{name} {case}: {routed:?}");
            let sbr = config("sbr", "1.0.0", json!({}), &result);
            plugins.run("CHECK", &sbr, &call(&pod)).unwrap();
            plugins.run("DEL", &sbr, &call(&pod)).unwrap();
            let rules = |state: &BTreeSet<String>| -> Vec<String> {
                state.iter().filter(|line| line.contains("lookup")).cloned().collect()
            };
            assert_eq!(rules(&state(&pod)), rules(&before), "{name} {case}");
            // The reference copies routes of IPv6 into the table of an IPv4 address, too, and link-local ones away.
            let routed: Vec<String> =
                routed.into_iter().filter(|line| !line.starts_with("-6 fe80")).collect();
            shown.push((routed, anonymous(&result, &pod)));
            remove(&pod);
        }
        assert_eq!(shown[0], shown[1], "{case}");
    }
}

#[test]
fn both_point_rules_at_a_given_table() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let mut shown = Vec::new();
    for (name, plugins) in both_with("sbr", "failed to add rule") {
        let pod = pod(host, name, 1, &V4);
        let before = state(&pod);
        let keys = json!({"table": 4711});
        let result = add(&plugins, &pod, keys.clone(), &[("10.1.2.3/24", Some("10.1.2.1"))]);
        let routed = state(&pod);
        let sbr = config("sbr", "1.0.0", keys, &result);
        plugins.run("CHECK", &sbr, &call(&pod)).unwrap();
        if name == "llano" {
            // A retry after a killed ADD.
            plugins.run("ADD", &sbr, &call(&pod)).unwrap();
            assert_eq!(state(&pod), routed);
        }
        shell(&pod, "ip rule add from 10.1.2.3 lookup 4712 pref 99");
        plugins.run("DEL", &sbr, &call(&pod)).unwrap();
        shell(&pod, "ip rule del pref 99");
        assert_eq!(state(&pod), before, "{name}: all but the other table's rule is gone");
        shown.push(routed);
        remove(&pod);
    }
    assert!(shown[0].contains("32765: from 10.1.2.3 lookup 4711"), "{:?}", shown[0]);
    assert!(shown.iter().all(|state| *state == shown[0]), "{shown:?}");
}

#[test]
fn both_take_static_gateways_and_source_hints() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let mut shown = Vec::new();
    for (name, plugins) in both_with("sbr", "addSourceHints") {
        let pod = pod(host, name, 1, &V4[..3]);
        let keys = json!({"gateways": ["10.1.2.9"], "addSourceHints": true});
        add(&plugins, &pod, keys, &[("10.1.2.3/24", Some("10.1.2.1"))]);
        let routed: Vec<String> =
            state(&pod).into_iter().filter(|line| !line.starts_with("-6 fe80")).collect();
        shown.push(routed);
        remove(&pod);
    }
    assert!(
        shown[0].iter().any(|line| line == "-4 10.1.2.0/24 dev eth0 scope link src 10.1.2.3"),
        "{:?}",
        shown[0]
    );
    assert!(shown.iter().all(|state| *state == shown[0]), "{shown:?}");
}

#[test]
fn both_families_have_tables_and_link_local_stays_in_main() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let lines: Vec<&str> = V4
        .into_iter()
        .chain([
            "address add 2001:db8::3/64 dev eth0 nodad",
            "-6 route add default via fe80::1 dev eth0",
            "-6 route add 2001:db8:5::/48 via fe80::9 dev eth0",
        ])
        .collect();
    let pod = pod(host, "pod", 1, &lines);
    let before = state(&pod);
    let ips = [("10.1.2.3/24", Some("10.1.2.1")), ("2001:db8::3/64", Some("fe80::1"))];
    let result = add(&llano(), &pod, json!({}), &ips);
    let routed = state(&pod);
    for line in [
        "32765: from 10.1.2.3 lookup 100",
        "32765: from 2001:db8::3 lookup 101",
        "-4 default via 10.1.2.1 dev eth0 table 100",
        "-4 10.1.2.0/24 dev eth0 table 100 proto kernel scope link src 10.1.2.3",
        "-4 10.5.0.0/16 via 10.1.2.9 dev eth0 table 100",
        "-4 192.0.2.0/24 dev eth0 table 100 scope link",
        "-6 default via fe80::1 dev eth0 table 101 metric 1024 pref medium",
        "-6 2001:db8::/64 dev eth0 table 101 proto kernel metric 256 pref medium",
        // The reference loses this one: its next hop is in no subnet.
        "-6 2001:db8:5::/48 via fe80::9 dev eth0 table 101 metric 1024 pref medium",
        "-6 fe80::/64 dev eth0 proto kernel metric 256 pref medium",
    ] {
        assert!(routed.contains(line), "{line} is not in {routed:#?}");
    }
    let main: Vec<&String> =
        routed.iter().filter(|line| line.starts_with('-') && !line.contains("table")).collect();
    assert!(main.iter().all(|line| line.contains("fe80::/64")), "{main:?}");
    let sbr = config("sbr", "1.0.0", json!({}), &result);
    llano().run("CHECK", &sbr, &call(&pod)).unwrap();
    // DEL takes what it made; what it moved goes with the interface.
    llano().run("DEL", &sbr, &call(&pod)).unwrap();
    llano().run("DEL", &sbr, &call(&pod)).unwrap();
    let left = state(&pod);
    assert!(!left.iter().any(|line| line.contains("10.1.2.3") || line.contains("table 10")), "{left:?}");
    assert!(before.iter().filter(|line| line.contains("lookup")).all(|line| left.contains(line)));
}

#[test]
fn check_names_what_is_missing() {
    let lab = lab();
    let pod = pod(lab.host("host").unwrap(), "pod", 1, &V4);
    let result = add(&llano(), &pod, json!({}), &[("10.1.2.3/24", Some("10.1.2.1"))]);
    let sbr = config("sbr", "1.0.0", json!({}), &result);
    for (change, back, words) in [
        (
            "ip route del default table 100",
            "ip route add default via 10.1.2.1 dev eth0 table 100",
            "table 100 has no default route via 10.1.2.1",
        ),
        ("ip rule del from 10.1.2.3", "ip rule add from 10.1.2.3 lookup 100", "no rule from 10.1.2.3/32"),
        (
            "ip rule add from 10.1.2.3 lookup main pref 5; ip rule del from 10.1.2.3 lookup 100",
            "true",
            "no rule from",
        ),
    ] {
        shell(&pod, change);
        let (code, text) = refused(&llano(), "CHECK", &sbr, &call(&pod));
        assert!(code >= 100 && text.contains(words), "{change}: {code} {text}");
        shell(&pod, back);
    }
}

#[test]
fn a_failed_add_leaves_everything_as_it_was() {
    let lab = lab();
    let pod = pod(lab.host("host").unwrap(), "pod", 1, &V4);
    let before = state(&pod);
    // The second gateway is on no link, so its route fails after the first address is done.
    for keys in [json!({}), json!({"addSourceHints": true})] {
        let ips = [("10.1.2.3/24", Some("10.1.2.1")), ("10.9.9.9/24", Some("172.16.0.1"))];
        shell(&pod, "ip route del default");
        let without = state(&pod);
        let previous = previous(&pod, "1.0.0", &ips);
        let (_, text) = refused(&llano(), "ADD", &config("sbr", "1.0.0", keys, &previous), &call(&pod));
        assert!(text.contains("172.16.0.1"), "{text}");
        assert_eq!(state(&pod), without);
        shell(&pod, "ip route add default via 10.1.2.1");
        assert_eq!(state(&pod), before);
    }
    // Addresses, but of another interface: the reference deletes every route of eth0 here.
    let mut previous = previous(&pod, "1.0.0", &[("10.1.2.3/24", None)]);
    previous["interfaces"][0]["name"] = json!("net1");
    let (code, text) = refused(&llano(), "ADD", &config("sbr", "1.0.0", json!({}), &previous), &call(&pod));
    assert!(code == 7 && text.contains("No IP addresses supplied on interface: eth0"), "{code} {text}");
    assert_eq!(state(&pod), before);
}

#[test]
fn del_of_a_pod_that_is_gone_succeeds_and_makes_no_file() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let pod = pod(host, "pod", 1, &V4);
    let result = add(&llano(), &pod, json!({}), &[("10.1.2.3/24", Some("10.1.2.1"))]);
    let sbr = config("sbr", "1.0.0", json!({}), &result);
    // The link is gone, the addresses are known from the result only.
    shell(&pod, "ip link del eth0");
    llano().run("DEL", &sbr, &call(&pod)).unwrap();
    assert!(!shell(&pod, "ip rule").contains("10.1.2.3"));
    host_shell(host, "ip netns del pod");
    llano().run("DEL", &sbr, &call(&pod)).unwrap();
    assert_eq!(host_shell(host, "ls /run/netns"), "");
    // What the reference plugin leaves there.
    host_shell(host, "touch /run/netns/pod");
    llano().run("DEL", &sbr, &call(&pod)).unwrap();
    host_shell(host, "rm /run/netns/pod");
    let output = host
        .command(llano().dir().join("sbr"))
        .unwrap()
        .envs([
            ("CNI_COMMAND", "DEL"),
            ("CNI_CONTAINERID", "pod"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/x"),
        ])
        .stdin(std::fs::File::open(stdin_file(&sbr).path()).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "no CNI_NETNS at all: {}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn two_interfaces_at_once_take_different_tables() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let pod = pod(host, "pod", 1, &V4[..2]);
    for number in 2..10u8 {
        let mac = format!("02:00:00:00:00:{number:02x}");
        host_shell(
            host,
            &format!(
                "ip link add tmp{number} link eth0 address {mac} type macvlan mode bridge && ip link set tmp{number} netns pod"
            ),
        );
        shell(
            &pod,
            &format!(
                "ip link set tmp{number} name net{number} up && ip address add 10.2.{number}.3/24 dev net{number}"
            ),
        );
    }
    std::thread::scope(|scope| {
        for number in 2..10u8 {
            let pod = &pod;
            scope.spawn(move || {
                let name = format!("net{number}");
                let (address, gateway) = (format!("10.2.{number}.3/24"), format!("10.2.{number}.1"));
                let mut previous = previous(pod, "1.0.0", &[(&address, Some(&gateway))]);
                previous["interfaces"][0]["name"] = json!(name);
                let call = lab::Call { ifname: &name, ..call(pod) };
                llano().run("ADD", &config("sbr", "1.0.0", json!({}), &previous), &call).unwrap();
            });
        }
    });
    let state = state(&pod);
    for number in 2..10u8 {
        let address = format!("from 10.2.{number}.3 lookup ");
        let line = state.iter().find(|line| line.contains(&address)).unwrap();
        let table = line.split("lookup ").nth(1).unwrap();
        let default = format!("-4 default via 10.2.{number}.1 dev net{number} table {table}");
        assert!(state.contains(&default), "{default} is not in {state:#?}");
    }
    let tables: BTreeSet<&str> = state
        .iter()
        .filter(|line| line.contains("from 10.2."))
        .filter_map(|line| line.split("lookup ").nth(1))
        .collect();
    assert_eq!(tables.len(), 8);
}
