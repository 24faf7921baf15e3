//! The watches: each reads one kind of object into the state.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::NetworkRef;
use api::kinds::{
    MacvlanIP, MacvlanNetwork, MacvlanReservation, MacvlanSubnet, NETWORK_LABEL, parse_claim_name,
};
use apiserver::Backoff;
use apiserver::watch::{self, Health, Kind};
use claims::Claim;
use kube::Client;
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::changes::{State, WATCHES};
use crate::index::{self, ClaimKey, Definition, Uid};
use crate::nads::{MANAGED_BY, MANAGER};
use crate::now;
use crate::objects::{Bare, DefinitionObject, NamespaceObject, NodeObject, PodObject, StatefulSetObject};

/// The state, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Something may be due.
    pub(crate) wake: Notify,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One kind of object, and what it does to the state.
trait Shown: Send + Sync + 'static {
    type Object: DeserializeOwned + Clone + Send;
    type Name: Ord + Clone + Send;

    const LABEL: &'static str;
    const PATH: &'static str;
    /// Whether the API server may not know the kind.
    const OPTIONAL: bool;

    fn version(object: &Self::Object) -> &str;
    fn applied(state: &mut State, object: Self::Object) -> Option<Self::Name>;
    fn deleted(state: &mut State, object: Self::Object);
    fn listed(state: &mut State, there: &BTreeSet<Self::Name>);
}

struct Watch<S>(Arc<Shared>, PhantomData<S>);

impl<S: Shown> Kind for Watch<S> {
    type Object = S::Object;
    type Name = S::Name;

    const LABEL: &'static str = S::LABEL;
    const PATH: &'static str = S::PATH;
    const OPTIONAL: bool = S::OPTIONAL;

    fn version(object: &S::Object) -> &str {
        S::version(object)
    }

    fn fields(&self) -> Option<String> {
        None
    }

    fn applied(&self, object: S::Object) -> Option<S::Name> {
        let name = S::applied(&mut self.0.state(), object);
        self.0.wake.notify_one();
        name
    }

    fn deleted(&self, object: S::Object) {
        S::deleted(&mut self.0.state(), object);
        self.0.wake.notify_one();
    }

    fn listed(&self, names: &BTreeSet<S::Name>) {
        let mut state = self.0.state();
        S::listed(&mut state, names);
        state.list_read(S::LABEL, now());
        drop(state);
        self.0.wake.notify_one();
    }
}

