//! Random valid states of three network cards and what may hang on them, and what must hold of any two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use host::state::{BOND_OPTIONS, BondMode, BondOption};
use host::{Network, Plan, State, Wanted};
use kernel::{BondWidth, Netlink};

use crate::declare::{Applied, apply, as_it_was, undo};
use crate::random::Random;

/// What this kernel has beside macvlans.
#[derive(Debug, Clone, Copy)]
pub struct Kinds {
    /// Bonds, and VLANs on anything.
    pub bonds_and_vlans: bool,
}

/// What was seen, so that a test can say that it saw something.
#[derive(Debug, Default)]
pub struct Seen {
    /// Second states that were applied.
    pub applied: usize,
    /// Second states that were refused.
    pub refused: usize,
    /// Second states that were cut short.
    pub cut: usize,
}

/// One interface of a state under work.
#[derive(Debug, Default)]
struct Part {
    /// `key: value` pairs in the order in which they are written.
    keys: Vec<String>,
    mtu: u64,
    down: bool,
    port: bool,
    addresses: Vec<String>,
}

const CARDS: [&str; 3] = ["n0", "n1", "n2"];
const MADE: [&str; 6] = ["b", "v0", "v1", "m0", "m1", "m2"];
/// Younger than the machine's kernel, or set by hand below because others hang on them.
const NOT_DRAWN: [&str; 8] = [
    "arp_validate",
    "broadcast_neighbor",
    "miimon",
    "updelay",
    "downdelay",
    "peer_notif_delay",
    "arp_interval",
    "arp_ip_target",
];

/// From the state that is: states A and B one after the other; B is as declared, undone A is as it was; and A is as it
/// was after a B that was refused or cut short at any step. A B that is not `whole` leaves interfaces out, and may be
/// refused for what is on them.
///
/// # Errors
/// The first that does not hold, with both files.
pub fn two(
    random: &mut Random,
    netlink: &mut Netlink,
    kinds: Kinds,
    whole: bool,
    seen: &mut Seen,
) -> Result<()> {
    let first = state(random, kinds, true);
    let second = state(random, kinds, whole);
    one_after_the_other(random, netlink, &first, &second, whole, seen)
        .with_context(|| format!("first:\n{first}\nsecond:\n{second}"))
}

fn one_after_the_other(
    random: &mut Random,
    netlink: &mut Netlink,
    first: &str,
    second: &str,
    whole: bool,
    seen: &mut Seen,
) -> Result<()> {
    apply(netlink, first).context("first")?;
    let before = Network::read(netlink)?;
    let wanted = match State::parse(second).context("second")?.wanted(&before) {
        Ok(wanted) => wanted,
        Err(error) => {
            // One that says all there is cannot be in the way of itself.
            ensure!(!whole, "second was refused: {error}");
            seen.refused += 1;
            return as_it_was(&Network::read(netlink)?, &before);
        }
    };
    let applied = apply(netlink, second).context("second")?;
    seen.applied += 1;
    undo(netlink, &applied).context("second undone")?;
    cut_short(random, netlink, before, wanted, seen).context("second cut short")?;
    apply(netlink, second).context("second again").map(drop)
}

fn cut_short(
    random: &mut Random,
    netlink: &mut Netlink,
    before: Network,
    wanted: Wanted,
    seen: &mut Seen,
) -> Result<()> {
    let mut plan = Plan::new(&before, &wanted)?;
    if plan.is_empty() {
        return Ok(());
    }
    let steps = plan.steps.len() as u64;
    plan.steps.truncate(usize::try_from(random.below(steps + 1))?);
    host::apply(netlink, &plan, &mut |_| {})?;
    seen.cut += 1;
    let done: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    undo(netlink, &Applied { before, wanted })
        .with_context(|| format!("done of {steps}: {}", done.join("; ")))
}

