//! The client against a small API server.

mod behind;
mod claims;
mod events;
mod queue;
mod watches;
mod writes;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use apiserver::testing::Server;
use apiserver::{Access, Backoff};

use super::{ApiServer, Change, ClusterHealth, EventLimits, Options};
use crate::{Driver, PodKey};

const PODS: &str = "/api/v1/namespaces/shop/pods";
const DEFINITIONS: &str = "/apis/k8s.cni.cncf.io/v1/namespaces/shop/network-attachment-definitions";
const NAMESPACES: &str = "/api/v1/namespaces";
const NODES: &str = "/api/v1/nodes";
const NETWORKS: &str = "/apis/llano.dev/v1alpha1/macvlannetworks";
const SUBNETS: &str = "/apis/llano.dev/v1alpha1/macvlansubnets";
const CLAIMS: &str = "/apis/llano.dev/v1alpha1/macvlanips";

/// A client of a small API server.
struct Client {
    cluster: ApiServer,
    changes: Receiver<Change>,
    dir: TempDir,
}

fn options(server: &Server, dir: &TempDir) -> Options {
    let token = dir.path().join("token");
    std::fs::write(&token, "first").unwrap();
    let kubeconfig = dir.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server.url()}}],
        "users": [{"name": "u", "user": {"tokenFile": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    Options {
        backoff: Backoff { first: Duration::from_millis(1), most: Duration::from_millis(20) },
        // A test decides itself who is asked; this is long enough for any machine.
        lag: Duration::from_secs(30),
        events: EventLimits::default(),
        claims: false,
        ..Options::new(Access::Kubeconfig(kubeconfig), "node1".to_owned())
    }
}

fn connect(server: &Server, change: impl FnOnce(&mut Options)) -> Client {
    let dir = TempDir::new().unwrap();
    let mut options = options(server, &dir);
    change(&mut options);
    let (give, changes) = channel();
    let give = std::sync::Mutex::new(give);
    let driver = Arc::new(Driver::start().unwrap());
    let changed = move |change| drop(give.lock().unwrap().send(change));
    let cluster = ApiServer::start(driver, options, None, changed).unwrap();
    Client { cluster, changes, dir }
}

impl Client {
    /// The next change; fails after a time that no machine needs.
    fn change(&self) -> Change {
        self.changes.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    /// Until the first lists are there.
    fn listed(&self) {
        assert_eq!(self.change(), Change::Listed);
        self.until(&|health| health.listed);
    }

    /// Until the connection is like this. What the driver's thread does is told to nobody: it is looked at.
    fn until(&self, reached: &dyn Fn(&ClusterHealth) -> bool) {
        let end = Instant::now() + Duration::from_secs(30);
        while !reached(&self.cluster.health()) {
            assert!(Instant::now() < end, "{:?}", self.cluster.health());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn pod(name: &str, uid: &str, annotations: &Value) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "uid": uid, "annotations": annotations,
                     "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:metadata": {}}}]},
        "spec": {"nodeName": "node1", "containers": [{"name": "c", "image": "i"}]},
    })
}

fn key(name: &str, uid: &str) -> PodKey {
    PodKey { namespace: "shop".to_owned(), name: name.to_owned(), uid: uid.to_owned() }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}
