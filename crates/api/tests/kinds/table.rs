//! The cases of the kinds: objects that the API server takes, and objects that it refuses, with what it says. They are files of
//! `cases/`, one a kind, and are tried twice: here without an API server, and by `tests/cluster` with one.

use serde::Deserialize;
use serde_json::Value;

/// The files' texts.
const FILES: [&str; 4] = [
    include_str!("cases/network.yaml"),
    include_str!("cases/subnet.yaml"),
    include_str!("cases/claim.yaml"),
    include_str!("cases/reservation.yaml"),
];

/// A file: an object that is taken, and what is different in each case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    base: Value,
    cases: Vec<Row>,
}

/// A case as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    case: String,
    #[serde(default = "nothing")]
    with: Value,
    then: Option<Value>,
    refused: Option<String>,
    unparsed: Option<String>,
    #[serde(default)]
    parsed: bool,
    #[serde(default)]
    unread: bool,
}

fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

/// A case.
pub(crate) struct Case {
    /// `MacvlanSubnet: a gateway elsewhere`.
    pub(crate) name: String,
    /// The object that is created: the base, merged with the case's `with`.
    pub(crate) object: Value,
    /// What it is changed to: `object`, merged with `then`.
    pub(crate) then: Option<Value>,
    /// The API server refuses the last of the two, and says this.
    pub(crate) refused: Option<String>,
    /// The API server takes it, since CEL cannot say what is wrong; parsing refuses it, and says this.
    pub(crate) unparsed: Option<String>,
    /// The API server refuses it, parsing does not: it would mean something all the same.
    pub(crate) parsed: bool,
    /// The API server refuses it, and the types cannot hold it.
    pub(crate) unread: bool,
}

impl Case {
    /// The object's kind.
    pub(crate) fn kind(&self) -> &str {
        self.object["kind"].as_str().expect("a kind")
    }

    /// The object that is taken or refused.
    pub(crate) fn last(&self) -> &Value {
        self.then.as_ref().unwrap_or(&self.object)
    }
}

/// Every case of every kind.
pub(crate) fn cases() -> Vec<Case> {
    FILES.iter().flat_map(|text| cases_of(text)).collect()
}

fn cases_of(text: &str) -> Vec<Case> {
    let Table { base, cases } = serde_yaml_ng::from_str(text).expect("a file of cases");
    let kind = base["kind"].as_str().expect("a kind").to_owned();
    let case = |row: Row| {
        let object = merged(&base, &row.with);
        let then = row.then.map(|then| merged(&object, &then));
        Case {
            name: format!("{kind}: {}", row.case),
            object,
            then,
            refused: row.refused,
            unparsed: row.unparsed,
            parsed: row.parsed,
            unread: row.unread,
        }
    };
    cases.into_iter().map(case).collect()
}

/// RFC 7396's merge patch: a null takes away, a list replaces.
fn merged(base: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut merged = base.as_object().cloned().unwrap_or_default();
    for (key, value) in patch {
        if value.is_null() {
            merged.remove(key);
        } else {
            let before = merged.get(key).unwrap_or(&Value::Null);
            merged.insert(key.clone(), self::merged(before, value));
        }
    }
    merged.into()
}
