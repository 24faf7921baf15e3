use kernel::uapi::{IFA_F_PERMANENT, IFAPROT_KERNEL_RA, RTPROT_DHCP};
use kernel::{Family, Rule};

use super::*;

fn mac(text: &str) -> MacAddr {
    text.parse().unwrap()
}

fn link(kind: Kind) -> Link {
    Link {
        kind,
        parent: None,
        controller: None,
        mac: Some(mac("02:00:00:00:09:01")),
        permanent_mac: None,
        mtu: 1500,
        up: true,
        promiscuous: false,
        all_multicast: false,
        arp: true,
        tx_queue_len: 1000,
        alias: None,
        ipv6_disabled: false,
        sysctls: BTreeMap::from(
            [("ipv6/accept_ra", "1"), ("ipv6/autoconf", "1"), ("ipv4/rp_filter", "1")]
                .map(|(k, v)| (k.to_owned(), v.to_owned())),
        ),
        addr_gen_mode: Some(0),
        addresses: vec![address("10.1.0.1/24")],
        neighbours: Vec::new(),
    }
}

fn address(text: &str) -> Address {
    Address::new(0, text.parse().unwrap()).with_flags(IFA_F_PERMANENT)
}

fn host(parent: Link) -> Network {
    let mut gateway = kernel::Route::default_via("10.1.0.254".parse().unwrap());
    gateway.oif = None;
    Network {
        links: BTreeMap::from([("eth0".to_owned(), parent)]),
        routes: vec![Route { dev: Some("eth0".to_owned()), hops: Vec::new(), route: gateway }],
        rules: vec![Rule { iif: Some("eth0".to_owned()), ..Rule::new(Family::V4, 77) }],
    }
}

fn refused(how: &MoveAddress, network: &Network) -> String {
    how.wanted(network).unwrap_err().to_string()
}

#[test]
fn everything_goes_to_the_child() {
    let mut parent = link(Kind::Physical);
    parent.addresses.push(Address { label: Some("eth0:1".to_owned()), ..address("10.1.0.2/24") });
    parent.addresses.push(address("fe80::ff:fe00:901/64"));
    let before = host(parent);
    let how = MoveAddress::new("eth0");
    let wanted = how.wanted(&before).unwrap();
    let (parent, child) = (&wanted.network.links["eth0"], &wanted.network.links["mv-eth0"]);
    let nets = |link: &Link| link.addresses.iter().map(|a| a.net.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(
        (nets(child).as_str(), nets(parent).as_str()),
        ("10.1.0.1/24 10.1.0.2/24", "fe80::ff:fe00:901/64")
    );
    assert_eq!(child.addresses[1].label.as_deref(), Some("mv-eth0:1"));
    assert_eq!(
        (child.sysctls["ipv6/accept_ra"].as_str(), parent.sysctls["ipv6/accept_ra"].as_str()),
        ("1", "0")
    );
    assert_eq!(wanted.network.routes[0].dev.as_deref(), Some("mv-eth0"));
    assert_eq!(wanted.network.rules[0].iif.as_deref(), Some("mv-eth0"));
    assert_eq!(parent.mac, before.links["eth0"].mac);
    let of_child = child.mac.unwrap();
    assert!(of_child != parent.mac.unwrap() && of_child.0[0] & 3 == 2, "{of_child}");
    // Done again it is the same.
    assert!(how.is_done(&wanted.network));
    assert_eq!(how.wanted(&wanted.network).unwrap().network, wanted.network);
}

#[test]
fn macs_are_exchanged_when_asked() {
    let before = host(link(Kind::Physical));
    let how = MoveAddress { keep_mac: true, ..MoveAddress::new("eth0") };
    let wanted = how.wanted(&before).unwrap();
    let (parent, child) = (&wanted.network.links["eth0"], &wanted.network.links["mv-eth0"]);
    assert_eq!(child.mac, before.links["eth0"].mac);
    assert_ne!(parent.mac, child.mac);
    assert_eq!(parent.addr_gen_mode, Some(ADDR_GEN_MODE_NONE));
}

#[test]
fn what_others_own_is_refused_by_name() {
    let how = MoveAddress::new("eth0");
    let keep = MoveAddress { keep_mac: true, ..how.clone() };

    let mut lent = link(Kind::Physical);
    lent.addresses[0].valid = Some(600);
    let mut network = host(lent);
    assert!(how.wanted(&network).is_ok());
    assert!(how.notes(&network)[0].starts_with("10.1.0.1/24 has another 600 s"));
    network.routes[0].route.protocol = RTPROT_DHCP;
    let said = refused(&how, &network);
    assert!(said.contains("10.1.0.1/24") && said.contains("DHCP"), "{said}");

    let mut routed = link(Kind::Physical);
    routed.addresses.push(Address {
        proto: IFAPROT_KERNEL_RA,
        valid: Some(600),
        ..address("fd01::ff:fe00:901/64")
    });
    let network = host(routed);
    let said = refused(&how, &network);
    assert!(said.contains("fd01::ff:fe00:901/64") && said.contains("router advertisements"), "{said}");
    assert!(keep.wanted(&network).is_ok());

    for (kind, word) in [(Kind::Loopback, "loopback"), (Kind::Macvlan(Macvlan::default()), "macvlan")] {
        assert!(refused(&how, &host(link(kind))).contains(word));
    }
    let bare = Link { addresses: Vec::new(), ..link(Kind::Physical) };
    assert!(refused(&how, &host(bare)).contains("no address"));
    let port = Link { controller: Some("bond0".to_owned()), ..link(Kind::Physical) };
    assert!(refused(&how, &host(port)).contains("bond0"));
    assert!(refused(&MoveAddress::new("eth7"), &host(link(Kind::Physical))).contains("no such interface"));
}

#[test]
fn names_fit_the_kernel() {
    for parent in ["eth0", "bond0.100", "enp0s31f6.4094", "averylongname15"] {
        let name = MoveAddress::new(parent).child();
        assert!(name.len() <= IFNAME_MAX && name.starts_with("mv-"), "{name}");
    }
}
