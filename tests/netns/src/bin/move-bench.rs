//! How long streams wait while the host's address moves: `move-bench ROUNDS [--json]`, called by `cargo xtask bench move`.

// It ends where it cannot go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use lab::{Host, Ping};
use netns_tests::{Stream, bin_dir, up};
use serde_json::json;

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

/// What a handbook says.
const BY_HAND: &str = "
ip link add mv-eth0 link eth0 type macvlan mode bridge
ip link set mv-eth0 up
ip addr add 10.9.0.1/24 dev mv-eth0
ip -6 addr add fd09::1/64 dev mv-eth0 nodad
ip addr del 10.9.0.1/24 dev eth0
ip -6 addr del fd09::1/64 dev eth0
ip route replace default via 10.9.0.2 dev mv-eth0
ip -6 route replace default via fd09::2 dev mv-eth0
";

const BACK_BY_HAND: &str = "
ip addr add 10.9.0.1/24 dev eth0
ip -6 addr add fd09::1/64 dev eth0 nodad
ip link del mv-eth0
ip route replace default via 10.9.0.2 dev eth0
ip -6 route replace default via fd09::2 dev eth0
";

/// A way to move, and the way back, as scripts.
struct Way {
    name: &'static str,
    there: String,
    back: String,
    /// Back by hand the peer needs half a minute to find the host again: it is not waited for.
    measures_back: bool,
}

fn ways() -> [Way; 3] {
    let llano = bin_dir().join("llano");
    let llano = |what: &str| format!("{} host {what}", llano.display());
    let back = llano("access off eth0");
    let announced = llano("access on eth0 --move");
    let exchanged = llano("access on eth0 --move --keep-mac");
    [
        Way { name: "llano --move", there: announced, back: back.clone(), measures_back: true },
        Way { name: "llano --move --keep-mac", there: exchanged, back, measures_back: true },
        Way {
            name: "ip, by hand",
            there: BY_HAND.to_owned(),
            back: BACK_BY_HAND.to_owned(),
            measures_back: false,
        },
    ]
}

fn run(host: &Host, script: &str) {
    let mut shell = host.command("sh").unwrap();
    let output = shell.args(["-ec", script]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The worst round trips of one change: of IPv4 and of IPv6, whoever opened the stream.
fn measure(host: &Host, peer: &Host, script: &str) -> [Duration; 2] {
    for (from, to) in [(peer, "10.9.0.1"), (peer, "fd09::1"), (host, "10.9.0.2"), (host, "fd09::2")] {
        let ping = Ping::new(to.parse().unwrap()).count(1).timeout(Duration::from_secs(5));
        ping.run(from.net()).unwrap();
    }
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let streams = [["10.9.0.1", "10.9.0.2"], ["fd09::1", "fd09::2"]].map(|[of_host, of_peer]| {
        [Stream::open(host, peer, ip(of_host)), Stream::open(peer, host, ip(of_peer))]
    });
    std::thread::sleep(Duration::from_millis(300));
    run(host, script);
    std::thread::sleep(Duration::from_millis(1500));
    streams.map(|both| both.map(Stream::worst).into_iter().max().unwrap())
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize =
        arguments.next().and_then(|text| text.parse().ok()).expect("move-bench ROUNDS [--json]");
    let as_json = arguments.next().as_deref() == Some("--json");
    let lab = up(SPEC);
    let (host, peer) = (lab.host("host").unwrap(), lab.host("peer").unwrap());
    let ways = ways();
    let mut all: Vec<[Vec<[Duration; 2]>; 2]> = vec![Default::default(); ways.len()];
    for _ in 0..rounds {
        for (way, samples) in ways.iter().zip(&mut all) {
            samples[0].push(measure(host, peer, &way.there));
            if way.measures_back {
                samples[1].push(measure(host, peer, &way.back));
            } else {
                run(host, &way.back);
                run(peer, "ip neigh flush dev eth0");
            }
        }
    }
    let mut values = Vec::new();
    for (way, samples) in ways.iter().zip(&all) {
        let measured = ["there", "back"].into_iter().zip(samples).filter(|(_, samples)| !samples.is_empty());
        for (direction, samples) in measured {
            for (family, name) in ["IPv4", "IPv6"].into_iter().enumerate() {
                let mut waits: Vec<f64> =
                    samples.iter().map(|sample| sample[family].as_secs_f64() * 1000.0).collect();
                waits.sort_by(f64::total_cmp);
                let (median, worst) = (waits[waits.len() / 2], waits[waits.len() - 1]);
                if !as_json {
                    println!(
                        "{:<26}{direction:<7}{name}  median {median:>7.1} ms   worst {worst:>7.1} ms",
                        way.name
                    );
                }
                values.push(
                    json!({ "way": way.name, "direction": direction, "family": name, "median_ms": median,
                    "worst_ms": worst, "rounds": rounds }),
                );
            }
        }
    }
    if as_json {
        println!("{:#}", json!(values));
    }
}
