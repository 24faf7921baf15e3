//! Reading the texts of an object; what is wrong is told with the object's kind and name and the field's path.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::core::Selector;

use crate::Mac;
use crate::error::shorten;
use crate::name::{IFNAME, IfName, LABEL, SUBDOMAIN, is_label, is_subdomain};
use crate::{Error, Result};

/// The object that is read.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    kind: &'static str,
    metadata: &'a ObjectMeta,
}

impl<'a> Object<'a> {
    pub(super) fn new(kind: &'static str, metadata: &'a ObjectMeta) -> Object<'a> {
        Object { kind, metadata }
    }

    /// `metadata.name`, empty when the object has none yet.
    pub(super) fn name(self) -> &'a str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// `metadata.namespace`, empty for a kind of the cluster.
    pub(super) fn namespace(self) -> &'a str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn refuse(self, path: impl Display, problem: impl Display) -> Error {
        let name = match self.namespace() {
            "" => self.name().to_owned(),
            namespace => format!("{namespace}/{}", self.name()),
        };
        Error::Object { kind: self.kind, name, path: path.to_string(), problem: problem.to_string() }
    }

    /// The refusal of a text for what it must be.
    fn refuse_text(self, path: impl Display, text: &str, must: impl Display) -> Error {
        self.refuse(path, format!("{:?} must be {must}", shorten(text)))
    }

    pub(super) fn label(self, path: impl Display, text: &str) -> Result<String> {
        if is_label(text) { Ok(text.to_owned()) } else { Err(self.refuse_text(path, text, LABEL)) }
    }

    pub(super) fn subdomain(self, path: impl Display, text: &str) -> Result<String> {
        if is_subdomain(text) { Ok(text.to_owned()) } else { Err(self.refuse_text(path, text, SUBDOMAIN)) }
    }

    pub(super) fn interface(self, path: impl Display, text: &str) -> Result<IfName> {
        IfName::new(text).ok_or_else(|| self.refuse_text(path, text, IFNAME))
    }

    pub(super) fn address(self, path: impl Display, text: &str) -> Result<IpAddr> {
        read_address(text).ok_or_else(|| {
            self.refuse_text(path, text, "an IP address in its shortest form, such as 10.0.0.5 or fd00::5")
        })
    }

    pub(super) fn net(self, path: impl Display, text: &str) -> Result<IpNet> {
        read_net(text).ok_or_else(|| {
            self.refuse_text(
                path,
                text,
                "a subnet in its shortest form without host bits, such as 10.0.0.0/24 or fd00::/64",
            )
        })
    }

    /// `a` or `a-b`, both ends included, the first not after the last.
    pub(super) fn run(self, path: impl Display, text: &str) -> Result<(IpAddr, IpAddr)> {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let ends = read_address(from).zip(read_address(to));
        let ends = ends.filter(|(from, to)| from.is_ipv4() == to.is_ipv4());
        let Some((from, to)) = ends else {
            let must =
                "an address, or the first and the last of several, such as 10.0.0.5 or 10.0.0.5-10.0.0.9";
            return Err(self.refuse_text(path, text, must));
        };
        if from > to {
            return Err(self.refuse(path, format!("{text} must have its first address first: {to}-{from}")));
        }
        Ok((from, to))
    }

    /// A run, or a subnet as the run of all its addresses.
    pub(super) fn run_or_net(self, path: impl Display, text: &str) -> Result<(IpAddr, IpAddr)> {
        if text.contains('/') {
            let net = self.net(path, text)?;
            return Ok((net.network(), net.broadcast()));
        }
        self.run(path, text)
    }

    pub(super) fn mac(self, path: impl Display, text: &str) -> Result<Mac> {
        text.parse().map_err(|no| self.refuse(path, format!("{:?} {no}", shorten(text))))
    }

    pub(super) fn selector(self, path: impl Display, selector: &LabelSelector) -> Result<Selector> {
        selector.clone().try_into().map_err(|error| self.refuse(path, error))
    }

    /// Hours, minutes and seconds, each at most once and in this order.
    pub(super) fn duration(self, path: impl Display, text: &str) -> Result<Duration> {
        read_duration(text).ok_or_else(|| {
            self.refuse_text(
                path,
                text,
                "hours, minutes and seconds, at most 720h, such as 30s, 10m or 1h30m",
            )
        })
    }
}

/// The address of its shortest form. An IPv4 address in IPv6 form is none.
fn read_address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    (address == address.to_canonical() && address.to_string() == text).then_some(address)
}

fn read_net(text: &str) -> Option<IpNet> {
    let net: IpNet = text.parse().ok()?;
    (net.addr() == net.addr().to_canonical() && net.trunc().to_string() == text).then_some(net)
}

fn read_duration(text: &str) -> Option<Duration> {
    const MOST: Duration = Duration::from_secs(720 * 3600);
    let (mut rest, mut sum) = (text, Duration::ZERO);
    for (unit, seconds) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let number: u64 = number.parse().ok().filter(|_| digits)?;
            sum = sum.checked_add(Duration::from_secs(number.checked_mul(seconds)?))?;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty() && sum <= MOST).then_some(sum)
}
