//! What pods ask for: the annotations and what they are read as, the subnets that they lead to, and what holds for all.

// Helpers of tests are not inside a test function, where the lints would allow these.
#![allow(clippy::unwrap_used)]

mod chosen;
mod limits;
mod properties;
mod table;

use std::collections::BTreeMap;

use api::IfName;
use api::addresses::AddressRequests;

/// Annotations by key.
pub(crate) type Annotations = BTreeMap<String, String>;

pub(crate) fn parse(annotations: &Annotations, interfaces: &[IfName]) -> api::Result<AddressRequests> {
    AddressRequests::parse(|key| annotations.get(key).map(String::as_str), interfaces)
}

/// Interfaces by name; the text `none` is none.
pub(crate) fn interfaces(names: &str) -> Vec<IfName> {
    let names = if names == "none" { "" } else { names };
    names.split_whitespace().map(|name| IfName::new(name).unwrap()).collect()
}

/// The requests of one annotation for an interface `net1`.
pub(crate) fn ask(key: &str, value: &str) -> api::Result<AddressRequests> {
    parse(&BTreeMap::from([(key.to_owned(), value.to_owned())]), &interfaces("net1"))
}

#[test]
fn annotations_are_read_as_the_table_says() {
    table::check("asked.txt", |case| {
        let mut annotations = case.given.clone();
        let names = annotations.remove("interfaces").unwrap_or_else(|| "net1".to_owned());
        let interfaces = interfaces(&names);
        match parse(&annotations, &interfaces) {
            Err(error) => format!("error {error}\n"),
            Ok(requests) => {
                let printed = requests.to_annotation();
                let again = BTreeMap::from([("llano.dev/addresses".to_owned(), printed.clone())]);
                let again = parse(&again, &interfaces).unwrap();
                assert!(again.iter().eq(requests.iter()), "{}: {printed}", case.title);
                let warnings: String =
                    requests.warnings().iter().map(|warning| format!("warning {warning}\n")).collect();
                format!("{printed}\n{warnings}")
            }
        }
    });
}
