//! Claims without an API server: objects with versions in memory, under the rules of the admission policy, whose answers may get lost.

mod ends;
mod full;
mod lost;
mod server;
mod turns;
mod ways;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::IfName;
use api::addresses::{AddressRequests, Labels};
use api::kinds::{Network, Reservation, Subnet};
use claims::Time;
use serde_json::{Value, json};

use super::claimer::{Claimer, Limits};
use super::view::View;
use super::{Ask, ClaimError, Claimed, Claims, Gone};
use crate::{Addressing, Controller, PodKey, PodView};
pub(crate) use server::{Client, Lost, Server};

/// One node's agent, as far as it claims.
pub(crate) struct Agent {
    pub(crate) claimer: Claimer,
    view: Arc<View>,
    server: Server,
    seen: Mutex<usize>,
}

/// Long enough for any machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Time stands still.
fn clock() -> Time {
    Time(1_000_000)
}

/// A subnet of network `lan`.
pub(crate) fn subnet(name: &str, cidr: &str, more: &Value) -> Subnet {
    let mut spec = json!({"network": "lan", "cidr": cidr, "default": true});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let object = json!({
        "apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanSubnet", "metadata": {"name": name}, "spec": spec,
    });
    Subnet::parse(&serde_json::from_value(object).unwrap()).unwrap()
}

/// A network.
pub(crate) fn network(name: &str, spec: &Value) -> Network {
    let object = json!({
        "apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanNetwork", "metadata": {"name": name}, "spec": spec,
    });
    Network::parse(&serde_json::from_value(object).unwrap()).unwrap()
}

fn reservation(name: &str, spec: &Value) -> Reservation {
    let object = json!({
        "apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanReservation",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    });
    Reservation::parse(&serde_json::from_value(object).unwrap()).unwrap()
}

impl Agent {
    /// An agent that has listed everything there is, with these subnets.
    pub(crate) fn new(server: &Server, node: &'static str, subnets: Vec<Subnet>) -> Agent {
        Agent::unlisted(server, node).listed(subnets)
    }

    /// An agent that takes no answer for an answer, at once.
    pub(crate) fn impatient(server: &Server, node: &'static str, subnets: Vec<Subnet>) -> Agent {
        Agent::made(server, node, node, LONG * 2).listed(subnets)
    }

    /// An agent that has listed nothing.
    fn unlisted(server: &Server, node: &'static str) -> Agent {
        Agent::made(server, node, node, Duration::ZERO)
    }

    /// An agent whose token is another node's.
    fn with_token(server: &Server, node: &'static str, token: &'static str, subnet: Subnet) -> Agent {
        Agent::made(server, node, token, Duration::ZERO).listed(vec![subnet])
    }

    fn made(server: &Server, node: &'static str, token: &'static str, pause: Duration) -> Agent {
        let view = Arc::new(View::new(node));
        let objects = Box::new(Client { server: server.clone(), node: token });
        let limits = Limits { full: Duration::ZERO, pause };
        let ended = server.clone();
        let has_ended = Box::new(move |uid: &str| ended.lock().ended.contains(uid));
        let claimer = Claimer::new(node, Arc::clone(&view), objects, has_ended, clock, limits);
        Agent { claimer, view, server: server.clone(), seen: Mutex::new(0) }
    }

    fn listed(self, subnets: Vec<Subnet>) -> Agent {
        subnets.into_iter().for_each(|subnet| self.view.subnet_applied(subnet));
        self.view.all_but_claims_listed();
        self.list();
        self
    }

    /// The claims are listed.
    pub(crate) fn list(&self) {
        let (events, seen) = self.server.list();
        for event in events {
            self.view.claim_event(event);
        }
        *self.seen.lock().unwrap() = seen;
    }

    /// The watch comes to what the API server has. True when something of it is news about a claim of this node.
    pub(crate) fn deliver(&self) -> bool {
        let mut seen = self.seen.lock().unwrap();
        let events = self.server.since(*seen);
        *seen += events.len();
        // Every event is delivered.
        events.into_iter().filter(|event| self.view.claim_event(event.clone())).count() > 0
    }

    /// There is this network.
    pub(crate) fn has_network(&self, name: &str, spec: &Value) {
        self.view.network_applied(network(name, spec));
    }

    /// There is no such network any more.
    pub(crate) fn lost_network(&self, name: &str) {
        self.view.network_deleted(name);
    }

    /// The node has these labels.
    pub(crate) fn labelled(&self, labels: &[(&str, &str)]) {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        self.view.node_applied(labels.collect());
    }

    fn ask(&self, pod: &PodView, container: &str, annotation: Option<&str>) -> Result<Claimed, ClaimError> {
        self.ask_until(pod, container, annotation, Instant::now())
    }

    fn ask_until(
        &self,
        pod: &PodView,
        container: &str,
        annotation: Option<&str>,
        until: Instant,
    ) -> Result<Claimed, ClaimError> {
        let interface = IfName::new("eth0").unwrap();
        let annotations = |key: &str| annotation.filter(|_| key == api::addresses::ADDRESSES);
        let requests = AddressRequests::parse(annotations, std::slice::from_ref(&interface)).unwrap();
        let ask = Ask {
            network: "lan",
            pod,
            container_id: container,
            interface: &interface,
            request: requests.of(&interface),
            mac: None,
            own_mac: true,
        };
        self.claimer.claim(&ask, until)
    }

    /// Addresses and MAC that a pod gets: `10.0.0.5 fd00::5`.
    fn get(&self, pod: &PodView, container: &str, annotation: Option<&str>) -> Result<String, String> {
        self.ask(pod, container, annotation).map(|claimed| texts(&claimed)).map_err(|error| error.to_string())
    }

    /// The interface of a sandbox is gone.
    fn end(&self, container: &str, used: bool) -> Result<(), ClaimError> {
        let gone = Gone { network: "lan", container_id: container, interface: "eth0", addresses: &[], used };
        self.claimer.release(&gone, Instant::now())
    }
}

fn texts(claimed: &Claimed) -> String {
    let texts: Vec<String> = claimed.addresses.iter().map(|given| given.address.to_string()).collect();
    texts.join(" ")
}

/// A pod of namespace `shop`.
fn pod(name: &str, uid: &str) -> PodView {
    PodView {
        key: PodKey { namespace: "shop".to_owned(), name: name.to_owned(), uid: uid.to_owned() },
        networks: None,
        default_network: None,
        status: None,
        host_network: false,
        is_static: false,
        addressing: Addressing::default(),
    }
}

/// A pod of a workload.
fn made_by(kind: &str, owner: &str, mut pod: PodView) -> PodView {
    pod.addressing.controller = Some(Controller { kind: kind.to_owned(), name: owner.to_owned() });
    pod
}

impl View {
    /// Everything but the claims has been listed.
    fn all_but_claims_listed(&self) {
        self.network_applied(network("lan", &json!({"parent": "eth0"})));
        self.networks_listed(&["lan".to_owned()].into());
        let names = self.lock().subnets.keys().cloned().collect();
        self.subnets_listed(&names);
        self.reservations_listed(&Default::default());
        self.namespace_applied("shop".to_owned(), Labels::from([("team".to_owned(), "a".to_owned())]));
        self.namespaces_listed(&["shop".to_owned()].into());
        self.node_applied(Labels::new());
    }
}
