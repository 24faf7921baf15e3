//! Links against the real kernel.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation)]

mod common;

use common::TestNs;
use kernel::uapi::{ADDR_GEN_MODE_NONE, IFF_ALLMULTI, IFF_PROMISC};
use kernel::{
    BridgePort, Change, Errno, LinkKind, MacAddr, Macvlan, MacvlanMode, MacvlanSet, NewLink, OperState,
    SetLink, SourceMacs, VethPeer,
};

fn set(index: u32, set: SetLink) -> Change {
    Change::SetLink { index, set }
}

fn sorted(mut macs: Vec<MacAddr>) -> Vec<MacAddr> {
    macs.sort();
    macs
}

#[test]
fn five_modes_come_back_as_they_were_made() {
    let (mut t, parent, _) = TestNs::with_veth();
    for mode in MacvlanMode::ALL {
        let asked = Macvlan {
            mode,
            nopromisc: mode == MacvlanMode::Passthru,
            nodst: mode == MacvlanMode::Source,
            source_macs: if mode == MacvlanMode::Source {
                vec![MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2])]
            } else {
                vec![]
            },
            bc_queue_len: Some(1234),
        };
        let link = t.child("mv", parent, LinkKind::Macvlan(asked.clone()));
        let mut got = link.kind.as_macvlan().unwrap().clone();
        got.source_macs = sorted(got.source_macs);
        assert_eq!(got, asked);
        assert_eq!(link.parent, Some(parent));
        assert!(!link.is_up());
        t.ok(Change::DeleteLinkByName("mv".into()));
        assert_eq!(t.nl.link_by_name("mv").unwrap(), None);
        assert_eq!(t.nl.link_by_index(link.index).unwrap(), None);
    }
}

#[test]
fn macvtap_is_read_or_unknown_to_the_kernel() {
    let (mut t, parent, _) = TestNs::with_veth();
    let kind = LinkKind::Macvtap(Macvlan::new(MacvlanMode::Private));
    let change = Change::AddLink(NewLink { parent: Some(parent), ..NewLink::new("tap", kind) });
    match t.nl.apply(&change) {
        Ok(()) => {
            let link = t.link("tap");
            assert!(matches!(&link.kind, LinkKind::Macvtap(m) if m.mode == MacvlanMode::Private), "{link:?}");
        }
        Err(error) => assert_eq!(error.errno(), Some(Errno::OPNOTSUPP), "{error}"),
    }
}

#[test]
fn passthru_raises_promiscuity_unless_told_not_to() {
    for nopromisc in [false, true] {
        let (mut t, parent, _) = TestNs::with_veth();
        let macvlan = Macvlan { nopromisc, ..Macvlan::new(MacvlanMode::Passthru) };
        t.child("mv", parent, LinkKind::Macvlan(macvlan));
        t.up("mv");
        assert_eq!(t.link("a").promiscuity, u32::from(!nopromisc));
        let second = NewLink {
            parent: Some(parent),
            ..NewLink::new("mv2", LinkKind::Macvlan(Macvlan::new(MacvlanMode::Bridge)))
        };
        assert_eq!(t.refused(Change::AddLink(second)).errno(), Some(Errno::INVAL));
    }
}

