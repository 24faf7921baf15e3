//! The cluster as the controller's watches show it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::kinds::{Network, Reservation, Subnet};
use api::{Mac, NetworkRef};

use super::{Attachment, ClusterNetworks, Taken, World};
use crate::changes::State;
use crate::index::KnownClaim;

/// What messages call a first network that no definition names.
const PRIMARY: &str = "the cluster's own network";

impl World for State {
    fn is_known(&self) -> bool {
        self.is_whole()
    }

    fn network(&self, name: &str) -> Option<&Network> {
        self.index.networks.get(name)?.parsed.as_ref().ok()
    }

    fn networks(&self) -> Box<dyn Iterator<Item = &Network> + '_> {
        Box::new(self.index.networks.values().filter_map(|known| known.parsed.as_ref().ok()))
    }

    fn subnet(&self, name: &str) -> Option<&Subnet> {
        self.index.subnets.get(name)?.parsed.as_ref().ok()
    }

    fn subnets(&self) -> Box<dyn Iterator<Item = &Subnet> + '_> {
        Box::new(self.index.subnets.values().filter_map(|known| known.parsed.as_ref().ok()))
    }

    fn reservation(&self, namespace: &str, name: &str) -> Option<&Reservation> {
        self.index.reservations.get(&NetworkRef::new(namespace, name)?)?.parsed.as_ref().ok()
    }

    fn reservations(&self) -> Box<dyn Iterator<Item = &Reservation> + '_> {
        Box::new(self.index.reservations.values().filter_map(|known| known.parsed.as_ref().ok()))
    }

    fn claims(&self, network: &str) -> Box<dyn Iterator<Item = Taken> + '_> {
        Box::new(self.index.claims_on(network).map(|((_, address), claim)| taken(*address, claim)))
    }

    fn namespace(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.index.namespaces.get(name)
    }

    fn attachment(&self, definition: &NetworkRef) -> Option<Attachment> {
        self.index.definitions.get(definition)?.attachment(definition)
    }

    fn cluster_networks(&self) -> Option<ClusterNetworks> {
        let known = self.index.pod_networks.as_ref()?;
        let (name, first) = match &known.first {
            Some(first) => (first.to_string(), self.attachment(first)?),
            None => (PRIMARY.to_owned(), Attachment::default()),
        };
        let beside = known.beside.iter().map(|definition| self.attachment(definition));
        Some(ClusterNetworks {
            name,
            first,
            beside: beside.collect::<Option<_>>()?,
            system_namespaces: known.system_namespaces.clone(),
        })
    }
}

fn taken(address: IpAddr, claim: &KnownClaim) -> Taken {
    Taken {
        address,
        subnet: claim.subnet.to_string(),
        mac: claim.mac.and_then(|mac| Mac::new(mac.0)),
        pod: claim.pod.to_string(),
        namespace: claim.namespace.to_string(),
        kept_for: claim.kept_for.as_deref().map(Into::into),
        hold: claim.reason().map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use api::kinds::{HoldReason, KeeperKind};
    use claims::Keeper;
    use serde_json::json;

    use super::*;
    use crate::fixtures::{active, holding, kept, network, reservation, state_with_subnet};
    use crate::index::{Definition, attachment};
    use crate::nads;
    use crate::webhook::PodNetworks;

    fn at(name: &str) -> NetworkRef {
        NetworkRef::new("shop", name).unwrap()
    }

    #[test]
    fn what_the_watches_have_shown_is_what_exists() {
        let mut state = state_with_subnet();
        state.claim_applied(active("10.0.0.5", "web", "u1"));
        state.claim_applied(holding(kept(active("10.0.0.6", "db-0", ""), Keeper::StatefulSet, "db")));
        state.reservation_applied(reservation(json!({"subnet": "lan4", "count": 1})));
        // Two ways at once: there, and not understood.
        let mut odd = reservation(json!({"subnet": "lan4", "count": 1, "ranges": ["10.0.0.9"]}));
        odd.metadata.name = Some("odd".to_owned());
        state.reservation_applied(odd);
        state.namespace_changed("shop", Some(BTreeMap::from([("team".to_owned(), "a".to_owned())])));

        assert!(state.is_known() && !State::default().is_known());
        assert_eq!((state.networks().count(), state.subnets().count()), (1, 1));
        assert_eq!(state.subnet("lan4").unwrap().network, state.network("lan").unwrap().name);
        assert!(state.network("lan4").is_none() && state.subnet("lan").is_none());
        assert_eq!(state.reservations().count(), 1);
        assert!(state.reservation("shop", "team").is_some() && state.reservation("bank", "team").is_none());
        assert_eq!(state.namespace("shop").unwrap()["team"], "a");
        assert_eq!(state.claims("wan").count(), 0);
        let claims: Vec<Taken> = state.claims("lan").collect();
        let [pods, sets] = &claims[..] else { panic!("{claims:?}") };
        assert_eq!(
            (pods.subnet.as_str(), pods.pod.as_str(), pods.namespace.as_str()),
            ("lan4", "web", "shop")
        );
        assert_eq!(pods.mac, "02:00:00:00:00:01".parse().ok());
        assert_eq!((&pods.hold, &pods.kept_for), (&None, &None));
        assert_eq!(sets.hold, Some(HoldReason::StatefulSet));
        assert_eq!(sets.kept_for.as_ref().map(|kept| kept.kind), Some(KeeperKind::StatefulSet));
    }

    #[test]
    fn definitions_mean_the_same_whoever_has_made_them() {
        let mut state = state_with_subnet();
        let ours = nads::shown(api::Role::Standalone, &network(json!({"parent": "eth0"})), "3");
        let Definition::Ours { role, config, .. } = &ours else { panic!() };
        let foreign = attachment(&at("theirs"), role.as_deref(), config.as_deref());
        state.definition_changed(&at("lan"), Some(ours.clone()));
        state.definition_changed(&at("theirs"), Some(Definition::Foreign(foreign)));
        state.definition_changed(&at("odd"), Some(Definition::Foreign(None)));
        let expected = Attachment {
            role: Some(api::Role::Standalone),
            is_standalone: true,
            network: Some("lan".to_owned()),
        };
        assert_eq!(state.attachment(&at("lan")), Some(expected.clone()));
        assert_eq!(state.attachment(&at("theirs")), Some(expected));
        assert_eq!((state.attachment(&at("odd")), state.attachment(&at("none"))), (None, None));
    }

    #[test]
    fn what_pods_get_is_known_when_its_definitions_are() {
        let mut state = state_with_subnet();
        assert_eq!(state.cluster_networks(), None, "nobody has said");
        state.index.pod_networks = Some(PodNetworks::default());
        assert_eq!(state.cluster_networks().unwrap().first, Attachment::default());
        state.index.pod_networks =
            Some(PodNetworks { first: Some(at("lan")), beside: vec![at("more")], ..PodNetworks::default() });
        let of = |role| nads::shown(role, &network(json!({"parent": "eth0"})), "3");
        state.definition_changed(&at("lan"), Some(of(api::Role::Standalone)));
        assert_eq!(state.cluster_networks(), None, "one is missing");
        state.definition_changed(&at("more"), Some(of(api::Role::Overlay)));
        let known = state.cluster_networks().unwrap();
        assert_eq!(
            (known.name.as_str(), known.first.is_standalone, known.beside.len()),
            ("shop/lan", true, 1)
        );
    }
}
