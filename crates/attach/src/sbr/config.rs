//! What a configuration asks `sbr` for.

use std::net::IpAddr;

use cni::json::Object;
use cni::{CniResult, Error, IpConfig, Result};
use kernel::Family;

/// The keys of `sbr`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// Only point rules at this table, which somebody else fills.
    pub(crate) table: Option<u32>,
    /// Instead of the gateways of prevResult, per family.
    gateway_v4: Option<IpAddr>,
    gateway_v6: Option<IpAddr>,
    /// Keep a route to each subnet in the main table, with the address as its preferred source.
    pub(crate) add_source_hints: bool,
}

impl Config {
    /// # Errors
    /// Code 7 naming the key.
    pub(crate) fn read(root: &Object<'_>) -> Result<Self> {
        let mut config = Self {
            table: root.u32_in("table", 1..=u32::MAX)?,
            add_source_hints: root.bool("addSourceHints")?.unwrap_or(false),
            ..Self::default()
        };
        for node in root.items("gateways")? {
            let gateway = node.address()?;
            let place = match Family::of(gateway) {
                Family::V4 => &mut config.gateway_v4,
                Family::V6 => &mut config.gateway_v6,
            };
            if place.replace(gateway).is_some() {
                return Err(node.refuse("at most one IPv4 and one IPv6 address in the list"));
            }
        }
        Ok(config)
    }

    /// The gateway that packets from this address take.
    pub(crate) fn gateway_of(&self, ip: &IpConfig) -> Option<IpAddr> {
        let fixed = match Family::of(ip.address.addr()) {
            Family::V4 => self.gateway_v4,
            Family::V6 => self.gateway_v6,
        };
        fixed.or(ip.gateway)
    }
}

/// The addresses of `result` on `ifname`; one that does not say its interface counts.
///
/// # Errors
/// Code 7 when there are none: without a source there is nothing to route by.
pub(crate) fn addresses_of<'a>(result: &'a CniResult, ifname: &str) -> Result<Vec<&'a IpConfig>> {
    let named = |index: usize| result.interfaces.get(index).is_none_or(|interface| interface.name == ifname);
    let found: Vec<&IpConfig> = result.ips.iter().filter(|ip| ip.interface.is_none_or(named)).collect();
    if found.is_empty() {
        // The reference goes on here when other interfaces have addresses, and deletes every route of this one.
        return Err(Error::invalid_config(format!("No IP addresses supplied on interface: {ifname}")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(keys: &str) -> Result<Config> {
        let value = cni::json::parse(format!("{{{keys}}}").as_bytes())?;
        Config::read(&Object::root(&value)?)
    }

    #[test]
    fn keys_are_read() {
        assert_eq!(read("").unwrap(), Config::default());
        let config =
            read(r#""table":7,"addSourceHints":true,"gateways":["2001:db8::1","10.0.0.1"]"#).unwrap();
        assert_eq!((config.table, config.add_source_hints), (Some(7), true));
        assert_eq!(config.gateway_v4, "10.0.0.1".parse().ok());
        assert_eq!(config.gateway_v6, "2001:db8::1".parse().ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (keys, words) in [
            (r#""table":0"#, "table"),
            (r#""table":-1"#, "table"),
            (r#""table":"main""#, "table"),
            (r#""gateways":["x"]"#, "gateways[0]"),
            (r#""gateways":["10.0.0.1","10.0.0.2"]"#, "gateways[1]"),
            (r#""gateways":["10.0.0.1","::1","10.0.0.2"]"#, "gateways[2]"),
            (r#""gateways":"10.0.0.1""#, "gateways"),
            (r#""addSourceHints":"yes""#, "addSourceHints"),
        ] {
            let error = read(keys).unwrap_err();
            assert_eq!(error.code(), 7, "{keys}");
            assert!(error.to_string().contains(words), "{keys}: {error}");
        }
    }

    #[test]
    fn addresses_of_other_interfaces_do_not_count() {
        let text = r#"{"cniVersion":"1.0.0","interfaces":[{"name":"eth0"},{"name":"net1"}],"ips":[
            {"address":"10.0.0.2/24","interface":0},{"address":"10.0.1.2/24","interface":1},
            {"address":"10.0.2.2/24"},{"address":"10.0.3.2/24","interface":9}]}"#;
        let result =
            CniResult::parse(&cni::json::parse(text.as_bytes()).unwrap(), cni::Version::V100).unwrap();
        let of = |ifname| -> Vec<String> {
            addresses_of(&result, ifname).unwrap().iter().map(|ip| ip.address.to_string()).collect()
        };
        assert_eq!(of("net1"), ["10.0.1.2/24", "10.0.2.2/24", "10.0.3.2/24"]);
        let only = CniResult { ips: result.ips[..1].to_vec(), ..result.clone() };
        assert!(addresses_of(&only, "net1").is_err());
    }
}
