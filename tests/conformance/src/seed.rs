//! One story for every caller: two containers on one host, one on another, none of whose packets the gateway forwards.

use kernel::{NetNs, Netlink, RouteFilter};
use lab::runtime::{Running, Runtime};
use lab::{Lab, SEED_002_CONF};
use netns_tests::LeakCheck;

use crate::{Caller, LEASES, Whose, leftovers, prepare, state};

const GATEWAY: &str = "172.16.129.254";
const FIRST: &str = "172.16.129.110";
const SECOND: &str = "172.16.129.111";
/// host-local knows its own host only. With the same bytes on both, the hosts would give out the same addresses, were
/// host 2 not told that it has come as far as the second one. (A user adds `"probe": true`, as the demo shows.)
const ELSEWHERE: &str = "172.16.129.112";

/// With our plugin everybody reaches everybody, and nothing is left in the end.
///
/// # Panics
/// When anything is not so.
pub fn ours_delivers(caller: Caller) {
    play(caller, Whose::Llano);
}

/// With the reference's, two containers on one host cannot talk: each packet goes to the gateway.
///
/// # Panics
/// When anything is not so.
pub fn reference_does_not_deliver(caller: Caller) {
    play(caller, Whose::Reference);
}

fn play(caller: Caller, whose: Whose) {
    let leaks = LeakCheck::begin();
    let lab = netns_tests::silent_gateway();
    let name = lab.name().to_owned();
    the_gateway_does_not_forward(&lab);
    let (host1, host2) = (lab.host("host1").unwrap(), lab.host("host2").unwrap());
    prepare(host1, whose, SEED_002_CONF, None);
    prepare(host2, whose, SEED_002_CONF, Some(SECOND));
    let before = [host1, host2].map(state);

    let one = caller.on(host1, SEED_002_CONF);
    let two = caller.on(host2, SEED_002_CONF);
    let containers = [start(&*one, "a"), start(&*one, "b"), start(&*two, "c")];
    let addresses = containers.each_ref().map(|container| address(container.net()));
    assert_eq!(addresses, [FIRST, SECOND, ELSEWHERE].map(|address| format!("{address}/24")));
    for container in &containers {
        let subnet = match whose {
            Whose::Llano => "172.16.129.0/24 direct".to_owned(),
            Whose::Reference => format!("172.16.129.0/24 via {GATEWAY}"),
        };
        let routes = routes(container.net());
        assert!(routes.contains(&subnet), "{routes:?}");
        assert!(routes.contains(&format!("default via {GATEWAY}")), "{routes:?}");
        // The reference has both, and its own is the one the kernel finds first.
        assert_eq!(routes.len(), if whose == Whose::Llano { 2 } else { 3 }, "{routes:?}");
    }

    let runtimes = [&*one, &*one, &*two];
    let to = [FIRST, SECOND, ELSEWHERE];
    for (from, runtime) in runtimes.iter().enumerate() {
        let name = containers[from].name();
        // Among three requests one answer is enough. With the reference every one is lost, so one is too.
        let reaches = |address| ping(*runtime, name, address, if whose == Whose::Llano { "3" } else { "1" });
        ping(*runtime, name, GATEWAY, "3")
            .unwrap_or_else(|why| panic!("{name} does not reach the gateway: {why}"));
        for (other, address) in to.iter().enumerate().filter(|(other, _)| *other != from) {
            let other = containers[other].name();
            match (whose, reaches(address)) {
                (Whose::Llano, Ok(())) | (Whose::Reference, Err(_)) => {}
                (Whose::Llano, Err(why)) => panic!("{name} does not reach {other}: {why}"),
                (Whose::Reference, Ok(())) => {
                    panic!(
                        "{name} reaches {other} with the reference's plugins, and its route says otherwise"
                    )
                }
            }
        }
    }

    for (runtime, container) in runtimes.iter().zip(containers) {
        runtime.remove(container).unwrap_or_else(|error| panic!("{error}"));
    }
    for (host, before) in [host1, host2].into_iter().zip(before) {
        assert_eq!(leftovers(host), ["last_reserved_ip.0", "lock"].map(|file| format!("{LEASES}/{file}")));
        assert_eq!(state(host), before, "on {}", host.name());
    }
    drop((one, two));
    drop(lab);
    leaks.assert_clean();
    assert_no_cgroup(&name);
}

fn start(runtime: &dyn Runtime, name: &str) -> Running {
    runtime.run(name).unwrap_or_else(|error| panic!("{error}"))
}

/// Requests from inside the container, by its own `ping`; one answer is enough.
fn ping(runtime: &dyn Runtime, name: &str, address: &str, count: &str) -> lab::Result<()> {
    runtime.exec(name, &["/bin/ping", "-c", count, "-i", "0.3", "-W", "1", address]).map(drop)
}

fn address(net: &NetNs) -> String {
    let mut netlink = Netlink::open_in(net).unwrap();
    let link = netlink.link_by_name("eth0").unwrap().expect("the container has eth0");
    let addresses = netlink.addresses(Some(link.index)).unwrap();
    let mut v4 = addresses.iter().filter(|address| address.net.addr().is_ipv4());
    let first = v4.next().expect("eth0 has an address").net.to_string();
    assert!(v4.next().is_none(), "one address only");
    first
}

fn routes(net: &NetNs) -> Vec<String> {
    let filter = RouteFilter { family: Some(kernel::Family::V4), table: Some(254), ..RouteFilter::default() };
    let all = Netlink::open_in(net).unwrap().routes(&filter).unwrap();
    let text = all.into_iter().map(|route| {
        let to = route.dst.map_or_else(|| "default".to_owned(), |dst| dst.to_string());
        match route.gateway {
            Some(via) => format!("{to} via {via}"),
            None => format!("{to} direct"),
        }
    });
    text.collect()
}

fn the_gateway_does_not_forward(lab: &Lab) {
    let gateway = lab.host("gateway").unwrap();
    let forwarding =
        gateway.run_in(|| std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward")).unwrap().unwrap();
    assert_eq!(forwarding.trim(), "0");
}

/// No cgroup of a lab's containers is left on the machine.
///
/// # Panics
/// When one is.
pub fn assert_no_cgroup(lab: &str) {
    let root = std::path::PathBuf::from("/sys/fs/cgroup");
    let controllers = std::fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path());
    for tree in controllers.chain([root]).filter(|path| path.is_dir()) {
        let left = std::fs::read_dir(&tree).into_iter().flatten().flatten();
        let left = left.filter(|entry| entry.file_name().to_string_lossy().ends_with(&format!("-{lab}")));
        assert_eq!(left.count(), 0, "a cgroup of the lab's is left in {}", tree.display());
    }
}