/// One state as a file; a `whole` one speaks of every interface that there may be.
fn state(random: &mut Random, kinds: Kinds, whole: bool) -> String {
    let mut parts: BTreeMap<&str, Part> = CARDS.map(|card| (card, card_part(random))).into();
    let mut bases: Vec<&str> = CARDS.to_vec();
    if kinds.bonds_and_vlans {
        if random.below(3) > 0 {
            let ports: Vec<&str> = CARDS.into_iter().filter(|_| random.below(2) == 0).collect();
            bases.retain(|base| !ports.contains(base));
            for port in &ports {
                parts.insert(
                    port,
                    Part {
                        port: true,
                        keys: vec!["type: ethernet".to_owned(), "state: up".to_owned()],
                        ..Part::default()
                    },
                );
            }
            parts.insert("b", bond_part(random, &ports));
            bases.push("b");
        }
        for (at, name) in ["v0", "v1"].into_iter().enumerate() {
            if random.below(3) > 0 {
                let base = pick(random, &bases);
                parts.insert(name, vlan_part(random, at, base, parts[base].mtu));
                bases.push(name);
            }
        }
    }
    let mut alone: BTreeSet<&str> = BTreeSet::new();
    let mut shared: BTreeSet<&str> = BTreeSet::new();
    for name in ["m0", "m1", "m2"] {
        let base = pick(random, &bases);
        if random.below(4) == 0 || alone.contains(base) {
            continue;
        }
        let modes = ["private", "vepa", "bridge", "source", "passthru"];
        let mode = pick(random, &modes[..if shared.contains(base) { 4 } else { 5 }]);
        if mode == "passthru" {
            alone.insert(base)
        } else {
            shared.insert(base)
        };
        // In mode passthru it has its parent's.
        let own =
            mode != "passthru" || base != "b" && !parts[base].keys.iter().any(|key| key.starts_with("mac-"));
        parts.insert(name, macvlan_part(random, base, mode, parts[base].mtu, own));
    }
    // What nothing is on may be down.
    let text = parts.values().flat_map(|part| &part.keys).cloned().collect::<Vec<_>>().join(" ");
    for (name, part) in &mut parts {
        part.down = !part.port && !text.contains(&format!("base-iface: {name},")) && random.below(8) == 0;
    }
    for (at, name) in CARDS.into_iter().chain(MADE).enumerate() {
        if let Some(part) = parts.get_mut(name).filter(|part| !part.port) {
            layer3(random, at, part);
        }
    }
    written(random, &parts, whole)
}

fn pick<'a>(random: &mut Random, from: &[&'a str]) -> &'a str {
    from[usize::try_from(random.below(from.len() as u64)).unwrap_or(0)]
}

fn card_part(random: &mut Random) -> Part {
    let mtu = [1500, 4000, 9000][usize::try_from(random.below(3)).unwrap_or(0)];
    let mut keys = vec!["type: ethernet".to_owned()];
    if random.below(4) == 0 {
        keys.push(mac(random));
    }
    Part { keys, mtu, ..Part::default() }
}

fn mac(random: &mut Random) -> String {
    let [a, b, c, ..] = random.number().to_be_bytes();
    format!("mac-address: '02:00:00:{a:02x}:{b:02x}:{c:02x}'")
}

fn bond_part(random: &mut Random, ports: &[&str]) -> Part {
    let modes = BondMode::NAMES;
    let number = u8::try_from(random.below(modes.len() as u64)).unwrap_or(0);
    let (name, mode) = (modes[usize::from(number)], BondMode::from_number(number));
    let is_of = |option: &&BondOption| mode.is_some_and(|mode| option.is_of(mode));
    let by_arp = BOND_OPTIONS.iter().any(|option| option.name == "arp_interval" && is_of(&option));
    let mut options = if by_arp && random.below(3) == 0 {
        let targets = ["192.0.2.1", "192.0.2.1,192.0.2.2"];
        vec![
            format!("arp_interval: {}", 100 + random.below(9) * 100),
            format!("arp_ip_target: '{}'", pick(random, &targets)),
            format!("arp_validate: {}", random.below(7)),
        ]
    } else {
        let miimon = 10 + random.below(10) * 10;
        let times = |random: &mut Random| miimon * random.below(4);
        vec![
            format!("miimon: {miimon}"),
            format!("updelay: {}", times(random)),
            format!("downdelay: {}", times(random)),
            format!("peer_notif_delay: {}", times(random)),
        ]
    };
    let mut follows = false;
    for option in BOND_OPTIONS.iter().filter(is_of).filter(|option| !NOT_DRAWN.contains(&option.name)) {
        if random.below(4) > 0 {
            continue;
        }
        let value = match BondWidth::of(option.number) {
            Some(BondWidth::Mac) => "'02:00:00:00:0a:0d'".to_owned(),
            Some(BondWidth::V4 | BondWidth::V6) => "'2001:db8::5'".to_owned(),
            _ => (u64::from(option.least) + random.below(u64::from(option.most.min(200) - option.least) + 1))
                .to_string(),
        };
        follows |= option.name == "fail_over_mac" && name == "active-backup";
        options.push(format!("{}: {value}", option.name));
    }
    if ["active-backup", "balance-tlb", "balance-alb"].contains(&name)
        && !ports.is_empty()
        && random.below(2) == 0
    {
        options.push(format!("primary: {}", pick(random, ports)));
    }
    let part = format!(
        "link-aggregation: {{mode: {name}, port: [{}], options: {{{}}}}}",
        ports.join(", "),
        options.join(", ")
    );
    let mut keys = vec!["type: bond".to_owned(), part];
    if !follows && random.below(3) == 0 {
        keys.push(mac(random));
    }
    Part { keys, mtu: 1500 + random.below(3) * 500, ..Part::default() }
}

