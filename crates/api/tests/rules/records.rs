//! A call from its record, which is all that a deletion has.

use api::{DelegateCall, Error};
use cni::json::{self, Value};

use crate::support::Cluster;

fn call() -> DelegateCall {
    let cluster = Cluster::of(&[(
        "a",
        r#"{"cniVersion":"1.0.0","name":"a","type":"macvlan","capabilities":{"mac":true}}"#,
    )]);
    cluster
        .plan(r#"[{"name":"a","mac":"02:00:00:00:00:01","cni-args":{"a":1},"default-route":["10.0.0.1"]}]"#)
        .unwrap()
        .calls[1]
        .clone()
}

#[test]
fn a_call_comes_back_whole() {
    let value = call().to_value();
    assert_eq!(
        DelegateCall::from_value(&json::parse(value.to_compact().as_bytes()).unwrap()).unwrap(),
        call()
    );
}

/// Whatever is damaged is said; nothing panics, nothing becomes a path.
#[test]
fn a_damaged_record_is_refused() {
    let Value::Object(members) = call().to_value() else { panic!() };
    for (key, _) in &members {
        let mut value = Value::Object(members.clone());
        value.set(key, Value::Array(vec![Value::Bool(true)]));
        let read = DelegateCall::from_value(&value);
        assert!(matches!(read, Err(Error::Unreadable { .. })), "{key}: {read:?}");
    }
    for (key, text) in
        [("definition", "a/../b"), ("ifname", "../x"), ("config", r#"{"name":"a","type":"/bin/sh"}"#)]
    {
        let mut value = Value::Object(members.clone());
        value.set(key, text.into());
        assert!(DelegateCall::from_value(&value).is_err(), "{key}");
    }
}
