//! Every option of a bond, declared: set, read back where the kernel itself shows it, changed with ports in it, removed.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use host::state::{BOND_OPTIONS, BondMode};
use host::{Network, State, Wanted};
use kernel::Netlink;
use kernel::uapi::IFLA_BOND_COUPLED_CONTROL;

use super::Check;
use crate::declare::{Applied, apply, undo};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "bond-options/the table has every option", run: complete },
    Check { name: "bond-options/set, changed, removed", run: options },
    Check { name: "bond-options/unknown to this kernel", run: lacking },
    Check { name: "bond-options/one mode into another and back", run: modes },
    Check { name: "bond-options/primary", run: primary },
];

/// One option: in which mode, beside what, two values, and each as `/sys/class/net/BOND/bonding` shows it.
struct Row {
    option: &'static str,
    mode: &'static str,
    beside: &'static str,
    file: &'static str,
    values: [(&'static str, &'static str); 2],
}

const fn row(
    option: &'static str,
    mode: &'static str,
    beside: &'static str,
    values: [(&'static str, &'static str); 2],
) -> Row {
    Row { option, mode, beside, file: option, values }
}

const MONITOR: &str = "miimon: 100";
const ARP: &str = "arp_interval: 500, arp_ip_target: '192.0.2.1'";
const AB: &str = "active-backup";
const RR: &str = "balance-rr";
const AD: &str = "802.3ad";

const ROWS: [Row; 29] = [
    row("miimon", RR, "use_carrier: true", [("50", "50"), ("200", "200")]),
    row("updelay", AB, MONITOR, [("200", "200"), ("500", "500")]),
    row("downdelay", AB, MONITOR, [("300", "300"), ("100", "100")]),
    row("peer_notif_delay", AB, MONITOR, [("200", "200"), ("300", "300")]),
    row("use_carrier", RR, MONITOR, [("false", "0"), ("true", "1")]),
    row("arp_interval", AB, "arp_ip_target: '192.0.2.1', miimon: 0", [("300", "300"), ("700", "700")]),
    row(
        "arp_ip_target",
        "balance-xor",
        "arp_interval: 500",
        [("'192.0.2.1,192.0.2.2'", "192.0.2.1 192.0.2.2"), ("192.0.2.3", "192.0.2.3")],
    ),
    Row {
        option: "ns_ip6_target",
        mode: AB,
        beside: "arp_interval: 500",
        file: "",
        values: [("'2001:db8::1,2001:db8::2'", "2001:db8::1, 2001:db8::2"), ("'2001:db8::3'", "2001:db8::3")],
    },
    row("arp_validate", AB, ARP, [("active", "active 1"), ("filter_backup", "filter_backup 6")]),
    row("arp_all_targets", AB, ARP, [("all", "all 1"), ("any", "any 0")]),
    Row {
        option: "missed_max",
        mode: AB,
        beside: ARP,
        file: "arp_missed_max",
        values: [("5", "5"), ("1", "1")],
    },
    row("primary_reselect", AB, MONITOR, [("better", "better 1"), ("failure", "failure 2")]),
    row("fail_over_mac", AB, MONITOR, [("active", "active 1"), ("follow", "follow 2")]),
    row(
        "xmit_hash_policy",
        "balance-xor",
        MONITOR,
        [("layer3+4", "layer3+4 1"), ("vlan+srcmac", "vlan+srcmac 5")],
    ),
    row("resend_igmp", AB, MONITOR, [("5", "5"), ("0", "0")]),
    row("num_grat_arp", AB, MONITOR, [("7", "7"), ("255", "255")]),
    row("all_slaves_active", AB, MONITOR, [("delivered", "1"), ("dropped", "0")]),
    row("min_links", AD, MONITOR, [("1", "1"), ("2", "2")]),
    row("lp_interval", "balance-tlb", MONITOR, [("5", "5"), ("60", "60")]),
    row("packets_per_slave", RR, MONITOR, [("8", "8"), ("0", "0")]),
    row("lacp_rate", AD, MONITOR, [("fast", "fast 1"), ("slow", "slow 0")]),
    row("lacp_active", AD, MONITOR, [("false", "off 0"), ("true", "on 1")]),
    row("ad_select", AD, MONITOR, [("bandwidth", "bandwidth 1"), ("count", "count 2")]),
    row("ad_actor_sys_prio", AD, MONITOR, [("7", "7"), ("65535", "65535")]),
    row("ad_user_port_key", AD, MONITOR, [("7", "7"), ("1023", "1023")]),
    row(
        "ad_actor_system",
        AD,
        MONITOR,
        [("'02:00:00:00:00:77'", "02:00:00:00:00:77"), ("'02:00:00:00:00:78'", "02:00:00:00:00:78")],
    ),
    row("coupled_control", AD, MONITOR, [("false", "0"), ("true", "1")]),
    row("tlb_dynamic_lb", "balance-tlb", MONITOR, [("false", "0"), ("true", "1")]),
    row("tlb_dynamic_lb", "balance-alb", MONITOR, [("false", "0"), ("true", "1")]),
];

