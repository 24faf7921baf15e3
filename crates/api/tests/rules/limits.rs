//! Hostile input: how much, and how deep.

use api::{Error, LONGEST_ANNOTATION, LONGEST_CONFIG, MOST_NETWORKS, NetConfig, Selections};

use crate::support::Cluster;

fn refused(text: &str) -> String {
    Selections::parse(text, "default").unwrap_err().to_string()
}

#[test]
fn an_annotation_has_a_longest() {
    let pad = " ".repeat(LONGEST_ANNOTATION - 1);
    assert_eq!(Selections::parse(&format!("a{pad}"), "default").unwrap().elements.len(), 1);
    assert!(refused(&format!("aa{pad}")).contains("at most 65536 are allowed"));
}

#[test]
fn networks_have_a_most() {
    let comma = |count: usize| vec!["a"; count].join(",");
    let json = |count: usize| format!("[{}]", vec![r#"{"name":"a"}"#; count].join(","));
    for text in [comma(MOST_NETWORKS), json(MOST_NETWORKS)] {
        assert_eq!(Selections::parse(&text, "default").unwrap().elements.len(), MOST_NETWORKS);
    }
    for text in [comma(MOST_NETWORKS + 1), json(MOST_NETWORKS + 1)] {
        assert!(refused(&text).ends_with("129, at most 128 are allowed"), "{}", refused(&text));
    }
    // The first network counts.
    let cluster = Cluster::of(&[("a", r#"{"type":"macvlan"}"#)]);
    assert_eq!(cluster.plan(&comma(MOST_NETWORKS - 1)).unwrap().calls.len(), MOST_NETWORKS);
    assert!(matches!(cluster.plan(&comma(MOST_NETWORKS)), Err(Error::TooMany { .. })));
}

#[test]
fn items_of_an_element_have_a_most() {
    let ips: Vec<String> = (0..257).map(|n| format!("\"10.0.{}.{}\"", n / 256, n % 256)).collect();
    let text = |ips: &[String]| format!(r#"[{{"name":"a","ips":[{}]}}]"#, ips.join(","));
    assert!(Selections::parse(&text(&ips[..256]), "default").is_ok());
    assert!(refused(&text(&ips)).ends_with("networks[0].ips: 257, at most 256 are allowed"));
}

#[test]
fn nesting_has_an_end() {
    let deep = format!(r#"[{{"name":"a","cni-args":{}1{}}}]"#, r#"{"a":"#.repeat(200), "}".repeat(200));
    assert!(refused(&deep).contains("recursion limit exceeded"));
}

#[test]
fn messages_stay_short() {
    let long = "x".repeat(5000);
    for text in [
        format!(r#"[{{"name":"a","interface":"{long}"}}]"#),
        format!(r#"[{{"name":"a","mac":"{long}"}}]"#),
        format!(r#"[{{"name":"a","ips":["{long}"]}}]"#),
        format!("{long}X"),
        format!("a@{long}"),
    ] {
        let message = refused(&text);
        assert!(message.len() < 500, "{message}");
    }
}

#[test]
fn a_configuration_has_a_longest_and_a_chain_a_most() {
    let pad = " ".repeat(LONGEST_CONFIG);
    let error = NetConfig::parse(&format!(r#"{{"name":"a","type":"b"}}{pad}"#), None).unwrap_err();
    assert!(error.ends_with("at most 524288 are allowed"), "{error}");
    let chain = |count| format!(r#"{{"name":"a","plugins":[{}]}}"#, vec![r#"{"type":"b"}"#; count].join(","));
    assert_eq!(NetConfig::parse(&chain(32), None).unwrap().plugins().len(), 32);
    assert_eq!(NetConfig::parse(&chain(33), None).unwrap_err(), "invalid plugins: 33, expected at most 32");
}

#[test]
fn no_plugin_and_no_ipam_is_a_path() {
    for config in [
        r#"{"name":"a","type":"/bin/sh"}"#,
        r#"{"name":"a","type":".."}"#,
        r#"{"name":"a","type":"a\u0000b"}"#,
        r#"{"name":"a","plugins":[{"type":"ok"},{"type":"a/b"}]}"#,
        r#"{"name":"a","type":"macvlan","ipam":{"type":"../x"}}"#,
        r#"{"name":"a/b","type":"macvlan"}"#,
        r#"{"name":"a","type":"macvlan","capabilities":{"ips":"yes"}}"#,
        r#"{"name":"a","type":"macvlan","args":{"cni":[]}}"#,
        "[]",
        "null",
    ] {
        assert!(NetConfig::parse(config, None).is_err(), "{config}");
    }
}

#[test]
fn a_definition_keeps_its_files_where_cni_does() {
    let plan = |dir: &str, key: &str| {
        let conf = match key {
            "ipam" => format!(r#"{{"type":"macvlan","ipam":{{"type":"host-local","dataDir":{dir}}}}}"#),
            _ => format!(r#"{{"plugins":[{{"type":"macvlan"}},{{"type":"tuning","dataDir":{dir}}}]}}"#),
        };
        Cluster::of(&[("a", &conf)]).plan("a").map(drop)
    };
    for key in ["ipam", "own"] {
        for dir in ["\"/var/lib/cni/networks\"", "\"/run/cni/x\"", "\"/var/run/cni\"", "\"\"", "null"] {
            plan(dir, key).unwrap_or_else(|error| panic!("{dir}: {error}"));
        }
        for dir in ["/etc/cron.d", "/var/lib/cni/../../etc", "/var/lib/cnix", "run/cni", "/"] {
            let error = plan(&format!("{dir:?}"), key).unwrap_err();
            assert!(matches!(error, Error::Definition { .. }), "{dir}: {error}");
            assert!(
                error.to_string().contains("dataDir: ") && error.to_string().contains("dataDirs"),
                "{error}"
            );
        }
        assert!(plan("7", key).is_err());
    }
}
