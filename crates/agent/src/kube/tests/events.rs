//! Events as they reach the API server.

use api::Event;

use apiserver::testing::{Server, State};

use super::{connect, key};
use crate::Cluster;

fn event(message: &str) -> Event {
    Event::warning(api::event::NO_NETWORK_FOUND, message.to_owned())
}

#[test]
fn an_event_says_what_kubectl_shows() {
    let server = Server::start().unwrap();
    let client = connect(&server, |_| {});
    client.cluster.event(&key("web", "u-1"), event("cannot find it"));
    server.wait("an event", |state| state.seen.iter().any(|seen| seen.line.starts_with("POST ")));
    let sent = server.seen("POST ").remove(0);
    assert!(sent.line.starts_with("POST /api/v1/namespaces/shop/events?"), "{}", sent.line);
    let body = sent.body;
    assert_eq!((&body["type"], &body["reason"]), (&"Warning".into(), &"NoNetworkFound".into()));
    assert_eq!((&body["message"], &body["count"]), (&"cannot find it".into(), &1.into()));
    assert_eq!(body["involvedObject"]["uid"], "u-1");
    assert_eq!(body["involvedObject"]["kind"], "Pod");
    assert_eq!((&body["source"]["component"], &body["source"]["host"]), (&"llano".into(), &"node1".into()));
    assert!(body["metadata"]["name"].as_str().unwrap().starts_with("web."));
    assert!(body["firstTimestamp"].as_str().unwrap().ends_with('Z'), "{body}");
}

#[test]
fn the_same_again_is_counted_on_the_first() {
    let server = Server::start().unwrap();
    let client = connect(&server, |_| {});
    let posts = |count: usize| {
        move |state: &State| state.seen.iter().filter(|seen| seen.line.contains("/events")).count() == count
    };
    client.cluster.event(&key("web", "u-1"), event("cannot find it"));
    server.wait("the first", posts(1));
    let name = server.seen("POST ")[0].body["metadata"]["name"].as_str().unwrap().to_owned();
    // The reply may still be under way: what is sent counts only with it.
    client.until(&|health| health.events_sent == 1);
    client.cluster.event(&key("web", "u-1"), event("cannot find it"));
    server.wait("the second", posts(2));
    let again = server.seen("PATCH ").remove(0);
    assert!(
        again.line.starts_with(&format!("PATCH /api/v1/namespaces/shop/events/{name}?")),
        "{}",
        again.line
    );
    assert_eq!(again.body["count"], 2);
    client.until(&|health| health.events_sent == 2);
    // The API server has forgotten it.
    server.fault("PATCH ", 404);
    client.cluster.event(&key("web", "u-1"), event("cannot find it"));
    server.wait("another first", posts(4));
    assert_eq!(server.seen("POST ").len(), 2);
}

#[test]
fn an_event_waits_for_an_api_server_that_is_away_and_ends_with_its_namespace() {
    let server = Server::start().unwrap();
    for code in [500, 503, 429, 401] {
        server.fault("POST ", code);
    }
    let client = connect(&server, |_| {});
    client.cluster.event(&key("web", "u-1"), event("first"));
    server.wait("five tries", |state| {
        state.seen.iter().filter(|seen| seen.line.starts_with("POST ")).count() == 5
    });
    // "namespace is being terminated".
    server.fault("POST ", 403);
    client.cluster.event(&key("web", "u-1"), event("second"));
    client.cluster.event(&key("web", "u-1"), event("third"));
    server.wait("the third", |state| state.seen.iter().any(|seen| seen.body["message"] == "third"));
    assert_eq!(client.cluster.health().events_dropped, 1);
    let second = server.state().seen.iter().filter(|seen| seen.body["message"] == "second").count();
    assert_eq!(second, 1);
}
