//! What a schema asks for beside its rules, checked as far as the schemas of the kinds use it. The API server has the last word:
//! `tests/cluster` asks it the same.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// Everything about the value that the schema does not allow, each with its path.
pub(crate) fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

fn check(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let mut say = |problem: String| found.push(format!("{path}: {problem}"));
    let typed = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        other => panic!("{path}: a schema of type {other:?}"),
    };
    if !typed {
        return say(format!("must be of type {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        say(format!("Unsupported value, one of {}", schema["enum"]));
    }
    let size = match value {
        Value::String(text) => text.chars().count() as u64,
        Value::Array(items) => items.len() as u64,
        Value::Object(keys) => keys.len() as u64,
        _ => 0,
    };
    for key in ["maxLength", "maxItems", "maxProperties"] {
        if let Some(most) = schema[key].as_u64().filter(|most| size > *most) {
            say(format!("Too long: {most} at most"));
        }
    }
    if let Some(least) = schema["minItems"].as_u64().filter(|least| size < *least) {
        say(format!("must have {least} items at least"));
    }
    if let Some(number) = value.as_i64() {
        if let Some(least) = schema["minimum"].as_i64().filter(|least| number < *least) {
            say(format!("must be {least} at least"));
        }
        if let Some(most) = schema["maximum"].as_i64().filter(|most| number > *most) {
            say(format!("must be {most} at most"));
        }
    }
    if schema["format"] == "date-time"
        && value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_err())
    {
        say("must be of type date-time".to_owned());
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(key).is_none() {
            say(format!("Required value at {path}.{key}"));
        }
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let schema = match (&schema["properties"][key], &schema["additionalProperties"]) {
            // `metadata` has more than its schema says.
            (Value::Null, Value::Null) if path == "metadata" => continue,
            (Value::Null, Value::Null) => {
                found.push(format!("{below}: unknown field"));
                continue;
            }
            (Value::Null, other) | (other, _) => other,
        };
        check(schema, value, &below, found);
    }
    let mut seen = BTreeSet::new();
    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{path}[{n}]"), found);
        let same = match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => item.to_string(),
            Some("map") => {
                let keys = schema["x-kubernetes-list-map-keys"].as_array().expect("the keys of a map");
                keys.iter().map(|key| format!("{} ", item[key.as_str().expect("a key")])).collect()
            }
            Some("atomic") => continue,
            other => panic!("{path}: a list of type {other:?}"),
        };
        if !seen.insert(same) {
            found.push(format!("{path}[{n}]: Duplicate value"));
        }
    }
}
