//! A small cluster to judge in: `cluster.yaml`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::kinds::{
    ClaimKeeper, HoldReason, MacvlanNetwork, MacvlanNetworkSpec, MacvlanReservation, MacvlanReservationSpec,
    MacvlanSubnet, MacvlanSubnetSpec, Network, Reservation, Subnet,
};
use api::{Nad, NadSource, NetworkRef};
use controller::webhook::{Attachment, ClusterNetworks, Taken, World};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    networks: BTreeMap<String, MacvlanNetworkSpec>,
    subnets: BTreeMap<String, MacvlanSubnetSpec>,
    reservations: BTreeMap<String, MacvlanReservationSpec>,
    claims: Vec<ClaimRow>,
    definitions: BTreeMap<String, Definition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClaimRow {
    network: String,
    address: IpAddr,
    subnet: String,
    mac: Option<String>,
    /// `namespace/name`.
    pod: Option<String>,
    kept_for: Option<ClaimKeeper>,
    hold: Option<HoldReason>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    role: Option<String>,
    config: String,
}

/// What exists.
pub(crate) struct Cluster {
    pub(crate) is_known: bool,
    pub(crate) networks_without_asking: Option<ClusterNetworks>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    networks: BTreeMap<String, Network>,
    subnets: BTreeMap<String, Subnet>,
    reservations: BTreeMap<(String, String), Reservation>,
    claims: BTreeMap<(String, IpAddr), Taken>,
    definitions: BTreeMap<NetworkRef, Attachment>,
}

fn split(name: &str) -> (&str, &str) {
    name.split_once('/').expect("namespace/name")
}

impl Cluster {
    /// That of the file. Its first network is an overlay's, as of most clusters.
    pub(crate) fn new() -> Cluster {
        let file: File = serde_yaml_ng::from_str(include_str!("cluster.yaml")).unwrap();
        let network = |(name, spec): (String, _)| {
            (name.clone(), Network::parse(&MacvlanNetwork::new(&name, spec)).unwrap())
        };
        let subnet = |(name, spec): (String, _)| {
            (name.clone(), Subnet::parse(&MacvlanSubnet::new(&name, spec)).unwrap())
        };
        let reservation = |(name, spec): (String, _)| {
            let (namespace, name) = split(&name);
            let mut object = MacvlanReservation::new(name, spec);
            object.metadata.namespace = Some(namespace.to_owned());
            ((namespace.to_owned(), name.to_owned()), Reservation::parse(&object).unwrap())
        };
        let claim = |row: ClaimRow| {
            let (namespace, pod) = row.pod.as_deref().map_or(("", ""), split);
            let taken = Taken {
                address: row.address,
                subnet: row.subnet,
                mac: row.mac.map(|mac| mac.parse().unwrap()),
                pod: pod.to_owned(),
                namespace: namespace.to_owned(),
                kept_for: row.kept_for,
                hold: row.hold,
            };
            ((row.network, row.address), taken)
        };
        let definition = |(name, row): (String, Definition)| {
            let (namespace, name) = split(&name);
            let labels = row.role.map(|role| BTreeMap::from([(api::ROLE.to_owned(), role)]));
            let source = NadSource {
                namespace,
                name,
                labels: labels.as_ref(),
                annotations: None,
                config: Some(&row.config),
            };
            let nad = Nad::new(source).unwrap();
            (nad.network.clone(), Attachment::of(&nad))
        };
        let flannel = ClusterNetworks {
            name: "flannel".to_owned(),
            first: Attachment::default(),
            beside: Vec::new(),
            system_namespaces: vec!["kube-system".to_owned()],
        };
        Cluster {
            is_known: true,
            networks_without_asking: Some(flannel),
            namespaces: file.namespaces,
            networks: file.networks.into_iter().map(network).collect(),
            subnets: file.subnets.into_iter().map(subnet).collect(),
            reservations: file.reservations.into_iter().map(reservation).collect(),
            claims: file.claims.into_iter().map(claim).collect(),
            definitions: file.definitions.into_iter().map(definition).collect(),
        }
    }
}

impl World for Cluster {
    fn is_known(&self) -> bool {
        self.is_known
    }
    fn network(&self, name: &str) -> Option<&Network> {
        self.networks.get(name)
    }
    fn networks(&self) -> Box<dyn Iterator<Item = &Network> + '_> {
        Box::new(self.networks.values())
    }
    fn subnet(&self, name: &str) -> Option<&Subnet> {
        self.subnets.get(name)
    }
    fn subnets(&self) -> Box<dyn Iterator<Item = &Subnet> + '_> {
        Box::new(self.subnets.values())
    }
    fn reservation(&self, namespace: &str, name: &str) -> Option<&Reservation> {
        self.reservations.get(&(namespace.to_owned(), name.to_owned()))
    }
    fn reservations(&self) -> Box<dyn Iterator<Item = &Reservation> + '_> {
        Box::new(self.reservations.values())
    }
    fn claims(&self, network: &str) -> Box<dyn Iterator<Item = Taken> + '_> {
        let network = network.to_owned();
        Box::new(
            self.claims.iter().filter(move |((of, _), _)| *of == network).map(|(_, claim)| claim.clone()),
        )
    }
    fn namespace(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(name)
    }
    fn attachment(&self, definition: &NetworkRef) -> Option<Attachment> {
        self.definitions.get(definition).cloned()
    }
    fn cluster_networks(&self) -> Option<ClusterNetworks> {
        self.networks_without_asking.clone()
    }
}
