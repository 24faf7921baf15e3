//! Probes before use: conflicts of both families, what becomes of the address, and what router advertisements may do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)] // A test ends where it cannot go on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use kernel::arp::{self, ArpPacket};
use kernel::ndp::{self, NdpMessage, NdpPacket};
use kernel::{BpfInsn, MacAddr, Netlink, PacketSocket, uapi};
use lab::{Call, Container, Error, Host};
use netns_tests::{llano_plugins, up};
use serde_json::{Value, json};

const SPEC: &str = "
switches:
  lan: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.1/24, \"fd09::1/64\"] }
  peer:
    interfaces:
      eth0:
        switch: lan
        addresses: [10.9.0.10/24, 10.9.0.11/24, \"fd09::10/64\"]
        mac: \"02:00:00:00:09:0a\"
";

fn conf(probe: Value) -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "macvlan", "master": "eth0", "probe": probe,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/leases",
            "ranges": [
                [{"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.10", "rangeEnd": "10.9.0.13", "gateway": "10.9.0.1"}],
                [{"subnet": "fd09::/64", "rangeStart": "fd09::10", "rangeEnd": "fd09::13", "gateway": "fd09::1"}],
            ],
        },
    })
}

fn files(host: &Host, dir: &str) -> Vec<String> {
    let list = host.run_in(|| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    });
    let mut names = list.unwrap();
    names.sort();
    names
}

fn texts(answer: &lab::Answer) -> Vec<String> {
    answer.addresses().iter().map(|net| net.addr().to_string()).collect()
}

#[test]
fn a_conflicting_address_is_passed_over_in_both_families_and_leaks_nothing() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    let first = host.container("first").unwrap();
    let answer = first.cni_add(&plugins, &conf(json!(true)), "eth0").unwrap();
    assert_eq!(
        texts(&answer),
        ["10.9.0.12", "fd09::11"],
        "two IPv4 addresses and one IPv6 address are in use"
    );
    let leases = ["10.9.0.12", "fd09::11", "last_reserved_ip.0", "last_reserved_ip.1", "lock"];
    assert_eq!(files(host, "/run/leases/net"), leases);
    assert_eq!(files(host, "/run/llano/quarantine/net"), ["10.9.0.10", "10.9.0.11", "fd09::10"]);
    for address in ["10.9.0.1", "fd09::1"] {
        let to: IpAddr = address.parse().unwrap();
        assert!(
            lab::Ping::new(to).count(2).run(first.net()).is_err(),
            "the parent itself stays out of reach"
        );
    }

    // Without asking again: what is in quarantine is not in the choice.
    let second = host.container("second").unwrap();
    let answer = second.cni_add(&plugins, &conf(json!(false)), "eth0").unwrap();
    assert_eq!(texts(&answer), ["10.9.0.13", "fd09::12"]);

    // Exhausted now: one error, and no lease or link stays.
    let third = host.container("third").unwrap();
    let before = files(host, "/run/leases/net");
    match third.cni_add(&plugins, &conf(json!(true)), "eth0") {
        Err(Error::Plugin { code: 11, msg, .. }) => {
            assert!(msg.contains("no IP addresses available"), "{msg}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(files(host, "/run/leases/net"), before);
    assert_eq!(Netlink::open_in(third.net()).unwrap().links().unwrap().len(), 1);

    for pod in [&first, &second, &third] {
        pod.cni_del(&plugins, &conf(json!(true)), "eth0").unwrap();
    }
    assert_eq!(files(host, "/run/leases/net"), ["last_reserved_ip.0", "last_reserved_ip.1", "lock"]);
}

#[test]
fn quarantine_ends_after_its_time() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let (host, peer) = (lab.host("host").unwrap(), lab.host("peer").unwrap());
    let conf = conf(json!({"count": 1, "interval": 50, "quarantine": 1}));
    let pod = host.container("pod").unwrap();
    assert_eq!(texts(&pod.cni_add(&plugins, &conf, "eth0").unwrap()), ["10.9.0.12", "fd09::11"]);
    pod.cni_del(&plugins, &conf, "eth0").unwrap();
    assert!(peer.command("ip").unwrap().args(["addr", "flush", "dev", "eth0"]).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(2100));
    // The cursor goes on from .12; the ranges are walked around until the formerly quarantined come again.
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.extend(texts(&pod.cni_add(&plugins, &conf, "eth0").unwrap()));
        pod.cni_del(&plugins, &conf, "eth0").unwrap();
    }
    for address in ["10.9.0.10", "10.9.0.11", "fd09::10"] {
        assert!(seen.iter().any(|given| given == address), "{address} is given again: {seen:?}");
    }
}

