//! Links on the wire: `struct ifinfomsg` and the `IFLA_*` attributes.

use crate::uapi::*;
use crate::wire::{Attr, Attrs, Writer, u32_at};
use crate::{
    BondPort, BridgePort, Error, Link, LinkKind, MacAddr, NetNs, NewLink, OperState, Result, SetLink,
};

/// Length of `struct ifinfomsg`.
const HEADER: usize = 16;

/// `struct ifinfomsg`: `change` says which bits of `flags` count.
fn header(w: &mut Writer, family: u8, index: u32, flags: u32, change: u32) {
    w.raw(&[family, 0, 0, 0]);
    w.u32(index);
    w.u32(flags);
    w.u32(change);
}

/// The rules of the kernel's `dev_valid_name`, and no `%`, which would be a pattern.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let bad = |b: u8| b == b'/' || b == b':' || b == b'%' || b == 0 || b.is_ascii_whitespace() || b == 0x0b;
    if name.is_empty() || name.len() > IFNAME_MAX || name == "." || name == ".." || name.bytes().any(bad) {
        return Err(Error::Invalid {
            object: "interface name",
            value: format!("{name:?}"),
            allowed: "1 to 15 bytes without white space, '/', ':' and '%', not '.' or '..'",
        });
    }
    Ok(())
}

/// A namespace as an attribute: its descriptor.
fn netns(w: &mut Writer, ns: &NetNs) {
    use std::os::fd::{AsFd, AsRawFd};
    w.attr(IFLA_NET_NS_FD, &ns.as_fd().as_raw_fd().to_ne_bytes());
}