#[test]
fn source_macs_are_set_added_deleted_and_flushed() {
    let (mut t, parent, _) = TestNs::with_veth();
    let mac = |n| MacAddr([2, 0, 0, 0, 0, n]);
    let link = t.child("mv", parent, LinkKind::Macvlan(Macvlan::new(MacvlanMode::Source)));
    let steps = [
        (SourceMacs::Add(mac(1)), vec![mac(1)]),
        (SourceMacs::Add(mac(2)), vec![mac(1), mac(2)]),
        (SourceMacs::Add(mac(2)), vec![mac(1), mac(2)]),
        (SourceMacs::Delete(mac(1)), vec![mac(2)]),
        (SourceMacs::Delete(mac(9)), vec![mac(2)]),
        (SourceMacs::Set(vec![mac(3), mac(4), mac(5)]), vec![mac(3), mac(4), mac(5)]),
        (SourceMacs::Flush, vec![]),
    ];
    for (step, want) in steps {
        let change = MacvlanSet { source_macs: Some(step.clone()), ..MacvlanSet::default() };
        t.ok(set(link.index, SetLink { macvlan: Some(change), ..SetLink::default() }));
        let got = t.link("mv").kind.as_macvlan().unwrap().source_macs.clone();
        assert_eq!(sorted(got), want, "after {step:?}");
    }
    let many: Vec<_> = (0..3000u16).map(|n| MacAddr([2, 0, 0, 1, (n >> 8) as u8, n as u8])).collect();
    let change = MacvlanSet { source_macs: Some(SourceMacs::Set(many.clone())), ..MacvlanSet::default() };
    t.ok(set(link.index, SetLink { macvlan: Some(change), ..SetLink::default() }));
    // A reply of more than the first buffer.
    assert_eq!(sorted(t.link("mv").kind.as_macvlan().unwrap().source_macs.clone()), many);
    let all = t.nl.links().unwrap();
    let read = all.iter().find(|l| l.name == "mv").unwrap();
    assert_eq!(read.kind.as_macvlan().unwrap().source_macs.len(), 3000);
    // An attribute cannot hold more.
    let many = vec![mac(1); 6000];
    let change = MacvlanSet { source_macs: Some(SourceMacs::Set(many)), ..MacvlanSet::default() };
    let error = t.refused(set(link.index, SetLink { macvlan: Some(change), ..SetLink::default() }));
    assert_eq!(error.errno(), None, "{error}");
}

#[test]
fn mode_and_queue_of_a_macvlan_change() {
    let (mut t, parent, _) = TestNs::with_veth();
    let link = t.child("mv", parent, LinkKind::Macvlan(Macvlan::new(MacvlanMode::Bridge)));
    let change =
        MacvlanSet { mode: Some(MacvlanMode::Vepa), bc_queue_len: Some(77), ..MacvlanSet::default() };
    t.ok(set(link.index, SetLink { macvlan: Some(change), up: Some(true), ..SetLink::default() }));
    let link = t.link("mv");
    let macvlan = link.kind.as_macvlan().unwrap();
    assert_eq!((macvlan.mode, macvlan.bc_queue_len), (MacvlanMode::Vepa, Some(77)));
    assert!(link.is_up());
}

#[test]
fn macvlan_is_born_in_another_namespace() {
    let (mut t, parent, _) = TestNs::with_veth();
    let mut pod = TestNs::new();
    let mac = MacAddr([2, 0, 0, 0, 0, 7]);
    let link = NewLink {
        parent: Some(parent),
        mac: Some(mac),
        mtu: Some(1400),
        group: Some(77),
        tx_queue_len: Some(55),
        netns: Some(pod.ns.clone()),
        up: true,
        ..NewLink::new("eth0", LinkKind::Macvlan(Macvlan::default()))
    };
    t.ok(Change::AddLink(link.clone()));
    assert_eq!(t.nl.link_by_name("eth0").unwrap(), None);
    let got = pod.link("eth0");
    assert_eq!((got.mac, got.mtu, got.group, got.tx_queue_len), (Some(mac), 1400, 77, 55));
    assert!(got.is_up() && got.is_running(), "{got:?}");
    assert_eq!(got.oper_state, OperState::Up);
    assert_eq!(got.parent, Some(parent));
    assert!(got.parent_nsid.is_some());
    let error = t.refused(Change::AddLink(link));
    assert!(error.is_exists(), "{error}");
}

#[test]
fn veth_pair_across_namespaces_and_a_bridge() {
    let (mut t, mut pod) = (TestNs::new(), TestNs::new());
    let mac = MacAddr([2, 0, 0, 0, 0, 8]);
    let peer =
        VethPeer { name: Some("eth0".into()), netns: Some(pod.ns.clone()), mac: Some(mac), mtu: Some(1300) };
    t.ok(Change::AddLink(NewLink { up: true, ..NewLink::new("br", LinkKind::Bridge) }));
    let bridge = t.index("br");
    let port = NewLink { master: Some(bridge), ..NewLink::new("port", LinkKind::Veth(peer)) };
    t.ok(Change::AddLink(port));
    let end = pod.link("eth0");
    assert_eq!((end.mac, end.mtu), (Some(mac), 1300));
    let port = t.link("port");
    assert_eq!((port.master, port.parent), (Some(bridge), Some(end.index)));
    assert_eq!(port.kind, LinkKind::Veth(VethPeer::default()));
    assert_eq!(port.bridge_port.unwrap().hairpin, Some(false));
    assert_eq!(t.link("br").kind, LinkKind::Bridge);
    let wanted = BridgePort { hairpin: Some(true), isolated: Some(true), ..BridgePort::default() };
    t.ok(Change::SetBridgePort { index: port.index, port: wanted });
    let got = t.link("port").bridge_port.unwrap();
    assert_eq!((got.hairpin, got.isolated, got.learning), (Some(true), Some(true), Some(true)));
    t.ok(set(port.index, SetLink { master: Some(0), ..SetLink::default() }));
    assert_eq!(t.link("port").master, None);
}

