//! The watches of what addresses are chosen from. A cluster that has no subnets has one watch more, and no other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::addresses::Labels;
use api::kinds::{MacvlanNetwork, MacvlanReservation, MacvlanSubnet, Network, Reservation, Subnet};
use apiserver::Backoff;
use apiserver::watch::{self, Health, Kind};
use claims::{Event, Version};
use kube::Client;
use serde::Deserialize;
use tokio::sync::Notify;

use super::object::{self, ClaimObject};
use super::view::{ReservationName, View};
use crate::Driver;
use crate::kube::Change;

/// Whom to tell, on the watches' thread.
pub(super) type Changed = Arc<dyn Fn(Change) + Send + Sync>;

/// Starts the watch of the subnets, and the others once there is a subnet.
pub(super) fn start(
    driver: &Driver,
    client: &Client,
    node: &str,
    backoff: Backoff,
    view: &Arc<View>,
    changed: Changed,
) {
    let wanted = Arc::new(Notify::new());
    let subnets = Arc::new(Subnets {
        view: Arc::clone(view),
        wanted: Arc::clone(&wanted),
        changed: Arc::clone(&changed),
    });
    driver.spawn(watch::run(client.clone(), subnets, Arc::new(Health::default()), backoff));
    let node =
        Arc::new(Node { name: node.to_owned(), view: Arc::clone(view), changed: Arc::clone(&changed) });
    let networks = Arc::new(Networks { view: Arc::clone(view), changed: Arc::clone(&changed) });
    let claims = Arc::new(ClaimKind { view: Arc::clone(view), listing: AtomicBool::new(false), changed });
    let reservations = Arc::new(Reservations(Arc::clone(view)));
    let namespaces = Arc::new(Namespaces(Arc::clone(view)));
    let client = client.clone();
    driver.spawn(async move {
        wanted.notified().await;
        let health = || Arc::new(Health::default());
        futures_util::future::join5(
            watch::run(client.clone(), networks, health(), backoff),
            watch::run(client.clone(), claims, health(), backoff),
            watch::run(client.clone(), reservations, health(), backoff),
            watch::run(client.clone(), namespaces, health(), backoff),
            watch::run(client, node, health(), backoff),
        )
        .await;
    });
}

struct ClaimKind {
    view: Arc<View>,
    listing: AtomicBool,
    changed: Changed,
}

impl ClaimKind {
    fn tell(&self, event: Event) {
        if self.view.claim_event(event) {
            (self.changed)(Change::Claims);
        }
    }
}

impl Kind for ClaimKind {
    type Object = ClaimObject;
    type Name = ();

    const LABEL: &'static str = "addresses";
    const PATH: &'static str = object::PATH;
    const OPTIONAL: bool = true;
    const PAGE: u32 = object::PAGE;

    fn version(object: &ClaimObject) -> &str {
        object.version()
    }

    fn fields(&self) -> Option<String> {
        None
    }

    fn list_begins(&self) {
        self.listing.store(true, Ordering::Relaxed);
        self.tell(Event::ListBegun);
    }

    fn applied(&self, object: ClaimObject) -> Option<()> {
        let claim = object.claim()?;
        let listed = self.listing.load(Ordering::Relaxed);
        self.tell(if listed { Event::Listed(claim) } else { Event::Applied(claim) });
        None
    }

    fn deleted(&self, object: ClaimObject) {
        if let Some(claim) = object.claim() {
            self.tell(Event::Deleted(claim));
        }
    }

    fn listed(&self, _: &BTreeSet<()>) {}

    fn list_ended(&self, version: &str) {
        self.listing.store(false, Ordering::Relaxed);
        self.tell(Event::ListEnded(Version::of(version)));
    }
}

struct Subnets {
    view: Arc<View>,
    /// The other watches are wanted.
    wanted: Arc<Notify>,
    changed: Changed,
}

impl Kind for Subnets {
    type Object = MacvlanSubnet;
    type Name = String;

    const LABEL: &'static str = "subnets";
    const PATH: &'static str = "/apis/llano.dev/v1alpha1/macvlansubnets";
    const OPTIONAL: bool = true;

    fn version(object: &MacvlanSubnet) -> &str {
        object.metadata.resource_version.as_deref().unwrap_or_default()
    }

    fn fields(&self) -> Option<String> {
        None
    }

    fn applied(&self, object: MacvlanSubnet) -> Option<String> {
        match Subnet::parse(&object) {
            Ok(subnet) => {
                let name = subnet.name.clone();
                self.view.subnet_applied(subnet);
                self.wanted.notify_one();
                Some(name)
            }
            Err(error) => {
                tracing::warn!(error = %error, "subnet not used");
                self.deleted(object);
                None
            }
        }
    }

