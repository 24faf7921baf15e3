//! Namespaces, sysctls, packet sockets and the monitor against the real kernel.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation)]

mod common;

use std::path::Path;
use std::time::Duration;

use common::TestNs;
use kernel::arp::{self, ArpPacket};
use kernel::ndp::{self, NdpPacket};
use kernel::uapi::{ETH_P_ALL, ETH_P_ARP, IFA_F_NODAD};
use kernel::{
    Address, BpfInsn, Change, Error, Groups, Heard, LinkKind, MacAddr, Message, Monitor, NetNs, NewLink,
    PacketSocket, SetLink, sysctl,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn files_that_are_no_namespaces_are_refused() {
    let error = NetNs::open(Path::new("/etc/hostname")).unwrap_err();
    assert!(matches!(error, Error::NotANamespace { .. }), "{error}");
    let error = NetNs::open(Path::new("/proc/self/status")).unwrap_err();
    assert!(matches!(error, Error::NotANetworkNamespace { .. }), "{error}");
    let error = NetNs::open(Path::new("/proc/self/ns/uts")).unwrap_err();
    assert!(matches!(error, Error::NotANetworkNamespace { .. }), "{error}");
    let error = NetNs::open(Path::new("/run/llano-kernel-none")).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(error.to_string().contains("/run/llano-kernel-none"), "{error}");
}

#[test]
fn run_visits_and_returns() {
    let t = TestNs::new();
    let home = NetNs::current().unwrap();
    assert_ne!(home, t.ns);
    let there = t.ns.run(|| NetNs::current().unwrap()).unwrap();
    assert_eq!(there, t.ns);
    assert_eq!(NetNs::current().unwrap().id().unwrap(), home.id().unwrap());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = t.ns.run(|| panic!("on purpose"));
    }));
    assert!(panicked.is_err());
    assert_eq!(NetNs::current().unwrap(), home);
}

#[test]
fn create_and_delete() {
    assert!(rustix::process::geteuid().is_root(), "needs root");
    let path = std::env::temp_dir().join(format!("llano-kernel-{}-created", std::process::id()));
    let ns = NetNs::create_at(&path).unwrap();
    let error = NetNs::create_at(&path).unwrap_err();
    assert!(error.is_exists(), "{error}");
    assert_eq!(NetNs::open(&path).unwrap(), ns, "a refused creation leaves what is there");
    let mut nl = kernel::Netlink::open_in(&ns).unwrap();
    let links = nl.links().unwrap();
    assert!(matches!(&links[..], [lo] if lo.name == "lo" && !lo.is_up() && lo.is_loopback()), "{links:?}");
    assert_eq!(links[0].kind, LinkKind::Physical);
    NetNs::delete(&path).unwrap();
    assert!(!path.exists());
    assert!(NetNs::delete(&path).unwrap_err().is_not_found());
    assert_eq!(nl.links().unwrap().len(), 1, "an open socket keeps it alive");
}

#[test]
fn sysctls_are_of_the_namespace() {
    let (mut t, _, _) = TestNs::with_veth();
    t.ok(Change::AddLink(NewLink::new("x.100", LinkKind::Bridge)));
    t.ns.run(|| {
        sysctl::write("net/ipv4/conf/x.100/arp_notify", "1").unwrap();
        assert_eq!(sysctl::read("net/ipv4/conf/x.100/arp_notify").unwrap(), "1");
        assert_eq!(sysctl::read("net/ipv4/conf/a/arp_notify").unwrap(), "0");
        let error = sysctl::write("net/ipv4/conf/none/arp_notify", "1").unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert!(sysctl::write("net/ipv4/conf/a/arp_notify", "many").is_err());
    })
    .unwrap();
    for path in ["", "/net/ipv4", "net/../kernel/hostname", "net//ipv4", "net/ipv4/"] {
        assert!(matches!(sysctl::read(path), Err(Error::Invalid { .. })), "{path}");
    }
}

/// A pair without addresses of the kernel's own, so that only our frames are on it.
fn quiet() -> (TestNs, u32, u32) {
    let (mut t, a, b) = TestNs::with_veth();
    for index in [a, b] {
        t.ok(Change::SetLink { index, set: SetLink { addr_gen_mode: Some(1), ..SetLink::default() } });
        for address in t.nl.addresses(Some(index)).unwrap() {
            t.ok(Change::DeleteAddress(address));
        }
    }
    (t, a, b)
}

fn open(t: &TestNs, index: u32, filter: &[BpfInsn]) -> PacketSocket {
    t.ns.run(|| PacketSocket::open(index, ETH_P_ALL, filter).unwrap()).unwrap()
}