impl NewLink {
    pub(crate) fn encode(&self, w: &mut Writer) -> Result<()> {
        check_name(&self.name)?;
        let Some(kind) = self.kind.name() else {
            return Err(Error::Invalid {
                object: "kind of a new link",
                value: "physical".to_owned(),
                allowed: "a kind that the kernel can make",
            });
        };
        if self.alias.is_some() && self.netns.is_some() {
            return Err(Error::Invalid {
                object: "alias of a new link",
                value: "given together with a namespace".to_owned(),
                allowed: "one of the two, and the alias set later in that namespace",
            });
        }
        let flags = if self.up { IFF_UP } else { 0 };
        w.begin(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
        header(w, AF_UNSPEC, 0, flags, flags);
        w.attr_str(IFLA_IFNAME, &self.name);
        let numbers = [
            (IFLA_LINK, self.parent),
            (IFLA_MTU, self.mtu),
            (IFLA_GROUP, self.group),
            (IFLA_TXQLEN, self.tx_queue_len),
            (IFLA_MASTER, self.master),
        ];
        each_u32(w, &numbers);
        if let Some(mac) = self.mac {
            w.attr(IFLA_ADDRESS, &mac.0);
        }
        if let Some(ns) = &self.netns {
            netns(w, ns);
        }
        let info = w.nest(IFLA_LINKINFO);
        w.attr_str(IFLA_INFO_KIND, kind);
        let data = w.nest(IFLA_INFO_DATA);
        self.kind.encode(w)?;
        w.close(data);
        w.close(info);
        w.end()?;
        match &self.alias {
            // The kernel ignores an alias at birth.
            Some(alias) => {
                w.begin(RTM_SETLINK, NLM_F_ACK);
                header(w, AF_UNSPEC, 0, 0, 0);
                w.attr_str(IFLA_IFNAME, &self.name);
                w.attr_str(IFLA_IFALIAS, alias);
                w.end()
            }
            None => Ok(()),
        }
    }
}

/// The other end of a veth pair: an `ifinfomsg` and its attributes, inside of `VETH_INFO_PEER`.
pub(crate) fn encode_peer(w: &mut Writer, peer: &crate::VethPeer) -> Result<()> {
    header(w, AF_UNSPEC, 0, 0, 0);
    if let Some(name) = &peer.name {
        check_name(name)?;
        w.attr_str(IFLA_IFNAME, name);
    }
    if let Some(mac) = peer.mac {
        w.attr(IFLA_ADDRESS, &mac.0);
    }
    each_u32(w, &[(IFLA_MTU, peer.mtu)]);
    if let Some(ns) = &peer.netns {
        netns(w, ns);
    }
    Ok(())
}

pub(crate) fn each_u32(w: &mut Writer, numbers: &[(u16, Option<u32>)]) {
    for (kind, value) in numbers {
        if let Some(value) = value {
            w.attr_u32(*kind, *value);
        }
    }
}

impl SetLink {
    pub(crate) fn encode(&self, index: u32, w: &mut Writer) -> Result<()> {
        if let Some(mode) = self.addr_gen_mode {
            // A message of its own, and the first: in one message the kernel sets the link up before it looks at the
            // mode, and the address that was not wanted is there.
            w.begin(RTM_SETLINK, NLM_F_ACK);
            header(w, AF_UNSPEC, index, 0, 0);
            let spec = w.nest(IFLA_AF_SPEC);
            let inet6 = w.nest(u16::from(AF_INET6));
            w.attr_u8(IFLA_INET6_ADDR_GEN_MODE, mode);
            w.close(inet6);
            w.close(spec);
            w.end()?;
            if *self == (Self { addr_gen_mode: Some(mode), ..Self::default() }) {
                return Ok(());
            }
        }
        let (mut flags, mut change) = (0, 0);
        let bits = [
            (IFF_UP, self.up),
            (IFF_PROMISC, self.promisc),
            (IFF_ALLMULTI, self.allmulti),
            (IFF_MULTICAST, self.multicast),
            (IFF_NOARP, self.arp.map(|arp| !arp)),
        ];
        for (bit, value) in bits {
            if let Some(on) = value {
                change |= bit;
                flags |= if on { bit } else { 0 };
            }
        }
        let kind = match (&self.macvlan, &self.bond, &self.vlan_flags) {
            (Some(set), _, _) => Some(if set.tap { "macvtap" } else { "macvlan" }),
            (_, Some(_), _) => Some("bond"),
            (_, _, Some(_)) => Some("vlan"),
            _ => None,
        };
        // RTM_SETLINK ignores a kind's parameters.
        w.begin(if kind.is_some() { RTM_NEWLINK } else { RTM_SETLINK }, NLM_F_ACK);
        header(w, AF_UNSPEC, index, flags, change);
        if let Some(name) = &self.name {
            check_name(name)?;
            w.attr_str(IFLA_IFNAME, name);
        }
        let numbers = [
            (IFLA_MTU, self.mtu),
            (IFLA_GROUP, self.group),
            (IFLA_TXQLEN, self.tx_queue_len),
            (IFLA_MASTER, self.master),
        ];
        each_u32(w, &numbers);
        if let Some(mac) = self.mac {
            w.attr(IFLA_ADDRESS, &mac.0);
        }
        if let Some(alias) = &self.alias {
            w.attr_str(IFLA_IFALIAS, alias);
        }
        if let Some(ns) = &self.netns {
            netns(w, ns);
        }
        if let Some(kind) = kind {
            let info = w.nest(IFLA_LINKINFO);
            w.attr_str(IFLA_INFO_KIND, kind);
            let data = w.nest(IFLA_INFO_DATA);
            if let Some(set) = &self.macvlan {
                set.encode(w);
            } else if let Some(bond) = &self.bond {
                bond.encode(w)?;
            } else if let Some((flags, mask)) = self.vlan_flags {
                crate::kind::encode_flags(w, flags, mask);
            }
            w.close(data);
            w.close(info);
        }
        w.end()
    }
}

pub(crate) fn encode_delete(w: &mut Writer, index: u32) -> Result<()> {
    w.begin(RTM_DELLINK, NLM_F_ACK);
    header(w, AF_UNSPEC, index, 0, 0);
    w.end()
}

pub(crate) fn encode_delete_name(w: &mut Writer, name: &str) -> Result<()> {
    check_name(name)?;
    w.begin(RTM_DELLINK, NLM_F_ACK);
    header(w, AF_UNSPEC, 0, 0, 0);
    w.attr_str(IFLA_IFNAME, name);
    w.end()
}

pub(crate) fn encode_delete_group(w: &mut Writer, group: u32) -> Result<()> {
    if group == 0 {
        return Err(Error::Invalid { object: "group", value: "0".to_owned(), allowed: "any other number" });
    }
    w.begin(RTM_DELLINK, NLM_F_ACK);
    header(w, AF_UNSPEC, 0, 0, 0);
    w.attr_u32(IFLA_GROUP, group);
    w.end()
}

/// Asks for one link, by index or by name, or for all (with `NLM_F_DUMP`). Statistics are left out.
pub(crate) fn encode_get(w: &mut Writer, flags: u16, index: u32, name: Option<&str>) -> Result<()> {
    w.begin(RTM_GETLINK, flags);
    header(w, AF_UNSPEC, index, 0, 0);
    if let Some(name) = name {
        w.attr_str(if name.len() > IFNAME_MAX { IFLA_ALT_IFNAME } else { IFLA_IFNAME }, name);
    }
    w.attr_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    w.end()
}

impl BridgePort {
    const NUMBERS: [u16; 4] =
        [IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED, IFLA_BRPORT_LEARNING, IFLA_BRPORT_UNICAST_FLOOD];

    fn fields(&mut self) -> [&mut Option<bool>; 4] {
        [&mut self.hairpin, &mut self.isolated, &mut self.learning, &mut self.unicast_flood]
    }