    fn deleted(&self, object: MacvlanSubnet) {
        self.view.subnet_deleted(object.metadata.name.as_deref().unwrap_or_default());
        (self.changed)(Change::Lans);
    }

    fn listed(&self, names: &BTreeSet<String>) {
        self.view.subnets_listed(names);
        (self.changed)(Change::Lans);
    }
}

struct Networks {
    view: Arc<View>,
    changed: Changed,
}

impl Kind for Networks {
    type Object = MacvlanNetwork;
    type Name = String;

    const LABEL: &'static str = "networks";
    const PATH: &'static str = "/apis/llano.dev/v1alpha1/macvlannetworks";
    const OPTIONAL: bool = true;

    fn version(object: &MacvlanNetwork) -> &str {
        object.metadata.resource_version.as_deref().unwrap_or_default()
    }

    fn fields(&self) -> Option<String> {
        None
    }

    fn applied(&self, object: MacvlanNetwork) -> Option<String> {
        match Network::parse(&object) {
            Ok(network) => {
                let name = network.name.clone();
                if self.view.network_applied(network) {
                    (self.changed)(Change::Lans);
                }
                Some(name)
            }
            Err(error) => {
                tracing::warn!(error = %error, "network not used");
                self.deleted(object);
                None
            }
        }
    }

    fn deleted(&self, object: MacvlanNetwork) {
        self.view.network_deleted(object.metadata.name.as_deref().unwrap_or_default());
        (self.changed)(Change::Lans);
    }

    fn listed(&self, names: &BTreeSet<String>) {
        self.view.networks_listed(names);
        (self.changed)(Change::Lans);
    }
}

struct Reservations(Arc<View>);

impl Kind for Reservations {
    type Object = MacvlanReservation;
    type Name = ReservationName;

    const LABEL: &'static str = "reservations";
    const PATH: &'static str = "/apis/llano.dev/v1alpha1/macvlanreservations";
    const OPTIONAL: bool = true;

    fn version(object: &MacvlanReservation) -> &str {
        object.metadata.resource_version.as_deref().unwrap_or_default()
    }

    fn fields(&self) -> Option<String> {
        None
    }

    fn applied(&self, object: MacvlanReservation) -> Option<ReservationName> {
        match Reservation::parse(&object) {
            Ok(reservation) => {
                let name = (reservation.namespace.clone(), reservation.name.clone());
                self.0.reservation_applied(reservation);
                Some(name)
            }
            Err(error) => {
                tracing::warn!(error = %error, "reservation not used");
                self.deleted(object);
                None
            }
        }
    }

    fn deleted(&self, object: MacvlanReservation) {
        let metadata = object.metadata;
        let name = (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
        self.0.reservation_deleted(&name);
    }

    fn listed(&self, names: &BTreeSet<ReservationName>) {
        self.0.reservations_listed(names);
    }
}

/// An object of which only the labels count.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Labelled {
    metadata: LabelledMetadata,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LabelledMetadata {
    name: String,
    resource_version: String,
    labels: Option<Labels>,
}

struct Namespaces(Arc<View>);

impl Kind for Namespaces {
    type Object = Labelled;
    type Name = String;

    const LABEL: &'static str = "namespaces";
    const PATH: &'static str = "/api/v1/namespaces";
    const OPTIONAL: bool = false;
    const METADATA_ONLY: bool = true;

    fn version(object: &Labelled) -> &str {
        &object.metadata.resource_version
    }

    fn fields(&self) -> Option<String> {
        None
    }

    fn applied(&self, object: Labelled) -> Option<String> {
        let LabelledMetadata { name, labels, .. } = object.metadata;
        self.0.namespace_applied(name.clone(), labels.unwrap_or_default());
        Some(name)
    }

    fn deleted(&self, object: Labelled) {
        self.0.namespace_deleted(&object.metadata.name);
    }

    fn listed(&self, names: &BTreeSet<String>) {
        self.0.namespaces_listed(names);
    }
}

/// The agent's own node.
struct Node {
    name: String,
    view: Arc<View>,
    changed: Changed,
}

impl Kind for Node {
    type Object = Labelled;
    type Name = String;

    const LABEL: &'static str = "node";
    const PATH: &'static str = "/api/v1/nodes";
    const OPTIONAL: bool = false;
    const METADATA_ONLY: bool = true;

    fn version(object: &Labelled) -> &str {
        &object.metadata.resource_version
    }

    fn fields(&self) -> Option<String> {
        Some(format!("metadata.name={}", self.name))
    }

    fn applied(&self, object: Labelled) -> Option<String> {
        if object.metadata.name == self.name
            && self.view.node_applied(object.metadata.labels.unwrap_or_default())
        {
            (self.changed)(Change::Lans);
        }
        None
    }

    // The labels it had are as good as any until it is back.
    fn deleted(&self, _: Labelled) {}

    fn listed(&self, _: &BTreeSet<String>) {}
}
