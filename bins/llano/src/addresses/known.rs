//! A subnet, parsed, beside its object with the status.

use std::net::IpAddr;

use anyhow::bail;
use api::kinds::{MacvlanSubnet, Subnet};
use ipam::Addresses;

/// A subnet.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) subnet: Subnet,
    pub(super) object: MacvlanSubnet,
}

impl Known {
    /// In order of network and name; and what is wrong with those that cannot be read.
    pub(super) fn read(objects: Vec<MacvlanSubnet>) -> (Vec<Known>, Vec<String>) {
        let (mut known, mut unread) = (Vec::with_capacity(objects.len()), Vec::new());
        for object in objects {
            match Subnet::parse(&object) {
                Ok(subnet) => known.push(Known { subnet, object }),
                Err(error) => unread.push(error.to_string()),
            }
        }
        known.sort_by(|a, b| (&a.subnet.network, &a.subnet.name).cmp(&(&b.subnet.network, &b.subnet.name)));
        (known, unread)
    }

    /// What pods can get and nobody has.
    pub(super) fn free<'a>(&self, taken: impl IntoIterator<Item = &'a IpAddr>) -> Addresses {
        let mut free = self.subnet.usable().clone();
        taken.into_iter().for_each(|address| free.remove(*address));
        free
    }

    /// For whom it is: `namespaces team=a; nodes zone=b`, or empty for all.
    pub(super) fn audience(&self) -> String {
        let subnet = &self.subnet;
        let each = [("namespaces", &subnet.namespaces), ("pods", &subnet.pods), ("nodes", &subnet.nodes)];
        let said = each.into_iter().filter_map(|(who, selector)| {
            let labels = selector.as_ref()?.to_string();
            (!labels.is_empty()).then(|| format!("{who} {labels}"))
        });
        said.collect::<Vec<_>>().join("; ")
    }

    /// Whose default it is: `cluster`, `namespaces` or nobody's.
    pub(super) fn default_of(&self) -> &'static str {
        match (self.subnet.default, &self.subnet.namespaces) {
            (false, _) => "",
            (true, None) => "cluster",
            (true, Some(_)) => "namespaces",
        }
    }
}

/// The subnet of this name.
pub(super) fn find(mut known: Vec<Known>, name: &str) -> anyhow::Result<Known> {
    let place = known.iter().position(|known| known.subnet.name == name);
    let Some(place) = place else {
        let names: Vec<&str> = known.iter().map(|known| &*known.subnet.name).take(20).collect();
        match names.as_slice() {
            [] => bail!("there is no MacvlanSubnet {name}, and no other"),
            names => bail!("there is no MacvlanSubnet {name}; there are {}", names.join(", ")),
        }
    };
    Ok(known.swap_remove(place))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{lan4, subnet};
    use super::*;

    #[test]
    fn a_subnet_says_for_whom_it_is() {
        let selectors = json!({
            "namespaceSelector": {"matchLabels": {"team": "a"}},
            "nodeSelector": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b", "c"]}]},
            "podSelector": {},
            "default": true,
        });
        let known = subnet("shop", "10.30.0.0/24", &selectors);
        assert_eq!(known.audience(), "namespaces team=a; nodes zone in (b,c)");
        assert_eq!((known.default_of(), lan4().default_of()), ("namespaces", "cluster"));
        let error = find(vec![lan4(), known], "lan").unwrap_err().to_string();
        assert_eq!(error, "there is no MacvlanSubnet lan; there are lan4, shop");
    }
}
