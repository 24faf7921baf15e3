//! Every option of a VLAN and of a macvlan, declared: set, read back, changed, removed.

use anyhow::{Context, Result, ensure};
use host::{Network, State};
use kernel::Netlink;

use super::Check;
use crate::declare::{apply, undo};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "link-options/vlan", run: vlan },
    Check { name: "link-options/vlan as the driver shows it", run: vlan_shown },
    Check { name: "link-options/mac-vlan", run: macvlan },
    Check { name: "link-options/mac-vtap", run: macvtap },
];

/// Keys to declare, and what `show` must say then.
type Row = (&'static str, &'static [&'static str]);

const BASE: &str = "interfaces: [{name: d0, type: dummy, mtu: 9000}, {name: d1, type: dummy, mtu: 9000}, ";
const ADDRESS: &str = "ipv4: {address: [{ip: 198.51.100.1, prefix-length: 24}]}";

/// For each row: changed to from what it was born with, taken back, and born so.
fn table(kind: &str, born: &str, part: &str, rows: &[Row]) -> Result<()> {
    let netlink = &mut Netlink::open()?;
    let gone = |netlink: &mut Netlink| apply(netlink, "interfaces: [{name: x, state: absent}]").map(drop);
    gone(netlink)?;
    let file = |keys: &str| format!("{BASE}{{name: x, type: {kind}, {ADDRESS}, {keys}}}]");
    let words = |netlink: &mut Netlink| -> Result<String> {
        let network = Network::read(netlink)?;
        let link = network.links.get("x").context("no x")?;
        let has = link.addresses.iter().any(|address| address.net.to_string() == "198.51.100.1/24");
        ensure!(has, "the address is lost");
        let shown =
            State::of(&network).interfaces.into_iter().filter(|interface| interface.name == "x").collect();
        Ok(State { interfaces: shown, ..State::default() }.to_yaml())
    };
    for (keys, expected) in rows {
        let full = |born: &str| match keys.strip_prefix(&format!("{part}: {{")) {
            // Keys of the part go with those it is born with.
            Some(rest) => format!("{part}: {{{born}, {rest}"),
            None => format!("{part}: {{{born}}}, {keys}"),
        };
        // What the row says itself is not said twice.
        let without: Vec<&str> = born
            .split(", ")
            .filter(|pair| pair.split(':').next().is_none_or(|key| !keys.contains(&format!("{key}:"))))
            .collect();
        let run = |netlink: &mut Netlink| -> Result<()> {
            apply(netlink, &file(&format!("{part}: {{{born}}}"))).context("without it")?;
            let untouched = words(netlink)?;
            let applied = apply(netlink, &file(keys)).context("changed")?;
            let now = words(netlink)?;
            for word in *expected {
                ensure!(now.contains(word), "{word} is not in {now}");
            }
            undo(netlink, &applied)?;
            let back = words(netlink)?;
            ensure!(back == untouched, "taken back it is {back}, not {untouched}");
            gone(netlink)?;
            apply(netlink, &file(&full(&without.join(", ")))).context("born so")?;
            let now = words(netlink)?;
            for word in *expected {
                ensure!(now.contains(word), "born, {word} is not in {now}");
            }
            Ok(())
        };
        let result = run(netlink).with_context(|| (*keys).to_owned());
        gone(netlink)?;
        result?;
    }
    Ok(())
}

fn vlan() -> Result<()> {
    table(
        "vlan",
        "base-iface: d0, id: 100",
        "vlan",
        &[
            ("vlan: {id: 4094}", &["id: 4094"]),
            ("vlan: {id: 0}", &["id: 0"]),
            ("vlan: {protocol: 802.1ad}", &["protocol: 802.1ad"]),
            ("vlan: {protocol: 802.1q}", &["protocol: 802.1q"]),
            ("vlan: {base-iface: d1}", &["base-iface: d1"]),
            ("vlan: {reorder-headers: false}", &["reorder-headers: false"]),
            ("vlan: {reorder-headers: true}", &["reorder-headers: true"]),
            ("vlan: {registration-protocol: gvrp}", &["registration-protocol: gvrp"]),
            ("vlan: {registration-protocol: mvrp}", &["registration-protocol: mvrp"]),
            ("vlan: {registration-protocol: none}", &["registration-protocol: none"]),
            ("vlan: {loose-binding: true}", &["loose-binding: true"]),
            ("vlan: {loose-binding: false}", &["loose-binding: false"]),
            ("mtu: 1300", &["mtu: 1300"]),
            ("mac-address: '02:00:00:00:00:99'", &["02:00:00:00:00:99"]),
            ("description: words", &["description: words"]),
            ("accept-all-mac-addresses: true", &["accept-all-mac-addresses: true"]),
            ("state: down", &["state: down"]),
        ],
    )
}

/// The driver's own words, where it has a file for them.
fn vlan_shown() -> Result<()> {
    let netlink = &mut Netlink::open()?;
    let file = |id: u16, reorder: bool| {
        format!(
            "{BASE}{{name: x, type: vlan, vlan: {{base-iface: d0, id: {id}, reorder-headers: {reorder}}}}}]"
        )
    };
    for (id, reorder) in [(100, true), (200, false), (4094, true)] {
        apply(netlink, &file(id, reorder))?;
        let shown = std::fs::read_to_string("/proc/net/vlan/x")?;
        let line = format!("VID: {id}\t REORDER_HDR: {}", u8::from(reorder));
        ensure!(shown.contains(&line) && shown.contains("Device: d0"), "{line:?} is not in {shown:?}");
    }
    apply(netlink, "interfaces: [{name: d0, state: absent}, {name: d1, state: absent}]")?;
    ensure!(!Network::read(netlink)?.links.contains_key("x"), "it did not go with its parent");
    Ok(())
}

const MACVLAN: &[Row] = &[
    ("mac-vlan: {mode: private}", &["mode: private"]),
    ("mac-vlan: {mode: vepa}", &["mode: vepa"]),
    ("mac-vlan: {mode: bridge}", &["mode: bridge"]),
    ("mac-vlan: {mode: passthru}", &["mode: passthru", "promiscuous: true"]),
    ("mac-vlan: {mode: passthru, promiscuous: false}", &["mode: passthru", "promiscuous: false"]),
    ("mac-vlan: {mode: source}", &["mode: source"]),
    ("mac-vlan: {base-iface: d1}", &["base-iface: d1"]),
    ("llano: {bc-queue-len: 77}", &["bc-queue-len: 77"]),
    ("mtu: 1300", &["mtu: 1300"]),
    ("mac-address: '02:00:00:00:00:99'", &["02:00:00:00:00:99"]),
    ("description: words", &["description: words"]),
    ("accept-all-mac-addresses: true", &["accept-all-mac-addresses: true"]),
    ("llano: {promiscuity: true}", &["accept-all-mac-addresses: true"]),
    ("state: down", &["state: down"]),
];

fn macvlan() -> Result<()> {
    table("mac-vlan", "base-iface: d0, mode: bridge", "mac-vlan", MACVLAN)?;
    table(
        "mac-vlan",
        "base-iface: d0, mode: source",
        "mac-vlan",
        &[("llano: {source-macs: ['02:00:00:00:00:01', '02:00:00:00:00:02']}", &["00:01", "00:02"])],
    )?;
    table(
        "mac-vlan",
        "base-iface: d0, mode: passthru",
        "mac-vlan",
        &[
            ("llano: {nopromisc: true}", &["promiscuous: false"]),
            ("mac-vlan: {mode: bridge}", &["mode: bridge"]),
        ],
    )
}

fn macvtap() -> Result<()> {
    table(
        "mac-vtap",
        "base-iface: d0, mode: bridge",
        "mac-vtap",
        &[
            ("mac-vtap: {mode: private}", &["mode: private"]),
            ("mac-vtap: {base-iface: d1}", &["base-iface: d1"]),
        ],
    )
}
