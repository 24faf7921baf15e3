//! The kinds as `CustomResourceDefinition`s: what the derives make, put as the API server and its users like it best.

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::{MacvlanIP, MacvlanNetwork, MacvlanReservation, MacvlanSubnet};

/// Every kind's definition, as JSON with its keys in order: the same at each call.
///
/// # Errors
/// Never, as long as definitions can be written as JSON; a test calls it.
pub fn definitions() -> serde_json::Result<Vec<Value>> {
    // A network's or subnet's name is a label, and a part of other names. A claim's holds a network and an address; a reservation's is
    // like any other object's.
    let of = [
        (MacvlanNetwork::crd(), 63),
        (MacvlanSubnet::crd(), 63),
        (MacvlanIP::crd(), 105),
        (MacvlanReservation::crd(), 253),
    ];
    of.into_iter().map(|(crd, longest)| Ok(polish(serde_json::to_value(crd)?, longest))).collect()
}

fn polish(mut crd: Value, longest_name: u32) -> Value {
    let versions = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
            tidy(schema);
            name_at_most(longest_name, schema);
        }
    }
    sorted(crd)
}

/// Bounds `metadata.name`: the API server estimates the cost of a rule by the longest text there can be.
fn name_at_most(longest: u32, schema: &mut Value) {
    let text = json!({"type": "string"});
    let name = json!({"type": "string", "maxLength": longest});
    let metadata = json!({"type": "object", "properties": {"name": name, "generateName": name}});
    let properties = schema.pointer_mut("/properties").and_then(Value::as_object_mut);
    if let Some(properties) = properties {
        properties.extend([
            ("apiVersion".to_owned(), text.clone()),
            ("kind".to_owned(), text),
            ("metadata".to_owned(), metadata),
        ]);
    }
}

/// What is different in every schema:
/// - nothing is nullable: a null counts as left out, where a rule would stumble over it;
/// - no format of unsigned numbers, which Kubernetes does not know and warns of: their bounds say as much;
/// - a description's lines are one, whoever prints it breaks them.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(keys) => {
            // A property of one of these names is a schema, and neither a boolean nor a text.
            if keys.get("nullable").is_some_and(Value::is_boolean) {
                keys.remove("nullable");
            }
            let unsigned = |format: &Value| format.as_str().is_some_and(|format| format.starts_with("uint"));
            if keys.get("format").is_some_and(unsigned) {
                keys.remove("format");
            }
            if let Some(Value::String(text)) = keys.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            keys.values_mut().for_each(tidy);
        }
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *schema = whole.into();
            }
        }
        _ => {}
    }
}

/// A bound such as `4094.0` as the whole number that it is.
#[allow(clippy::cast_possible_truncation, reason = "bounds of this crate, far below 2^53")]
fn whole(number: &serde_json::Number) -> Option<i64> {
    let value = number.as_f64().filter(|_| number.is_f64())?;
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// The same with the keys of every object in order, whatever map `serde_json` was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(keys) => {
            let mut keys: Vec<(String, Value)> = keys.into_iter().collect();
            keys.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(keys.into_iter().map(|(key, value)| (key, sorted(value))).collect::<Map<_, _>>())
        }
        other => other,
    }
}
