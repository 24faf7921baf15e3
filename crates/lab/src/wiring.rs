//! Links, addresses, settings and routes of a lab's nodes, through `kernel`.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use kernel::{
    Address, BridgePort, Change, LinkKind, NetNs, Netlink, NewLink, OperState, Route, SetLink, VethPeer,
    sysctl, uapi,
};

use crate::error::{Error, Result};
use crate::spec::{InterfaceSpec, NodeSpec, Role, SwitchSpec};

/// The bridge's name in a switch's namespace.
pub(crate) const BRIDGE: &str = "br0";

/// How long a wire may take to come up; a few milliseconds are usual.
const SETTLE: Duration = Duration::from_secs(5);

/// One end of a wire in its namespace.
pub(crate) struct Plug<'a> {
    /// The node's or switch's name.
    pub(crate) node: &'a str,
    pub(crate) net: &'a NetNs,
    /// The link's name there.
    pub(crate) name: String,
    pub(crate) kind: PlugKind<'a>,
}

pub(crate) enum PlugKind<'a> {
    Interface(&'a InterfaceSpec),
    Port { hairpin: bool },
}

/// A switch forwards frames and says nothing itself: no IPv6 on the bridge or its ports.
pub(crate) fn switch(spec: &SwitchSpec, net: &NetNs) -> Result<()> {
    let wrong = || Error::network(&spec.name);
    net.run(|| {
        for key in ["net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6"] {
            optional(sysctl::write(key, "1"))?;
        }
        Ok(())
    })
    .and_then(|result| result)
    .map_err(wrong())?;
    let mut netlink = Netlink::open_in(net).map_err(wrong())?;
    let bridge = NewLink { mtu: spec.mtu, up: true, ..NewLink::new(BRIDGE, LinkKind::Bridge) };
    netlink.apply(&Change::AddLink(bridge)).map_err(wrong())?;
    let loopback = index(&mut netlink, "lo").map_err(wrong())?;
    netlink.apply(&Change::SetLink { index: loopback, set: SetLink::up() }).map_err(wrong())
}

/// Makes the veth pair of a wire, each end born in its own namespace.
pub(crate) fn wire(a: &Plug<'_>, b: &Plug<'_>, mtu: Option<u32>) -> Result<()> {
    let peer = VethPeer {
        name: Some(b.name.clone()),
        netns: Some(b.net.clone()),
        mac: b.mac(),
        mtu: b.mtu().or(mtu).or(a.mtu()),
    };
    let mut link = NewLink::new(a.name.clone(), LinkKind::Veth(peer));
    link.mac = a.mac();
    link.mtu = a.mtu().or(mtu).or(b.mtu());
    let mut netlink = Netlink::open_in(a.net).map_err(Error::network(a.node))?;
    netlink.apply(&Change::AddLink(link)).map_err(Error::network(a.node))?;
    a.plug_in()?;
    b.plug_in()
}

impl Plug<'_> {
    fn mac(&self) -> Option<kernel::MacAddr> {
        match self.kind {
            PlugKind::Interface(spec) => spec.mac,
            PlugKind::Port { .. } => None,
        }
    }

    fn mtu(&self) -> Option<u32> {
        match self.kind {
            PlugKind::Interface(spec) => spec.mtu,
            PlugKind::Port { .. } => None,
        }
    }

    /// Makes a switch's end a port of its bridge; a node's end waits for its settings.
    fn plug_in(&self) -> Result<()> {
        let PlugKind::Port { hairpin } = self.kind else { return Ok(()) };
        let wrong = || Error::network(self.node);
        let mut netlink = Netlink::open_in(self.net).map_err(wrong())?;
        let bridge = index(&mut netlink, BRIDGE).map_err(wrong())?;
        let port = index(&mut netlink, &self.name).map_err(wrong())?;
        let set = SetLink { master: Some(bridge), up: Some(true), ..SetLink::default() };
        netlink.apply(&Change::SetLink { index: port, set }).map_err(wrong())?;
        if hairpin {
            let settings = BridgePort { hairpin: Some(true), ..BridgePort::default() };
            netlink.apply(&Change::SetBridgePort { index: port, port: settings }).map_err(wrong())?;
        }
        Ok(())
    }
}

