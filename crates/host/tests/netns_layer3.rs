//! The plan of addresses, routes and rules against the real kernel: what is moved away and back is as it was, as `ip`
//! shows it, and the model knows what the kernel does by itself.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use host::plan::layer3;
use host::plan::model::Model;
use host::{Kind, MoveAddress, Network, Step, Wanted};
use kernel::{Change, NetNs, Netlink, NewLink, SetLink};

struct Scratch {
    ns: NetNs,
    netlink: Netlink,
    path: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = NetNs::delete(&self.path);
    }
}

impl Scratch {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test makes network namespaces and needs root");
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("llano-host-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let ns = NetNs::create_at(&path).unwrap();
        let netlink = Netlink::open_in(&ns).unwrap();
        let scratch = Self { ns, netlink, path };
        scratch.ip("link set lo up");
        scratch.ip("link add eth0 type veth peer name wire");
        scratch.ip("link add eth1 type veth peer name wire1");
        for link in ["eth0", "wire", "eth1", "wire1"] {
            scratch.ip(&format!("link set {link} up"));
        }
        scratch
    }

    fn ip(&self, arguments: &str) -> String {
        let run = || Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
        let output = self.ns.run(run).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Everything a person can see, without seconds that run.
    fn shown(&self) -> String {
        let mut text = String::new();
        for family in ["-4", "-6"] {
            for what in ["addr show dev eth0", "addr show dev eth1", "route show table all", "rule show"] {
                text.push_str(&format!("== {family} {what}\n{}", self.ip(&format!("{family} -d {what}"))));
            }
        }
        text.push_str(&self.ip("neigh show nud permanent"));
        let words =
            text.lines().filter(|line| !line.contains("expires ") || !line.contains("ra")).map(|line| {
                let mut seconds = false;
                let words = line.split_whitespace().map(|word| {
                    let is_time = seconds && word.ends_with("sec");
                    seconds = word.ends_with("_lft");
                    if is_time { "SECONDS" } else { word }
                });
                words.collect::<Vec<_>>().join(" ")
            });
        words.collect::<Vec<_>>().join("\n")
    }

    fn read(&mut self) -> Network {
        Network::read(&mut self.netlink).unwrap()
    }

    fn index(&self, name: &str) -> u32 {
        self.netlink.index_of(name).unwrap().unwrap_or_else(|| panic!("no {name}"))
    }

    fn apply(&mut self, step: &Step) -> Result<(), kernel::Error> {
        let plain = |route: &host::Route| {
            let mut plain = route.route.clone();
            plain.oif = route.dev.as_ref().map(|dev| self.index(dev));
            plain.nexthops = route
                .hops
                .iter()
                .map(|hop| kernel::NextHop { oif: self.index(&hop.dev), ..hop.hop.clone() })
                .collect();
            plain
        };
        let change = match step {
            Step::AddAddress { dev, address } => {
                Change::ReplaceAddress(kernel::Address { index: self.index(dev), ..address.clone() })
            }
            Step::DeleteAddress { dev, address } => {
                Change::DeleteAddress(kernel::Address { index: self.index(dev), ..address.clone() })
            }
            Step::AddRoute(route) => Change::ReplaceRoute(plain(route)),
            Step::AppendRoute(route) => Change::AppendRoute(plain(route)),
            Step::DeleteRoute(route) => Change::DeleteRoute(plain(route)),
            Step::AddRule(rule) => Change::AddRule(rule.clone()),
            Step::DeleteRule(rule) => Change::DeleteRule(rule.clone()),
            Step::SetNeighbour { dev, neighbour } => {
                Change::SetNeighbour(kernel::Neighbour { index: self.index(dev), ..neighbour.clone() })
            }
            Step::DeleteNeighbour { dev, neighbour } => {
                Change::DeleteNeighbour(kernel::Neighbour { index: self.index(dev), ..neighbour.clone() })
            }
            Step::SetSysctl { path, value } => {
                return self.ns.run(|| kernel::sysctl::write(path, value)).unwrap();
            }
            Step::Announce { .. } => return Ok(()),
            other => panic!("{other}"),
        };
        self.netlink.apply(&change)
    }

    fn go(&mut self, wanted: &Wanted) {
        let current = self.read();
        let plan = layer3::plan(&current, wanted).unwrap();
        for step in plan.before.iter().chain(&plan.after) {
            self.apply(step).unwrap_or_else(|error| panic!("{step}: {error}\nof {plan:#?}"));
        }
        let left = layer3::plan(&self.read(), wanted).unwrap();
        assert_eq!(left, layer3::Layer3::default(), "one plan is enough");
    }

    fn set(&mut self, index: u32, set: SetLink) {
        self.netlink.apply(&Change::SetLink { index, set }).unwrap();
    }

    /// The child of the move, as the links' part of the plan makes it.
    fn make_child(&mut self, wanted: &Wanted, name: &str) {
        let link = &wanted.network.links[name];
        let Kind::Macvlan(macvlan) = &link.kind else { panic!("{link:?}") };
        let parent = Some(self.index(link.parent.as_ref().unwrap()));
        let new = NewLink {
            parent,
            mac: link.mac,
            ..NewLink::new(name, kernel::LinkKind::Macvlan(macvlan.clone()))
        };
        self.netlink.apply(&Change::AddLink(new)).unwrap();
        let index = self.index(name);
        // A child with the parent's MAC cannot come up: the parent gives it away first.
        let of_parent = wanted.network.links[link.parent.as_ref().unwrap()].mac;
        self.set(self.index(link.parent.as_ref().unwrap()), SetLink { mac: of_parent, ..SetLink::default() });
        self.set(index, SetLink::up());
    }
}

/// All that a host's interface may have.
const RICH: &str = "
addr add 10.1.0.1/24 brd + dev eth0
addr add 10.1.0.2/24 dev eth0 label eth0:web
addr add 10.2.0.1/24 dev eth0 noprefixroute
addr add 10.1.0.3/24 dev eth0 valid_lft 5000 preferred_lft 4000
addr add 10.2.0.2/24 dev eth0
addr add 10.3.0.1/16 dev eth0 scope link
addr add 10.4.0.1 peer 10.4.0.2 dev eth0
addr add 10.5.0.1/24 dev eth0 metric 50
addr add fd01::1/64 dev eth0 nodad
addr add fd01::2/64 dev eth0
addr add fd02::1/64 dev eth0 nodad noprefixroute
addr add fd01::3/64 dev eth0 nodad valid_lft 5000 preferred_lft 4000
addr add fe80::99/64 dev eth0 nodad
addr add fec0::1/64 dev eth0 nodad
addr add fd03::1/64 dev eth0 nodad home
addr add fd04::1/128 dev eth0 nodad
addr add 192.0.2.1/24 dev eth1
addr add fd09::1/64 dev eth1 nodad
route add default via 10.1.0.254 dev eth0 src 10.1.0.2
route add default via 10.1.0.253 dev eth0 metric 100 mtu lock 1400
route add 10.20.0.0/16 dev eth0 proto static scope link
route add 10.21.0.0/16 via 10.1.0.254 dev eth0 initcwnd 20 hoplimit 60
route add 10.22.0.0/16 nexthop via 10.1.0.254 dev eth0 weight 2 nexthop via 192.0.2.254 dev eth1
route add 10.23.0.0/16 dev eth1 src 10.1.0.3
route add 10.24.0.0/16 via 10.1.0.254 dev eth0 table 77 src 10.2.0.2
route append 10.25.0.0/16 via 10.1.0.254 dev eth0 proto static
route append 10.25.0.0/16 via 10.1.0.253 dev eth0 proto 99
route append 10.25.0.0/16 via 192.0.2.254 dev eth1 proto 98
route add 10.2.0.0/24 dev eth0 proto kernel scope link src 10.2.0.1 metric 100
route add 192.0.2.99 via 10.9.9.9 dev eth0 onlink
route add blackhole 10.26.0.0/16
-6 route add default via fe80::fe dev eth0 metric 100
-6 route add default via fd01::fe dev eth0 src fd01::2
-6 route add fd20::/32 via fd01::fe dev eth0 pref high
-6 route add fd21::/32 nexthop via fd01::fe dev eth0 nexthop via fd09::fe dev eth1 weight 3
-6 route add fd22::/32 dev eth0 table 4000 metric 7
-6 route add fd23::/32 dev eth1 src fd01::1
rule add from 10.1.0.0/24 lookup 77 priority 100
rule add iif eth0 lookup 77 priority 100
rule add oif eth0 lookup 78 priority 100 protocol 99
rule add from 10.1.0.0/24 iif eth0 ipproto tcp lookup 79 priority 100
rule add fwmark 1 lookup 77 priority 200
-6 rule add iif eth0 lookup 4000 priority 100
-6 rule add from fd01::/64 lookup 4000 priority 100
neigh add 10.1.0.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent
neigh add fd01::77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent
";

fn rich(scratch: &Scratch) {
    let mut ready = false;
    for line in RICH.lines().filter(|line| !line.is_empty()) {
        // A route may have a source only when its duplicate detection is over.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !ready && line.starts_with("route") && !scratch.ip("-6 addr show tentative").is_empty() {
            assert!(std::time::Instant::now() < end);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        ready |= line.starts_with("route");
        scratch.ip(line);
    }
}

/// Beginnings of routes that come with the link or its MAC.
const KERNELS: [&str; 4] = ["multicast ff00::/8", "unicast fe80::/64", "anycast fe80:: ", "local fe80::"];

/// With exchanged MACs the link-local address goes and comes, and its routes are the last among those of other links.
fn sorted(text: &str) -> String {
    let (mut own, rest): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| KERNELS.iter().any(|own| line.starts_with(own)));
    own.sort_unstable();
    [rest, own].concat().join("\n")
}

