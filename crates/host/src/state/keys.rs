//! Which keys there are, which only tell, and which are refused with a word why.

use serde_yaml_ng::{Mapping, Value};

use super::values::{number, switch};
use crate::{Error, Result};

/// What is done with a key.
enum Use {
    /// Read.
    Apply,
    /// Read, a number.
    Number,
    /// Read, true or false.
    Switch,
    /// Read, and its value has keys.
    Below(&'static [(&'static str, Use)]),
    /// Told by `show`; left out.
    Tell,
    /// Refused unless it says what is so anyway.
    Unless(&'static [&'static str], &'static str),
    /// Refused.
    Refuse(&'static str),
}

use Use::{Apply, Below, Number, Refuse, Switch, Tell, Unless};

const NM: &str = "is NetworkManager's; leave it out";
const LINK: &str = "is not set by llano; leave it out: the link keeps what it negotiates";
const RA: &str = "is up to the tool that owns the addresses; leave it out";

const TOP: &[(&str, Use)] = &[
    ("interfaces", Below(INTERFACE)),
    ("routes", Below(&[("config", Below(ROUTE)), ("running", Tell)])),
    ("route-rules", Below(&[("config", Below(RULE)), ("running", Tell)])),
    ("desc", Tell),
    ("description", Tell),
    (
        "dns-resolver",
        Refuse("is not set by llano: name servers are systemd-resolved's or resolv.conf's; leave it out"),
    ),
    ("hostname", Refuse("is not set by llano; use hostnamectl")),
    ("ovs-db", Refuse("is Open vSwitch's; llano has no part in it")),
    ("ovn", Refuse("is OVN's; llano has no part in it")),
    ("capture", Refuse("is a policy's, not a state's; write the state itself")),
    ("desiredState", Refuse("is a Kubernetes object's; write what is below it")),
];

const INTERFACE: &[(&str, Use)] = &[
    ("name", Apply),
    ("type", Apply),
    ("state", Apply),
    ("description", Apply),
    ("mac-address", Apply),
    ("mtu", Number),
    ("ipv4", Below(IP)),
    ("ipv6", Below(IP)),
    ("controller", Apply),
    ("copy-mac-from", Apply),
    ("accept-all-mac-addresses", Switch),
    ("identifier", Apply),
    ("link-aggregation", Below(BOND)),
    ("vlan", Below(VLAN)),
    ("mac-vlan", Below(MACVLAN)),
    ("mac-vtap", Below(MACVLAN)),
    ("llano", Below(LLANO)),
    ("ethernet", Below(ETHERNET)),
    ("permanent-mac-address", Tell),
    ("min-mtu", Tell),
    ("max-mtu", Tell),
    ("driver", Tell),
    ("pci-address", Refuse("is no way for llano to find an interface; use identifier: mac-address")),
    ("profile-name", Refuse(NM)),
    ("wait-ip", Unless(&["any"], NM)),
    ("dispatch", Refuse(NM)),
    ("lldp", Unless(&["{enabled: false}"], "is not spoken by llano; leave it out")),
    ("mptcp", Unless(&["{address-flags: []}"], "is not set by llano; use ip mptcp")),
    ("ethtool", Refuse("is not set by llano; use ethtool, or a udev .link file")),
    ("ieee8021x", Refuse("needs a supplicant; use wpa_supplicant")),
    ("veth", Below(&[("peer", Apply)])),
    ("bridge", Refuse("is not set by llano, which needs no bridge")),
    ("vxlan", Refuse("is not set by llano; VXLANs are the overlay's")),
    ("vrf", Refuse("is not set by llano; use routes with table-id and route-rules")),
    ("infiniband", Refuse("is not set by llano")),
    ("macsec", Refuse("is not set by llano")),
    ("ipsec", Refuse("is not set by llano")),
    ("libreswan", Refuse("is not set by llano")),
    ("hsr", Refuse("is not set by llano")),
    ("ipvlan", Refuse("is not set by llano; use mac-vlan")),
    ("patch", Refuse("is Open vSwitch's; llano has no part in it")),
    ("ovs-db", Refuse("is Open vSwitch's; llano has no part in it")),
];

