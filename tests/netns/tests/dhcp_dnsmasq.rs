//! `ipam.type: dhcp` against dnsmasq: the whole way from the plugin's call to the server's lease file.

#![allow(clippy::unwrap_used)] // A test ends where it cannot go on.

#[path = "dhcp/mod.rs"]
mod dhcp;

use std::time::Duration;

use dhcp::{Bench, addresses, gateway, wait};
use kernel::Netlink;
use serde_json::json;

const RANGE: &str = "--dhcp-range=10.77.0.50,10.77.0.200,2m";
const RANGE6: &str = "--dhcp-range=2001:db8:77::100,2001:db8:77::200,64,2m";

#[test]
fn add_check_del_of_a_macvlan() {
    let bench = Bench::new();
    let server = bench.dnsmasq(
        "one",
        &[
            RANGE,
            "--dhcp-option=option:dns-server,9.9.9.9",
            "--dhcp-option=option:domain-name,lan.example",
            "--dhcp-option=option:domain-search,a.example,b.example",
            "--dhcp-option=option:mtu,1400",
            "--dhcp-option=option:classless-static-route,0.0.0.0/0,10.77.0.2,192.168.9.0/24,10.77.0.1",
        ],
    );
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({"priority": 7, "provide": [{"option": "host-name", "value": "web-0"}]});
    let answer = bench.add(&pod, &ipam).unwrap();
    assert_eq!(answer.addresses().len(), 1);
    let address = answer.addresses()[0].to_string();
    assert_eq!(addresses(&pod), std::slice::from_ref(&address));
    // Option 121 decides, not option 3, which dnsmasq sends too.
    assert_eq!(gateway(&pod).as_deref(), Some("10.77.0.2"));
    let routes = answer.json["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 2, "{routes:?}");
    assert!(routes.iter().all(|r| r["priority"] == 7 && r["mtu"] == 1400), "{routes:?}");
    let lease = server.leases();
    assert!(lease.contains(address.split('/').next().unwrap()), "{lease}");
    assert!(lease.contains("web-0"), "{lease}");
    let id: String = b"\0pod/lan/eth0".iter().map(|b| format!("{b:02x}:")).collect();
    assert!(lease.contains(id.trim_end_matches(':')), "client identifier as the reference's: {lease}");
    assert!(lab::Ping::new("10.77.0.1".parse().unwrap()).count(3).run(pod.net()).is_ok());
    bench.check(&pod, &ipam, &answer).unwrap();
    let rows = bench.leases();
    assert_eq!(
        (rows.len(), &rows[0]["state"], &rows[0]["addresses"][0]),
        (1, &json!("Bound"), &json!(address))
    );

    bench.del(&pod, &ipam).unwrap();
    wait("the server to take the lease back", || !server.leases().contains("10.77.0."));
    assert!(server.log().contains("DHCPRELEASE"));
    assert!(bench.leases().is_empty());
    assert!(bench.check(&pod, &ipam, &answer).is_err());
    bench.del(&pod, &ipam).unwrap();
}

#[test]
fn both_families() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE, RANGE6, "--dhcp-option=option6:dns-server,[2001:db8::53]"]);
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({"families": ["ipv4", "ipv6"]});
    let answer = bench.add(&pod, &ipam).unwrap();
    let got: Vec<String> = answer.addresses().iter().map(ToString::to_string).collect();
    assert_eq!(got.len(), 2);
    assert!(got[1].starts_with("2001:db8:77::") && got[1].ends_with("/128"), "{got:?}");
    let mut on_link = addresses(&pod);
    on_link.sort();
    assert_eq!(on_link, got);
    assert_eq!(server.leases().matches("2001:db8:77::").count(), 1);
    bench.check(&pod, &ipam, &answer).unwrap();
    bench.del(&pod, &ipam).unwrap();
    wait("both leases to be free", || {
        let left = server.leases();
        !left.contains("10.77.0.") && !left.contains("2001:db8:77::1")
    });
}

