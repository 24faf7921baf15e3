//! What an address that nobody has taken is to a subnet.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::known::Known;

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub(super) enum Standing {
    /// A pod can get it.
    Free,
    /// A pod could, if the subnet were not disabled.
    Disabled,
    /// The subnet's router.
    Gateway,
    /// The subnet's own address, which is its first, or the broadcast address, its last.
    Own,
    /// Taken out by this element of `spec.exclude`.
    Excluded { by: String },
    /// In no element of `spec.ranges`.
    OutsideRanges,
}

/// What the address is to the subnet; `None` outside of its CIDR.
pub(super) fn standing(known: &Known, address: IpAddr) -> Option<Standing> {
    let subnet = &known.subnet;
    if !subnet.cidr.contains(&address) {
        return None;
    }
    if subnet.usable().contains(address) {
        return Some(if subnet.disabled { Standing::Disabled } else { Standing::Free });
    }
    if subnet.gateway == Some(address) {
        return Some(Standing::Gateway);
    }
    let excluded = known.object.spec.exclude.iter().find(|element| has(element, address));
    Some(match excluded {
        Some(element) => Standing::Excluded { by: element.clone() },
        None if address == subnet.cidr.network() || is_broadcast(subnet.cidr, address) => Standing::Own,
        None => Standing::OutsideRanges,
    })
}

impl Standing {
    /// The end of a sentence that begins with the address.
    pub(super) fn words(&self, subnet: &str, network: &str) -> String {
        match self {
            Standing::Free => format!("is free, of subnet {subnet} on network {network}"),
            Standing::Disabled => {
                format!(
                    "is free, but subnet {subnet} on network {network} is disabled and gives no new addresses"
                )
            }
            Standing::Gateway => {
                format!("is the gateway of subnet {subnet} on network {network}: no pod gets it")
            }
            Standing::Own => {
                format!("is subnet {subnet}'s own or broadcast address on network {network}: no pod gets it")
            }
            Standing::Excluded { by } => {
                format!("is kept from pods by subnet {subnet} on network {network}: spec.exclude has {by}")
            }
            Standing::OutsideRanges => {
                format!(
                    "is kept from pods by subnet {subnet} on network {network}: spec.ranges does not have it"
                )
            }
        }
    }
}

fn is_broadcast(cidr: IpNet, address: IpAddr) -> bool {
    cidr.addr().is_ipv4() && address == cidr.broadcast()
}

/// Whether an element of a parsed subnet's `spec.exclude` has the address: an address, `a-b`, or a subnet.
fn has(element: &str, address: IpAddr) -> bool {
    if let Ok(net) = element.parse::<IpNet>() {
        return net.contains(&address);
    }
    let (from, to) = element.split_once('-').unwrap_or((element, element));
    let ends = (from.parse::<IpAddr>(), to.parse::<IpAddr>());
    matches!(ends, (Ok(from), Ok(to)) if (from..=to).contains(&address))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{lan4, subnet};
    use super::*;

    #[test]
    fn every_address_of_a_subnet_has_its_reason() {
        let said = |address: &str| {
            let standing = standing(&lan4(), address.parse().unwrap());
            standing.map(|standing| standing.words("lan4", "lan")).unwrap_or_default()
        };
        assert_eq!(said("10.20.0.2"), "is free, of subnet lan4 on network lan");
        assert_eq!(said("10.20.0.1"), "is the gateway of subnet lan4 on network lan: no pod gets it");
        let own = "is subnet lan4's own or broadcast address on network lan: no pod gets it";
        assert_eq!([said("10.20.0.0"), said("10.20.0.255")], [own, own]);
        let kept = "is kept from pods by subnet lan4 on network lan: spec.";
        assert_eq!(said("10.20.0.79"), format!("{kept}exclude has 10.20.0.64/28"));
        assert_eq!(said("10.20.0.99"), format!("{kept}exclude has 10.20.0.99"));
        assert_eq!(said("10.20.0.200"), format!("{kept}ranges does not have it"));
        assert_eq!(said("10.21.0.2"), "");
        let closed =
            subnet("old", "10.30.0.0/24", &json!({"disabled": true, "exclude": ["10.30.0.5-10.30.0.9"]}));
        assert_eq!(standing(&closed, "10.30.0.4".parse().unwrap()), Some(Standing::Disabled));
        let by = "10.30.0.5-10.30.0.9".to_owned();
        assert_eq!(standing(&closed, "10.30.0.9".parse().unwrap()), Some(Standing::Excluded { by }));
    }
}
