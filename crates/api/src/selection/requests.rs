//! The structured requests: port mappings and bandwidth.

use std::net::IpAddr;

use cni::json::{Node, Object, Value};

use super::refuse;
use crate::{Error, Result};

/// One entry of `portMappings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// 1 to 65535.
    pub host_port: u16,
    /// 1 to 65535.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp` in either case, as written; empty when absent.
    pub protocol: String,
    /// An address of the host.
    pub host_ip: Option<IpAddr>,
}

/// `bandwidth`: bits per second, and bits at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// Towards the pod.
    pub ingress_rate: u64,
    /// Above zero when the rate is.
    pub ingress_burst: u64,
    /// From the pod.
    pub egress_rate: u64,
    /// Above zero when the rate is.
    pub egress_burst: u64,
}

impl PortMapping {
    pub(super) fn read(node: &Node<'_>) -> Result<PortMapping> {
        let object = node.object().map_err(Error::Key)?;
        // Differs: Multus passes any number and text, and the plugin fails with less to say.
        let protocol = object.text("protocol").map_err(Error::Key)?.unwrap_or_default();
        if !["", "tcp", "udp", "sctp"].iter().any(|known| known.eq_ignore_ascii_case(protocol)) {
            return Err(refuse(&object.path_of("protocol"), protocol, "tcp, udp or sctp"));
        }
        Ok(PortMapping {
            host_port: port(&object, "hostPort")?,
            container_port: port(&object, "containerPort")?,
            protocol: protocol.to_owned(),
            host_ip: object.address("hostIP").map_err(Error::Key)?,
        })
    }

    /// As it stands in `runtimeConfig`, with Go's order of keys.
    pub(crate) fn to_value(&self) -> Value {
        let mut value = Value::object([
            ("hostPort", Value::from(u32::from(self.host_port))),
            ("containerPort", Value::from(u32::from(self.container_port))),
        ]);
        if !self.protocol.is_empty() {
            value.set("protocol", self.protocol.as_str().into());
        }
        if let Some(address) = self.host_ip {
            value.set("hostIP", address.to_string().into());
        }
        value
    }
}

fn port(object: &Object<'_>, key: &str) -> Result<u16> {
    let port = object.integer(key, 1..=i64::from(u16::MAX)).map_err(Error::Key)?;
    port.and_then(|port| u16::try_from(port).ok())
        .ok_or_else(|| Error::Key(object.missing(key, "a port from 1 to 65535")))
}

impl Bandwidth {
    pub(super) fn read(object: &Object<'_>) -> Result<Bandwidth> {
        let bits = |key: &str| -> Result<u64> {
            // Go's int.
            let value = object.integer(key, 0..=i64::MAX).map_err(Error::Key)?.unwrap_or(0);
            Ok(u64::try_from(value).unwrap_or(0))
        };
        let bandwidth = Bandwidth {
            ingress_rate: bits("ingressRate")?,
            ingress_burst: bits("ingressBurst")?,
            egress_rate: bits("egressRate")?,
            egress_burst: bits("egressBurst")?,
        };
        // Differs: Multus leaves this to the plugin, which does not say whose annotation is wrong.
        for (rate, burst, key) in [
            (bandwidth.ingress_rate, bandwidth.ingress_burst, "ingressBurst"),
            (bandwidth.egress_rate, bandwidth.egress_burst, "egressBurst"),
        ] {
            if (rate == 0) != (burst == 0) {
                let allowed = "rate and burst of a direction both above zero, or both absent";
                return Err(Error::Key(cni::Error::config(&object.path_of(key), burst, allowed)));
            }
        }
        Ok(bandwidth)
    }

    /// As it stands in `runtimeConfig`: all four, as Go writes them.
    pub(crate) fn to_value(self) -> Value {
        Value::object([
            ("ingressRate", Value::from(self.ingress_rate)),
            ("ingressBurst", Value::from(self.ingress_burst)),
            ("egressRate", Value::from(self.egress_rate)),
            ("egressBurst", Value::from(self.egress_burst)),
        ])
    }
}
