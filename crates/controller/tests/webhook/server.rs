//! The server over real TLS, on a port of the loopback.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use controller::webhook::{BODY_LIMIT, Certificates, PATH, Pair, Server, Tls, World, judge};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::cluster::Cluster;

const NAME: &str = "llano-webhook.llano.svc";

/// Runs a test with a server for as long as it needs.
fn with_server<F: Future<Output = ()>>(
    is_known: bool,
    tls: Tls,
    test: impl FnOnce(std::net::SocketAddr) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), tls).await.unwrap();
        let address = server.address().unwrap();
        let mut cluster = Cluster::new();
        cluster.is_known = is_known;
        let cluster = Arc::new(cluster);
        let serving =
            tokio::spawn(server.run(move |question| cluster.is_known().then(|| judge(question, &*cluster))));
        tokio::time::timeout(Duration::from_secs(60), test(address)).await.expect("an answer");
        serving.abort();
    });
}

fn fresh() -> Certificates {
    Certificates::default().renewed(NAME, SystemTime::now()).unwrap().unwrap()
}

fn newest(certificates: &Certificates) -> Pair {
    certificates.newest.clone().unwrap()
}

fn serving(pair: &Pair) -> Tls {
    let tls = Tls::default();
    tls.serve(pair.certified().unwrap());
    tls
}

/// A client that knows these authorities, as the API server knows its `caBundle`.
pub(crate) async fn connect(
    address: std::net::SocketAddr,
    authorities: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), stream).await
}

/// Status and body of one answer; the connection ends with it.
pub(crate) async fn asked(stream: &mut TlsStream<TcpStream>, head: &str, body: &[u8]) -> (u16, String) {
    let length = body.len();
    let head =
        format!("{head} HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server that has answered already may not read on.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

pub(crate) fn review(cidr: &str) -> Vec<u8> {
    let object = json!({"apiVersion": "llano.dev/v1alpha1", "kind": "MacvlanSubnet", "metadata": {"name": "new"},
        "spec": {"network": "lan", "cidr": cidr}});
    let kind = json!({"group": "llano.dev", "version": "v1alpha1", "kind": "MacvlanSubnet"});
    let request = json!({"uid": "705ab4f5", "kind": kind, "name": "new", "operation": "CREATE", "object": object,
        "oldObject": null, "dryRun": false, "userInfo": {"username": "jo"}});
    serde_json::to_vec(
        &json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}),
    )
    .unwrap()
}

#[test]
fn questions_are_answered() {
    let certificates = fresh();
    with_server(true, serving(&newest(&certificates)), |address| async move {
        let post = format!("POST {PATH}?timeout=5s");
        let mut stream = connect(address, &certificates.authorities()).await.unwrap();
        let (status, body) = asked(&mut stream, &post, &review("10.9.0.0/24")).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 200);
        assert_eq!(
            answer,
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "response": {"uid": "705ab4f5", "allowed": true}})
        );
        let mut stream = connect(address, &certificates.authorities()).await.unwrap();
        let (_, body) = asked(&mut stream, &post, &review("10.1.0.0/25")).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        let status = &answer["response"]["status"];
        assert_eq!((&answer["response"]["allowed"], &status["code"]), (&json!(false), &json!(422)));
        assert!(status["message"].as_str().unwrap().contains("shop-only"), "{status}");
    });
}

#[test]
fn what_is_no_question_is_refused() {
    let certificates = fresh();
    with_server(true, serving(&newest(&certificates)), |address| async move {
        let post = format!("POST {PATH}");
        let large = vec![b' '; BODY_LIMIT + 1];
        let other =
            br#"{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": null}"#;
        for (head, body, expected) in [
            (post.as_str(), &b""[..], 400),
            (post.as_str(), &b"{}"[..], 400),
            (post.as_str(), &other[..], 400),
            (post.as_str(), &large[..], 413),
            (&format!("GET {PATH}"), &b""[..], 405),
            ("POST /", &review("10.9.0.0/24")[..], 404),
        ] {
            let mut stream = connect(address, &certificates.authorities()).await.unwrap();
            let (status, said) = asked(&mut stream, head, body).await;
            assert_eq!(status, expected, "{head}: {said}");
        }
    });
}

#[test]
fn nothing_is_said_before_the_cluster_is_known() {
    let certificates = fresh();
    with_server(false, serving(&newest(&certificates)), |address| async move {
        let mut stream = connect(address, &certificates.authorities()).await.unwrap();
        let (status, _) = asked(&mut stream, &format!("POST {PATH}"), &review("10.9.0.0/24")).await;
        assert_eq!(status, 503);
    });
}

#[test]
fn a_certificate_is_exchanged_without_a_restart() {
    let (old, new) = (fresh(), fresh());
    let tls = Tls::default();
    let exchanged = tls.clone();
    with_server(true, tls, |address| async move {
        assert!(connect(address, &old.authorities()).await.is_err(), "there is none yet");
        exchanged.serve(newest(&old).certified().unwrap());
        let mut open = connect(address, &old.authorities()).await.unwrap();
        assert!(connect(address, &new.authorities()).await.is_err(), "another's is not taken");
        exchanged.serve(newest(&new).certified().unwrap());
        connect(address, &new.authorities()).await.unwrap();
        assert!(connect(address, &old.authorities()).await.is_err());
        // Who was there before is answered all the same.
        let (status, _) = asked(&mut open, &format!("POST {PATH}"), &review("10.9.0.0/24")).await;
        assert_eq!(status, 200);
    });
}

#[test]
fn who_says_nothing_keeps_nobody_waiting() {
    let certificates = fresh();
    with_server(true, serving(&newest(&certificates)), |address| async move {
        let mut silent = Vec::new();
        for _ in 0..8 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut stream = connect(address, &certificates.authorities()).await.unwrap();
        let (status, _) = asked(&mut stream, &format!("POST {PATH}"), &review("10.9.0.0/24")).await;
        assert_eq!(status, 200);
        drop(silent);
    });
}
