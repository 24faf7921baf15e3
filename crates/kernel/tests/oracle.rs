//! Our netlink codec against netlink-packet-route: it reads what we write, to the same fields, and we read what it
//! writes; and our frames against etherparse. No kernel, no root.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use kernel::message::{decode, encode};
use kernel::uapi::*;
use kernel::*;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage as Theirs;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{
    InfoBond, InfoData, InfoKind, InfoMacVlan, InfoVeth, InfoVlan, LinkAttribute, LinkInfo, MacVlanMode,
};
use netlink_packet_route::neighbour::NeighbourAttribute;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMetric};
use netlink_packet_route::rule::RuleAttribute;
use proptest::option::of;
use proptest::prelude::*;

/// What the oracle reads in our message.
fn theirs(change: &Change) -> Theirs {
    let bytes = encode(change, 7).unwrap();
    let message = NetlinkMessage::<Theirs>::deserialize(&bytes).unwrap();
    assert_eq!(message.header.sequence_number, 7);
    assert_eq!(message.header.length as usize, bytes.len());
    assert_ne!(message.header.flags & NLM_F_REQUEST, 0);
    assert_ne!(message.header.flags & NLM_F_ACK, 0);
    match message.payload {
        NetlinkPayload::InnerMessage(inner) => inner,
        other => panic!("{other:?}"),
    }
}

/// What we read in the oracle's message.
fn ours(theirs: Theirs) -> Message {
    let mut message = NetlinkMessage::from(theirs);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    decode(&bytes).pop().expect("one message")
}

fn mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(MacAddr)
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9.@-]{0,14}"
}

fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => any::<Ipv4Addr>().prop_map(IpAddr::V4).boxed(),
        Family::V6 => any::<Ipv6Addr>().prop_map(IpAddr::V6).boxed(),
    }
}

fn network(family: Family) -> BoxedStrategy<IpNet> {
    let longest = if family == Family::V4 { 32 } else { 128 };
    (address(family), 0u8..=longest).prop_map(|(ip, len)| IpNet::new(ip, len).unwrap()).boxed()
}

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

/// 1 to 2^31 - 1.
fn number() -> impl Strategy<Value = u32> {
    1..=0x7fff_ffff_u32
}

fn macvlan() -> impl Strategy<Value = Macvlan> {
    let mode = proptest::sample::select(MacvlanMode::ALL.to_vec());
    (mode, any::<bool>(), any::<bool>(), proptest::collection::vec(mac(), 0..20), of(number())).prop_map(
        |(mode, nopromisc, nodst, source_macs, bc_queue_len)| Macvlan {
            mode,
            nopromisc,
            nodst,
            source_macs,
            bc_queue_len,
        },
    )
}

/// A mode and any other options, each of its width.
fn bond() -> impl Strategy<Value = Bond> {
    let option = (2..=33u16).prop_filter_map("no option", |option| Some((option, BondWidth::of(option)?)));
    let setting = option.prop_flat_map(|(option, width)| {
        let value = match width {
            // The oracle keeps these as true and false.
            BondWidth::U8 if matches!(option, 6 | 27 | 29 | 32 | 33) => {
                (0..2u32).prop_map(BondValue::Number).boxed()
            }
            BondWidth::U8 => any::<u8>().prop_map(|n| BondValue::Number(n.into())).boxed(),
            BondWidth::U16 => any::<u16>().prop_map(|n| BondValue::Number(n.into())).boxed(),
            BondWidth::U32 => any::<u32>().prop_map(BondValue::Number).boxed(),
            BondWidth::Mac => mac().prop_map(BondValue::Mac).boxed(),
            BondWidth::V4 => {
                proptest::collection::vec(address(Family::V4), 0..16).prop_map(BondValue::Addresses).boxed()
            }
            BondWidth::V6 => {
                proptest::collection::vec(address(Family::V6), 0..16).prop_map(BondValue::Addresses).boxed()
            }
        };
        (Just(option), value)
    });
    (0..7u8, proptest::collection::vec(setting, 0..33)).prop_map(|(mode, settings)| {
        let mut bond = Bond::new(mode);
        settings.into_iter().for_each(|(option, value)| bond.set(option, value));
        bond
    })
}