/// Younger than the machine's kernel.
const LACKING: [&str; 1] = ["broadcast_neighbor"];

fn complete() -> Result<()> {
    let known: BTreeSet<&str> = BOND_OPTIONS.iter().map(|option| option.name).collect();
    let tried: BTreeSet<&str> = ROWS.iter().map(|row| row.option).chain(LACKING).collect();
    ensure!(known == tried, "not tried: {:?}", known.symmetric_difference(&tried).collect::<Vec<_>>());
    Ok(())
}

const PORTS: &str = "{name: d0, type: dummy}, {name: d1, type: dummy}";

fn bond(mode: &str, options: &str) -> String {
    format!(
        "interfaces: [{PORTS}, {{name: b, type: bond, mtu: 1400,
          ipv4: {{address: [{{ip: 198.51.100.1, prefix-length: 24}}]}},
          link-aggregation: {{mode: {mode}, port: [d0, d1], options: {{{options}}}}}}}]"
    )
}

/// As the bonding driver shows it; `ns_ip6_target` has no file of its own, and `coupled_control` none at all.
fn shown(file: &str) -> Result<String> {
    if file == "coupled_control" {
        let link = Netlink::open()?.link_by_name("b")?.context("no bond")?;
        let kernel::LinkKind::Bond(bond) = link.kind else { bail!("{:?}", link.kind) };
        return Ok(bond.number(IFLA_BOND_COUPLED_CONTROL).context("not told")?.to_string());
    }
    if file.is_empty() {
        let all = std::fs::read_to_string("/proc/net/bonding/b")?;
        let line = all.lines().find(|line| line.starts_with("NS IPv6 target")).unwrap_or_default();
        return Ok(line.split_once("form):").map_or("", |(_, list)| list.trim()).to_owned());
    }
    let path = format!("/sys/class/net/b/bonding/{file}");
    Ok(std::fs::read_to_string(&path).context(path)?.trim().to_owned())
}

/// The bond has both ports, its address and its MTU, and is up.
fn whole(netlink: &mut Netlink) -> Result<()> {
    let ports: BTreeSet<String> = shown("slaves")?.split(' ').map(str::to_owned).collect();
    ensure!(ports == ["d0", "d1"].map(str::to_owned).into(), "its ports are {ports:?}");
    let network = Network::read(netlink)?;
    let bond = network.links.get("b").context("no bond")?;
    let has = bond.addresses.iter().any(|address| address.net.to_string() == "198.51.100.1/24");
    ensure!(bond.up && bond.mtu == 1400 && has, "{bond:?}");
    Ok(())
}

fn options() -> Result<()> {
    let netlink = &mut Netlink::open()?;
    let faults: Vec<String> = ROWS
        .iter()
        .filter_map(|row| {
            let result = option(netlink, row);
            // Whatever failed must not be in the way of the next.
            let left = apply(netlink, "interfaces: [{name: b, state: absent}]");
            let fault = result.and(left.map(drop)).err()?;
            Some(format!("{} in {}: {fault:#}", row.option, row.mode))
        })
        .collect();
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    gone(netlink)
}

