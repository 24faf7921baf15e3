//! The controller against a small API server.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a test, which writes objects as literals"
)]

mod claims;
mod lead;
mod objects;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ::claims::controller::Grace;
use apiserver::testing::{Server, State};
use apiserver::{Access, Backoff};
use controller::lease::Terms;
use controller::{Controller, Options, Result};
use daemon::Driver;
use serde_json::{Value, json};
use tempfile::TempDir;

const PODS: &str = "/api/v1/namespaces/shop/pods";
const NAMESPACES: &str = "/api/v1/namespaces";
const SETS: &str = "/apis/apps/v1/namespaces/shop/statefulsets";
const NADS: &str = "/apis/k8s.cni.cncf.io/v1/namespaces/shop/network-attachment-definitions";
const NETWORKS: &str = "/apis/llano.dev/v1alpha1/macvlannetworks";
const SUBNETS: &str = "/apis/llano.dev/v1alpha1/macvlansubnets";
const CLAIMS: &str = "/apis/llano.dev/v1alpha1/macvlanips";
const RESERVATIONS: &str = "/apis/llano.dev/v1alpha1/namespaces/shop/macvlanreservations";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/llano/leases/llano-controller";

/// A running controller; it is stopped with the value.
struct Running {
    controller: Arc<Controller>,
    ended: Receiver<Result<()>>,
    _driver: Driver,
    _dir: TempDir,
}

impl Running {
    fn start(server: &Server, identity: &str) -> Running {
        let dir = TempDir::new().unwrap();
        let kubeconfig = server.kubeconfig(dir.path()).unwrap();
        let second = Duration::from_secs(1);
        let options = Options {
            terms: Terms { duration: 60 * second, give_up: 40 * second, retry: second / 50 },
            // A test says who is asked before anything is given up, not how long that is waited for.
            grace: Grace { ready: 1000 * second, lost: Duration::ZERO, keeper: Duration::ZERO },
            backoff: Backoff { first: second / 1000, most: second / 50 },
            ..Options::new(
                Access::Kubeconfig(kubeconfig),
                "llano".into(),
                "llano-controller".into(),
                identity.into(),
            )
        };
        let (controller, driver) = (Arc::new(Controller::new(options)), Driver::start().unwrap());
        let (give, ended) = channel();
        let running = Arc::clone(&controller);
        driver.spawn(async move {
            let _ = give.send(running.run().await);
        });
        Running { controller, ended, _driver: driver, _dir: dir }
    }

    /// How it ended.
    fn end(&self) -> Result<()> {
        self.ended.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    fn page(&self, path: &str) -> (u16, String) {
        let page = self.controller.page(path).unwrap();
        (page.status, page.body)
    }
}

/// A server with a namespace, a node that is gone, network `lan` and subnet `lan4`.
fn server() -> Server {
    let server = Server::start().unwrap();
    server.put(NAMESPACES, json!({"metadata": {"name": "shop"}}));
    server.put(NETWORKS, object("MacvlanNetwork", "lan", json!({"parent": "eth0"})));
    let spec = json!({"network": "lan", "cidr": "10.0.0.0/28", "gateway": "10.0.0.1"});
    server.put(SUBNETS, object("MacvlanSubnet", "lan4", spec));
    server
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "llano.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// An active claim of 10.0.0.`last`.
fn claim(last: u8, pod: &str, uid: &str) -> Value {
    let address = format!("10.0.0.{last}");
    object(
        "MacvlanIP",
        &format!("lan.{address}"),
        json!({
            "network": "lan", "subnet": "lan4", "address": address, "mac": "02:00:00:00:00:01",
            "owner": {"namespace": "shop", "pod": pod, "uid": uid, "node": "node1", "containerID": "c1", "interface": "eth0"},
        }),
    )
}

/// The reason of the condition `Ready`.
fn reason<'a>(state: &'a State, path: &str) -> &'a str {
    let conditions = state.objects.get(path).map(|object| &object["status"]["conditions"]);
    conditions.and_then(|conditions| conditions[0]["reason"].as_str()).unwrap_or_default()
}

fn asked(state: &State, begin: &str) -> usize {
    state.seen.iter().filter(|seen| seen.line.starts_with(begin)).count()
}