#[test]
fn filters_let_only_their_frames_pass() {
    let (t, a, b) = quiet();
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let target = "2001:db8::1".parse().unwrap();
    let probe = ArpPacket::probe(mac, [10, 1, 2, 3].into()).encode().to_vec();
    let dad = NdpPacket::dad(mac, target, Some([1; 6])).encode();
    let advertisement = NdpPacket::announcement(mac, target).encode();
    let mut other = probe.clone();
    other[12..14].copy_from_slice(&[0x88, 0xb5]);
    let mut echo = dad.clone();
    echo[54] = 128;
    let frames = [&probe, &dad, &advertisement, &other, &echo];
    for (filter, passing) in [
        (&BpfInsn::ARP[..], &[0][..]),
        (&BpfInsn::NEIGHBOUR_DISCOVERY[..], &[1, 2][..]),
        (&BpfInsn::ARP_AND_NEIGHBOUR_DISCOVERY[..], &[0, 1, 2][..]),
        (&[], &[0, 1, 2, 3, 4][..]),
    ] {
        let (sender, receiver) = (open(&t, a, &BpfInsn::ARP), open(&t, b, filter));
        receiver.set_receive_buffer(1 << 16).unwrap();
        for frame in frames {
            sender.send(frame).unwrap();
        }
        for &n in passing {
            let mut buf = [0; 2048];
            let len = receiver.recv_timeout(&mut buf, 10 * SECOND).unwrap();
            let len = len.unwrap_or_else(|| panic!("frame {n} is missing with {filter:?}"));
            assert_eq!(&buf[..len], frames[n].as_slice());
        }
        let mut buf = [0; 2048];
        assert_eq!(receiver.recv_timeout(&mut buf, Duration::from_millis(20)).unwrap(), None);
    }
}

/// The kernel's own packets are read by our parsers, and multicast reaches a macvlan that has no address.
#[test]
fn the_kernels_probes_are_heard() {
    let (mut t, a, b) = quiet();
    let child = t.child("mv", b, LinkKind::Macvlan(kernel::Macvlan::default()));
    t.up("mv");
    for all in [false, true] {
        let target: std::net::Ipv6Addr = if all { "2001:db8::51" } else { "2001:db8::52" }.parse().unwrap();
        let heard = open(&t, child.index, &BpfInsn::ARP_AND_NEIGHBOUR_DISCOVERY);
        if all {
            heard.allmulti().unwrap();
        } else {
            heard.join_multicast(ndp::multicast_mac(ndp::solicited_node(target))).unwrap();
        }
        t.ok(Change::AddAddress(Address::new(a, ipnet::IpNet::new(target.into(), 64).unwrap())));
        let mut buf = [0; 2048];
        let packet = loop {
            let len = heard.recv_timeout(&mut buf, 10 * SECOND).unwrap().expect("the kernel's solicitation");
            // A link-local address of before `quiet` may still be asked for.
            match ndp::parse(&buf[..len]).unwrap() {
                packet if packet.dst == ndp::solicited_node(target) => break packet,
                _ => {}
            }
        };
        let own = MacAddr([2, 0, 0, 0, 0, 9]);
        assert!(packet.conflicts_with(own, target, Some([7; 6])), "{packet:?}");
        assert!(!packet.conflicts_with(t.link("a").mac.unwrap(), target, None));
        let NdpPacket { message: ndp::NdpMessage::Solicitation { nonce, .. }, .. } = packet else {
            panic!("{packet:?}")
        };
        assert!(nonce.is_some(), "Linux sends a nonce");
    }
}

/// Sends a frame, more than once because the kernel gets ready for it in the background, until what is wanted comes.
fn answer<T>(socket: &PacketSocket, frame: &[u8], wanted: impl Fn(&[u8]) -> Option<T>) -> T {
    let mut buf = [0; 2048];
    for _ in 0..50 {
        socket.send(frame).unwrap();
        while let Some(len) = socket.recv_timeout(&mut buf, Duration::from_millis(200)).unwrap() {
            if let Some(found) = wanted(&buf[..len]) {
                return found;
            }
        }
    }
    panic!("no answer");
}

#[test]
fn the_kernel_answers_our_probe() {
    let (mut t, a, b) = quiet();
    // The two ends are in one namespace: without this the kernel would answer for either address at either end.
    t.ok(Change::AddAddress(Address::new(b, "10.1.2.3/24".parse().unwrap())));
    let v6 = "2001:db8::3".parse().unwrap();
    t.ok(Change::AddAddress(
        Address::new(b, ipnet::IpNet::new(std::net::IpAddr::V6(v6), 64).unwrap()).with_flags(IFA_F_NODAD),
    ));
    let own = t.link("a").mac.unwrap();
    let theirs = t.link("b").mac.unwrap();
    let socket = open(&t, a, &BpfInsn::ARP);
    let ip = [10, 1, 2, 3].into();
    let reply = answer(&socket, &ArpPacket::probe(own, ip).encode(), |frame| {
        arp::parse(frame).ok().filter(|packet| packet.eth_src == theirs)
    });
    assert!(reply.conflicts_with(own, ip), "{reply:?}");
    assert_eq!(reply.sender_mac, theirs);

    let socket = open(&t, a, &BpfInsn::NEIGHBOUR_DISCOVERY);
    socket.allmulti().unwrap();
    let answer = answer(&socket, &NdpPacket::dad(own, v6, Some([3; 6])).encode(), |frame| {
        ndp::parse(frame).ok().filter(|packet| packet.eth_src == theirs)
    });
    assert!(answer.conflicts_with(own, v6, Some([3; 6])), "{answer:?}");
}