fn option(netlink: &mut Netlink, row: &Row) -> Result<()> {
    let declare = |value: &str| {
        let beside = if value.is_empty() {
            row.beside.to_owned()
        } else {
            format!("{}, {}: {value}", row.beside, row.option)
        };
        bond(row.mode, &beside)
    };
    let is = |netlink: &mut Netlink, (said, expected): (&str, &str)| -> Result<()> {
        whole(netlink)?;
        let now = shown(row.file)?;
        ensure!(now == expected, "the driver says {now:?}, not {expected:?}");
        // And `show` says it in the word that a file may have.
        let network = Network::read(netlink)?;
        let of = |state: &State| -> Result<_> {
            let bond =
                state.interface("b").and_then(|bond| bond.link_aggregation.clone()).context("no bond")?;
            let option = host::state::BondOption::of_name(row.option).context("no option")?;
            Ok(bond.options.values.get(option.number).cloned())
        };
        let (shown, declared) = (of(&State::of(&network))?, of(&State::parse(&declare(said))?)?);
        ensure!(shown == declared, "show says {shown:?}, declared was {declared:?}");
        Ok(())
    };
    // A bond of before, that knows nothing of the option.
    apply(netlink, &bond(row.mode, row.beside)).context("without it")?;
    let untouched = shown(row.file)?;
    let before = Network::read(netlink)?;
    let mut affected = BTreeSet::new();
    for value in row.values {
        let applied = apply(netlink, &declare(value.0)).with_context(|| format!("set to {}", value.0))?;
        is(netlink, value).with_context(|| format!("set to {}", value.0))?;
        affected.extend(applied.wanted.affected);
    }
    // Removed: what was before it was said.
    undo(netlink, &Applied { before, wanted: Wanted { affected, ..Wanted::default() } })?;
    let now = shown(row.file)?;
    ensure!(now == untouched, "taken back the driver says {now:?}, not {untouched:?}");
    whole(netlink)?;
    // And at birth.
    let first = row.values[0];
    apply(netlink, "interfaces: [{name: b, state: absent}]")?;
    apply(netlink, &declare(first.0)).with_context(|| format!("born with {}", first.0))?;
    is(netlink, first).with_context(|| format!("born with {}", first.0))
}

fn lacking() -> Result<()> {
    let netlink = &mut Netlink::open()?;
    for option in LACKING {
        let before = Network::read(netlink)?;
        let wanted = State::parse(&bond(AD, &format!("{option}: false")))?.wanted(&before)?;
        let Err(error) = host::converge(netlink, &wanted, &mut |_| {}) else {
            bail!("{option} was set: {:?}", Network::read(netlink)?.links.get("b").map(|link| &link.kind))
        };
        ensure!(
            error.to_string().contains(option) && error.to_string().contains("this kernel"),
            "it is not told: {error}"
        );
        undo(netlink, &Applied { before, wanted })?;
    }
    gone(netlink)
}

fn modes() -> Result<()> {
    let netlink = &mut Netlink::open()?;
    let mut before: Option<&str> = None;
    // One after the other, and each back to the one before.
    for mode in BondMode::NAMES.into_iter().chain(["balance-rr"]) {
        let applied =
            apply(netlink, &bond(mode, MONITOR)).with_context(|| format!("{before:?} to {mode}"))?;
        whole(netlink)?;
        ensure!(shown("mode")?.starts_with(mode), "{mode}: {}", shown("mode")?);
        if let Some(before) = before {
            undo(netlink, &applied).with_context(|| format!("{mode} back to {before}"))?;
            ensure!(shown("mode")?.starts_with(before), "{before}: {}", shown("mode")?);
            apply(netlink, &bond(mode, MONITOR))?;
        }
        before = Some(mode);
    }
    gone(netlink)
}

fn primary() -> Result<()> {
    let netlink = &mut Netlink::open()?;
    for mode in [AB, "balance-tlb", "balance-alb"] {
        let base = apply(netlink, &bond(mode, MONITOR))?;
        let first = apply(netlink, &bond(mode, "miimon: 100, primary: d0"))?;
        ensure!(shown("primary")? == "d0", "{mode}: {}", shown("primary")?);
        apply(netlink, &bond(mode, "miimon: 100, primary: d1"))?;
        ensure!(shown("primary")? == "d1" && shown("active_slave")? == "d1", "{mode}: {}", shown("primary")?);
        whole(netlink)?;
        let last = apply(netlink, &bond(mode, "miimon: 100, primary: ''"))?;
        ensure!(shown("primary")?.is_empty(), "{mode}: {}", shown("primary")?);
        undo(netlink, &last)?;
        ensure!(shown("primary")? == "d1", "{mode}: {}", shown("primary")?);
        undo(netlink, &first)?;
        ensure!(shown("primary")?.is_empty(), "{mode}: {}", shown("primary")?);
        undo(netlink, &base)?;
        apply(netlink, &bond(mode, "miimon: 100, primary: d1"))?;
        ensure!(shown("primary")? == "d1", "born with it, {mode}: {}", shown("primary")?);
        gone(netlink)?;
    }
    Ok(())
}

fn gone(netlink: &mut Netlink) -> Result<()> {
    apply(
        netlink,
        "interfaces: [{name: b, state: absent}, {name: d0, state: absent}, {name: d1, state: absent}]",
    )?;
    let links = Network::read(netlink)?.links;
    ensure!(!links.contains_key("b") && !links.contains_key("d0"), "{:?}", links.keys());
    Ok(())
}
