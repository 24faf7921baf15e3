//! What is named on the command line: networks, subnets, namespaces, addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use anyhow::bail;
use api::kinds::parse_claim_name;

/// A name of Kubernetes. Others cannot exist, and would mean something else in the selector of a list.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if text.is_empty() || text.len() > 253 || !text.chars().all(fits) {
        return Err("a name has lower-case letters, digits, - and . only".to_owned());
    }
    Ok(text.to_owned())
}

/// An address, or the name of its MacvlanIP, which says the network as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) address: IpAddr,
    pub(super) network: Option<String>,
}

impl Asked {
    /// The same, on the network that is named beside it.
    pub(super) fn on(&self, network: Option<&String>) -> anyhow::Result<Asked> {
        if let (Some(own), Some(other)) = (&self.network, network)
            && own != other
        {
            bail!("--network {other}: the MacvlanIP that is named is of network {own}");
        }
        Ok(Asked { address: self.address, network: self.network.as_ref().or(network).cloned() })
    }
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Asked, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Asked { address: address.to_canonical(), network: None });
        }
        match parse_claim_name(text) {
            Some((network, address)) => Ok(Asked { address, network: Some(network.to_owned()) }),
            None => Err("an address such as 10.20.0.57 or fd00::5 is expected, or the name of a MacvlanIP such as lan.10.20.0.57"
                .to_owned()),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.network {
            Some(network) => write!(f, "{} on network {network}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_three_ways() {
        let asked = |text: &str| text.parse::<Asked>().unwrap().to_string();
        assert_eq!(asked("10.20.0.57"), "10.20.0.57");
        assert_eq!(asked("::ffff:10.20.0.57"), "10.20.0.57");
        assert_eq!(asked("FD00:0::5"), "fd00::5");
        assert_eq!(asked("lan.fd00--5"), "fd00::5 on network lan");
        for wrong in ["", "10.20.0", "10.20.0.0/24", "lan", "lan.10.20.0.057"] {
            assert!(wrong.parse::<Asked>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_network_is_said_once_or_alike() {
        let on = |text: &str, network: Option<&str>| {
            let asked = text.parse::<Asked>().unwrap().on(network.map(str::to_owned).as_ref());
            asked.map_or_else(|error| error.to_string(), |asked| asked.to_string())
        };
        assert_eq!(on("10.20.0.57", None), "10.20.0.57");
        assert_eq!(on("10.20.0.57", Some("lan")), "10.20.0.57 on network lan");
        assert_eq!(on("lan.10.20.0.57", None), "10.20.0.57 on network lan");
        assert_eq!(on("lan.10.20.0.57", Some("lan")), "10.20.0.57 on network lan");
        assert_eq!(
            on("lan.10.20.0.57", Some("dmz")),
            "--network dmz: the MacvlanIP that is named is of network lan"
        );
    }

    #[test]
    fn names_do_not_change_a_selector() {
        assert_eq!(name("lan-1.a"), Ok("lan-1.a".to_owned()));
        for wrong in ["", "Lan", "lan,spec.subnet=x", "lan x"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