#[test]
fn an_address_asked_for_by_name_is_refused_when_in_use() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    let pod = host.container("pod").unwrap();
    let fixed = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "macvlan", "master": "eth0", "probe": true,
        "ipam": {"type": "static", "addresses": [{"address": "10.9.0.99/24"}, {"address": "fd09::10/64"}]},
    });
    match pod.cni_add(&plugins, &fixed, "eth0") {
        Err(Error::Plugin { code: 110, msg, .. }) => {
            assert!(msg.contains("fd09::10") && msg.contains("02:00:00:00:09:0a"), "{msg}");
        }
        other => panic!("{other:?}"),
    }
    let requested = Call { container: &pod, ifname: "eth0", id: "pod", args: "IP=10.9.0.11" };
    match plugins.add(&conf(json!(true)), &requested) {
        Err(Error::Plugin { code: 110, msg, .. }) => assert!(msg.contains("10.9.0.11"), "{msg}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(Netlink::open_in(pod.net()).unwrap().links().unwrap().len(), 1);
    assert!(
        files(host, "/run/leases/net")
            .iter()
            .all(|name| name == "lock" || name.starts_with("last_reserved_ip."))
    );
}

#[test]
fn a_parent_that_is_down_cannot_be_asked_and_add_succeeds() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    assert!(host.command("ip").unwrap().args(["link", "set", "eth0", "down"]).status().unwrap().success());
    let pod = host.container("pod").unwrap();
    let call = Call { container: &pod, ifname: "eth0", id: "pod", args: "" };
    let conf = conf(json!(true));
    let output = plugins.run_raw("ADD", "macvlan", conf.to_string().as_bytes(), &call).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let warning = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(warning.contains("eth0 is down") && warning.lines().count() == 1, "{warning:?}");
    match plugins.run("STATUS", &conf, &call) {
        Err(Error::Plugin { code: 50, msg, .. }) => assert!(msg.contains("eth0 is down"), "{msg}"),
        other => panic!("{other:?}"),
    }
}

const OWN: MacAddr = MacAddr([2, 0, 0x5e, 0x10, 0, 0x60]);
const OWN_V4: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 60);
const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 0x60);

/// A pod with its own MAC and, of its own addresses, these.
fn own(addresses: &[IpAddr], probe: Value) -> Value {
    let prefix = |address: &IpAddr| if address.is_ipv4() { 24 } else { 64 };
    let addresses: Vec<Value> =
        addresses.iter().map(|ip| json!({"address": format!("{ip}/{}", prefix(ip))})).collect();
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "macvlan", "master": "eth0", "probe": probe, "mac": OWN.to_string(),
        "ipam": {"type": "static", "addresses": addresses},
    })
}

/// A probe from the pod's own MAC.
fn blind() -> Value {
    json!({"temporaryMac": false})
}

/// The port behind which the switch knows `OWN`.
fn port_of_own(lab: &lab::Lab) -> String {
    let show = || std::process::Command::new("bridge").args(["fdb", "show"]).output();
    let output = lab.switch("lan").unwrap().net().run(show).unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with(&OWN.to_string())).unwrap_or_default();
    line.split_whitespace().nth(2).unwrap_or_default().to_owned()
}

/// What passes a host's interface of ARP and neighbour discovery.
struct Ear(PacketSocket);

impl Ear {
    fn on(host: &Host) -> Self {
        let link = Netlink::open_in(host.net()).unwrap().link_by_name("eth0").unwrap().unwrap();
        let open = || PacketSocket::open(link.index, uapi::ETH_P_ALL, &BpfInsn::ARP_AND_NEIGHBOUR_DISCOVERY);
        let socket = host.net().run(open).unwrap().unwrap();
        socket.allmulti().unwrap();
        Self(socket)
    }

    /// Who asked for the pod's own addresses, and who announced them.
    fn heard(&self) -> Vec<(MacAddr, &'static str)> {
        let mut said = Vec::new();
        let mut buffer = [0; 2048];
        while let Some(length) = self.0.recv_timeout(&mut buffer, Duration::from_millis(300)).unwrap() {
            let frame = &buffer[..length];
            let about = match (arp::parse(frame), ndp::parse(frame)) {
                (Ok(packet), _) => of_arp(&packet).map(|what| (packet.sender_mac, what)),
                (_, Ok(packet)) => of_ndp(&packet).map(|what| (packet.eth_src, what)),
                _ => None,
            };
            said.extend(about);
        }
        said
    }
}