const IP: &[(&str, Use)] = &[
    ("enabled", Switch),
    ("dhcp", Switch),
    ("autoconf", Switch),
    ("address", Below(ADDRESS)),
    ("addr-gen-mode", Apply),
    ("auto-dns", Refuse(RA)),
    ("auto-gateway", Refuse(RA)),
    ("auto-routes", Refuse(RA)),
    ("auto-route-metric", Refuse(RA)),
    ("auto-route-table-id", Refuse(RA)),
    ("dhcp-client-id", Refuse(RA)),
    ("dhcp-duid", Refuse(RA)),
    ("dhcp-iaid", Refuse(RA)),
    ("dhcp-send-hostname", Refuse(RA)),
    ("dhcp-custom-hostname", Refuse(RA)),
    ("token", Refuse("is not set by llano; declare the whole address")),
    ("forwarding", Refuse("is a sysctl: set it in /etc/sysctl.d")),
];

const ADDRESS: &[(&str, Use)] = &[
    ("ip", Apply),
    ("prefix-length", Number),
    ("valid-life-time", Apply),
    ("preferred-life-time", Apply),
    ("valid-left", Tell),
    ("preferred-left", Tell),
    ("mptcp-flags", Refuse("is not set by llano; use ip mptcp")),
];

const BOND: &[(&str, Use)] = &[
    ("mode", Apply),
    ("options", Below(BOND_REFUSED)),
    ("port", Apply),
    ("ports", Apply),
    ("slaves", Apply),
    (
        "ports-config",
        Refuse("is not set by llano: ports have neither priority nor queue; list them under port"),
    ),
];

/// All other names are looked up in the table of options.
const BOND_REFUSED: &[(&str, Use)] = &[
    ("active_slave", Refuse("is chosen by the bond; declare primary")),
    ("balance_slb", Refuse("is not in the kernel; leave it out")),
    ("balance-slb", Refuse("is not in the kernel; leave it out")),
    ("*", Apply),
];

const VLAN: &[(&str, Use)] = &[
    ("base-iface", Apply),
    ("id", Number),
    ("protocol", Apply),
    ("registration-protocol", Apply),
    ("reorder-headers", Switch),
    ("loose-binding", Switch),
    ("ingress-qos-map", Refuse("is not set by llano; use ip link set dev IF type vlan ingress-qos-map")),
    ("egress-qos-map", Refuse("is not set by llano; use ip link set dev IF type vlan egress-qos-map")),
];

const MACVLAN: &[(&str, Use)] = &[("base-iface", Apply), ("mode", Apply), ("promiscuous", Switch)];

const LLANO: &[(&str, Use)] = &[
    ("promiscuity", Switch),
    ("host-access", Apply),
    ("source-macs", Apply),
    ("bc-queue-len", Number),
    ("nopromisc", Switch),
];

const ETHERNET: &[(&str, Use)] = &[
    ("speed", Refuse(LINK)),
    ("duplex", Refuse(LINK)),
    ("auto-negotiation", Refuse(LINK)),
    ("fec", Refuse(LINK)),
    ("sr-iov", Refuse("is not set by llano; write sriov_numvfs, or use the SR-IOV operator")),
];

const ROUTE: &[(&str, Use)] = &[
    ("state", Apply),
    ("destination", Apply),
    ("next-hop-interface", Apply),
    ("next-hop-address", Apply),
    ("metric", Apply),
    ("table-id", Apply),
    ("source", Apply),
    ("mtu", Number),
    ("route-type", Apply),
    ("weight", Refuse("is of multipath routes, which llano keeps but does not declare")),
    ("cwnd", Refuse("is not set by llano")),
    ("initcwnd", Refuse("is not set by llano")),
    ("initrwnd", Refuse("is not set by llano")),
    ("quickack", Refuse("is not set by llano")),
    ("advmss", Refuse("is not set by llano; declare mtu")),
    ("vrf-name", Refuse("is not set by llano; declare table-id")),
];

const RULE: &[(&str, Use)] = &[
    ("state", Apply),
    ("family", Apply),
    ("ip-from", Apply),
    ("ip-to", Apply),
    ("priority", Apply),
    ("route-table", Apply),
    ("fwmark", Apply),
    ("fwmask", Apply),
    ("iif", Apply),
    ("action", Apply),
    ("suppress-prefix-length", Apply),
];

