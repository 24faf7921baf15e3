//! The certificate's keeper before an API server that has a Secret and a configuration, and nothing else.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use controller::webhook::{Keeper, LIFETIME, Places, RENEW_BEFORE, SETTLE, Tls};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// The API server.
#[derive(Clone)]
struct Store(Arc<Mutex<State>>);

struct State {
    secret: Value,
    configuration: Value,
    /// What was written, in order.
    writes: Vec<&'static str>,
    /// Another replica writes the Secret after the next read of it.
    is_raced: bool,
}

impl Store {
    fn new() -> Store {
        let webhooks = json!([{"name": "kinds.llano.dev"}, {"name": "pods.llano.dev"}]);
        Store(Arc::new(Mutex::new(State {
            secret: json!({"metadata": {"name": "llano-webhook", "resourceVersion": "1"}}),
            configuration: json!({"metadata": {"name": "llano", "resourceVersion": "1"}, "webhooks": webhooks}),
            writes: Vec::new(),
            is_raced: false,
        })))
    }

    fn client(&self) -> Client {
        let store = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let store = store.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (status, answer) = store.answer(&head.method, head.uri.path(), &body);
                let body = Body::from(answer.to_string().into_bytes());
                Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        Client::new(service, "llano")
    }

    fn answer(&self, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let mut guard = self.0.lock().unwrap();
        let state = &mut *guard;
        let refused = |code: u16, reason: &str| {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
                "message": reason});
            (code, status)
        };
        let secret = "/api/v1/namespaces/llano/secrets/llano-webhook";
        let configuration = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/llano";
        match (method.as_str(), path) {
            ("GET", path) if path == secret => {
                let read = state.secret.clone();
                if std::mem::take(&mut state.is_raced) {
                    state.secret["metadata"]["resourceVersion"] = "raced".into();
                }
                (200, read)
            }
            ("GET", path) if path == configuration => (200, state.configuration.clone()),
            ("PUT", path) if path == secret => {
                if body["metadata"]["resourceVersion"] != state.secret["metadata"]["resourceVersion"] {
                    return refused(409, "Conflict");
                }
                state.writes.push("secret");
                state.secret = body.clone();
                state.secret["metadata"]["resourceVersion"] = format!("s{}", state.writes.len()).into();
                (200, state.secret.clone())
            }
            ("PATCH", path) if path == configuration => {
                state.writes.push("configuration");
                for patch in body["webhooks"].as_array().unwrap() {
                    let webhooks = state.configuration["webhooks"].as_array_mut().unwrap();
                    let webhook =
                        webhooks.iter_mut().find(|webhook| webhook["name"] == patch["name"]).unwrap();
                    webhook["clientConfig"]["caBundle"] = patch["clientConfig"]["caBundle"].clone();
                }
                (200, state.configuration.clone())
            }
            _ => refused(404, "NotFound"),
        }
    }

    fn writes(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    fn bundles(&self) -> Vec<Value> {
        let state = self.0.lock().unwrap();
        let webhooks = state.configuration["webhooks"].as_array().unwrap();
        webhooks.iter().map(|webhook| webhook["clientConfig"]["caBundle"].clone()).collect()
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

#[test]
fn the_one_that_leads_makes_it_and_all_serve_it() {
    run(async {
        let store = Store::new();
        let (tls, other_tls) = (Tls::default(), Tls::default());
        let mut leader = Keeper::new(store.client(), Places::default(), tls.clone());
        let mut other = Keeper::new(store.client(), Places::default(), other_tls.clone());
        other.look(false, start()).await.unwrap();
        assert_eq!((other_tls.is_ready(), store.writes()), (false, vec![]), "who does not lead waits");
        leader.look(true, start()).await.unwrap();
        assert_eq!((tls.is_ready(), store.writes()), (true, vec!["secret", "configuration"]));
        other.look(false, start()).await.unwrap();
        assert!(other_tls.is_ready());
        let told = store.bundles();
        assert!(told[0].is_string() && told.iter().all(|bundle| *bundle == told[0]), "{told:?}");
        // Nothing to do any more.
        leader.look(true, start() + SETTLE).await.unwrap();
        assert_eq!(store.writes(), Vec::<&str>::new());
        // Applied anew without the authorities, as a person may do: they come back.
        store.0.lock().unwrap().configuration["webhooks"][1]["clientConfig"] = json!({});
        leader.look(true, start() + SETTLE).await.unwrap();
        assert_eq!((store.writes(), store.bundles()), (vec!["configuration"], told.clone()));
        // Due: the API server hears of the next one, and of the old one still.
        leader.look(true, start() + LIFETIME - RENEW_BEFORE).await.unwrap();
        assert_eq!(store.writes(), ["secret", "configuration"]);
        assert_ne!(store.bundles(), told);
        let keys: Vec<String> =
            store.0.lock().unwrap().secret["data"].as_object().unwrap().keys().cloned().collect();
        let all = ["ca.crt", "previous-ca.crt", "previous-tls.crt", "previous-tls.key", "tls.crt", "tls.key"];
        assert_eq!(keys, all);
    });
}

#[test]
fn of_two_that_think_they_lead_one_writes() {
    run(async {
        let store = Store::new();
        store.0.lock().unwrap().is_raced = true;
        let tls = Tls::default();
        let mut late = Keeper::new(store.client(), Places::default(), tls.clone());
        let error = late.look(true, start()).await.unwrap_err().to_string();
        assert!(error.contains("Secret of the webhook (deploy/webhook.yaml)"), "{error}");
        assert_eq!((tls.is_ready(), store.writes()), (false, vec![]), "what is not written is not served");
        late.look(true, start()).await.unwrap();
        assert!(tls.is_ready());
    });
}

#[test]
fn a_missing_object_is_told_with_where_it_comes_from() {
    run(async {
        let places = Places { secret: "other".to_owned(), ..Places::default() };
        let mut keeper = Keeper::new(Store::new().client(), places, Tls::default());
        let error = keeper.look(true, start()).await.unwrap_err().to_string();
        assert!(error.contains("deploy/webhook.yaml") && error.contains("NotFound"), "{error}");
    });
}