fn of_arp(packet: &ArpPacket) -> Option<&'static str> {
    match (packet.sender_ip, packet.target_ip) {
        (OWN_V4, OWN_V4) => Some("announced"),
        (Ipv4Addr::UNSPECIFIED, OWN_V4) => Some("asked"),
        _ => None,
    }
}

fn of_ndp(packet: &NdpPacket) -> Option<&'static str> {
    match packet.message {
        NdpMessage::Advertisement { target: OWN_V6, solicited: false, .. } => Some("announced"),
        NdpMessage::Solicitation { target: OWN_V6, .. } if packet.src.is_unspecified() => Some("asked"),
        _ => None,
    }
}

/// The link-local addresses of the pod's interface, once there is one.
fn link_local(pod: &Container<'_>) -> Vec<IpAddr> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let all = Netlink::open_in(pod.net()).unwrap().addresses(None).unwrap();
        let local = all.into_iter().map(|address| address.net.addr());
        let local: Vec<IpAddr> = local
            .filter(|address| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()))
            .collect();
        if !local.is_empty() || Instant::now() > end {
            return local;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// That of `OWN`.
const OWN_LOCAL: &str = "fe80::5eff:fe10:60";

#[test]
fn an_address_whose_old_holder_has_the_same_mac_is_refused_without_disturbing_it() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let (host, peer) = (lab.host("host").unwrap(), lab.host("peer").unwrap());
    for addresses in [[IpAddr::from(OWN_V4)], [IpAddr::from(OWN_V6)]] {
        let old = peer.container("old").unwrap();
        old.cni_add(&plugins, &own(&addresses, blind()), "eth0").unwrap();
        let new = host.container("new").unwrap();
        match new.cni_add(&plugins, &own(&addresses, json!(true)), "eth0") {
            Err(Error::Plugin { code: 110, msg, .. }) => assert_eq!(
                msg,
                format!(
                    "address {} is in use on the LAN by {OWN}, the MAC of this interface: whoever had both before is still there, \
                     so wait until it is gone or switch it off",
                    addresses[0]
                )
            ),
            other => panic!("{other:?}"),
        }
        assert_eq!(Netlink::open_in(new.net()).unwrap().links().unwrap().len(), 1, "nothing is left behind");
        assert_eq!(port_of_own(&lab), "peer-eth0", "no frame of the MAC has come from elsewhere");

        // From its own MAC it asks in vain.
        new.cni_add(&plugins, &own(&addresses, blind()), "eth0").unwrap();
        assert_eq!(port_of_own(&lab), "host-eth0");
        new.cni_del(&plugins, &own(&addresses, blind()), "eth0").unwrap();

        old.cni_del(&plugins, &own(&addresses, blind()), "eth0").unwrap();
        new.cni_add(&plugins, &own(&addresses, json!(true)), "eth0").unwrap();
        new.delete().unwrap();
        old.delete().unwrap();
    }
}