#[test]
fn what_is_sent_is_received_unless_ignored() {
    let (t, a, _) = quiet();
    let probe = ArpPacket::probe(MacAddr([2, 0, 0, 0, 0, 1]), [10, 1, 2, 3].into()).encode();
    let (sender, listener, deaf) =
        (open(&t, a, &BpfInsn::ARP), open(&t, a, &BpfInsn::ARP), open(&t, a, &BpfInsn::ARP));
    deaf.ignore_outgoing().unwrap();
    sender.send(&probe).unwrap();
    let mut buf = [0; 64];
    assert_eq!(listener.recv_timeout(&mut buf, 10 * SECOND).unwrap(), Some(probe.len()));
    assert_eq!(deaf.recv(&mut buf).unwrap(), None);
}

#[test]
fn packet_socket_says_what_is_wrong() {
    let t = TestNs::new();
    let error = t.ns.run(|| PacketSocket::open(4242, ETH_P_ARP, &[]).unwrap_err()).unwrap();
    assert!(error.is_not_found(), "{error}");
    assert!(error.to_string().contains("4242"), "{error}");
}

#[test]
fn monitor_hears_links_addresses_and_routes() {
    let mut t = TestNs::new();
    let groups = Groups { links: true, addresses: true, routes: true, neighbours: true };
    let mut monitor = Monitor::open_in(&t.ns, groups).unwrap();
    assert_eq!(monitor.wait(Some(Duration::from_millis(1))).unwrap(), Heard::Changes(vec![]));
    t.ok(Change::AddLink(NewLink { up: true, ..NewLink::new("br", LinkKind::Bridge) }));
    let index = t.index("br");
    t.ok(Change::AddAddress(Address::new(index, "10.1.2.3/24".parse().unwrap())));
    t.ok(Change::DeleteLink { index });
    let mut heard = Vec::new();
    while !heard.iter().any(|m| matches!(m, Message::LinkGone(l) if l.index == index)) {
        match monitor.wait(Some(10 * SECOND)).unwrap() {
            Heard::Changes(changes) => {
                assert!(!changes.is_empty(), "nothing more after {heard:?}");
                heard.extend(changes);
            }
            Heard::Lost => panic!("lost"),
        }
    }
    assert!(heard.iter().any(|m| matches!(m, Message::Link(l) if l.name == "br")));
    assert!(heard.iter().any(|m| matches!(m, Message::Address(a) if a.index == index)));
    assert!(heard.iter().any(|m| matches!(m, Message::AddressGone(a) if a.index == index)));
    assert!(heard.iter().any(|m| matches!(m, Message::Route(r) if r.oif == Some(index))), "{heard:?}");
}

#[test]
fn monitor_tells_that_it_lost_something() {
    let mut t = TestNs::new();
    let mut monitor = Monitor::open_in(&t.ns, Groups { links: true, ..Groups::default() }).unwrap();
    t.ok(Change::AddLink(NewLink::new("br", LinkKind::Bridge)));
    let index = t.index("br");
    let changes: Vec<_> = (0..1000)
        .map(|n| Change::SetLink { index, set: SetLink { mtu: Some(1000 + n % 2), ..SetLink::default() } })
        .collect();
    t.nl.apply_all(&changes).unwrap();
    assert_eq!(monitor.wait(Some(SECOND)).unwrap(), Heard::Lost);
}

#[test]
fn namespaces_know_each_other_by_numbers() {
    let (mut a, b) = (TestNs::new(), TestNs::new());
    assert_eq!(a.nl.nsid_of(&b.ns).unwrap(), None, "they have nothing to do with each other yet");
    let peer =
        kernel::VethPeer { name: Some("there".into()), netns: Some(b.ns.clone()), ..Default::default() };
    a.ok(Change::AddLink(NewLink::new("here", LinkKind::Veth(peer))));
    let nsid = a.link("here").parent_nsid;
    assert!(nsid.is_some());
    assert_eq!(a.nl.nsid_of(&b.ns).unwrap(), nsid);
}
