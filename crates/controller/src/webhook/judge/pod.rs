//! Pods that ask for networks or addresses. The agent says the same at ADD: this is to hear of it when the pod is made.

use std::collections::{BTreeMap, BTreeSet};

use api::addresses::{ADDRESSES, AddressRequests, Family, NamePattern, Request as Wanted, SubnetNames};
use api::kinds::Subnet;
use api::{DEFAULT_NETWORK, IfName, NETWORKS, NetworkRef, Selections, check_beside, check_first};
use kube::core::SelectorExt;
use serde::Deserialize;

use super::reservation::admits;
use super::words::listed;
use super::{Change, Judged};
use crate::webhook::{Attachment, Request, World};

/// Where Multus looks for a first network whose namespace is not named; agents are told the same.
const SYSTEM_NAMESPACE: &str = "kube-system";
/// The interface that the runtime makes.
const FIRST: &str = "eth0";

/// The parts of a pod that count.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Pod {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// A pod's interface whose network is known.
struct Interface {
    name: IfName,
    attachment: Attachment,
}

pub(super) fn judge(change: &Change<Pod>, request: &Request, world: &dyn World) -> Judged {
    let pod = &change.after.metadata;
    if change.before.as_ref().is_some_and(|before| before.metadata.annotations == pod.annotations) {
        return Ok(Vec::new());
    }
    let none = BTreeMap::new();
    let asked = pod.annotations.as_ref().unwrap_or(&none);
    let annotation = |key: &str| asked.get(key).map(String::as_str);
    let mut warnings = Vec::new();
    let known = attachments(&annotation, &request.namespace, world, &mut warnings)?;
    // While one of them is not known, nothing can be said of addresses: which interface they are for is not known either.
    let Some(interfaces) = known else { return Ok(warnings) };
    let ours: Vec<&Interface> = interfaces.iter().filter(|own| own.attachment.network.is_some()).collect();
    let names: Vec<IfName> = ours.iter().map(|own| own.name.clone()).collect();
    let requests = AddressRequests::parse(annotation, &names).map_err(|error| error.to_string())?;
    warnings.extend(requests.warnings().iter().map(ToString::to_string));
    let asking =
        Asking { namespace: &request.namespace, labels: pod.labels.as_ref().unwrap_or(&none), world };
    for own in ours {
        if let (Some(wanted), Some(network)) = (requests.of(&own.name), &own.attachment.network) {
            asking.subnets(wanted, network, &mut warnings)?;
            asking.reservation(wanted, network, &mut warnings)?;
        }
    }
    Ok(warnings)
}

/// The pod's interfaces in their order, with what is refused of them together. `None`: not all of them are known.
fn attachments<'a>(
    annotation: &impl Fn(&str) -> Option<&'a str>,
    namespace: &str,
    world: &dyn World,
    warnings: &mut Vec<String>,
) -> Result<Option<Vec<Interface>>, String> {
    let text = |error: api::Error| error.to_string();
    let cluster = world.cluster_networks();
    let mut interfaces: Vec<(Option<IfName>, Attachment)> = Vec::new();
    let mut all_known = true;
    let mut find = |network: &NetworkRef, warnings: &mut Vec<String>| {
        let found = world.attachment(network);
        if found.is_none() {
            all_known = false;
            warnings.push(format!(
                "there is no NetworkAttachmentDefinition {network} that can be read: the pod waits until there is"
            ));
        }
        found
    };
    let asked = annotation(DEFAULT_NETWORK)
        .map(|value| Selections::parse_default(value, SYSTEM_NAMESPACE).map_err(text))
        .transpose()?
        .flatten();
    let first = match asked {
        Some((selection, _)) => {
            let found = find(&selection.network, warnings);
            if let Some(found) = &found {
                check_first(&selection.network, found.role).map_err(text)?;
            }
            found.map(|found| (selection.network.to_string(), found))
        }
        None => cluster.as_ref().map(|cluster| (cluster.name.clone(), cluster.first.clone())),
    };
    if let Some((_, attachment)) = &first {
        interfaces.push((IfName::new(FIRST), attachment.clone()));
    }
    let by_default = cluster
        .as_ref()
        .filter(|cluster| !cluster.system_namespaces.iter().any(|system| system == namespace));
    for attachment in by_default.iter().flat_map(|cluster| &cluster.beside) {
        interfaces.push((numbered(interfaces.len()), attachment.clone()));
    }
    let beside = annotation(NETWORKS).map(|value| Selections::parse(value, namespace).map_err(text));
    for selection in beside.transpose()?.unwrap_or_default().elements {
        let Some(attachment) = find(&selection.network, warnings) else { continue };
        if let Some((name, first)) = &first {
            check_beside(&selection.network, attachment.role, name, first.is_standalone).map_err(text)?;
        }
        interfaces.push((selection.interface.or_else(|| numbered(interfaces.len())), attachment));
    }
    let named =
        |(name, attachment): (Option<IfName>, Attachment)| Some(Interface { name: name?, attachment });
    Ok((all_known && cluster.is_some()).then(|| interfaces.into_iter().filter_map(named).collect()))
}

