//! JSON of any version to the model.

use super::{CniResult, Dns, Interface, IpConfig, Route};
use crate::json::{Node, Object, Value};
use crate::{Error, Result, Version};

impl CniResult {
    /// Reads a result of the version it names; without one it is of version `default` (the configuration's,
    /// as the reference's `fixupResultVersion`). `null` is an empty result. Errors: code 6 for an unknown
    /// version or what is not an object, code 7 for a key of a wrong type.
    pub fn parse(value: &Value, default: Version) -> Result<CniResult> {
        read(&Object::root(value)?, default)
    }

    /// The same for a result inside a configuration: errors carry its path.
    pub(crate) fn parse_at(node: &Node<'_>, default: Version) -> Result<CniResult> {
        read(&node.object()?, default)
    }
}

fn read(object: &Object<'_>, default: Version) -> Result<CniResult> {
    let version = match object.text("cniVersion")? {
        None => default,
        Some(text) => Version::from_text(text).ok_or_else(|| {
            let text = crate::error::shorten(text, 64);
            Error::decode(format!("unsupported CNI result version {text:?}"))
        })?,
    };
    let mut result = CniResult::default();
    if let Some(dns) = object.object("dns")? {
        result.dns = Dns::parse(&dns)?;
    }
    if version < Version::V030 {
        for key in ["ip4", "ip6"] {
            if let Some(family) = object.object(key)? {
                result.ips.push(IpConfig {
                    address: required_net(&family, "ip")?,
                    gateway: family.address("gateway")?,
                    interface: None,
                });
                read_routes(&family, &mut result.routes)?;
            }
        }
        return Ok(result);
    }
    for interface in object.objects("interfaces")? {
        result.interfaces.push(read_interface(&interface)?);
    }
    for ip in object.objects("ips")? {
        result.ips.push(IpConfig {
            address: required_net(&ip, "address")?,
            gateway: ip.address("gateway")?,
            interface: ip
                .integer("interface", 0..=i64::from(i32::MAX))?
                .and_then(|index| usize::try_from(index).ok()),
        });
    }
    read_routes(object, &mut result.routes)?;
    Ok(result)
}

fn required_net(object: &Object<'_>, key: &str) -> Result<ipnet::IpNet> {
    object.net(key)?.ok_or_else(|| object.missing(key, "an address with prefix length, such as 10.1.2.3/24"))
}

fn read_interface(object: &Object<'_>) -> Result<Interface> {
    let text = |key| object.string(key).map(|text| text.unwrap_or_default().to_owned());
    Ok(Interface {
        name: text("name")?,
        mac: text("mac")?,
        mtu: positive(object.u32("mtu")?),
        sandbox: text("sandbox")?,
        socket_path: text("socketPath")?,
        pci_id: text("pciID")?,
    })
}

fn read_routes(object: &Object<'_>, routes: &mut Vec<Route>) -> Result<()> {
    for route in object.objects("routes")? {
        routes.push(Route::parse(&route)?);
    }
    Ok(())
}

/// Go leaves a zero out of a result, so it says nothing.
fn positive(value: Option<u32>) -> Option<u32> {
    value.filter(|value| *value != 0)
}

impl Route {
    /// A route as it stands in results and in `ipam.routes`.
    pub fn parse(object: &Object<'_>) -> Result<Route> {
        let scope = object.u32_in("scope", 0..=255)?;
        Ok(Route {
            dst: required_net(object, "dst")?,
            gw: object.address("gw")?,
            mtu: positive(object.u32("mtu")?),
            advmss: positive(object.u32("advmss")?),
            priority: positive(object.u32("priority")?),
            table: object.u32("table")?,
            scope: scope.and_then(|scope| u8::try_from(scope).ok()),
        })
    }
}

impl Dns {
    /// A `dns` object as it stands in configurations and results.
    pub fn parse(object: &Object<'_>) -> Result<Dns> {
        let list = |key| -> Result<Vec<String>> {
            Ok(object.strings(key)?.into_iter().map(str::to_owned).collect())
        };
        Ok(Dns {
            nameservers: list("nameservers")?,
            domain: object.string("domain")?.unwrap_or_default().to_owned(),
            search: list("search")?,
            options: list("options")?,
        })
    }
}