    pub(crate) fn encode(mut self, index: u32, w: &mut Writer) -> Result<()> {
        w.begin(RTM_SETLINK, NLM_F_ACK);
        header(w, AF_BRIDGE, index, 0, 0);
        let info = w.nest(IFLA_PROTINFO);
        for (kind, value) in Self::NUMBERS.into_iter().zip(self.fields()) {
            if let Some(on) = value {
                w.attr_u8(kind, u8::from(*on));
            }
        }
        w.close(info);
        w.end()
    }

    fn decode(attrs: Attrs<'_>) -> Self {
        let mut port = Self::default();
        for attr in attrs {
            for (kind, value) in Self::NUMBERS.into_iter().zip(port.fields()) {
                if kind == attr.kind {
                    *value = attr.u8().map(|v| v != 0);
                }
            }
        }
        port
    }
}

impl Link {
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        // Messages of the bridge's own family have other attributes under the same numbers.
        if *body.first()? != AF_UNSPEC {
            return None;
        }
        let mut link = Self {
            index: u32_at(body, 4)?,
            name: String::new(),
            kind: LinkKind::Physical,
            mac: None,
            perm_mac: None,
            mtu: 0,
            flags: u32_at(body, 8)?,
            oper_state: OperState::Unknown,
            parent: None,
            parent_nsid: None,
            master: None,
            group: 0,
            tx_queue_len: 0,
            promiscuity: 0,
            allmulti: u32_at(body, 8)? & IFF_ALLMULTI != 0,
            carrier: false,
            alias: None,
            addr_gen_mode: None,
            ipv6_disabled: false,
            bridge_port: None,
            bond_port: None,
        };
        for attr in Attrs::after(body, HEADER) {
            match attr.kind {
                IFLA_IFNAME => link.name = attr.string(),
                IFLA_ADDRESS => link.mac = MacAddr::from_slice(attr.value),
                IFLA_PERM_ADDRESS => link.perm_mac = MacAddr::from_slice(attr.value),
                IFLA_MTU => link.mtu = attr.u32()?,
                // 0 is a parent that has no index here, as of a tunnel.
                IFLA_LINK => link.parent = attr.u32().filter(|index| *index != 0),
                IFLA_LINK_NETNSID => {
                    link.parent_nsid = attr.value.first_chunk().map(|b| i32::from_ne_bytes(*b))
                }
                IFLA_MASTER => link.master = attr.u32().filter(|index| *index != 0),
                IFLA_GROUP => link.group = attr.u32()?,
                IFLA_TXQLEN => link.tx_queue_len = attr.u32()?,
                IFLA_PROMISCUITY => link.promiscuity = attr.u32()?,
                IFLA_ALLMULTI => link.allmulti |= attr.u32()? != 0,
                IFLA_OPERSTATE => link.oper_state = OperState::from_number(attr.u8()?),
                IFLA_CARRIER => link.carrier = attr.u8()? != 0,
                IFLA_IFALIAS => link.alias = Some(attr.string()),
                IFLA_AF_SPEC => link.decode_inet6(attr),
                IFLA_LINKINFO => link.decode_info(attr),
                _ => {}
            }
        }
        Some(link)
    }

    fn decode_info(&mut self, info: Attr<'_>) {
        let (mut kind, mut data, mut port_of, mut port) = (None, Attrs(&[]), None, Attrs(&[]));
        for attr in info.attrs() {
            match attr.kind {
                IFLA_INFO_KIND => kind = Some(attr),
                IFLA_INFO_DATA => data = attr.attrs(),
                IFLA_INFO_SLAVE_KIND => port_of = Some(attr),
                IFLA_INFO_SLAVE_DATA => port = attr.attrs(),
                _ => {}
            }
        }
        if let Some(kind) = kind {
            self.kind = LinkKind::decode(kind, data);
        }
        if port_of.is_some_and(|kind| kind.is("bridge")) {
            self.bridge_port = Some(BridgePort::decode(port));
        } else if port_of.is_some_and(|kind| kind.is("bond")) {
            self.bond_port = Some(BondPort::decode(port));
        }
    }

    fn decode_inet6(&mut self, spec: Attr<'_>) {
        let inet6 = spec.attrs().find(|family| family.kind == u16::from(AF_INET6));
        for attr in inet6.into_iter().flat_map(Attr::attrs) {
            match attr.kind {
                IFLA_INET6_ADDR_GEN_MODE => self.addr_gen_mode = attr.u8(),
                IFLA_INET6_CONF => {
                    let value = u32_at(attr.value, DEVCONF_DISABLE_IPV6 * 4);
                    self.ipv6_disabled = value.is_some_and(|value| value != 0);
                }
                _ => {}
            }
        }
    }
}