/// Waits until every link of a namespace but `lo` is operational. The kernel tells a bridge late that its port has a
/// carrier; what is sent before that is lost, and an ARP request is repeated only after a second.
pub(crate) fn settle(node: &str, net: &NetNs) -> Result<()> {
    let mut netlink = Netlink::open_in(net).map_err(Error::network(node))?;
    let end = Instant::now() + SETTLE;
    loop {
        let links = netlink.links().map_err(Error::network(node))?;
        let waiting = links.iter().find(|link| {
            link.is_up() && matches!(link.kind, LinkKind::Veth(_)) && link.oper_state != OperState::Up
        });
        let Some(link) = waiting else { return Ok(()) };
        if Instant::now() > end {
            return Err(Error::io(
                "see the carrier of",
                format!("{node}.{}", link.name),
                kernel::Errno::TIMEDOUT,
            ));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Settings first, then addresses and links, then routes: an interface that is up before its settings are written has
/// already sent its first packets.
pub(crate) fn configure(spec: &NodeSpec, net: &NetNs) -> Result<()> {
    let wrong = || Error::network(&spec.name);
    net.run(|| settings(spec)).and_then(|result| result).map_err(wrong())?;
    let mut netlink = Netlink::open_in(net).map_err(wrong())?;
    links(spec, &mut netlink).map_err(wrong())
}

/// Takes a node's interfaces away, and with each the other end of its wire.
pub(crate) fn unplug(spec: &NodeSpec, net: &NetNs) -> Result<()> {
    let wrong = || Error::network(&spec.name);
    let mut netlink = Netlink::open_in(net).map_err(wrong())?;
    for interface in &spec.interfaces {
        // One that somebody deleted or renamed goes with the namespace.
        if let Some(link) = netlink.link_by_name(&interface.name).map_err(wrong())? {
            netlink.apply(&Change::DeleteLink { index: link.index }).map_err(wrong())?;
        }
    }
    Ok(())
}

fn settings(spec: &NodeSpec) -> kernel::Result<()> {
    let forward = if spec.role == (Role::Router { forward: true }) { "1" } else { "0" };
    // A new namespace copies the machine's IPv4 settings; a lab is the same everywhere.
    for (key, value) in [
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/ipv4/conf/all/arp_ignore", "0"),
        ("net/ipv4/conf/all/arp_announce", "0"),
        ("net/ipv4/ip_forward", forward),
    ] {
        sysctl::write(key, value)?;
    }
    optional(sysctl::write("net/ipv6/conf/all/forwarding", forward))?;
    for interface in &spec.interfaces {
        // The lab's own addresses are unique by construction; two seconds of detection would only delay it.
        optional(sysctl::write(&format!("net/ipv6/conf/{}/accept_dad", interface.name), "0"))?;
    }
    spec.sysctls.iter().try_for_each(|(key, value)| sysctl::write(key, value))
}

/// A kernel without IPv6 has none of its settings.
fn optional(result: kernel::Result<()>) -> kernel::Result<()> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

fn links(spec: &NodeSpec, netlink: &mut Netlink) -> kernel::Result<()> {
    let mut changes = Vec::new();
    let loopback = index(netlink, "lo")?;
    changes.push(Change::SetLink { index: loopback, set: SetLink::up() });
    let mut on_link: Vec<(IpNet, u32)> = Vec::new();
    for interface in &spec.interfaces {
        let index = index(netlink, &interface.name)?;
        for net in &interface.addresses {
            let address = Address::new(index, *net).with_broadcast().with_flags(uapi::IFA_F_NODAD);
            changes.push(Change::AddAddress(address));
            on_link.push((*net, index));
        }
        changes.push(Change::SetLink { index, set: SetLink::up() });
    }
    let device = |via: IpAddr| on_link.iter().find(|(net, _)| net.contains(&via)).map(|(_, index)| *index);
    let defaults = spec.gateways.iter().map(|via| (Route::default_via(*via), *via));
    let others = spec.routes.iter().map(|route| (Route::to(route.to).via(route.via), route.via));
    for (mut route, via) in defaults.chain(others) {
        route.oif = device(via);
        changes.push(Change::AddRoute(route));
    }
    netlink.apply_all(&changes).map_err(|(_, error)| error)
}

fn index(netlink: &mut Netlink, name: &str) -> kernel::Result<u32> {
    let found = netlink.link_by_name(name)?;
    found.map(|link| link.index).ok_or_else(|| kernel::Error::Refused {
        op: "find link",
        object: name.to_owned(),
        errno: kernel::Errno::NODEV,
        text: None,
    })
}
