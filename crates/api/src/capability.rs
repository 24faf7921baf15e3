//! Who honours a request: what goes into `runtimeConfig` and `CNI_ARGS`, what is refused because nobody would read it, and
//! what the result has to show afterwards.

use cni::CniResult;
use cni::json::Value;

use crate::selection::{parse_address, same_hardware_address};
use crate::{Bandwidth, Error, NetConfig, PluginConfig, PortMapping, Result, Selection};

/// Plugins whose habits are known: those of the reference.
const KNOWN: [&str; 11] = [
    "macvlan",
    "ipvlan",
    "bridge",
    "ptp",
    "vlan",
    "host-device",
    "dummy",
    "tap",
    "tuning",
    "sbr",
    "bandwidth",
];
/// Of these, the ones that read `MAC=` in `CNI_ARGS`, and sriov.
const READ_MAC: [&str; 5] = ["macvlan", "bridge", "tap", "tuning", "sriov"];
/// IPAM plugins that read `IP=` in `CNI_ARGS`.
const READ_IP: [&str; 3] = ["host-local", "static", "whereabouts"];

/// What a request is checked against.
pub(crate) struct Asked<'a> {
    pub(crate) selection: &'a Selection,
    pub(crate) config: &'a NetConfig,
    /// Where the element stands: `k8s.v1.cni.cncf.io/networks[0]`.
    pub(crate) path: &'a str,
    /// The network as the status names it.
    pub(crate) network: &'a str,
}

