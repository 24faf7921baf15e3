//! The table, without an API server: bounds by our own check, CEL by `kube-cel`, and parsing.

use std::collections::{BTreeMap, BTreeSet};

use api::kinds::{
    Claim, MacvlanIP, MacvlanNetwork, MacvlanReservation, MacvlanSubnet, Network, Reservation, Subnet,
    definitions,
};
use kube_cel::{CompiledSchema, ErrorKind, Validator, apply_defaults, compile_schema};
use serde_json::Value;

use crate::bounds;
use crate::table::{Case, cases};

/// A kind as the API server has it.
pub(crate) struct Kind {
    schema: Value,
    rules: CompiledSchema,
}

/// Every kind, by its name.
pub(crate) fn kinds() -> BTreeMap<String, Kind> {
    let definitions = definitions().unwrap();
    let of = |definition: Value| {
        let schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        let name = definition["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        (name, Kind { rules: compile_schema(&schema), schema })
    };
    definitions.into_iter().map(of).collect()
}

impl Kind {
    /// The object with the schema's defaults.
    pub(crate) fn complete(&self, object: &Value) -> Value {
        apply_defaults(&self.schema, object)
    }

    /// What an API server would say: nothing when it takes the object. Both have their defaults. The rules that refuse it go to
    /// `broken`; a rule that fails itself is our own mistake.
    pub(crate) fn refusals(&self, object: &Value, before: Option<&Value>, broken: &mut Rules) -> Vec<String> {
        let out_of_bounds = bounds::complaints(&self.schema, object);
        if !out_of_bounds.is_empty() {
            // It looks at the rules only when the rest is well.
            return out_of_bounds;
        }
        let result = Validator::new().validate_compiled(&self.rules, object, before);
        let Err(errors) = result else { return Vec::new() };
        for error in errors.iter() {
            assert_eq!(error.kind, ErrorKind::ValidationFailure, "{error}: {}", error.rule);
            broken.insert((without_places(&error.field_path), error.rule.clone()));
        }
        errors.iter().map(ToString::to_string).collect()
    }
}

/// Rules, each with the path that its refusals name.
pub(crate) type Rules = BTreeSet<(String, String)>;

/// `spec.ranges[3]` as `spec.ranges[]`.
fn without_places(path: &str) -> String {
    let parts = path
        .trim_start_matches('.')
        .split(']')
        .map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit()));
    parts.collect::<Vec<_>>().join("]")
}

/// The rules of a schema that look at a value; without a value, all of them. Without `before`, none that compares with it.
fn rules(schema: &Value, value: Option<&Value>, before: bool, path: &str, found: &mut Rules) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let text = rule["rule"].as_str().unwrap();
        if before || !text.contains("oldSelf") {
            let path = format!("{path}{}", rule["fieldPath"].as_str().unwrap_or_default());
            found.insert((path.trim_start_matches('.').to_owned(), text.to_owned()));
        }
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let below = value.map(|value| value.get(key));
        if below != Some(None) {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            rules(schema, below.flatten(), before, &path, found);
        }
    }
    if schema["items"].is_object() {
        let path = format!("{path}[]");
        match value {
            None => rules(&schema["items"], None, before, &path, found),
            Some(items) => items
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|item| rules(&schema["items"], Some(item), before, &path, found)),
        }
    }
}