#[test]
fn an_old_holder_on_the_same_host_is_found_as_well_and_no_other_address_is_given_for_its_mac() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    let old = host.container("old").unwrap();
    let range = |probe: Value| {
        let mut conf = conf(probe);
        conf["mac"] = json!(OWN.to_string());
        conf["ipam"]["ranges"] =
            json!([[{"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.60", "rangeEnd": "10.9.0.61"}]]);
        conf
    };
    old.cni_add(&plugins, &own(&[OWN_V4.into()], json!(false)), "eth0").unwrap();
    let new = host.container("new").unwrap();
    match new.cni_add(&plugins, &range(json!(true)), "eth0") {
        Err(Error::Plugin { code: 110, msg, .. }) => {
            assert!(msg.contains("10.9.0.60") && msg.contains("the MAC of this interface"), "{msg}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(Netlink::open_in(new.net()).unwrap().links().unwrap().len(), 1);
    assert_eq!(files(host, "/run/leases/net"), ["last_reserved_ip.0", "lock"]);
    assert_eq!(files(host, "/run/llano/quarantine/net"), Vec::<String>::new());
}

#[test]
fn a_pod_with_a_mac_of_its_own_asks_from_another_and_has_nothing_of_it_afterwards() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let (host, peer) = (lab.host("host").unwrap(), lab.host("peer").unwrap());
    let (v4, v6) = (IpAddr::from(OWN_V4), IpAddr::from(OWN_V6));
    for (number, addresses) in [vec![v4], vec![v6], vec![v4, v6]].into_iter().enumerate() {
        let pod = host.container(&format!("pod{number}")).unwrap();
        let ear = Ear::on(peer);
        let conf = own(&addresses, json!(true));
        let answer = pod.cni_add(&plugins, &conf, "eth0").unwrap();
        assert_eq!(answer.mac(), Some(OWN.to_string().as_str()));
        let link = Netlink::open_in(pod.net()).unwrap().link_by_name("eth0").unwrap().unwrap();
        assert_eq!((link.mac, link.is_up()), (Some(OWN), true));
        assert_eq!(link_local(&pod), [OWN_LOCAL.parse::<IpAddr>().unwrap()]);

        let said = ear.heard();
        let asked: Vec<MacAddr> =
            said.iter().filter(|(_, what)| *what == "asked").map(|(mac, _)| *mac).collect();
        assert_eq!(asked.len(), 3 * addresses.len(), "{said:?}");
        assert!(asked.iter().all(|mac| *mac == asked[0] && *mac != OWN && mac.0[0] & 2 == 2), "{said:?}");
        let announced: Vec<MacAddr> =
            said.iter().filter(|(_, what)| *what == "announced").map(|(mac, _)| *mac).collect();
        assert!(announced.len() >= addresses.len() && announced.iter().all(|mac| *mac == OWN), "{said:?}");

        for address in &addresses {
            lab::Ping::new(*address).count(2).run(peer.net()).unwrap();
        }
        let call = Call { container: &pod, ifname: "eth0", id: pod.name(), args: "" };
        let mut with_answer = conf.clone();
        with_answer["prevResult"] = answer.json.clone();
        plugins.run("CHECK", &with_answer, &call).unwrap();
        pod.cni_del(&plugins, &conf, "eth0").unwrap();
    }
}

#[test]
fn who_is_told_that_the_mac_is_new_asks_from_it_at_once() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let (host, peer) = (lab.host("host").unwrap(), lab.host("peer").unwrap());
    let pod = host.container("pod").unwrap();
    let ear = Ear::on(peer);
    pod.cni_add(&plugins, &own(&[OWN_V4.into()], blind()), "eth0").unwrap();
    let asked: Vec<_> = ear.heard().into_iter().filter(|(_, what)| *what == "asked").collect();
    assert_eq!(asked, [(OWN, "asked"); 3]);
}

/// dnsmasq as a router that only sends advertisements; ended when dropped.
struct Router(Child);

impl Router {
    fn start(host: &Host) -> Self {
        let args = [
            "-d",
            "-C",
            "/dev/null",
            "-p",
            "0",
            "--enable-ra",
            "--dhcp-range=fd09::,ra-only,64,10m",
            "--interface=eth0",
            "--ra-param=eth0,4",
        ];
        let leases = format!("--dhcp-leasefile=/run/{}", "ra.leases");
        let mut command = host.command("dnsmasq").unwrap();
        command.args(args).arg(leases).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn slaac(pod: &Container<'_>) -> Vec<String> {
    let all = Netlink::open_in(pod.net()).unwrap().addresses(None).unwrap();
    let dynamic = all.into_iter().filter(|address| address.valid.is_some());
    dynamic.map(|address| address.net.to_string()).collect()
}

#[test]
fn router_advertisements_count_only_when_asked_for() {
    let (plugins, lab) = (llano_plugins(), up(SPEC));
    let host = lab.host("host").unwrap();
    let _router = Router::start(lab.host("peer").unwrap());
    let mut conf = conf(json!(false));
    let without = host.container("without").unwrap();
    without.cni_add(&plugins, &conf, "eth0").unwrap();
    conf["ipv6"] = json!({"acceptRA": true});
    let with = host.container("with").unwrap();
    with.cni_add(&plugins, &conf, "eth0").unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while slaac(&with).is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(slaac(&with).len(), 1, "the advertisement came, and the pod that asked took an address");
    assert_eq!(slaac(&without), Vec::<String>::new(), "the same advertisement gave the other nothing");
    let routes = Netlink::open_in(without.net()).unwrap().routes(&kernel::RouteFilter::default()).unwrap();
    let by_ra = routes.iter().filter(|route| route.protocol == kernel::uapi::RTPROT_RA).count();
    assert_eq!(by_ra, 0, "{routes:?}");
}
