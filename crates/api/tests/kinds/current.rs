//! `deploy/crds.yaml` and `docs/kinds.md` are what the types say, and what the types say is fit for people.

use api::kinds::{GROUP, VERSION, definitions};
use serde::Deserialize;
use serde_json::Value;

#[test]
fn the_manifest_is_current() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/crds.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let documents =
        serde_yaml_ng::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap());
    // The comment at the top is a document of its own, and empty.
    let written: Vec<Value> = documents.filter(|document| !document.is_null()).collect();
    assert!(written == definitions().unwrap(), "deploy/crds.yaml is not current: run `cargo xtask crds`");
}

#[path = "../../examples/kinds/page.rs"]
mod page;

#[test]
fn the_page_is_current() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kinds.md");
    let written = std::fs::read_to_string(file).unwrap();
    let current = written == page::page(&definitions().unwrap());
    assert!(current, "docs/kinds.md is not current: run `cargo xtask crds`");
}

#[test]
fn every_kind_is_found_by_its_names() {
    let names: Vec<String> = definitions()
        .unwrap()
        .iter()
        .map(|definition| {
            let spec = &definition["spec"];
            let version = &spec["versions"][0];
            assert_eq!((&spec["group"], &version["name"]), (&GROUP.into(), &VERSION.into()));
            assert_eq!(
                definition["metadata"]["name"],
                format!("{}.{GROUP}", spec["names"]["plural"].as_str().unwrap())
            );
            format!(
                "{} {} {} {} {}",
                spec["names"]["kind"],
                spec["names"]["shortNames"],
                spec["names"]["categories"],
                spec["scope"],
                version["subresources"]
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            r#""MacvlanNetwork" ["mvn"] ["llano"] "Cluster" {"status":{}}"#,
            r#""MacvlanSubnet" ["msubnet"] ["llano"] "Cluster" {"status":{}}"#,
            r#""MacvlanIP" ["mip"] ["llano"] "Cluster" null"#,
            r#""MacvlanReservation" ["mres"] ["llano"] "Namespaced" {"status":{}}"#,
        ]
    );
}

/// `kubectl explain` has a text for every field of ours, lists say how they are merged, and texts and lists have an end.
#[test]
fn every_field_is_explained_and_bounded() {
    fn look(schema: &Value, path: &str, below_metadata: bool) {
        let bounded = |key: &str| assert!(schema[key].is_u64(), "{path} has no {key}");
        match schema["type"].as_str() {
            Some("string") if schema["enum"].is_null() && schema["format"].is_null() => bounded("maxLength"),
            Some("array") => {
                bounded("maxItems");
                assert!(schema["x-kubernetes-list-type"].is_string(), "{path} is a list of no type");
                look(&schema["items"], &format!("{path}[]"), false);
            }
            _ => {}
        }
        for key in ["nullable", "title"] {
            assert!(schema[key].is_null(), "{path} is {key}");
        }
        for (key, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            let text = field["description"].as_str().unwrap_or_default();
            assert!(below_metadata || text.ends_with('.'), "{path} is explained by {text:?}");
            assert!(!text.contains('\n'), "{path}");
            look(field, &path, false);
        }
    }
    for definition in definitions().unwrap() {
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert!(schema["description"].as_str().unwrap().starts_with("Macvlan"));
        for part in ["spec", "status"].into_iter().filter(|part| !schema["properties"][part].is_null()) {
            look(&schema["properties"][part], part, false);
        }
        look(&schema["properties"]["metadata"], "metadata", true);
    }
}