fn round_trip(promote: bool, keep_mac: bool) {
    let mut scratch = Scratch::new();
    if promote {
        scratch
            .ns
            .run(|| kernel::sysctl::write("net/ipv4/conf/eth0/promote_secondaries", "1"))
            .unwrap()
            .unwrap();
    }
    rich(&scratch);
    let (before, shown) = (scratch.read(), scratch.shown());
    let how = MoveAddress { keep_mac, ..MoveAddress::new("eth0") };
    let wanted = how.wanted(&before).unwrap();
    scratch.make_child(&wanted, &how.child());
    let mode = wanted.network.links["eth0"].addr_gen_mode;
    scratch.set(scratch.index("eth0"), SetLink { addr_gen_mode: mode, ..SetLink::default() });
    scratch.go(&wanted);

    let moved = scratch.shown();
    assert_eq!(scratch.ip("-4 addr show dev eth0"), "", "{moved}");
    let of_parent = scratch.ip("-6 addr show dev eth0");
    let expected = usize::from(!keep_mac);
    assert_eq!(of_parent.matches("inet6").count(), expected, "its own link-local address stays: {of_parent}");
    let by_parent = |l: &&str| {
        l.contains(" eth0")
            && !l.contains("== ")
            && !l.contains("eth0@")
            && !KERNELS.iter().any(|own| l.starts_with(own))
    };
    let left: Vec<&str> = moved.lines().filter(by_parent).collect();
    assert!(left.is_empty(), "{left:#?}");
    let renamed = |text: &str| text.replace("eth0:web", "mv-eth0:web");
    let of_child = ["-4", "-6"].map(|f| scratch.ip(&format!("{f} addr show dev mv-eth0"))).concat();
    for address in before.links["eth0"].addresses.iter().filter(|a| a.proto != 3) {
        assert!(of_child.contains(&renamed(&address.net.addr().to_string())), "{address:?} of {of_child}");
    }

    // Back: the parent gets everything while the child still has it.
    let back =
        Wanted { network: before, affected: wanted.affected.clone(), rules: true, ..Wanted::default() };
    let mut back_with_child = back.clone();
    let mut child = scratch.read().links["mv-eth0"].clone();
    child.addresses.clear();
    child.neighbours.clear();
    child.addr_gen_mode = Some(1);
    back_with_child.network.links.insert("mv-eth0".to_owned(), child);
    let (parent, link) = (scratch.index("eth0"), back.network.links["eth0"].clone());
    let mac = SetLink { mac: link.mac, addr_gen_mode: link.addr_gen_mode, ..SetLink::default() };
    scratch.set(parent, mac);
    scratch.go(&back_with_child);
    scratch.ip("link del mv-eth0");
    let (mut end, mut shown) = (scratch.shown(), shown);
    if keep_mac {
        (end, shown) = (sorted(&end), sorted(&shown));
    }
    let differs: Vec<_> = end.lines().zip(shown.lines()).filter(|(a, b)| a != b).take(6).collect();
    assert!(end == shown, "{differs:#?}\nof {end}\nwas {shown}");
    let left = layer3::plan(&scratch.read(), &back).unwrap();
    assert_eq!(left, layer3::Layer3::default());
}