#[test]
fn a_lease_is_renewed_at_t1_with_unicast_from_its_address() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE, "--dhcp-option=option:T1,3", "--dhcp-option=option:T2,4"]);
    let pod = bench.host().container("pod").unwrap();
    let answer = bench.add(&pod, &json!({})).unwrap();
    let capture = lab::capture(bench.lab.host("one").unwrap().net(), "eth0").unwrap();
    wait("three renewals", || server.count("DHCPACK(") >= 4);
    let frames = capture.stop().unwrap();
    let address = answer.address().unwrap().to_string();
    let to_server =
        |f: &&lab::Frame| f.ethertype() == Some(0x0800) && f.bytes[23] == 17 && f.bytes[36..38] == [0, 67];
    let requests: Vec<_> = frames.iter().filter(to_server).collect();
    assert!(requests.len() >= 3);
    for frame in requests {
        let ip = |at: usize| {
            std::net::Ipv4Addr::new(
                frame.bytes[at],
                frame.bytes[at + 1],
                frame.bytes[at + 2],
                frame.bytes[at + 3],
            )
        };
        assert_eq!((ip(26).to_string(), ip(30).to_string()), (address.clone(), "10.77.0.1".to_owned()));
    }
    assert_eq!(server.count("DHCPDISCOVER("), 1);
    assert_eq!(addresses(&pod), [answer.addresses()[0].to_string()]);
    bench.del(&pod, &json!({})).unwrap();
}

#[test]
fn rebinding_takes_another_server_and_keeps_the_address() {
    let bench = Bench::new();
    let one = bench.dnsmasq("one", &[RANGE, "--dhcp-option=option:T1,2", "--dhcp-option=option:T2,4"]);
    let pod = bench.host().container("pod").unwrap();
    let answer = bench.add(&pod, &json!({})).unwrap();
    one.stop();
    let two = bench.dnsmasq("two", &[RANGE]);
    wait("the second server to extend the lease", || two.count("DHCPACK(") == 1);
    wait("the client to know its new server", || bench.leases()[0]["server"] == "10.77.0.2");
    assert_eq!(two.count("DHCPDISCOVER("), 0);
    assert_eq!(addresses(&pod), [answer.addresses()[0].to_string()]);
    wait("the new server's gateway", || gateway(&pod).as_deref() == Some("10.77.0.2"));
    bench.del(&pod, &json!({})).unwrap();
    wait("the second server to get the lease back", || !two.leases().contains("10.77.0."));
}

#[test]
fn a_nak_while_renewing_readdresses_the_pod() {
    let bench = Bench::new();
    let one = bench.dnsmasq("one", &[RANGE, "--dhcp-option=option:T1,2", "--dhcp-option=option:T2,4"]);
    let pod = bench.host().container("pod").unwrap();
    let before = bench.add(&pod, &json!({})).unwrap().addresses()[0].to_string();
    one.stop();
    // The same LAN, another range: an authoritative server refuses the old address.
    let two = bench.dnsmasq("two", &["--dhcp-range=10.77.0.210,10.77.0.220,2m"]);
    wait("another address on the link", || {
        addresses(&pod).iter().any(|a| a.starts_with("10.77.0.21") || a.starts_with("10.77.0.22"))
    });
    let now = addresses(&pod);
    assert_eq!(now.len(), 1, "the old address is gone: {now:?}");
    assert_ne!(now[0], before);
    assert!(two.count("DHCPNAK(") >= 1);
    wait("the new route", || gateway(&pod).as_deref() == Some("10.77.0.2"));
    bench.del(&pod, &json!({})).unwrap();
    wait("the lease to be free", || !two.leases().contains("10.77.0."));
}

#[test]
fn an_address_in_use_is_declined_and_another_taken() {
    let bench = Bench::new();
    let server = bench.dnsmasq("one", &[RANGE, "--dhcp-sequential-ip"]);
    // Somebody on the LAN has the first address, and the server does not know.
    bench.squat("10.77.0.50/24");
    let pod = bench.host().container("pod").unwrap();
    let answer = bench.add(&pod, &json!({})).unwrap();
    assert_eq!(server.count("DHCPDECLINE("), 1);
    assert_ne!(answer.addresses()[0].to_string(), "10.77.0.50/24");
    bench.del(&pod, &json!({})).unwrap();
}