/// How each watch is, by its label.
pub(crate) type Healths = Vec<(&'static str, Arc<Health>)>;

/// Starts them all. They end with the set.
pub(crate) fn start(client: &Client, shared: &Arc<Shared>, backoff: Backoff) -> (JoinSet<()>, Healths) {
    let (mut tasks, mut healths) = (JoinSet::new(), Healths::with_capacity(WATCHES));
    let all = &mut (&mut tasks, &mut healths);
    one::<Networks>(client, shared, backoff, all);
    one::<Subnets>(client, shared, backoff, all);
    one::<Claims>(client, shared, backoff, all);
    one::<Reservations>(client, shared, backoff, all);
    one::<Definitions>(client, shared, backoff, all);
    one::<Pods>(client, shared, backoff, all);
    one::<StatefulSets>(client, shared, backoff, all);
    one::<Nodes>(client, shared, backoff, all);
    one::<Namespaces>(client, shared, backoff, all);
    (tasks, healths)
}

fn one<S: Shown>(
    client: &Client,
    shared: &Arc<Shared>,
    backoff: Backoff,
    (tasks, healths): &mut (&mut JoinSet<()>, &mut Healths),
) {
    let (kind, health) = (Arc::new(Watch::<S>(Arc::clone(shared), PhantomData)), Arc::new(Health::default()));
    healths.push((S::LABEL, Arc::clone(&health)));
    tasks.spawn(watch::run(client.clone(), kind, health, backoff));
}

fn version_of(metadata: &ObjectMeta) -> &str {
    metadata.resource_version.as_deref().unwrap_or_default()
}

fn name_of(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

fn named(metadata: &Bare) -> Option<NetworkRef> {
    NetworkRef::new(&metadata.namespace, &metadata.name)
}

struct Networks;

impl Shown for Networks {
    type Object = MacvlanNetwork;
    type Name = Arc<str>;

    const LABEL: &'static str = "networks";
    const PATH: &'static str = "/apis/llano.dev/v1alpha1/macvlannetworks";
    const OPTIONAL: bool = true;

    fn version(object: &MacvlanNetwork) -> &str {
        version_of(&object.metadata)
    }

    fn applied(state: &mut State, object: MacvlanNetwork) -> Option<Arc<str>> {
        state.network_applied(object)
    }

    fn deleted(state: &mut State, object: MacvlanNetwork) {
        state.network_deleted(name_of(&object.metadata));
    }

    fn listed(state: &mut State, there: &BTreeSet<Arc<str>>) {
        let gone = State::gone(&state.index.networks, there);
        gone.iter().for_each(|name| state.network_deleted(name));
    }
}

struct Subnets;

impl Shown for Subnets {
    type Object = MacvlanSubnet;
    type Name = Arc<str>;

    const LABEL: &'static str = "subnets";
    const PATH: &'static str = "/apis/llano.dev/v1alpha1/macvlansubnets";
    const OPTIONAL: bool = true;

    fn version(object: &MacvlanSubnet) -> &str {
        version_of(&object.metadata)
    }

    fn applied(state: &mut State, object: MacvlanSubnet) -> Option<Arc<str>> {
        state.subnet_applied(object)
    }

    fn deleted(state: &mut State, object: MacvlanSubnet) {
        state.subnet_deleted(name_of(&object.metadata));
    }

    fn listed(state: &mut State, there: &BTreeSet<Arc<str>>) {
        let gone = State::gone(&state.index.subnets, there);
        gone.iter().for_each(|name| state.subnet_deleted(name));
    }
}

struct Claims;

impl Shown for Claims {
    type Object = MacvlanIP;
    type Name = ClaimKey;

    const LABEL: &'static str = "claims";
    const PATH: &'static str = "/apis/llano.dev/v1alpha1/macvlanips";
    const OPTIONAL: bool = true;

    fn version(object: &MacvlanIP) -> &str {
        version_of(&object.metadata)
    }

    fn applied(state: &mut State, object: MacvlanIP) -> Option<ClaimKey> {
        match Claim::from_object(&object) {
            Ok(claim) => {
                let key = (state.index.name(&claim.network), claim.address);
                state.claim_applied(claim);
                Some(key)
            }
            // The address stays taken: nobody can make another object of this name.
            Err(error) => {
                tracing::warn!(%error, "claim not understood, and left alone");
                let (network, address) = parse_claim_name(name_of(&object.metadata))?;
                state.claim_deleted(&(network.into(), address));
                None
            }
        }
    }

    fn deleted(state: &mut State, object: MacvlanIP) {
        if let Some((network, address)) = parse_claim_name(name_of(&object.metadata)) {
            state.claim_deleted(&(network.into(), address));
        }
    }

    fn listed(state: &mut State, there: &BTreeSet<ClaimKey>) {
        state.claims_listed(there);
    }
}

struct Reservations;

impl Shown for Reservations {
    type Object = MacvlanReservation;
    type Name = NetworkRef;

    const LABEL: &'static str = "reservations";
    const PATH: &'static str = "/apis/llano.dev/v1alpha1/macvlanreservations";
    const OPTIONAL: bool = true;

    fn version(object: &MacvlanReservation) -> &str {
        version_of(&object.metadata)
    }

    fn applied(state: &mut State, object: MacvlanReservation) -> Option<NetworkRef> {
        state.reservation_applied(object)
    }

    fn deleted(state: &mut State, object: MacvlanReservation) {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        if let Some(name) = NetworkRef::new(namespace, name_of(&object.metadata)) {
            state.reservation_deleted(&name);
        }
    }

    fn listed(state: &mut State, there: &BTreeSet<NetworkRef>) {
        let gone = State::gone(&state.index.reservations, there);
        gone.iter().for_each(|name| state.reservation_deleted(name));
    }
}

struct Definitions;

impl Shown for Definitions {
    type Object = DefinitionObject;
    type Name = NetworkRef;

    const LABEL: &'static str = "definitions";
    const PATH: &'static str = "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions";
    const OPTIONAL: bool = true;

    fn version(object: &DefinitionObject) -> &str {
        &object.metadata.resource_version
    }

    fn applied(state: &mut State, object: DefinitionObject) -> Option<NetworkRef> {
        let metadata = &object.metadata;
        let name = NetworkRef::new(&metadata.namespace, &metadata.name)?;
        let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key));
        let network = label(NETWORK_LABEL).filter(|_| label(MANAGED_BY).is_some_and(|by| by == MANAGER));
        let definition = match network {
            None => {
                let role = label(api::ROLE).map(String::as_str);
                Definition::Foreign(index::attachment(&name, role, object.config()))
            }
            Some(network) => Definition::Ours {
                network: state.index.name(network),
                role: label(api::ROLE).cloned(),
                config: object.config().map(Into::into),
                version: metadata.resource_version.as_str().into(),
            },
        };
        state.definition_changed(&name, Some(definition));
        Some(name)
    }

    fn deleted(state: &mut State, object: DefinitionObject) {
        if let Some(name) = NetworkRef::new(&object.metadata.namespace, &object.metadata.name) {
            state.definition_changed(&name, None);
        }
    }

    fn listed(state: &mut State, there: &BTreeSet<NetworkRef>) {
        let gone = State::gone(&state.index.definitions, there);
        gone.iter().for_each(|name| state.definition_changed(name, None));
        state.look_for_missing_definitions();
    }
}