#[test]
fn every_field_of_a_link_can_be_changed() {
    let (mut t, a, _) = TestNs::with_veth();
    let mac = MacAddr([2, 0, 0, 0, 0, 9]);
    t.ok(set(a, SetLink::down()));
    let change = SetLink {
        name: Some("renamed".into()),
        up: Some(true),
        mtu: Some(1280),
        mac: Some(mac),
        group: Some(5),
        tx_queue_len: Some(11),
        promisc: Some(true),
        allmulti: Some(true),
        arp: Some(false),
        alias: Some("for the test".into()),
        addr_gen_mode: Some(ADDR_GEN_MODE_NONE),
        ..SetLink::default()
    };
    t.ok(set(a, change));
    let link = t.link("renamed");
    assert_eq!((link.index, link.mtu, link.mac, link.group, link.tx_queue_len), (a, 1280, Some(mac), 5, 11));
    assert_eq!(link.alias.as_deref(), Some("for the test"));
    assert!(link.is_up() && link.no_arp() && link.allmulti && link.promiscuity == 1);
    assert_eq!(link.flags & (IFF_PROMISC | IFF_ALLMULTI), IFF_PROMISC | IFF_ALLMULTI);
    assert_eq!(link.addr_gen_mode, Some(ADDR_GEN_MODE_NONE));
    let addresses = t.nl.addresses(Some(a)).unwrap();
    assert!(addresses.is_empty(), "no link-local address of a link without generation: {addresses:?}");
    let back = SetLink {
        promisc: Some(false),
        allmulti: Some(false),
        arp: Some(true),
        alias: Some(String::new()),
        ..SetLink::default()
    };
    t.ok(set(a, back));
    let link = t.link("renamed");
    assert!(
        link.is_up() && !link.no_arp() && !link.allmulti && link.promiscuity == 0 && link.alias.is_none()
    );
    let pod = TestNs::new();
    t.ok(set(a, SetLink { netns: Some(pod.ns.clone()), ..SetLink::default() }));
    assert_eq!(pod.nl.index_of("renamed").unwrap(), Some(a));
}

#[test]
fn alias_at_birth() {
    let mut t = TestNs::new();
    let link = NewLink { alias: Some("llano: of a test".into()), ..NewLink::new("br", LinkKind::Bridge) };
    t.ok(Change::AddLink(link.clone()));
    assert_eq!(t.link("br").alias.as_deref(), Some("llano: of a test"));
    // The second message of a refused change fails too: the error is one, and at the right place.
    let changes = [
        Change::AddLink(NewLink::new("br2", LinkKind::Bridge)),
        Change::AddLink(link),
        Change::DeleteGroup(99),
    ];
    let (place, error) = t.nl.apply_all(&changes).unwrap_err();
    assert_eq!(place, 1);
    assert!(error.is_exists(), "{error}");
    assert!(t.nl.link_by_name("br2").unwrap().is_some());
}

#[test]
fn alternative_names() {
    let mut t = TestNs::new();
    t.ok(Change::AddLink(NewLink::new("br", LinkKind::Bridge)));
    let long = "an-alternative-name-of-the-bridge";
    let status =
        t.ns.run(|| {
            std::process::Command::new("ip")
                .args(["link", "property", "add", "dev", "br", "altname", long])
                .status()
        })
        .unwrap();
    assert!(status.unwrap().success());
    assert_eq!(t.link(long).name, "br");
    assert_eq!(t.nl.link_by_name("another-alternative-name").unwrap(), None);
    assert_eq!(t.nl.link_by_name(&"x".repeat(500)).unwrap(), None);
}

