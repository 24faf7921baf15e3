//! The other end of the host's two cables, in a namespace of the guest: a switch or a bond, with a VLAN interface each for
//! 100 and 200 and a router between them.

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use kernel::uapi::{IFA_F_NODAD, IFLA_BOND_AD_LACP_RATE, IFLA_BOND_MIIMON};
use kernel::{Address, Bond, Change, LinkKind, NetNs, Netlink, NewLink, SetLink};

use crate::caller::namespace;
use crate::site::{link, make, make_vlan, set};

/// The host's bond modes, and what the other end is for each: a plain switch needs nothing for active-backup, a static
/// aggregate for balance-xor, and LACP for 802.3ad.
pub const MODES: [(&str, Option<u8>); 3] =
    [("active-backup", None), ("balance-xor", Some(2)), ("802.3ad", Some(4))];

/// `partner MODE`: of `eth2` and `eth3`.
///
/// # Errors
/// The kernel's.
pub fn run(words: &[String]) -> Result<()> {
    let [mode] = words else { bail!("partner MODE") };
    let Some((_, aggregate)) = MODES.iter().find(|(name, _)| name == mode) else { bail!("no mode {mode}") };
    std::fs::create_dir_all("/run/netns")?;
    let trunk = NetNs::create_at(&namespace("trunk"))?;
    for name in ["eth2", "eth3"] {
        give(name, &trunk)?;
    }
    let kind = match aggregate {
        Some(mode) => {
            let bond = Bond::new(*mode).with(IFLA_BOND_MIIMON, 50u32);
            let fast = if *mode == 4 { bond.with(IFLA_BOND_AD_LACP_RATE, 1u32) } else { bond };
            LinkKind::Bond(fast)
        }
        None => LinkKind::Bridge,
    };
    set(&trunk, link(&trunk, "lo")?.index, SetLink::up())?;
    let port = make(&trunk, NewLink::new("port0", kind))?;
    for name in ["eth2", "eth3"] {
        let index = link(&trunk, name)?.index;
        set(&trunk, index, SetLink::down())?;
        set(&trunk, index, SetLink { master: Some(port), ..SetLink::default() })?;
        set(&trunk, index, SetLink::up())?;
    }
    make_vlan(&trunk, "port0", 100, Some("10.100.0.1/24"))?;
    make_vlan(&trunk, "port0", 200, Some("10.200.0.1/24"))?;
    trunk.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
    Ok(())
}

/// `neighbour CARD ADDRESS…`: the card in a namespace of its own, with these addresses.
///
/// # Errors
/// The kernel's.
pub fn neighbour(words: &[String]) -> Result<()> {
    let [card, addresses @ ..] = words else { bail!("neighbour CARD ADDRESS...") };
    std::fs::create_dir_all("/run/netns")?;
    let net = NetNs::create_at(&namespace("neighbour"))?;
    give(card, &net)?;
    let index = link(&net, card)?.index;
    for address in addresses {
        let address = Address::new(index, address.parse::<IpNet>()?).with_flags(IFA_F_NODAD);
        Netlink::open_in(&net)?.apply(&Change::AddAddress(address))?;
    }
    set(&net, index, SetLink::up())
}

/// Moves a card of the guest into a namespace.
fn give(name: &str, net: &NetNs) -> Result<()> {
    let mut host = Netlink::open()?;
    let card = host.link_by_name(name)?.with_context(|| format!("there is no {name}"))?;
    let move_it = SetLink { netns: Some(net.clone()), ..SetLink::default() };
    Ok(host.apply(&Change::SetLink { index: card.index, set: move_it })?)
}
