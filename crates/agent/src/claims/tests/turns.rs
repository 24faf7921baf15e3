//! Many calls at once.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use claims::CREATES_AT_ONCE;
use serde_json::json;

use super::{Agent, LONG, Server, pod, subnet, texts};

#[test]
fn few_creates_are_under_way_at_once_and_every_call_gets_its_turn() {
    let server = Server::default();
    server.lock().pace = Duration::from_millis(2);
    let lan = || subnet("lan4", "10.0.0.0/24", &json!({"ranges": ["10.0.0.1-10.0.0.16"]}));
    // Half of the creates are refused: the other node's claims are not shown.
    let (other, node) = (Agent::new(&server, "n2", vec![lan()]), Agent::new(&server, "n1", vec![lan()]));
    for n in 0..8 {
        other.get(&pod("other", &format!("o{n}")), &format!("co{n}"), None).unwrap();
    }
    let until = Instant::now() + LONG;
    let ask = |n: usize| {
        let claimed = node.ask_until(&pod("web", &format!("u{n}")), &format!("c{n}"), None, until);
        texts(&claimed.unwrap())
    };
    let got: BTreeSet<String> = thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|n| scope.spawn(move || ask(n))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(got.len(), 8);
    let most = server.lock().most_creating;
    assert!(most <= CREATES_AT_ONCE, "{most}");
}