impl Asked<'_> {
    /// Refuses what nobody would read. Differs: Multus drops it in silence; the specification wants the failure.
    pub(crate) fn check(&self) -> Result<()> {
        let selection = self.selection;
        if !selection.ips.is_empty() {
            self.check_ips()?;
        }
        if selection.mac.is_some() {
            self.check_mac()?;
        }
        for (asked, key, capability) in [
            (!selection.port_mappings.is_empty(), "portMappings", "portMappings"),
            (selection.bandwidth.is_some(), "bandwidth", "bandwidth"),
            (selection.infiniband_guid.is_some(), "infiniband-guid", "infinibandGUID"),
            (selection.device_id.is_some(), "deviceID", "deviceID"),
        ] {
            if asked && !self.config.has_capability(capability) {
                return Err(self.nobody(key, format!("no plugin declares the capability {capability}")));
            }
        }
        if let Some(claim) = &selection.ipam_claim
            && self.config.plugins().iter().all(is_known)
            && self.ipams().all(|ipam| matches!(ipam, "host-local" | "static" | "dhcp"))
        {
            return Err(
                self.nobody("ipam-claim-reference", format!("none of its plugins reads the claim {claim}"))
            );
        }
        Ok(())
    }

    fn check_ips(&self) -> Result<()> {
        if self.config.has_capability("ips") {
            return Ok(());
        }
        let several = self.selection.ips.len() > 1;
        if several && self.ipams().any(|ipam| ipam == "host-local") {
            let why = "host-local takes one address in CNI_ARGS; for more, \
                       \"capabilities\": {\"ips\": true} is needed in the network's configuration";
            return Err(self.nobody("ips", why.to_owned()));
        }
        let reads = self.ipams().any(|ipam| READ_IP.contains(&ipam));
        let unknown = self.ipams().any(|ipam| ipam != "dhcp") || !self.config.plugins().iter().all(is_known);
        if reads || unknown {
            return Ok(());
        }
        let ipam = match self.ipams().next() {
            None => "it has no ipam".to_owned(),
            Some(ipam) => format!("its ipam {ipam} takes no address"),
        };
        Err(self.nobody("ips", format!("{ipam}, and no plugin declares the capability ips")))
    }

    fn check_mac(&self) -> Result<()> {
        let plugins = self.config.plugins();
        let reads = plugins.iter().any(|plugin| READ_MAC.contains(&plugin.kind()));
        if reads || self.config.has_capability("mac") || !plugins.iter().all(is_known) {
            return Ok(());
        }
        let kinds: Vec<&str> = plugins.iter().map(PluginConfig::kind).collect();
        let kinds = kinds.join(", ");
        Err(self.nobody(
            "mac",
            format!("{kinds} takes no MAC address, and no plugin declares the capability mac"),
        ))
    }

    fn ipams(&self) -> impl Iterator<Item = &str> {
        self.config.plugins().iter().filter_map(PluginConfig::ipam)
    }

    fn nobody(&self, key: &str, why: String) -> Error {
        Error::NobodyHonours { path: format!("{}.{key}", self.path), network: self.network.to_owned(), why }
    }

    /// After ADD: an address or MAC that went by a way of which nobody has said that it is read must be in the result.
    pub(crate) fn verify(&self, result: &CniResult) -> Result<()> {
        let trusted = |capability: &str| {
            self.config.has_capability(capability) && !self.config.plugins().iter().all(is_known)
        };
        let not_given = |key: &str, wanted: &str, given: Vec<String>| {
            Err(Error::NotGiven {
                path: format!("{}.{key}", self.path),
                network: self.network.to_owned(),
                wanted: wanted.to_owned(),
                given: if given.is_empty() { "none".to_owned() } else { given.join(", ") },
            })
        };
        if !trusted("ips") {
            for wanted in &self.selection.ips {
                let address = parse_address(wanted);
                if !result.ips.iter().any(|ip| Some(ip.address.addr()) == address) {
                    return not_given(
                        "ips",
                        wanted,
                        result.ips.iter().map(|ip| ip.address.to_string()).collect(),
                    );
                }
            }
        }
        if let Some(wanted) = &self.selection.mac
            && !trusted("mac")
        {
            let inside = || result.interfaces.iter().filter(|interface| !interface.sandbox.is_empty());
            // Results before 0.3.0 have no interfaces, and say nothing.
            let any = inside().any(|interface| same_hardware_address(&interface.mac, wanted));
            if !any && inside().any(|interface| !interface.mac.is_empty()) {
                return not_given("mac", wanted, inside().map(|interface| interface.mac.clone()).collect());
            }
        }
        Ok(())
    }

    /// The requests by the names of their capabilities. Each plugin is given those that it declares.
    pub(crate) fn runtime(&self) -> Vec<(String, Value)> {
        let selection = self.selection;
        let mut runtime = Vec::new();
        let mut put = |key: &str, value: Value| runtime.push((key.to_owned(), value));
        if !selection.port_mappings.is_empty() {
            let list: Vec<Value> = selection.port_mappings.iter().map(PortMapping::to_value).collect();
            put("portMappings", list.into());
        }
        if let Some(bandwidth) = selection.bandwidth {
            put("bandwidth", Bandwidth::to_value(bandwidth));
        }
        if !selection.ips.is_empty() {
            let list: Vec<Value> = selection.ips.iter().map(|ip| ip.as_str().into()).collect();
            put("ips", list.into());
        }
        if let Some(mac) = &selection.mac {
            put("mac", mac.as_str().into());
        }
        if let Some(guid) = &selection.infiniband_guid {
            put("infinibandGUID", guid.as_str().into());
        }
        runtime
    }

    /// The requests that also go into `CNI_ARGS`: networks without `capabilities` rely on it.
    pub(crate) fn args(&self) -> Vec<(String, String)> {
        let mut args = Vec::new();
        if let Some(mac) = &self.selection.mac {
            args.push(("MAC".to_owned(), mac.clone()));
        }
        // Differs: host-local reads one address there and fails for a list, also where it has the capability.
        let list = self.selection.ips.len() > 1 && self.ipams().any(|ipam| ipam == "host-local");
        if !self.selection.ips.is_empty() && !list {
            args.push(("IP".to_owned(), self.selection.ips.join(",")));
        }
        args
    }
}

fn is_known(plugin: &PluginConfig) -> bool {
    KNOWN.contains(&plugin.kind())
}
