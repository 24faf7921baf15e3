//! What a plugin reads on standard input, to the byte.

use api::NetConfig;
use cni::json::Value;
use cni::{CniResult, Interface};

use crate::support::Cluster;

fn stdin(config: &str, index: usize, runtime: &[(String, Value)]) -> String {
    NetConfig::parse(config, Some("nad")).unwrap().stdin(index, None, runtime).unwrap().unwrap()
}

#[test]
fn a_configuration_is_passed_on_as_it_is() {
    let config = r#"{"cniVersion":"1.0.0","name":"n","type":"macvlan","master":"eth1","mtu":1500,"x":[1,-2,3.5,null]}"#;
    assert_eq!(stdin(config, 0, &[]), config);
}

#[test]
fn a_name_that_is_missing_is_the_definitions() {
    let named = r#"{"type":"macvlan","name":"nad"}"#;
    assert_eq!(stdin(r#"{"type":"macvlan"}"#, 0, &[]), named);
    assert_eq!(stdin(r#"{"type":"macvlan","name":""}"#, 0, &[]), named);
    // In whatever case it was written: a plugin must not find two.
    assert_eq!(stdin(r#"{"type":"macvlan","NAME":""}"#, 0, &[]), named);
}

#[test]
fn a_lists_plugins_have_its_name_and_version() {
    let list = r#"{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a","name":"own","cniVersion":"0.1.0"},{"type":"b"}]}"#;
    assert_eq!(stdin(list, 0, &[]), r#"{"type":"a","name":"n","cniVersion":"0.4.0"}"#);
    assert_eq!(stdin(list, 1, &[]), r#"{"type":"b","name":"n","cniVersion":"0.4.0"}"#);
}

#[test]
fn the_newest_known_of_several_versions_counts() {
    let list = r#"{"cniVersions":["0.3.1","9.0.0","1.0.0"],"name":"n","plugins":[{"type":"a"}]}"#;
    assert_eq!(stdin(list, 0, &[]), r#"{"type":"a","name":"n","cniVersion":"1.0.0"}"#);
}

#[test]
fn a_plugin_is_given_what_it_declares_and_nothing_else() {
    let list =
        r#"{"name":"n","plugins":[{"type":"a","capabilities":{"mac":true,"ips":false}},{"type":"b"}]}"#;
    let runtime = [("mac".to_owned(), "m".into()), ("ips".to_owned(), Value::Array(vec!["i".into()]))];
    assert_eq!(
        stdin(list, 0, &runtime),
        r#"{"type":"a","capabilities":{"mac":true,"ips":false},"name":"n","runtimeConfig":{"mac":"m"}}"#
    );
    assert_eq!(stdin(list, 1, &runtime), r#"{"type":"b","name":"n"}"#);
}

#[test]
fn the_previous_result_has_the_configurations_version() {
    let config =
        NetConfig::parse(r#"{"cniVersion":"0.3.1","name":"n","type":"a","prevResult":{}}"#, None).unwrap();
    let result = CniResult {
        interfaces: vec![Interface { name: "eth0".to_owned(), mtu: Some(9000), ..Interface::default() }],
        ..CniResult::default()
    };
    assert_eq!(
        config.stdin(0, Some(&result), &[]).unwrap().unwrap(),
        r#"{"cniVersion":"0.3.1","name":"n","type":"a","prevResult":{"cniVersion":"0.3.1","interfaces":[{"name":"eth0"}],"dns":{}}}"#
    );
}

#[test]
fn the_pods_arguments_win_over_the_definitions() {
    let cluster = Cluster::of(&[
        ("a", r#"{"type":"x","args":{"cni":{"a":1,"b":2},"other":3}}"#),
        ("b", r#"{"type":"x"}"#),
    ]);
    let plan =
        cluster.plan(r#"[{"name":"a","cni-args":{"b":"new","c":[]}},{"name":"b","cni-args":{}}]"#).unwrap();
    let stdin = |at: usize| plan.calls[at].config.stdin(0, None, &[]).unwrap().unwrap();
    assert_eq!(stdin(1), r#"{"type":"x","args":{"cni":{"a":1,"b":"new","c":[]},"other":3},"name":"a"}"#);
    assert_eq!(stdin(2), r#"{"type":"x","args":{"cni":{}},"name":"b"}"#);
}

#[test]
fn cni_args_have_the_order_of_old() {
    let cluster = Cluster::of(&[("a", r#"{"type":"macvlan","ipam":{"type":"static"}}"#)]);
    let plan = cluster.plan(r#"[{"name":"a","ips":["10.0.0.1/8"],"mac":"02:00:00:00:00:01"}]"#).unwrap();
    let own = "IgnoreUnknown=true;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c0;K8S_POD_UID=u";
    assert_eq!(plan.calls[0].cni_args(), own);
    assert_eq!(plan.calls[1].cni_args(), format!("{own};MAC=02:00:00:00:00:01;IP=10.0.0.1/8"));
}

#[test]
fn what_a_list_switches_off_is_off() {
    let parse = |text: &str| NetConfig::parse(text, None).unwrap();
    let plain = parse(r#"{"cniVersion":"1.1.0","name":"n","plugins":[{"type":"a"}]}"#);
    assert!(plain.can_check() && plain.can_collect() && plain.can_tell_status());
    let off = r#"{"cniVersion":"1.1.0","name":"n","disableCheck":true,"disableGC":"true","plugins":[{"type":"a"}]}"#;
    assert!(!parse(off).can_check() && !parse(off).can_collect());
    assert_eq!(parse(&parse(off).to_text()), parse(off));
    let old = parse(r#"{"cniVersion":"0.3.1","name":"n","type":"a"}"#);
    assert!(!old.can_check() && !old.can_collect() && !old.can_tell_status());
}