#[test]
fn group_is_deleted_at_once() {
    let (mut t, parent, _) = TestNs::with_veth();
    let links: Vec<_> = (0..100)
        .map(|n| {
            let kind = LinkKind::Macvlan(Macvlan::default());
            Change::AddLink(NewLink {
                parent: Some(parent),
                group: Some(if n == 0 { 7 } else { 8 }),
                ..NewLink::new(format!("mv{n}"), kind)
            })
        })
        .collect();
    t.nl.apply_all(&links).unwrap();
    assert_eq!(t.nl.links().unwrap().len(), 103);
    t.ok(Change::DeleteGroup(8));
    let names: Vec<_> = t.nl.links().unwrap().into_iter().map(|l| l.name).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.contains(&"mv0".to_owned()));
    assert!(t.refused(Change::DeleteGroup(8)).is_not_found());
    assert_eq!(t.refused(Change::DeleteGroup(0)).errno(), None);
}

#[test]
fn kinds_that_this_kernel_may_lack() {
    let (mut t, parent, _) = TestNs::with_veth();
    t.ok(Change::AddLink(NewLink::new("ifb7", LinkKind::Ifb)));
    assert_eq!(t.link("ifb7").kind, LinkKind::Ifb);
    let kinds = [
        LinkKind::Dummy,
        LinkKind::Bond(kernel::Bond::new(1).with(kernel::uapi::IFLA_BOND_MIIMON, 100u32)),
        LinkKind::Vlan(kernel::Vlan::new(100)),
        LinkKind::Vlan(kernel::Vlan {
            protocol: kernel::VlanProtocol::Ieee8021Ad,
            ..kernel::Vlan::new(4094)
        }),
        LinkKind::Vxlan(kernel::Vxlan { id: 42, port: Some(4789), link: Some(parent), ..Default::default() }),
    ];
    for kind in kinds {
        let link = NewLink { parent: Some(parent), ..NewLink::new("x", kind.clone()) };
        match t.nl.apply(&Change::AddLink(link)) {
            Ok(()) => {
                let link = t.link("x");
                match (&link.kind, &kind) {
                    (LinkKind::Bond(read), LinkKind::Bond(made)) => {
                        made.options().for_each(|(option, value)| assert_eq!(read.get(option), Some(value)));
                    }
                    (read, made) => assert_eq!(read, made),
                }
                t.ok(Change::DeleteLink { index: link.index });
            }
            Err(error) => assert_eq!(error.errno(), Some(Errno::OPNOTSUPP), "{error}"),
        }
    }
}

#[test]
fn refusals_say_what_and_why() {
    let mut t = TestNs::new();
    let error = t.refused(Change::AddLink(NewLink::new("x", LinkKind::Other("nothing".into()))));
    assert!(error.to_string().starts_with("cannot add link x of kind nothing: "), "{error}");
    assert!(error.to_string().contains("(EOPNOTSUPP)"), "{error}");
    assert!(error.to_string().ends_with(": Unknown device type"), "{error}");
    let error = t.refused(set(4242, SetLink::up()));
    assert!(error.is_not_found() && error.to_string().contains("(ENODEV)"), "{error}");
    for name in ["", ".", "..", "sixteen-bytes-xx", "a/b", "a b", "a:b", "a%d", "a\tb", "a\0b"] {
        let error = t.refused(Change::AddLink(NewLink::new(name, LinkKind::Bridge)));
        assert_eq!(error.errno(), None, "{error}");
        assert_eq!(t.nl.index_of(name).unwrap_or(None), None);
    }
    let error = t.refused(Change::AddLink(NewLink::new("x", LinkKind::Physical)));
    assert_eq!(error.errno(), None, "{error}");
}

#[test]
fn long_batches_and_long_lists() {
    let mut t = TestNs::new();
    let links: Vec<_> =
        (0..300).map(|n| Change::AddLink(NewLink::new(format!("br{n}"), LinkKind::Bridge))).collect();
    t.nl.apply_all(&links).unwrap();
    assert_eq!(t.nl.links().unwrap().len(), 301);
    let (place, error) = t.nl.apply_all(&links[200..]).unwrap_err();
    assert_eq!(place, 0, "{error}");
    let index = t.index("br150");
    assert_eq!(t.nl.link_by_index(index).unwrap().unwrap().name, "br150");
    assert!(t.nl.apply_all(&[]).is_ok());
}