#[test]
fn the_api_server_takes_and_refuses_what_the_table_says() {
    let kinds = kinds();
    for case in cases() {
        let kind = &kinds[case.kind()];
        let object = kind.complete(&case.object);
        let mut said = kind.refusals(&object, None, &mut Rules::new());
        if let Some(then) = &case.then {
            assert_eq!(said, Vec::<String>::new(), "{}: before the change", case.name);
            said = kind.refusals(&kind.complete(then), Some(&object), &mut Rules::new());
        }
        match &case.refused {
            None => assert_eq!(said, Vec::<String>::new(), "{}", case.name),
            Some(text) => {
                assert!(
                    said.iter().any(|said| said.contains(text)),
                    "{}: {text:?} is not in {said:#?}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn every_rule_has_an_object_that_passes_and_one_that_does_not() {
    let cases = cases();
    for (name, kind) in kinds() {
        let (mut all, mut passed, mut broken) = (Rules::new(), Rules::new(), Rules::new());
        rules(&kind.schema, None, true, "", &mut all);
        for case in cases.iter().filter(|case| case.kind() == name) {
            let object = kind.complete(&case.object);
            let then = case.then.as_ref().map(|then| kind.complete(then));
            let last = then.as_ref().unwrap_or(&object);
            if case.refused.is_none() {
                rules(&kind.schema, Some(last), then.is_some(), "", &mut passed);
            } else {
                kind.refusals(last, then.as_ref().map(|_| &object), &mut broken);
            }
        }
        assert!(all.len() > 10, "{name} has {} rules", all.len());
        let missing = |tried: &Rules| all.difference(tried).cloned().collect::<Vec<_>>();
        assert_eq!(missing(&passed), [], "{name}: no object passes");
        assert_eq!(missing(&broken), [], "{name}: no object is refused");
    }
}

/// Parses the object; `None` when its types cannot hold it.
pub(crate) fn parsed(object: &Value) -> Option<Result<(), api::Error>> {
    fn of<T: serde::de::DeserializeOwned>(object: &Value) -> Option<T> {
        serde_json::from_value(object.clone()).ok()
    }
    match object["kind"].as_str()? {
        "MacvlanNetwork" => of::<MacvlanNetwork>(object).map(|object| Network::parse(&object).map(drop)),
        "MacvlanSubnet" => of::<MacvlanSubnet>(object).map(|object| Subnet::parse(&object).map(drop)),
        "MacvlanIP" => of::<MacvlanIP>(object).map(|object| Claim::parse(&object).map(drop)),
        "MacvlanReservation" => {
            of::<MacvlanReservation>(object).map(|object| Reservation::parse(&object).map(drop))
        }
        kind => panic!("kind {kind}"),
    }
}

/// Whether what is refused has to be refused by parsing as well: not what is wrong with a change, which parsing does not see.
fn is_wrong_by_itself(case: &Case) -> bool {
    case.refused.is_some() && case.then.is_none()
}

#[test]
fn parsing_takes_what_the_api_server_takes_and_no_more() {
    for case in cases() {
        let read = parsed(case.last());
        assert_eq!(read.is_none(), case.unread, "{}: {read:?}", case.name);
        let Some(read) = read else { continue };
        match &case.unparsed {
            Some(text) => {
                let error = read.unwrap_err().to_string();
                assert!(error.contains(text), "{}: {text:?} is not in {error:?}", case.name);
            }
            None if is_wrong_by_itself(&case) && !case.parsed => {
                assert!(read.is_err(), "{} is parsed", case.name);
            }
            None => assert_eq!(read, Ok(()), "{}", case.name),
        }
    }
}

#[test]
fn an_object_is_written_as_it_was_read() {
    fn again<T: serde::Serialize + serde::de::DeserializeOwned>(object: &Value) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(object.clone()).unwrap()).unwrap()
    }
    let kinds = kinds();
    for case in cases().into_iter().filter(|case| case.refused.is_none()) {
        let object = kinds[case.kind()].complete(case.last());
        let written = match case.kind() {
            "MacvlanNetwork" => again::<MacvlanNetwork>(&object),
            "MacvlanSubnet" => again::<MacvlanSubnet>(&object),
            "MacvlanIP" => again::<MacvlanIP>(&object),
            _ => again::<MacvlanReservation>(&object),
        };
        // An empty text or list is the same as none.
        assert_eq!(without_empty(&written), without_empty(&object), "{}", case.name);
    }
}

fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(keys) => {
            let kept = keys.iter().filter(|(_, value)| **value != "" && **value != serde_json::json!([]));
            kept.map(|(key, value)| (key.clone(), without_empty(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        other => other.clone(),
    }
}
