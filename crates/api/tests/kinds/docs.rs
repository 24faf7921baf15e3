//! What the pages about addresses show is taken by an API server, and read by an agent, as it stands there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api::addresses::{AddressRequests, annotations};
use api::{IfName, Selections};
use serde::Deserialize;
use serde_json::Value;

use crate::rules::{Kind, Rules, kinds, parsed};

const PAGES: [&str; 4] = ["addresses.md", "kinds.md", "coming-from-spiderpool.md", "coming-from-rancher.md"];
/// The manifests of the tour.
const EXAMPLES: &str = "examples/addresses";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The manifests of the tour by their names.
fn examples() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(docs().join(EXAMPLES)).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), read(&file))).collect()
}

/// The blocks of YAML of a page, each with the text line before it.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let (mut lines, mut before) = (page.lines(), "");
    while let Some(line) = lines.next() {
        if line.trim_start() == "```yaml" {
            let block = lines.by_ref().take_while(|line| line.trim_start() != "```");
            blocks.push((before.to_owned(), block.map(|line| format!("{line}\n")).collect()));
        } else if !line.trim().is_empty() {
            before = line;
        }
    }
    blocks
}

fn documents(yaml: &str, place: &str) -> Vec<Value> {
    let read =
        |document| Value::deserialize(document).unwrap_or_else(|error| panic!("{place}: {error}:\n{yaml}"));
    serde_yaml_ng::Deserializer::from_str(yaml).map(read).filter(|document| !document.is_null()).collect()
}

/// The annotations of a pod: of an object that is one or makes some, of a part of one, or by themselves.
fn annotations_of(document: &Value) -> BTreeMap<String, String> {
    let by_themselves =
        document.as_object().is_some_and(|keys| !keys.is_empty() && keys.keys().all(|key| key.contains('/')));
    let found = [
        document.pointer("/metadata/annotations"),
        document.pointer("/spec/template/metadata/annotations"),
        document.pointer("/spec/jobTemplate/spec/template/metadata/annotations"),
        by_themselves.then_some(document),
    ];
    let texts = found.into_iter().flatten().flat_map(|found| found.as_object().unwrap());
    texts
        .map(|(key, text)| (key.clone(), text.as_str().unwrap_or_else(|| panic!("{key}: {text}")).to_owned()))
        .collect()
}

/// The interfaces that a pod gets by these annotations, all with addresses from Llano's subnets.
fn interfaces(annotations: &BTreeMap<String, String>, place: &str) -> Vec<IfName> {
    let mut names = Vec::new();
    if let Some(value) = annotations.get(api::DEFAULT_NETWORK) {
        Selections::parse_default(value, "kube-system").unwrap_or_else(|error| panic!("{place}: {error}"));
        names.push(IfName::new("eth0").unwrap());
    }
    let value = annotations.get(api::NETWORKS).map_or("", String::as_str);
    let beside = Selections::parse(value, "default").unwrap_or_else(|error| panic!("{place}: {error}"));
    for (place, selection) in beside.elements.into_iter().enumerate() {
        names.push(selection.interface.unwrap_or_else(|| IfName::new(&format!("net{}", place + 1)).unwrap()));
    }
    if names.is_empty() {
        names.push(IfName::new("net1").unwrap());
    }
    names
}

/// Tries one document. Whether it is one of our kinds or asks for addresses.
fn check(document: &Value, place: &str, kinds: &BTreeMap<String, Kind>) -> bool {
    if document["apiVersion"].as_str().is_some_and(|version| version.starts_with("llano.dev/")) {
        let name = document["kind"].as_str().unwrap_or_default();
        let kind = kinds.get(name).unwrap_or_else(|| panic!("{place}: kind {name:?}"));
        let object = kind.complete(document);
        assert_eq!(kind.refusals(&object, None, &mut Rules::new()), Vec::<String>::new(), "{place}");
        assert_eq!(parsed(&object), Some(Ok(())), "{place}");
        return true;
    }
    let asked = annotations_of(document);
    let interfaces = interfaces(&asked, place);
    let read = AddressRequests::parse(|key| asked.get(key).map(String::as_str), &interfaces);
    let read = read.unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(read.warnings().is_empty(), "{place}: {:?}", read.warnings());
    let is_read = |key: &String| annotations().any(|own| own == key);
    let of_others = ["llano.dev/", "ipam.spidernet.io/", "pandaria"];
    for key in asked.keys().filter(|key| of_others.iter().any(|own| key.contains(own))) {
        assert!(is_read(key), "{place}: nobody reads {key}");
    }
    asked.keys().any(is_read)
}

#[test]
fn what_the_pages_show_is_taken() {
    let kinds = kinds();
    for page in PAGES {
        let text = read(&docs().join(page));
        let mut tried = 0;
        for (at, (_, block)) in blocks(&text).iter().enumerate() {
            let place = format!("docs/{page}, block {}", at + 1);
            let documents = documents(block, &place);
            tried += documents.iter().filter(|document| check(document, &place, &kinds)).count();
        }
        assert!(tried >= 4, "docs/{page}: {tried} examples");
    }
    for (name, text) in examples() {
        let documents = documents(&text, &name);
        assert!(!documents.is_empty(), "{name}");
        for document in &documents {
            check(document, &name, &kinds);
        }
    }
}

/// A block below a line with a link to a manifest is that manifest, or lines of it that stand together.
#[test]
fn the_tour_shows_its_manifests() {
    let page = read(&docs().join("addresses.md"));
    let blocks = blocks(&page);
    for (name, text) in examples() {
        let link = format!("({EXAMPLES}/{name})");
        let mut shown = blocks.iter().filter(|(before, _)| before.contains(&link)).peekable();
        assert!(shown.peek().is_some(), "docs/addresses.md shows nothing of {name}");
        for (_, block) in shown {
            assert!(format!("\n{text}").contains(&format!("\n{block}")), "{name} has not\n{block}");
        }
    }
    let linked = blocks.iter().filter(|(before, _)| before.contains(&format!("({EXAMPLES}/"))).count();
    assert!(linked >= examples().len(), "{linked} blocks");
}
