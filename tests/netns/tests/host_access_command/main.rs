//! `llano host access`: the host's address there and back on a host with everything, killed on the way, refused where it
//! is another's; and the shim for containers that came without one.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test ends where it cannot go on.

mod killed;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kernel::MacAddr;
use lab::{Ephemeral, Host, Ping, capture};
use netns_tests::kill::{Call, calls};
use netns_tests::{LeakCheck, bin_dir, up};
use serde_json::Value;

const SPEC: &str = "
switches:
  lan: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.1/24, \"fd09::1/64\"], mac: \"02:00:00:00:09:01\" }
    gateway: [10.9.0.2, \"fd09::2\"]
    sysctls:
      net/ipv4/conf/all/rp_filter: \"1\"
      net/ipv4/conf/default/rp_filter: \"1\"
      net/ipv4/conf/eth0/rp_filter: \"1\"
  peer:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.2/24, \"fd09::2/64\"], mac: \"02:00:00:00:09:02\" }
";

/// Everything that a host may have: each kind of address, route and rule, in an order that only comes back when it is
/// seen to.
const RICH: &str = "
ip addr add 10.9.0.7/24 dev eth0
ip addr add 10.9.0.8/24 dev eth0 label eth0:web
ip addr add 10.8.0.1/24 broadcast 10.8.0.255 dev eth0 noprefixroute valid_lft 7000 preferred_lft 6000
ip addr add 10.8.0.2/24 dev eth0
ip addr add 10.6.0.1/24 dev eth0 scope link
ip addr add 192.0.2.1 peer 192.0.2.2 dev eth0
ip addr add fd09::7/64 dev eth0 nodad
ip addr add fd08::1/64 dev eth0 nodad noprefixroute valid_lft 8000 preferred_lft 100
ip addr add fec0::1/64 dev eth0 nodad
ip route add 10.77.0.0/16 via 10.9.0.2 src 10.9.0.7 metric 5 mtu lock 1400
ip route add 10.78.0.0/16 nexthop via 10.9.0.2 dev eth0 weight 3 nexthop via 10.9.0.3 dev eth0
ip route add default via 10.9.0.2 dev eth0 table 100
ip route add 10.66.0.0/16 dev eth0 scope link table 101 initcwnd 20
ip -6 route add fd77::/64 via fd09::2 src fd09::7 metric 50
ip -6 route add fd78::/64 nexthop via fd09::2 dev eth0 weight 2 nexthop via fd09::3 dev eth0
ip -6 route add default via fd09::2 dev eth0 table 100
ip rule add from 10.9.0.7 lookup 100 pref 1000
ip rule add iif eth0 lookup 101 pref 1000
ip rule add to 10.66.0.0/16 lookup 101 pref 1000
ip rule add oif eth0 fwmark 7 lookup 101 pref 1000
ip -6 rule add from fd09::7 lookup 100 pref 900
ip -6 rule add iif eth0 lookup 100 pref 900
ip -6 rule add to fd66::/64 lookup main pref 900 suppress_prefixlength 0
ip rule add to 10.65.0.0/16 prohibit pref 1000
ip neigh add 10.9.0.99 lladdr 02:00:00:00:00:99 dev eth0 nud permanent
";

/// A container as podman or docker make it: nothing of it knows of us.
const CONTAINER: &str = "
ip netns add web
ip link add eth0 link eth0 netns web type macvlan mode bridge
ip -n web link set lo up
ip -n web addr add 10.9.0.50/24 dev eth0
ip -n web addr add fd09::50/64 dev eth0 nodad
ip -n web link set eth0 up
ip -n web route add default via 10.9.0.2
";

/// Longest wait for what happens by itself.
const PATIENCE: Duration = Duration::from_secs(60);

struct Site {
    lab: Ephemeral,
    scratch: tempfile::TempDir,
    llano: PathBuf,
}

impl Site {
    fn new() -> Self {
        Self { lab: up(SPEC), scratch: tempfile::tempdir().unwrap(), llano: bin_dir().join("llano") }
    }

    fn host(&self) -> &Host {
        self.lab.host("host").unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.host().command(&self.llano).unwrap();
        command.arg("host").args(args).stdin(Stdio::null());
        command
    }

    fn ok(&self, args: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        assert!(status.success(), "{args:?}: {status}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    fn refused(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.ok(&["access", "status", "eth0", "--output", "json"])).unwrap()
    }

    fn sh(&self, script: &str) -> String {
        let output = self.host().command("sh").unwrap().args(["-ec", script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What ip(8) shows of the host, all of it and in its order.
    fn network(&self) -> String {
        self.sh("ip -d link; ip -4 -d addr; ip -6 -d addr; ip -4 -d route show table all
            ip -6 -d route show table all; ip -4 -d rule; ip -6 -d rule; ip neigh show nud permanent")
    }

    /// Waits until the network is as it was: the kernel makes link-local addresses in its own time.
    fn assert_network(&self, before: &str, keep_mac: bool, when: &str) {
        let lines = |text: &str| in_order(text.lines().map(str::to_owned).collect(), keep_mac);
        let end = Instant::now() + PATIENCE;
        loop {
            let (now, then) = (lines(&self.network()), lines(before));
            if now == then {
                return;
            }
            assert!(Instant::now() < end, "{when}: {now:#?}\nwas\n{then:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.scratch.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn has_moved(&self) -> bool {
        let shown = self.sh("ip -o -4 addr show to 10.9.0.1");
        assert_eq!(shown.lines().count(), 1, "{shown}");
        !shown.contains(" eth0 ")
    }

    /// The peer reaches the host by both families. The first question may be lost: a link that was down is heard of
    /// late, and a neighbour that has gone asks again after a second.
    fn is_reachable(&self, when: &str) {
        let peer = self.lab.host("peer").unwrap();
        for ip in ["10.9.0.1", "fd09::1"] {
            let ping =
                || Ping::new(ip.parse().unwrap()).count(1).timeout(Duration::from_secs(2)).run(peer.net());
            let answered = (0..5).any(|_| ping().is_ok_and(|echo| echo.received == 1));
            assert!(answered, "{when}: {ip} does not answer");
        }
    }

    /// That the container and the host reach each other, both ways by both families.
    fn assert_reach(&self) {
        self.each_way(|netns, ip| {
            // Waits only as long as there is no answer.
            let answer = self.sh(&format!("{netns} ping -c 1 -w {} {ip}", PATIENCE.as_secs()));
            assert!(answer.contains("1 received"), "{netns} {ip}: {answer}");
        });
    }

    /// That they do not.
    fn assert_no_reach(&self) {
        self.each_way(|netns, ip| {
            self.sh(&format!("! {netns} ping -c 1 -W 1 {ip}"));
        });
    }

    fn each_way(&self, assert: impl Fn(&str, &str)) {
        for ip in ["10.9.0.1", "fd09::1"] {
            assert("ip netns exec web", ip);
        }
        for ip in ["10.9.0.50", "fd09::50"] {
            assert("", ip);
        }
    }

    /// The network of the host and of the container, without numbers that are new each time.
    fn both(&self) -> String {
        let of = |netns: &str| {
            let show = [
                "-o link",
                "-o addr",
                "route show table all",
                "-6 route show table all",
                "neigh show nud permanent",
            ];
            show.map(|what| format!("ip {netns} {what}")).join("; ")
        };
        let text = self.sh(&format!("{}; {}", of(""), of("-n web")));
        // The container's own comes when the kernel has looked whether it is in use.
        text.lines().filter(|line| !line.contains("fe80::")).collect::<Vec<_>>().join("\n")
    }

    /// Processes of our program on the host.
    fn running(&self) -> bool {
        let own = self.sh("readlink /proc/self/ns/net");
        std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            let net = std::fs::read_link(entry.path().join("ns/net")).map(|link| link.display().to_string());
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            net.is_ok_and(|net| net == own.trim()) && ["llano", "exe"].contains(&name.trim())
        })
    }

    /// Waits until no program of ours runs on the host, so that nothing goes on.
    fn settle(&self, when: &str) {
        let end = Instant::now() + PATIENCE;
        while self.running() {
            assert!(Instant::now() < end, "{when}: something still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.sh("ls /var/lib/llano/host/pending.json 2>/dev/null || true"), "", "{when}");
    }
}

/// All lines in their order. Where MACs were exchanged the kernel has made the routes of the link-local address and of
/// multicast anew, after its others: they are there, at the end of these lines.
fn in_order(lines: Vec<String>, keep_mac: bool) -> Vec<String> {
    let is_new = |line: &String| {
        keep_mac && line.contains("proto kernel") && (line.contains("fe80::") || line.contains("ff00::/8"))
    };
    let (mut new, mut lines): (Vec<String>, Vec<String>) = lines.into_iter().partition(is_new);
    new.sort_unstable();
    lines.extend(new);
    lines
}

/// Lines without lifetimes, and the lifetimes.
fn lifetimes(text: &str) -> (Vec<String>, Vec<u64>) {
    let mut seconds = Vec::new();
    let lines = text.lines().map(|line| {
        let words =
            line.split_ascii_whitespace().map(|word| match word.strip_suffix("sec").map(str::parse) {
                Some(Ok(number)) => {
                    seconds.push(number);
                    "SECONDS"
                }
                _ => word,
            });
        words.collect::<Vec<_>>().join(" ")
    });
    (lines.collect(), seconds)
}

fn rich_there_and_back(way: &[&str], back: &[&str]) {
    let check = LeakCheck::begin();
    let site = Site::new();
    site.sh(RICH);
    let begun = Instant::now();
    let before = site.network();
    site.ok(&[&["access", "on", "eth0", "--move"], way].concat());
    assert!(site.has_moved());
    site.is_reachable("moved");
    assert!(site.ok(&["boot"]).contains("already"), "what is declared is so");
    std::thread::sleep(Duration::from_millis(2100));
    site.ok(back);
    site.is_reachable("back");
    let (now, seconds) = lifetimes(&site.network());
    let (then, before_seconds) = lifetimes(&before);
    let keep_mac = way.contains(&"--keep-mac");
    assert_eq!(in_order(now, keep_mac), in_order(then, keep_mac));
    let passed = begun.elapsed().as_secs();
    assert_eq!((seconds.len(), before_seconds.len()), (4, 4));
    for (now, then) in seconds.iter().zip(before_seconds) {
        assert!(*now <= then - 2 && now + passed + 1 >= then, "{now} s of {then} s, {passed} s later");
    }
    site.settle("at the end");
    drop(site);
    check.assert_clean();
}

#[test]
fn undo_brings_everything_back() {
    rich_there_and_back(&[], &["undo"]);
}

#[test]
fn undo_brings_everything_back_where_macs_were_exchanged() {
    rich_there_and_back(&["--keep-mac"], &["undo"]);
}

#[test]
fn off_brings_everything_back() {
    rich_there_and_back(&["lan0"], &["access", "off", "eth0"]);
}

#[test]
fn the_move_is_there_after_a_boot_and_gone_after_off() {
    let site = Site::new();
    site.ok(&["access", "on", "eth0", "--move"]);
    let forget =
        "ip link del mv-eth0 2>/dev/null || true; ip addr flush dev eth0 scope global; ip link set eth0 down";
    site.sh(forget);
    site.ok(&["boot"]);
    assert!(site.has_moved());
    site.is_reachable("booted moved");
    assert!(site.sh("ip route; ip -6 route").matches("default via").count() == 2);
    site.ok(&["access", "off", "eth0"]);
    site.sh(forget);
    site.ok(&["boot"]);
    assert!(!site.has_moved());
    site.is_reachable("booted back");
    assert!(site.sh("ip route; ip -6 route").matches("default via").count() == 2);
}

#[test]
fn a_file_says_either_way() {
    let site = Site::new();
    site.sh(CONTAINER);
    let before = site.both();
    let file = |way: &str| {
        let text = format!("interfaces: [ {{ name: eth0, llano: {{ host-access: {way} }} }} ]");
        site.file(&format!("{way}.yaml"), &text)
    };
    assert!(site.ok(&["apply", &file("shim"), "--dry-run"]).contains("would give the containers on eth0"));
    assert!(site.ok(&["apply", &file("shim")]).contains("host access  + shim"));
    site.assert_reach();
    assert_eq!(site.status()[0]["by"], "shim");
    assert!(site.ok(&["apply", &file("shim")]).contains("so already"));
    assert!(site.ok(&["undo", "--dry-run"]).contains("would take the shim of eth0 away"));
    site.ok(&["undo"]);
    assert_eq!(site.both(), before);
    site.ok(&["apply", &file("shim")]);
    site.ok(&["apply", &file("move")]);
    site.assert_reach();
    assert_eq!(site.status()[0]["by"], "neighbour");
    site.ok(&["undo"]);
    assert_eq!(site.status()[0]["by"], "shim");
    site.assert_reach();
    site.ok(&["access", "off", "eth0"]);
    assert_eq!(site.status()[0]["by"], "none");
    site.assert_no_reach();
    assert_eq!(site.both(), before);
    site.ok(&["undo", "2"]);
    assert_eq!(site.both(), before);
}

#[test]
fn the_shim_is_for_containers_that_came_without_and_is_never_heard() {
    let site = Site::new();
    site.sh(CONTAINER);
    let before = site.both();
    site.assert_no_reach();
    let seen = capture(site.lab.host("peer").unwrap().net(), "eth0").unwrap();
    assert_eq!(site.status()[0]["by"], "none");
    let said = site.ok(&["access", "on", "eth0"]);
    assert!(said.contains("netns web") && said.contains("by the shim"), "{said}");
    site.ok(&["access", "on", "eth0"]);
    site.assert_reach();
    assert_eq!(site.status()[0]["by"], "shim");
    let shim = site.sh("ip -o link show type macvlan");
    let mac = shim.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next());
    let mac: MacAddr = mac.unwrap_or_else(|| panic!("{shim}")).parse().unwrap();
    assert_eq!(shim.lines().count(), 1, "{shim}");
    // Something that the capture must have, so that it is known to work.
    site.is_reachable("with a shim");
    assert!(site.refused(&["access", "off", "eth0", "--confirm", "60"]).contains("leave --confirm out"));
    assert_eq!(site.status()[0]["by"], "shim");
    let said = site.ok(&["access", "off", "eth0"]);
    assert!(said.contains("1 container"), "{said}");
    assert_eq!(site.both(), before);
    let frames = seen.stop().unwrap();
    assert!(!frames.is_empty());
    assert!(frames.iter().all(|frame| frame.source() != Some(mac)), "the LAN has heard {mac}");
}

/// Containers come and go in the middle of everything; that is no error of the commands that look at them.
#[test]
fn containers_may_vanish_at_any_moment() {
    let site = Site::new();
    let mut follow = site.command(&["access", "on", "eth0", "--follow"]);
    let mut follow = follow.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let stop = AtomicBool::new(false);
    let come_and_go = &|worker: u8| {
        let script = format!(
            "ip netns add gone{worker}
            ip link add eth0 link eth0 netns gone{worker} type macvlan mode bridge
            ip -n gone{worker} addr add 10.9.0.{ip}/24 dev eth0
            ip -n gone{worker} addr add fd09::{ip}/64 dev eth0 nodad
            ip -n gone{worker} link set eth0 up
            ip -n gone{worker} link del eth0
            ip netns del gone{worker}",
            ip = 200 + worker
        );
        while !stop.load(Ordering::Relaxed) {
            site.sh(&script);
        }
    };
    let said = std::thread::scope(|scope| {
        let workers = [0, 1, 2].map(|worker| scope.spawn(move || come_and_go(worker)));
        let mut bad = None;
        for round in 0..40 {
            let commands: [&[&str]; 3] =
                [&["access", "on", "eth0"], &["access", "status", "eth0"], &["access", "off", "eth0"]];
            for args in commands {
                let output = site.command(args).output().unwrap();
                if !output.status.success() {
                    bad = Some(format!("{round}: {args:?}: {}", String::from_utf8_lossy(&output.stderr)));
                }
            }
            if bad.is_some() || workers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        bad
    });
    let ended = follow.try_wait().unwrap();
    // One that stays is still given access.
    site.sh(CONTAINER);
    let end = Instant::now() + PATIENCE;
    while ended.is_none() && site.status()[0]["by"] != "shim" && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let by = site.status()[0]["by"].clone();
    let _ = follow.kill();
    let _ = follow.wait();
    assert_eq!(said, None);
    assert_eq!(ended, None, "--follow ended by itself");
    assert_eq!(by, "shim");
}

#[test]
fn what_a_dhcp_server_or_a_router_gave_is_refused_by_name() {
    let site = Site::new();
    let before = site.network();
    let refused = |why: &[&str]| {
        let said = site.refused(&["access", "on", "eth0", "--move"]);
        assert!(why.iter().all(|why| said.contains(why)), "{said}");
        assert_eq!(said.lines().filter(|line| !line.contains("note:")).count(), 1, "{said}");
        assert!(!site.sh("ip -o link").contains("mv-eth0"));
    };
    site.sh("ip addr add 10.9.0.50/24 dev eth0 valid_lft 600 preferred_lft 600
        ip route add 10.7.0.0/16 via 10.9.0.2 proto dhcp");
    refused(&["10.9.0.50/24", "lease"]);
    site.sh("ip addr del 10.9.0.50/24 dev eth0; ip route del 10.7.0.0/16");
    site.sh("ip addr add fd09::99/64 dev eth0 nodad mngtmpaddr valid_lft 600 preferred_lft 600");
    refused(&["fd09::99/64", "router advertisements", "--keep-mac"]);
    site.sh("ip addr del fd09::99/64 dev eth0");
    assert_eq!(site.network(), before);
}