/// Never less than IPv6 needs, however many stand on each other.
fn child_mtu(random: &mut Random, parent: u64) -> u64 {
    (parent - random.below(2) * 100).max(1280)
}

fn vlan_part(random: &mut Random, at: usize, base: &str, parent: u64) -> Part {
    let protocol = pick(random, &["802.1q", "802.1ad"]);
    let registration = pick(random, &["none", "gvrp", "mvrp"]);
    let part = format!(
        "vlan: {{base-iface: {base}, id: {}, protocol: {protocol}, registration-protocol: {registration}, reorder-headers: {}, loose-binding: {}}}",
        at * 100 + 1 + usize::try_from(random.below(3)).unwrap_or(0),
        random.below(2) == 0,
        random.below(2) == 0,
    );
    Part { keys: vec!["type: vlan".to_owned(), part], mtu: child_mtu(random, parent), ..Part::default() }
}

fn macvlan_part(random: &mut Random, base: &str, mode: &str, parent: u64, own: bool) -> Part {
    let promiscuous = mode != "passthru" || random.below(2) == 0;
    let mut keys = vec![
        "type: mac-vlan".to_owned(),
        format!("mac-vlan: {{base-iface: {base}, mode: {mode}, promiscuous: {promiscuous}}}"),
    ];
    let mut ours = Vec::new();
    if random.below(2) == 0 {
        ours.push(format!("bc-queue-len: {}", 10 + random.below(3) * 1000));
    }
    if mode == "source" {
        let macs: Vec<String> = (0..random.below(4)).map(|at| format!("'02:00:00:00:0b:0{at}'")).collect();
        ours.push(format!("source-macs: [{}]", macs.join(", ")));
    }
    if !ours.is_empty() {
        keys.push(format!("llano: {{{}}}", ours.join(", ")));
    }
    if own && random.below(3) == 0 {
        keys.push(mac(random));
    }
    Part { keys, mtu: child_mtu(random, parent), ..Part::default() }
}

/// Addresses of both families, and the plain keys. None with a lifetime: such count as another tool's and stay.
fn layer3(random: &mut Random, at: usize, part: &mut Part) {
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    for _ in 0..random.below(4) {
        let address = format!("10.{at}.{}.{}", random.below(2), 1 + random.below(5));
        if seen.insert(address.clone()) {
            list.push(format!("{{ip: {address}, prefix-length: 24}}"));
            part.addresses.push(address);
        }
    }
    part.keys.push(format!("ipv4: {{enabled: {}, address: [{}]}}", !list.is_empty(), list.join(", ")));
    let list: Vec<String> = (0..random.below(3))
        .map(|host| format!("{{ip: '2001:db8:{at}::{}', prefix-length: 64}}", host + 1))
        .collect();
    let enabled = !list.is_empty() || random.below(4) > 0;
    part.keys.push(format!("ipv6: {{enabled: {enabled}, address: [{}]}}", list.join(", ")));
    part.keys.push(format!("accept-all-mac-addresses: {}", random.below(4) == 0));
    part.keys.push(format!("description: '{}'", pick(random, &["", "uplink", "to the lab"])));
    part.keys.push(format!("mtu: {}", part.mtu));
    part.keys.push(format!("state: {}", if part.down { "down" } else { "up" }));
}

fn written(random: &mut Random, parts: &BTreeMap<&str, Part>, whole: bool) -> String {
    let mut text = "interfaces:\n".to_owned();
    let mut routes = "routes: {config: [".to_owned();
    let mut rules = "route-rules: {config: [".to_owned();
    for (at, name) in CARDS.into_iter().chain(MADE).enumerate() {
        if !whole && random.below(3) == 0 {
            continue;
        }
        let Some(part) = parts.get(name) else {
            let _ = writeln!(text, "- {{name: {name}, state: absent}}");
            continue;
        };
        let _ = writeln!(text, "- {{name: {name}, {}}}", part.keys.join(", "));
        let Some(address) = part.addresses.first().filter(|_| !part.down) else { continue };
        if random.below(2) == 0 {
            let gateway = format!("{}.254", address.rsplit_once('.').map_or("", |(net, _)| net));
            let _ = write!(
                routes,
                "{{destination: 10.{}.0.0/16, next-hop-interface: {name}, next-hop-address: {gateway}, metric: {}, table-id: {}}}, ",
                100 + at,
                1 + random.below(3),
                if random.below(2) == 0 { 254 } else { 100 + at }
            );
        }
        if random.below(3) == 0 {
            let _ = write!(
                rules,
                "{{ip-from: 10.{at}.0.0/16, priority: {}, route-table: {}}}, ",
                100 + at,
                100 + at
            );
        }
    }
    format!("{text}{routes}]}}\n{rules}]}}\n")
}
