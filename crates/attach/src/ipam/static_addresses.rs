//! `static`: the addresses that the configuration or the runtime names.

use std::net::IpAddr;

use cni::json::{Node, Object};
use cni::{Args, CniResult, Dns, IpConfig, Plugin, Request, Route, Version};
use ipnet::IpNet;

use crate::{Error, Result};

/// The plugin type `static`.
#[derive(Debug)]
pub struct StaticPlugin;

/// A network whose addresses are named.
#[derive(Debug)]
pub struct StaticAddresses {
    ips: Vec<IpConfig>,
    routes: Vec<Route>,
    dns: Dns,
}

impl StaticAddresses {
    /// The addresses, of the first source that has any: `runtimeConfig.ips`; `args.cni.ips`; else
    /// `ipam.addresses` and `IP` of `CNI_ARGS` together.
    ///
    /// Differs: an address of `ips` in the subnet of one in `ipam.addresses` keeps that one's gateway; the
    /// reference drops it, which leaves the pod without its default route.
    ///
    /// # Errors
    /// Code 7, in the reference's words; code 4 for `CNI_ARGS`.
    pub fn parse(request: &Request) -> cni::Result<Self> {
        let ipam =
            request.ipam()?.ok_or_else(|| cni::Error::invalid_config("IPAM config missing 'ipam' key"))?;
        let mut asked = from_env(&request.env.args)?;
        let mut instead = Vec::new();
        let structured = [request.args_cni()?, request.runtime_config()?];
        for ips in structured.iter().flatten().map(|object| object.items("ips")) {
            let ips = ips?;
            if !ips.is_empty() {
                instead = ips.iter().map(entry_of_ips).collect::<cni::Result<_>>()?;
            }
        }
        let ips = if instead.is_empty() {
            let mut ips = ipam.objects("addresses")?.iter().map(address).collect::<cni::Result<Vec<_>>>()?;
            ips.append(&mut asked);
            ips
        } else {
            // What is replaced need not be valid, as with the reference; what is, may lend its gateway.
            let known = ipam.objects("addresses")?;
            let known: Vec<IpConfig> = known.iter().filter_map(|entry| address(entry).ok()).collect();
            instead
                .into_iter()
                .map(|net| IpConfig { gateway: kept_gateway(net, &known), ..config(net) })
                .collect()
        };
        check_number(request.version, &ips)?;
        let mut routes = Vec::new();
        for route in ipam.objects("routes")? {
            routes.push(Route::parse(&route)?);
        }
        let dns = ipam.object("dns")?.map_or(Ok(Dns::default()), |dns| Dns::parse(&dns))?;
        Ok(Self { ips, routes, dns })
    }

    /// The result.
    pub fn claim(&self) -> CniResult {
        CniResult {
            interfaces: Vec::new(),
            ips: self.ips.clone(),
            routes: self.routes.clone(),
            dns: self.dns.clone(),
        }
    }

    /// Every address is in `prevResult`, with its gateway. Differs: the reference overlooks a missing one.
    ///
    /// # Errors
    /// [`Error::Mismatch`]; [`Error::Cni`] without `prevResult`.
    pub fn check(&self, request: &Request) -> Result<()> {
        let promised = request.required_prev_result("Required prevResult missing")?;
        let ifname = &request.env.ifname;
        for ip in &self.ips {
            let address = ip.address.addr();
            let found = promised.ips.iter().find(|found| found.address.addr() == address);
            if found.is_none_or(|found| ip.gateway.is_some() && ip.gateway != found.gateway) {
                return Err(Error::Mismatch(format!(
                    "static: Failed to match addr {address} on interface {ifname}"
                )));
            }
        }
        Ok(())
    }
}

impl Plugin for StaticPlugin {
    fn about(&self) -> String {
        super::about("static")
    }

    fn add(&self, request: &Request) -> cni::Result<CniResult> {
        Ok(StaticAddresses::parse(request)?.claim())
    }

    fn del(&self, _request: &Request) -> cni::Result<()> {
        Ok(())
    }

    fn check(&self, request: &Request) -> cni::Result<()> {
        Ok(StaticAddresses::parse(request)?.check(request)?)
    }

    fn status(&self, request: &Request) -> cni::Result<()> {
        StaticAddresses::parse(request).map(drop)
    }
}

/// `IP=a/b,c/d` and `GATEWAY=g1,g2`; a gateway goes to every address whose subnet has it.
fn from_env(text: &str) -> cni::Result<Vec<IpConfig>> {
    let args = Args::strict(text, &["IP", "GATEWAY", "MAC"])?;
    let list =
        |key| args.get(key).filter(|value| !value.is_empty()).into_iter().flat_map(|value| value.split(','));
    let mut ips = Vec::new();
    for item in list("IP").map(str::trim) {
        let net = parse_net(item).ok_or_else(|| {
            cni::Error::env(format!("the 'ip' field is expected to be in CIDR notation, got: '{item}'"))
        })?;
        ips.push(config(net));
    }
    for item in list("GATEWAY") {
        let gateway: IpAddr =
            (item.trim().parse()).map_err(|_| cni::Error::env(format!("invalid gateway address: {item}")))?;
        let gateway = gateway.to_canonical();
        for ip in ips.iter_mut().filter(|ip| ip.address.contains(&gateway)) {
            ip.gateway = Some(gateway);
        }
    }
    Ok(ips)
}

fn entry_of_ips(node: &Node<'_>) -> cni::Result<IpNet> {
    let text = node.string()?;
    parse_net(text).ok_or_else(|| {
        cni::Error::invalid_config(format!(
            "an entry in the 'ips' field is NOT in CIDR notation, got: '{text}'"
        ))
        .with_details(format!("see {}", node.path))
    })
}

fn address(entry: &Object<'_>) -> cni::Result<IpConfig> {
    let text = entry.string("address")?.unwrap_or_default();
    let net = parse_net(text).ok_or_else(|| {
        cni::Error::invalid_config(format!(
            "the 'address' field is expected to be in CIDR notation, got: '{text}'"
        ))
        .with_details(format!("see {}", entry.path_of("address")))
    })?;
    Ok(IpConfig { gateway: entry.address("gateway")?, ..config(net) })
}

fn config(address: IpNet) -> IpConfig {
    IpConfig { address, gateway: None, interface: None }
}

/// The gateway of a known address in the same subnet, unless it is the address itself.
fn kept_gateway(net: IpNet, known: &[IpConfig]) -> Option<IpAddr> {
    let same = known.iter().filter(|ip| ip.address.trunc() == net.trunc());
    same.filter_map(|ip| ip.gateway).find(|gateway| *gateway != net.addr())
}

/// An address with prefix length, as Go's `ParseCIDR`: IPv4 in IPv6 form becomes IPv4.
fn parse_net(text: &str) -> Option<IpNet> {
    let net: IpNet = text.parse().ok()?;
    match net.addr().to_canonical() {
        address if address == net.addr() => Some(net),
        address => IpNet::new(address, net.prefix_len().checked_sub(96)?).ok(),
    }
}

fn check_number(version: Version, ips: &[IpConfig]) -> cni::Result<()> {
    let v4 = ips.iter().filter(|ip| ip.address.addr().is_ipv4()).count();
    if (v4 > 1 || ips.len() - v4 > 1) && version < Version::V030 {
        return Err(super::too_many(version));
    }
    Ok(())
}