#[test]
fn without_a_server_add_fails_in_its_time_and_leaves_nothing() {
    let bench = Bench::new();
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({"timeout": 2});
    let error = bench.add(&pod, &ipam).unwrap_err().to_string();
    assert!(error.contains("no OFFER came") && error.contains("no more tries"), "{error}");
    assert!(bench.leases().is_empty());
    assert_eq!(addresses(&pod), Vec::<String>::new());
    let links = Netlink::open_in(pod.net()).unwrap().links().unwrap();
    assert_eq!(links.len(), 1, "only the loopback");
    bench.del(&pod, &ipam).unwrap();
}

#[test]
fn a_caller_that_goes_away_leaves_no_lease() {
    let bench = Bench::new();
    let _daemon = bench.daemon(&[]);
    let pod = bench.host().container("pod").unwrap();
    let config = dhcp::conf(&json!({"timeout": 60}));
    let plugin = bench.plugins.dir().join("macvlan");
    let mut command = bench.host().command(plugin).unwrap();
    command.env("CNI_COMMAND", "ADD").env("CNI_CONTAINERID", "pod").env("CNI_NETNS", pod.path());
    command.env("CNI_IFNAME", "eth0").env("CNI_PATH", bench.plugins.dir());
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), config.to_string().as_bytes()).unwrap();
    drop(child.stdin.take());
    wait("the search to begin", || bench.leases().len() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    wait("the search to end", || bench.leases().is_empty());
    let server = bench.dnsmasq("one", &[RANGE]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(server.count("DHCPDISCOVER("), 0, "nobody asks any more");
    let ipam = json!({});
    bench.del(&pod, &ipam).unwrap();
    bench.add(&pod, &ipam).unwrap();
    bench.del(&pod, &ipam).unwrap();
}

#[test]
fn a_noisy_lan_does_not_disturb_the_exchange() {
    let bench = Bench::new();
    let _server = bench.dnsmasq("one", &[RANGE, RANGE6]);
    let _daemon = bench.daemon(&[]);
    let pod = bench.host().container("pod").unwrap();
    let ipam = json!({"families": ["ipv4", "ipv6"]});
    let stop = std::sync::atomic::AtomicBool::new(false);
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| {
            bench.lab.host("two").unwrap().run_in(|| noise(&stop)).unwrap();
        });
        let answer = bench.add(&pod, &ipam);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        answer
    });
    assert_eq!(answer.unwrap().addresses().len(), 2);
    bench.del(&pod, &ipam).unwrap();
}

/// Short, long, foreign and nearly right packets to every client's port.
fn noise(stop: &std::sync::atomic::AtomicBool) {
    use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
    let v4 = UdpSocket::bind("10.77.0.2:67").unwrap();
    v4.set_broadcast(true).unwrap();
    let v6 = UdpSocket::bind("[::]:547").unwrap();
    let index = Netlink::open().unwrap().index_of("eth0").unwrap().unwrap();
    let all_nodes = SocketAddrV6::new("ff02::1".parse::<Ipv6Addr>().unwrap(), 546, 0, index);
    let mut nearly = vec![0u8; 300];
    nearly[..4].copy_from_slice(&[2, 1, 6, 0]);
    nearly[236..243].copy_from_slice(&[0x63, 0x82, 0x53, 0x63, 53, 1, 6]);
    let mut n = 0usize;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        n += 1;
        nearly[4..8].copy_from_slice(&u32::try_from(n).unwrap().wrapping_mul(0x9e37_79b9).to_be_bytes());
        for packet in [&nearly[..], &nearly[..n % 300], &[0xff; 1400][..n % 1400], &[]] {
            let _ = v4.send_to(packet, "255.255.255.255:68");
            let _ = v6.send_to(packet, all_nodes);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