fn kind() -> impl Strategy<Value = LinkKind> {
    let protocol = prop_oneof![Just(VlanProtocol::Ieee8021Q), Just(VlanProtocol::Ieee8021Ad)];
    let vlan = (0..=4094u16, protocol, 0..=VLAN_FLAGS)
        .prop_map(|(id, protocol, flags)| LinkKind::Vlan(Vlan { id, protocol, flags }));
    prop_oneof![
        macvlan().prop_map(LinkKind::Macvlan),
        macvlan().prop_map(LinkKind::Macvtap),
        vlan,
        Just(LinkKind::Bridge),
        Just(LinkKind::Ifb),
        Just(LinkKind::Dummy),
        bond().prop_map(LinkKind::Bond),
        (
            0..1u32 << 24,
            of(any::<u16>()),
            of(number()),
            of(any::<Ipv4Addr>().prop_map(IpAddr::V4)),
            of(any::<Ipv6Addr>().prop_map(IpAddr::V6))
        )
            .prop_map(|(id, port, link, local, remote)| LinkKind::Vxlan(Vxlan {
                id,
                local,
                remote,
                port,
                link,
                collect_metadata: false,
            })),
    ]
}

proptest! {
    #[test]
    fn links(
        name in name(), kind in kind(), parent in of(number()), mtu in of(number()), mac in of(mac()),
        group in of(number()), queue in of(number()), up: bool,
    ) {
        let link = NewLink {
            parent, mtu, mac, group, up, tx_queue_len: queue, ..NewLink::new(name.clone(), kind.clone())
        };
        let Theirs::NewLink(read) = theirs(&Change::AddLink(link)) else { panic!() };
        let has = |attr: LinkAttribute| read.attributes.contains(&attr);
        prop_assert!(has(LinkAttribute::IfName(name.clone())));
        prop_assert_eq!(read.header.flags.bits() & IFF_UP != 0, up);
        if let Some(parent) = parent { prop_assert!(has(LinkAttribute::Link(parent))); }
        if let Some(mtu) = mtu { prop_assert!(has(LinkAttribute::Mtu(mtu))); }
        if let Some(mac) = mac { prop_assert!(has(LinkAttribute::Address(mac.0.to_vec()))); }
        if let Some(group) = group { prop_assert!(has(LinkAttribute::Group(group))); }
        if let Some(queue) = queue { prop_assert!(has(LinkAttribute::TxQueueLen(queue))); }
        let info = read.attributes.iter().find_map(|attr| match attr {
            LinkAttribute::LinkInfo(info) => Some(info),
            _ => None,
        }).unwrap();
        let LinkInfo::Kind(read_kind) = &info[0] else { panic!("{info:?}") };
        prop_assert_eq!(read_kind.to_string(), kind.name().unwrap());
        match (&kind, info.get(1)) {
            (LinkKind::Macvlan(macvlan), Some(LinkInfo::Data(InfoData::MacVlan(data)))) => {
                let mode = match macvlan.mode {
                    MacvlanMode::Private => MacVlanMode::Private,
                    MacvlanMode::Vepa => MacVlanMode::Vepa,
                    MacvlanMode::Bridge => MacVlanMode::Bridge,
                    MacvlanMode::Passthru => MacVlanMode::Passthrough,
                    MacvlanMode::Source => MacVlanMode::Source,
                };
                prop_assert!(data.contains(&InfoMacVlan::Mode(mode)));
                let list: Vec<_> = macvlan.source_macs.iter().map(|m| InfoMacVlan::MacAddr(m.0)).collect();
                prop_assert!(list.is_empty() || data.contains(&InfoMacVlan::MacAddrData(list)));
                if let Some(len) = macvlan.bc_queue_len {
                    prop_assert!(data.contains(&InfoMacVlan::BcQueueLen(len)));
                }
            }
            (LinkKind::Vlan(vlan), Some(LinkInfo::Data(InfoData::Vlan(data)))) => {
                prop_assert!(data.contains(&InfoVlan::Id(vlan.id)));
                let flags = data.iter().any(|attr| matches!(attr, InfoVlan::Flags((flags, _)) if flags.bits() == vlan.flags));
                prop_assert!(flags, "{data:?}");
            }
            (LinkKind::Bond(bond), Some(LinkInfo::Data(InfoData::Bond(data)))) => {
                prop_assert_eq!(data.len(), bond.options().count());
                prop_assert!(!data.iter().any(|option| matches!(option, InfoBond::Other(_))), "{:?}", data);
            }
            (LinkKind::Macvlan(_) | LinkKind::Vlan(_) | LinkKind::Bond(_), other) => panic!("{other:?}"),
            _ => {}
        }
        let Message::Link(back) = ours(Theirs::NewLink(read)) else { panic!() };
        prop_assert_eq!(&back.kind, &kind);
        prop_assert_eq!((back.name, back.parent, back.mac), (name, parent, mac));
        prop_assert_eq!((back.mtu, back.group), (mtu.unwrap_or(0), group.unwrap_or(0)));
        prop_assert_eq!(back.flags & IFF_UP != 0, up);
    }

    #[test]
    fn veth_peers(name in name(), peer in name(), mac in of(mac()), mtu in of(number())) {
        let kind = LinkKind::Veth(VethPeer { name: Some(peer.clone()), netns: None, mac, mtu });
        let Theirs::NewLink(read) = theirs(&Change::AddLink(NewLink::new(name, kind))) else { panic!() };
        let info = read.attributes.iter().find_map(|attr| match attr {
            LinkAttribute::LinkInfo(info) => Some(info.clone()),
            _ => None,
        });
        let info = info.unwrap();
        prop_assert_eq!(&info[0], &LinkInfo::Kind(InfoKind::Veth));
        let LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(read))) = &info[1] else { panic!("{info:?}") };
        prop_assert!(read.attributes.contains(&LinkAttribute::IfName(peer)));
        if let Some(mac) = mac { prop_assert!(read.attributes.contains(&LinkAttribute::Address(mac.0.to_vec()))); }
        if let Some(mtu) = mtu { prop_assert!(read.attributes.contains(&LinkAttribute::Mtu(mtu))); }
    }

    #[test]
    fn link_changes(
        index in number(), name in of(name()), up in of(any::<bool>()), arp in of(any::<bool>()), mtu in of(number()),
        alias in of("[ -~]{1,40}"), master in of(number()),
    ) {
        let set = SetLink { name: name.clone(), up, arp, mtu, alias: alias.clone(), master, ..SetLink::default() };
        let Theirs::SetLink(read) = theirs(&Change::SetLink { index, set }) else { panic!() };
        let flags = if up == Some(true) { IFF_UP } else { 0 } | if arp == Some(false) { IFF_NOARP } else { 0 };
        let change = if up.is_some() { IFF_UP } else { 0 } | if arp.is_some() { IFF_NOARP } else { 0 };
        prop_assert_eq!(read.header.index, index);
        prop_assert_eq!((read.header.flags.bits(), read.header.change_mask.bits()), (flags, change));
        let mut want = Vec::new();
        want.extend(name.map(LinkAttribute::IfName));
        want.extend(mtu.map(LinkAttribute::Mtu));
        want.extend(master.map(LinkAttribute::Controller));
        want.extend(alias.map(LinkAttribute::IfAlias));
        prop_assert_eq!(read.attributes, want);
    }

    #[test]
    fn addresses(
        index in number(), net in family().prop_flat_map(network), flags in 0..0x1000u32, scope: u8,
        broadcast in of(any::<Ipv4Addr>()), valid in of(0..u32::MAX), preferred in of(0..u32::MAX),
    ) {
        let broadcast = broadcast.filter(|_| matches!(net, IpNet::V4(_)));
        let preferred = preferred.filter(|_| valid.is_some());
        let want = Address { flags, scope, broadcast, valid, preferred, ..Address::new(index, net) };
        let Theirs::NewAddress(read) = theirs(&Change::AddAddress(want.clone())) else { panic!() };
        prop_assert_eq!((read.header.index, read.header.prefix_len), (index, net.prefix_len()));
        prop_assert_eq!(u8::from(read.header.scope), scope);
        prop_assert!(read.attributes.contains(&AddressAttribute::Local(net.addr())));
        prop_assert!(read.attributes.contains(&AddressAttribute::Address(net.addr())));
        if let Some(b) = broadcast { prop_assert!(read.attributes.contains(&AddressAttribute::Broadcast(b))); }
        let cache = read.attributes.iter().find_map(|attr| match attr {
            AddressAttribute::CacheInfo(info) => Some((info.ifa_valid, info.ifa_preferred)),
            _ => None,
        });
        prop_assert_eq!(cache, valid.map(|valid| (valid, preferred.unwrap_or(valid))));
        let Message::Address(mut back) = ours(Theirs::NewAddress(read)) else { panic!() };
        if preferred.is_none() { back.preferred = None; }
        prop_assert_eq!(back, want);
    }

    #[test]
    fn routes(
        (family, dst, src, gateway, hops) in family().prop_flat_map(|f| (
            Just(f), of(network(f)), of(address(f)), of(address(f)),
            proptest::collection::vec((number(), of(address(f)), 1..=256u16), 0..4),
        )),
        oif in of(number()), table in number(), scope: u8, protocol: u8, kind in 1..=9u8, onlink: bool,
        priority in of(number()), mtu in of(number()), advmss in of(number()),
    ) {
        let nexthops = hops.into_iter().map(|(oif, gateway, weight)| NextHop { oif, gateway, weight, flags: 0 }).collect();
        let flags = if onlink { RTNH_F_ONLINK } else { 0 };
        let dst = dst.map(|net| net.trunc());
        let want = Route {
            family, dst, gateway, oif, src, table, scope: Some(scope), protocol, kind, priority, mtu, advmss, onlink,
            flags, nexthops, ..Route::new(family)
        };
        let Theirs::NewRoute(read) = theirs(&Change::AddRoute(want.clone())) else { panic!() };
        let has = |attr: RouteAttribute| read.attributes.contains(&attr);
        let ip = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => RouteAddress::Inet(ip),
            IpAddr::V6(ip) => RouteAddress::Inet6(ip),
        };
        prop_assert_eq!(read.header.destination_prefix_length, dst.map_or(0, |net| net.prefix_len()));
        prop_assert_eq!(u8::from(read.header.protocol), protocol);
        prop_assert_eq!((u8::from(read.header.scope), u8::from(read.header.kind)), (scope, kind));
        prop_assert!(has(RouteAttribute::Table(table)));
        if let Some(dst) = dst { prop_assert!(has(RouteAttribute::Destination(ip(dst.addr())))); }
        if let Some(gateway) = gateway { prop_assert!(has(RouteAttribute::Gateway(ip(gateway)))); }
        if let Some(src) = src { prop_assert!(has(RouteAttribute::PrefSource(ip(src)))); }
        if let Some(oif) = oif { prop_assert!(has(RouteAttribute::Oif(oif))); }
        if let Some(priority) = priority { prop_assert!(has(RouteAttribute::Priority(priority))); }
        let mut metrics: Vec<_> = mtu.map(RouteMetric::Mtu).into_iter().collect();
        metrics.extend(advmss.map(RouteMetric::Advmss));
        prop_assert!(metrics.is_empty() || has(RouteAttribute::Metrics(metrics)));
        let Message::Route(back) = ours(Theirs::NewRoute(read)) else { panic!() };
        prop_assert_eq!(back, want);
    }

    #[test]
    fn rules(
        (family, src, dst) in family().prop_flat_map(|f| (Just(f), of(network(f)), of(network(f)))),
        table in number(), priority in number(), iif in of(name()), oif in of(name()), mark in of(number()),
        suppress in of(0..128u32), protocol: u8, invert: bool,
    ) {
        let want = Rule {
            src: src.map(|n| n.trunc()), dst: dst.map(|n| n.trunc()), iif, oif, mark, mask: mark, protocol, invert,
            priority: Some(priority), suppress_prefix_len: suppress, ..Rule::new(family, table)
        };
        let Theirs::NewRule(read) = theirs(&Change::AddRule(want.clone())) else { panic!() };
        prop_assert!(read.attributes.contains(&RuleAttribute::Table(table)));
        prop_assert!(read.attributes.contains(&RuleAttribute::Priority(priority)));
        if let Some(src) = want.src { prop_assert!(read.attributes.contains(&RuleAttribute::Source(src.addr()))); }
        let Message::Rule(back) = ours(Theirs::NewRule(read)) else { panic!() };
        prop_assert_eq!(back, want);
    }

    #[test]
    fn neighbours(index in number(), ip in family().prop_flat_map(address), mac in of(mac()), state in 0..0x100u16, flags: u8) {
        let want = Neighbour { index, address: ip, mac, state, flags };
        let Theirs::NewNeighbour(read) = theirs(&Change::SetNeighbour(want.clone())) else { panic!() };
        prop_assert_eq!(read.header.ifindex, index);
        if let Some(mac) = mac {
            prop_assert!(read.attributes.contains(&NeighbourAttribute::LinkLayerAddress(mac.0.to_vec())));
        }
        let Message::Neighbour(back) = ours(Theirs::NewNeighbour(read)) else { panic!() };
        prop_assert_eq!(back, want);
    }

    #[test]
    fn qdiscs_and_filters(index in number(), rate in 1..u64::MAX / 1000, burst in number(), limit in number(), to in number()) {
        for want in [Qdisc::ingress(index), Qdisc::clsact(index)] {
            let Theirs::NewQueueDiscipline(read) = theirs(&Change::AddQdisc(want.clone())) else { panic!() };
            prop_assert_eq!(read.header.index.cast_unsigned(), index);
            let Message::Qdisc(back) = ours(Theirs::NewQueueDiscipline(read)) else { panic!() };
            prop_assert_eq!(back, want);
        }
        // The oracle has no tbf: the kernel is its judge, in tests/netns_tables.rs.
        let want = Qdisc::tbf(index, Tbf { rate_bytes: rate, burst_bytes: burst, limit_bytes: limit });
        let bytes = encode(&Change::AddQdisc(want.clone()), 1).unwrap();
        prop_assert_eq!(decode(&bytes), vec![Message::Qdisc(want)]);
        let change = Change::AddFilter(Filter::redirect_ingress(index, to));
        let Theirs::NewTrafficFilter(read) = theirs(&change) else { panic!() };
        let text = format!("{read:?}");
        let redirected = format!("ifindex: {to}");
        prop_assert!(text.contains("Redir") && text.contains(&redirected), "{text}");
    }

    /// Bytes from nowhere, and honest messages with one byte changed or cut: no panic, no endless loop.
    #[test]
    fn any_bytes_are_safe(bytes: Vec<u8>, capped: bool, explained: bool) {
        let _ = decode(&bytes);
        let _ = message::decode_ack(&bytes, capped, explained);
        for kind in [RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWRULE, RTM_NEWNEIGH, RTM_NEWQDISC, RTM_NEWTFILTER] {
            for family in [AF_INET, AF_INET6] {
                let mut message = (bytes.len() as u32 + 17).to_ne_bytes().to_vec();
                message.extend_from_slice(&kind.to_ne_bytes());
                message.extend_from_slice(&[0; 10]);
                message.push(if kind == RTM_NEWLINK { 0 } else { family });
                message.extend_from_slice(&bytes);
                let _ = decode(&message);
            }
        }
    }

    #[test]
    fn damaged_messages_are_safe(kind in kind(), at: usize, byte: u8, cut: usize) {
        let mut bytes = encode(&Change::AddLink(NewLink::new("x", kind)), 1).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = decode(&bytes);
        bytes.truncate(cut % bytes.len());
        let _ = decode(&bytes);
    }

    #[test]
    fn damaged_routes_are_safe(at: usize, byte: u8, cut: usize) {
        let mut route = Route::new(Family::V4);
        route.mtu = Some(1400);
        route.nexthops = vec![NextHop { oif: 1, gateway: Some([1, 2, 3, 4].into()), weight: 1, flags: 0 }; 3];
        let mut bytes = encode(&Change::AddRoute(route), 1).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = decode(&bytes);
        bytes.truncate(cut % bytes.len());
        let _ = decode(&bytes);
    }
}