/// Every key that is refused, as `show` and the tests name it: the keys above it and itself, and why.
#[cfg(test)]
pub(super) fn refused() -> Vec<(Vec<&'static str>, &'static str)> {
    fn within(
        table: &'static [(&'static str, Use)],
        above: &[&'static str],
        all: &mut Vec<(Vec<&'static str>, &'static str)>,
    ) {
        for (key, use_) in table {
            let path = [above, &[*key]].concat();
            match use_ {
                Refuse(why) | Unless(_, why) => all.push((path, why)),
                Below(table) => within(table, &path, all),
                Apply | Number | Switch | Tell => {}
            }
        }
    }
    let mut all = Vec::new();
    within(TOP, &[], &mut all);
    all
}

/// Looks at every key.
///
/// # Errors
/// The first key that is unknown or refused, with its path.
pub(super) fn walk(value: &Value) -> Result<()> {
    below(value, TOP, "")
}

fn said(value: &Value) -> String {
    serde_yaml_ng::to_string(value).map(|text| text.trim_end().to_owned()).unwrap_or_default()
}

fn below(value: &Value, table: &[(&str, Use)], path: &str) -> Result<()> {
    match value {
        Value::Mapping(map) => map_below(map, table, path),
        Value::Sequence(list) => list.iter().enumerate().try_for_each(|(at, value)| {
            let name = value.get("name").or_else(|| value.get("ip")).or_else(|| value.get("destination"));
            let name = name.and_then(Value::as_str).map_or_else(|| at.to_string(), str::to_owned);
            below(value, table, &format!("{path}[{name}]"))
        }),
        // The types say what is wrong.
        _ => Ok(()),
    }
}

fn map_below(map: &Mapping, table: &[(&str, Use)], path: &str) -> Result<()> {
    for (key, value) in map {
        let Some(key) = key.as_str() else {
            return Err(Error::key(path, "has a key that is no word"));
        };
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let entry = table
            .iter()
            .find(|(name, _)| *name == key)
            .or_else(|| table.iter().find(|(name, _)| *name == "*"));
        match entry.map(|(_, entry)| entry) {
            Some(Apply | Tell) => {}
            Some(Number) if value.is_null() || number::<_, i64>(value).is_ok() => {}
            Some(Switch) if value.is_null() || switch(value).is_ok() => {}
            Some(Number) => return Err(Error::key(path, format!("is {}, not a number", said(value)))),
            Some(Switch) => {
                return Err(Error::key(path, format!("is {}, neither true nor false", said(value))));
            }
            Some(Below(table)) => below(value, table, &path)?,
            Some(Unless(same, why)) => {
                let is =
                    |text: &&str| serde_yaml_ng::from_str::<Value>(text).is_ok_and(|same| same == *value);
                if !same.iter().any(is) {
                    return Err(Error::key(path, *why));
                }
            }
            Some(Refuse(why)) => return Err(Error::key(path, *why)),
            None => {
                let known: Vec<&str> = table
                    .iter()
                    .filter(|(_, use_)| matches!(use_, Apply | Number | Switch | Below(_)))
                    .map(|(name, _)| *name)
                    .collect();
                return Err(Error::key(path, format!("is no key here: there are {}", known.join(", "))));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{TOP, Use};
    use crate::state::BOND_OPTIONS;

    fn keys(table: &'static [(&'static str, Use)], all: &mut Vec<&'static str>) {
        for (key, use_) in table.iter().filter(|(key, _)| *key != "*") {
            all.push(key);
            if let Use::Below(table) = use_ {
                keys(table, all);
            }
        }
    }

    #[test]
    fn the_reference_has_every_key() {
        let page = include_str!("../../../../docs/host-file.md");
        let mut all = vec!["primary"];
        keys(TOP, &mut all);
        for option in &BOND_OPTIONS {
            all.push(option.name);
            all.extend(option.aliases);
            all.extend(option.words.iter().filter(|_| !option.switch));
        }
        all.extend(crate::state::BondMode::NAMES);
        let has = |key: &&&str| {
            page.contains(&format!("`{key}`"))
                || page.contains(&format!(".{key}`"))
                || page.contains(&format!("\n{key}:"))
                || page.contains(&format!("  {key}:"))
        };
        let missing: Vec<&&str> = all.iter().filter(|key| !has(key)).collect();
        assert!(missing.is_empty(), "docs/host-file.md lacks {missing:?}");
    }
}
