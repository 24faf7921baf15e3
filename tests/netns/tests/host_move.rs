//! The host's address moves onto a macvlan and back while TCP streams of both families and both directions are open:
//! none is reset, none waits longer than 250 ms, and afterwards everything is as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)] // A test ends where it cannot go on.

use std::net::IpAddr;
use std::time::Duration;

use host::{MoveAddress, Network, Wanted};
use kernel::Netlink;
use lab::{Host, Lab, Ping};
use netns_tests::{Stream, Wait};

const SPEC: &str = "
switches:
  lan: {}
  quiet: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.1/24, 10.9.0.7/24, 10.8.0.1/24, \"fd09::1/64\", \"fd09::7/64\"], mac: \"02:00:00:00:09:01\" }
    gateway: [10.9.0.2, \"fd09::2\"]
    sysctls:
      net/ipv4/conf/all/rp_filter: \"1\"
      net/ipv4/conf/default/rp_filter: \"1\"
      net/ipv4/conf/eth0/rp_filter: \"1\"
  peer:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.2/24, \"fd09::2/64\"], mac: \"02:00:00:00:09:02\" }
  quiet1: { interfaces: { eth0: { switch: quiet, addresses: 10.5.0.1/24 } } }
  quiet2: { interfaces: { eth0: { switch: quiet, addresses: 10.5.0.2/24 } } }
";

/// What a person at a terminal bears.
const WORST: Duration = Duration::from_millis(250);

/// A machine that is busy with something else holds some streams up and others not.
const ATTEMPTS: usize = 3;

fn streams(host: &Host, peer: &Host) -> Vec<Stream> {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    [
        Stream::open(host, peer, ip("10.9.0.1")),
        Stream::open(host, peer, ip("10.9.0.7")),
        Stream::open(host, peer, ip("fd09::1")),
        Stream::open(peer, host, ip("10.9.0.2")),
        Stream::open(peer, host, ip("fd09::2")),
    ]
    .into()
}

/// What `ip` shows of a host, without the numbers that run.
fn shown(host: &Host) -> String {
    let mut all = String::new();
    for arguments in [
        "-4 -d addr show dev eth0",
        "-6 -d addr show dev eth0",
        "-4 -d route show table all",
        "-6 -d route show table all",
        "-4 rule",
        "-6 rule",
    ] {
        let output = host.command("ip").unwrap().args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {arguments}");
        all.push_str(&format!("== {arguments}\n{}", String::from_utf8_lossy(&output.stdout)));
    }
    all
}

/// All lines in their order. The link-local and multicast routes of a MAC that went and came are the last of their kind.
fn in_order(text: &str, keep_mac: bool) -> Vec<&str> {
    let is_new = |line: &&str| {
        keep_mac && line.contains("proto kernel") && (line.contains("fe80::") || line.contains("ff00::/8"))
    };
    let (mut new, mut lines): (Vec<&str>, Vec<&str>) = text.lines().partition(is_new);
    new.sort_unstable();
    lines.extend(new);
    lines
}

fn converge(host: &Host, wanted: &Wanted) {
    host.run_in(|| {
        let mut netlink = Netlink::open().unwrap();
        let mut steps = Vec::new();
        let done = host::converge(&mut netlink, wanted, &mut |step| steps.push(format!("{step}")));
        done.unwrap_or_else(|error| panic!("{error}\n{}", steps.join("\n")));
    })
    .unwrap();
}

fn read(host: &Host) -> Network {
    host.run_in(|| Network::read(&mut Netlink::open().unwrap()).unwrap()).unwrap()
}

/// What a network change costs the streams that are open meanwhile: the longest wait of each, less the waits of a stream
/// between two hosts that have nothing to do with it. That one is reset fails in any case.
fn during(lab: &Lab, change: impl FnOnce()) -> Vec<(String, Duration)> {
    let of = |name| lab.host(name).unwrap();
    let open = streams(of("host"), of("peer"));
    let quiet = Stream::open(of("quiet1"), of("quiet2"), "10.5.0.1".parse().unwrap());
    std::thread::sleep(Duration::from_millis(300));
    change();
    std::thread::sleep(Duration::from_secs(1));
    let waits: Vec<_> = open.into_iter().map(|stream| (stream.what.clone(), stream.waits())).collect();
    let quiet = quiet.waits();
    waits.into_iter().map(|(what, waits)| (what, Wait::worst_beside(&waits, &quiet))).collect()
}

/// The worst of each way: there and back.
fn there_and_back(keep_mac: bool) -> [Vec<(String, Duration)>; 2] {
    let lab = netns_tests::up(SPEC);
    let (host, peer) = (lab.host("host").unwrap(), lab.host("peer").unwrap());
    for address in ["10.9.0.1", "fd09::1"] {
        Ping::new(address.parse().unwrap())
            .count(1)
            .timeout(Duration::from_secs(30))
            .run(peer.net())
            .unwrap();
    }
    let (before, before_shown) = (read(host), shown(host));
    let how = MoveAddress { keep_mac, ..MoveAddress::new("eth0") };
    let wanted = how.wanted(&before).unwrap();

    let there = during(&lab, || converge(host, &wanted));
    let moved = read(host);
    assert_eq!(moved.links["mv-eth0"].addresses.iter().filter(|a| a.net.addr().is_ipv4()).count(), 3);
    if keep_mac {
        assert_eq!(moved.links["mv-eth0"].mac, before.links["eth0"].mac);
    } else {
        assert_eq!(moved.links["eth0"].mac, before.links["eth0"].mac);
    }

    let back = Wanted { network: before, affected: wanted.affected, rules: true, ..Wanted::default() };
    let back = during(&lab, || converge(host, &back));
    let end = shown(host);
    assert_eq!(in_order(&end, keep_mac), in_order(&before_shown, keep_mac));
    [there, back]
}

/// One test, so that the two ways do not hold each other up.
#[test]
fn streams_survive_the_move_and_the_way_back() {
    for keep_mac in [false, true] {
        let mut slow = Vec::new();
        let quick = (0..ATTEMPTS).any(|_| {
            let worst = there_and_back(keep_mac);
            eprintln!("keep MAC {keep_mac}: {worst:?}");
            let quick = worst.iter().flatten().all(|(_, worst)| *worst <= WORST);
            slow.push(worst);
            quick
        });
        assert!(quick, "keep MAC {keep_mac}, slower than {WORST:?} each time: {slow:?}");
    }
}