#[test]
fn what_moved_comes_back_as_it_was() {
    round_trip(false, false);
}

#[test]
fn what_moved_comes_back_as_it_was_where_secondaries_are_promoted() {
    round_trip(true, false);
}

#[test]
fn what_moved_with_the_mac_comes_back_as_it_was() {
    round_trip(false, true);
}

#[test]
fn a_route_that_cannot_be_made_again_is_refused_before_anything() {
    let mut scratch = Scratch::new();
    scratch.ip("addr add 10.1.0.1/24 dev eth0");
    scratch.ip("nexthop add id 9 via 10.1.0.254 dev eth0");
    scratch.ip("route add 10.20.0.0/16 nhid 9");
    let before = scratch.read();
    let how = MoveAddress::new("eth0");
    let wanted = how.wanted(&before).unwrap();
    let mut current = before;
    current.links.insert(how.child(), wanted.network.links[&how.child()].clone());
    current.links.get_mut(&how.child()).unwrap().addresses.clear();
    let error = layer3::plan(&current, &wanted).unwrap_err().to_string();
    assert!(error.contains("10.20.0.0/16") && error.contains("nexthop object"), "{error}");
}

#[test]
fn the_model_foresees_what_the_kernel_takes_along() {
    for (promote, deleted) in
        [(false, "10.1.0.1/24"), (true, "10.1.0.1/24"), (false, "10.1.0.2/24"), (false, "all")]
    {
        let mut scratch = Scratch::new();
        if promote {
            let path = "net/ipv4/conf/eth0/promote_secondaries";
            scratch.ns.run(|| kernel::sysctl::write(path, "1")).unwrap().unwrap();
        }
        rich(&scratch);
        let mut model = Model::of(&scratch.read());
        let all = scratch.read().links["eth0"].addresses.clone();
        let v4 = all.iter().filter(|address| address.net.addr().is_ipv4());
        let chosen: Vec<_> =
            v4.filter(|a| deleted == "all" || a.net.to_string() == deleted).cloned().collect();
        assert!(!chosen.is_empty());
        for address in chosen.into_iter().rev() {
            let step = Step::DeleteAddress { dev: "eth0".to_owned(), address };
            model.step(&step);
            scratch.apply(&step).unwrap();
        }
        let foreseen = Wanted {
            network: model.network,
            affected: BTreeSet::from(["eth0".to_owned(), "eth1".to_owned()]),
            rules: true,
            ..Wanted::default()
        };
        let differs = layer3::plan(&scratch.read(), &foreseen).unwrap();
        assert_eq!(differs, layer3::Layer3::default(), "promote {promote}, {deleted}");
    }
}
