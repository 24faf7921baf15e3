//! Claims as a watch reads them.

use api::kinds::{MacvlanIP, MacvlanIPSpec, parse_claim_name};
use claims::{Claim, Hold, Owner, Reason, Time, Version};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

/// The collection's path.
pub(super) const PATH: &str = "/apis/llano.dev/v1alpha1/macvlanips";
/// Claims of one page of a list.
pub(super) const PAGE: u32 = 500;

/// A `MacvlanIP`, in part: everything else is dropped while it is read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ClaimObject {
    metadata: ClaimMetadata,
    spec: Option<MacvlanIPSpec>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimMetadata {
    name: String,
    resource_version: String,
}

impl ClaimObject {
    pub(super) fn version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// The claim. One that says what no claim can say keeps its address all the same, for nobody: its name is what counts.
    /// `None` for a name that is no claim's.
    pub(super) fn claim(self) -> Option<Claim> {
        let ClaimMetadata { name, resource_version } = self.metadata;
        let version = Version::of(&resource_version);
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            resource_version: Some(resource_version),
            ..ObjectMeta::default()
        };
        let parsed = self.spec.map(|spec| Claim::from_object(&MacvlanIP { metadata, spec }));
        match parsed {
            Some(Ok(claim)) => return Some(claim),
            Some(Err(error)) => {
                tracing::warn!(claim = name, error = %error, "not read; its address is nobody's")
            }
            None => {}
        }
        let (network, address) = parse_claim_name(&name)?;
        let hold = Hold { reason: Reason::Quarantine, since: Time::default(), until: None, message: None };
        Some(Claim {
            network: network.to_owned(),
            subnet: String::new(),
            address,
            mac: None,
            owner: Owner::default(),
            kept_for: None,
            hold: Some(hold),
            version,
        })
    }
}

/// Now.
pub(super) fn now() -> Time {
    daemon::clock::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Claim> {
        serde_json::from_str::<ClaimObject>(text).unwrap().claim()
    }

    #[test]
    fn what_cannot_be_read_keeps_its_address_for_nobody() {
        let claim = read(
            r#"{"metadata":{"name":"lan.10.0.0.5","resourceVersion":"9"},
            "spec":{"network":"lan","subnet":"lan4","address":"10.0.0.6"}}"#,
        );
        let claim = claim.unwrap();
        assert_eq!((claim.network.as_str(), claim.address.to_string()), ("lan", "10.0.0.5".to_owned()));
        assert!(claim.owner.node.is_empty() && !claim.is_active());
        assert_eq!(read(r#"{"metadata":{"name":"nonsense"}}"#), None);
    }
}