struct Pods;

impl Shown for Pods {
    type Object = PodObject;
    /// All UIDs of the pod.
    type Name = Vec<Uid>;

    const LABEL: &'static str = "pods";
    const PATH: &'static str = "/api/v1/pods";
    const OPTIONAL: bool = false;

    fn version(object: &PodObject) -> &str {
        &object.metadata.resource_version
    }

    fn applied(state: &mut State, object: PodObject) -> Option<Vec<Uid>> {
        state.pod_changed(object.uids(), true);
        Some(object.uids().map(Uid::new).collect())
    }

    fn deleted(state: &mut State, object: PodObject) {
        state.pod_changed(object.uids(), false);
    }

    fn listed(state: &mut State, there: &BTreeSet<Vec<Uid>>) {
        state.pods_listed(&there.iter().flatten().cloned().collect());
    }
}

struct StatefulSets;

impl Shown for StatefulSets {
    type Object = StatefulSetObject;
    type Name = NetworkRef;

    const LABEL: &'static str = "statefulsets";
    const PATH: &'static str = "/apis/apps/v1/statefulsets";
    const OPTIONAL: bool = false;

    fn version(object: &StatefulSetObject) -> &str {
        &object.metadata.resource_version
    }

    fn applied(state: &mut State, object: StatefulSetObject) -> Option<NetworkRef> {
        let name = named(&object.metadata)?;
        state.set_changed(&name, Some(object.keep()));
        Some(name)
    }

    fn deleted(state: &mut State, object: StatefulSetObject) {
        if let Some(name) = named(&object.metadata) {
            state.set_changed(&name, None);
        }
    }

    fn listed(state: &mut State, there: &BTreeSet<NetworkRef>) {
        let gone = State::gone(&state.index.sets, there);
        gone.iter().for_each(|name| state.set_changed(name, None));
    }
}

struct Nodes;

impl Shown for Nodes {
    type Object = NodeObject;
    type Name = Box<str>;

    const LABEL: &'static str = "nodes";
    const PATH: &'static str = "/api/v1/nodes";
    const OPTIONAL: bool = false;

    fn version(object: &NodeObject) -> &str {
        &object.metadata.resource_version
    }

    fn applied(state: &mut State, object: NodeObject) -> Option<Box<str>> {
        state.node_changed(&object.metadata.name, Some(object.is_ready()));
        Some(object.metadata.name.into())
    }

    fn deleted(state: &mut State, object: NodeObject) {
        state.node_changed(&object.metadata.name, None);
    }

    fn listed(state: &mut State, there: &BTreeSet<Box<str>>) {
        let gone = State::gone(&state.index.nodes, there);
        gone.iter().for_each(|name| state.node_changed(name, None));
    }
}

struct Namespaces;

impl Shown for Namespaces {
    type Object = NamespaceObject;
    type Name = String;

    const LABEL: &'static str = "namespaces";
    const PATH: &'static str = "/api/v1/namespaces";
    const OPTIONAL: bool = false;

    fn version(object: &NamespaceObject) -> &str {
        &object.metadata.resource_version
    }

    fn applied(state: &mut State, object: NamespaceObject) -> Option<String> {
        let metadata = object.metadata;
        state.namespace_changed(&metadata.name, Some(metadata.labels.unwrap_or_default()));
        Some(metadata.name)
    }

    fn deleted(state: &mut State, object: NamespaceObject) {
        state.namespace_changed(&object.metadata.name, None);
    }

    fn listed(state: &mut State, there: &BTreeSet<String>) {
        let gone = State::gone(&state.index.namespaces, there);
        gone.iter().for_each(|name| state.namespace_changed(name, None));
    }
}