/// As the agent calls an interface that has no name of its own.
fn numbered(position: usize) -> Option<IfName> {
    IfName::new(&format!("net{position}"))
}

/// A pod that asks for addresses.
struct Asking<'a> {
    namespace: &'a str,
    labels: &'a BTreeMap<String, String>,
    world: &'a dyn World,
}

impl Asking<'_> {
    /// The subnets that are named: one of each family that is asked for must be for this pod.
    fn subnets(&self, wanted: &Wanted, network: &str, warnings: &mut Vec<String>) -> Result<(), String> {
        let lists: Vec<(&[NamePattern], Option<Family>)> = match wanted.subnets() {
            SubnetNames::Any(names) => vec![(names, None)],
            SubnetNames::ByFamily { v4, v6 } => vec![(v4, Some(Family::V4)), (v6, Some(Family::V6))],
        };
        for (names, family) in lists {
            self.list(names, family, network, warnings)?;
        }
        Ok(())
    }

    fn list(
        &self,
        names: &[NamePattern],
        list: Option<Family>,
        network: &str,
        warnings: &mut Vec<String>,
    ) -> Result<(), String> {
        let mut open = false;
        let (mut given, mut refused) = (BTreeSet::new(), Vec::new());
        for name in names {
            // What a pattern means changes with every subnet that is made.
            let subnet = if name.is_name() { self.world.subnet(name.as_str()) } else { None };
            let Some(subnet) = subnet else {
                open = true;
                if name.is_name() {
                    warnings.push(format!("{ADDRESSES}: there is no MacvlanSubnet {name} yet"));
                }
                continue;
            };
            let family = Family::of(subnet.cidr.addr());
            let elsewhere = list.filter(|list| *list != family);
            match elsewhere
                .map(|list| format!("is {family}, named among the {list} ones"))
                .or(self.why_not(subnet, network))
            {
                None => _ = given.insert(family),
                Some(why) => refused.push((family, format!("{name} {why}"))),
            }
            if subnet.disabled {
                warnings.push(format!("{ADDRESSES}: subnet {name} is disabled, and gives no new addresses"));
            }
        }
        // Another one of the list will do; one that is not known yet may.
        refused.retain(|(family, _)| !given.contains(family));
        if open || refused.is_empty() {
            return Ok(());
        }
        let why: Vec<String> = refused.into_iter().map(|(_, why)| why).collect();
        Err(format!(
            "{ADDRESSES}: subnet {}; name a subnet that is for this pod, or none for the default",
            listed(&why)
        ))
    }

    /// Why no pod like this one gets addresses of the subnet.
    fn why_not(&self, subnet: &Subnet, network: &str) -> Option<String> {
        if subnet.network != network {
            return Some(format!("is of network {}, the interface is on {network}", subnet.network));
        }
        let labels = self.world.namespace(self.namespace);
        if labels.is_some_and(|labels| !admits(subnet, labels)) {
            return Some(format!("is not for namespace {} (its namespaceSelector)", self.namespace));
        }
        let pods = subnet.pods.as_ref();
        pods.is_some_and(|pods| !pods.matches(self.labels))
            .then(|| "is not for a pod with these labels (its podSelector)".to_owned())
    }

    fn reservation(&self, wanted: &Wanted, network: &str, warnings: &mut Vec<String>) -> Result<(), String> {
        let Some(name) = wanted.reservation() else { return Ok(()) };
        let Some(reservation) = self.world.reservation(self.namespace, name) else {
            let namespace = self.namespace;
            warnings.push(format!(
                "{ADDRESSES}: there is no MacvlanReservation {name} in namespace {namespace} yet"
            ));
            return Ok(());
        };
        let subnet = self.world.subnet(&reservation.subnet);
        match subnet.and_then(|subnet| self.why_not(subnet, network).map(|why| (subnet, why))) {
            None => Ok(()),
            Some((subnet, why)) => {
                let of = &subnet.name;
                Err(format!("{ADDRESSES}: reservation {name} is of subnet {of}, which {why}; name another"))
            }
        }
    }
}
