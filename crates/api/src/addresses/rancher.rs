//! The annotations of Rancher's flat networks, first and second generation. Both have one flat interface for a pod: here
//! the first one.

use super::draft::{Draft, Said, Wish};
use super::own::{MAC, mac_twice, twice};
use super::{AddressList, IpRange, MacList, NamePattern, SubnetNames, Texts, refuse};
use crate::selection::hardware;
use crate::{Mac, Result, name::LABEL};

/// One generation's keys.
struct Keys {
    ip: &'static str,
    mac: &'static str,
    subnet: &'static str,
}

const GENERATIONS: [Keys; 2] = [
    Keys {
        ip: "flatnetwork.pandaria.io/ip",
        mac: "flatnetwork.pandaria.io/mac",
        subnet: "flatnetwork.pandaria.io/subnet",
    },
    Keys {
        ip: "macvlan.pandaria.cattle.io/ip",
        mac: "macvlan.pandaria.cattle.io/mac",
        subnet: "macvlan.pandaria.cattle.io/subnet",
    },
];

const AUTO: &str = "auto";

/// The keys of both generations.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    GENERATIONS.iter().flat_map(|keys| [keys.ip, keys.mac, keys.subnet])
}

/// What they say of the first interface.
pub(super) fn read(texts: &Texts<'_, '_>) -> Result<Vec<(usize, Draft)>> {
    let mut found = Vec::new();
    for keys in GENERATIONS {
        let mut draft = Draft::default();
        if let Some(text) = texts.get(keys.subnet)? {
            let name = NamePattern::name(text)
                .ok_or_else(|| refuse(keys.subnet, text, &format!("a subnet's name: {LABEL}")))?;
            draft.subnets = Some(Said { by: keys.subnet.to_owned(), what: SubnetNames::Any(vec![name]) });
        }
        if let Some(text) = texts.get(keys.ip)? {
            draft.addresses = Some(Said { by: keys.ip.to_owned(), what: wish(text, keys.ip)? });
        }
        if let Some(text) = texts.get(keys.mac)?.filter(|text| *text != AUTO) {
            draft.macs = Some(Said { by: keys.mac.to_owned(), what: macs(text, keys.mac)? });
        }
        found.push((0, draft));
    }
    Ok(found)
}

/// Commas, ASCII's and the full-width one of Rancher's own console.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '，']).map(str::trim)
}

/// `auto`, an address, or addresses with hyphens between: here a hyphen makes no range.
fn wish(text: &str, key: &str) -> Result<Wish> {
    if text == AUTO {
        return Ok(Wish { ips: AddressList::default(), auto: true });
    }
    let mut ranges = Vec::new();
    for item in items(text).flat_map(|item| item.split('-')).map(str::trim) {
        let address = item.parse().ok().and_then(|address| IpRange::new(address, address));
        ranges.push(address.ok_or_else(|| {
            let allowed = "auto, an address, or addresses with - or , between; a range is written in llano.dev/addresses";
            refuse(key, item, allowed)
        })?);
    }
    let ips = AddressList::new(ranges).map_err(|address| twice(key, address))?;
    Ok(Wish { ips, auto: false })
}

/// A MAC, or MACs with hyphens between. One that has hyphens itself is read as one.
fn macs(text: &str, key: &str) -> Result<MacList> {
    let mut macs = Vec::new();
    for item in items(text) {
        let parts: Vec<&str> = match hardware::parse(item) {
            Some(_) => vec![item],
            None => item.split('-').map(str::trim).collect(),
        };
        for part in parts {
            macs.push(Mac::parse(part).ok_or_else(|| {
                refuse(key, part, &format!("auto, {MAC}, or such addresses with - or , between"))
            })?);
        }
    }
    MacList::new(macs).map_err(|mac| mac_twice(key, mac))
}
