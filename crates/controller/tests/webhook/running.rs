//! A whole controller before a small API server, asked as the API server asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apiserver::testing::Server;
use apiserver::{Access, Backoff};
use controller::lease::Terms;
use controller::webhook::PATH;
use controller::{Controller, Options};
use daemon::Driver;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{asked, connect, review};

const NETWORKS: &str = "/apis/llano.dev/v1alpha1/macvlannetworks";
const SUBNETS: &str = "/apis/llano.dev/v1alpha1/macvlansubnets";
const SECRETS: &str = "/api/v1/namespaces/llano/secrets";
const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/llano/leases/llano-controller";
/// What the tests wait for takes milliseconds, or a second look of the certificate's keeper.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with network `lan`, and what `deploy/webhook.yaml` has.
fn server() -> Server {
    let server = Server::start().unwrap();
    server.put(
        NETWORKS,
        json!({"apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanNetwork", "metadata": {"name": "lan"},
        "spec": {"parent": "eth0"}}),
    );
    server.put(SECRETS, json!({"metadata": {"name": "llano-webhook"}}));
    server.put(
        CONFIGURATIONS,
        json!({"metadata": {"name": "llano"}, "webhooks": [{"name": "kinds.llano.dev"}]}),
    );
    server
}

/// A controller that runs; it ends with the value.
struct Running {
    controller: Arc<Controller>,
    driver: Driver,
    _dir: TempDir,
}

impl Running {
    fn start(server: &Server, identity: &str) -> Running {
        let dir = TempDir::new().unwrap();
        let access = Access::Kubeconfig(server.kubeconfig(dir.path()).unwrap());
        let second = Duration::from_secs(1);
        let options = Options {
            webhook_address: Some("127.0.0.1:0".parse().unwrap()),
            terms: Terms { duration: 60 * second, give_up: 40 * second, retry: second / 50 },
            backoff: Backoff { first: second / 1000, most: second / 50 },
            ..Options::new(access, "llano".into(), "llano-controller".into(), identity.into())
        };
        let (controller, driver) = (Arc::new(Controller::new(options)), Driver::start().unwrap());
        let running = Arc::clone(&controller);
        driver.spawn(async move { running.run().await.unwrap() });
        Running { controller, driver, _dir: dir }
    }

    fn is_ready(&self) -> bool {
        self.controller.page("/readyz").unwrap().status == 200
    }

    /// What the webhook says of a subnet `new` with this CIDR: why it is refused, or nothing. Asked by who knows these authorities.
    fn refuses(&self, authorities: &str, cidr: &str) -> Option<String> {
        let address = self.controller.webhook_address().unwrap();
        let (authorities, question) = (authorities.to_owned(), review(cidr));
        let answer = self.driver.wait(Instant::now() + PATIENCE, async move {
            let mut stream = connect(address, &authorities).await.unwrap();
            asked(&mut stream, &format!("POST {PATH}"), &question).await
        });
        let (status, body) = answer.expect("an answer");
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["response"]["status"]["message"].as_str().map(str::to_owned)
    }
}

/// The authorities that the API server has been told of, as PEM.
fn told(server: &Server) -> String {
    let state = server.state();
    let configuration = state.objects.get(&format!("{CONFIGURATIONS}/llano")).unwrap();
    let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].clone();
    let bytes: k8s_openapi::ByteString = serde_json::from_value(bundle).unwrap();
    String::from_utf8(bytes.0).unwrap()
}

#[test]
fn an_overlap_is_refused_by_every_replica_once_it_knows_the_first_subnet() {
    let server = server();
    let first = Running::start(&server, "a");
    server.wait("the first is ready", |_| first.is_ready());
    server.wait("it leads", |state| {
        state.objects.get(LEASE).is_some_and(|lease| lease["spec"]["holderIdentity"] == "a")
    });
    server.wait("the API server knows the authority", |state| {
        let configuration = state.objects.get(&format!("{CONFIGURATIONS}/llano")).unwrap();
        configuration["webhooks"][0]["clientConfig"]["caBundle"].is_string()
    });
    let second = Running::start(&server, "b");
    server.wait("the second is ready", |_| second.is_ready());
    let authorities = told(&server);
    for replica in [&first, &second] {
        assert_eq!(replica.refuses(&authorities, "10.0.0.0/24"), None);
    }
    server.put(
        SUBNETS,
        json!({"apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanSubnet", "metadata": {"name": "there"},
        "spec": {"network": "lan", "cidr": "10.0.0.0/25"}}),
    );
    for replica in [&first, &second] {
        server.wait("the overlap is refused", |_| replica.refuses(&authorities, "10.0.0.0/24").is_some());
        let why = replica.refuses(&authorities, "10.0.0.0/24").unwrap();
        assert!(why.contains("spec.cidr") && why.contains("subnet there (10.0.0.0/25)"), "{why}");
        assert_eq!(replica.refuses(&authorities, "10.0.1.0/24"), None);
    }
    // The one that waits has written nothing.
    let state = server.state();
    let lease = state.objects.get(LEASE).unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "a");
}

#[test]
fn one_that_does_not_know_the_cluster_or_has_no_certificate_is_not_ready() {
    let server = server();
    server.delete(&format!("{SECRETS}/llano-webhook"));
    let running = Running::start(&server, "a");
    let said = || running.controller.page("/readyz").unwrap().body;
    server.wait("it has listed", |_| said().contains("certificate"));
    assert!(!running.is_ready() && said().contains("deploy/webhook.yaml"), "{}", said());
    server.put(SECRETS, json!({"metadata": {"name": "llano-webhook"}}));
    server.wait("it is ready", |_| running.is_ready());
}

#[test]
fn who_has_deleted_the_configuration_does_without() {
    let server = server();
    server.delete(&format!("{CONFIGURATIONS}/llano"));
    let running = Running::start(&server, "a");
    server.wait("it is ready", |_| running.is_ready());
    assert!(
        server.state().objects.get(&format!("{CONFIGURATIONS}/llano")).is_none(),
        "nor does it come back"
    );
}
