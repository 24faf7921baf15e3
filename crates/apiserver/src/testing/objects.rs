//! The objects of the small API server.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `pods`, `macvlanips`: no two groups have the same here.
    pub resource: String,
    /// Of one namespace only.
    pub namespace: Option<String>,
    /// One object; none for all.
    pub name: Option<String>,
    /// `status`.
    pub subresource: Option<String>,
}

impl Place {
    /// `/api/v1/…` and `/apis/GROUP/VERSION/…`.
    pub fn parse(path: &str) -> Option<Place> {
        let mut parts = path.trim_start_matches('/').split('/');
        if parts.next()? == "apis" {
            parts.next()?;
        }
        parts.next()?;
        let rest: Vec<&str> = parts.collect();
        let (namespace, rest) = match rest[..] {
            ["namespaces", namespace, _, ..] => (Some(namespace.to_owned()), &rest[2..]),
            _ => (None, &rest[..]),
        };
        let part = |at: usize| rest.get(at).map(|part| (*part).to_owned());
        Some(Place { resource: part(0)?, namespace, name: part(1), subresource: part(2) })
    }

    fn key(&self) -> (String, String) {
        let name = self.name.clone().unwrap_or_default();
        let name =
            self.namespace.as_ref().map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
        (self.resource.clone(), name)
    }

    fn has(&self, (resource, name): &(String, String)) -> bool {
        *resource == self.resource
            && self.namespace.as_ref().is_none_or(|own| name.split('/').next() == Some(own))
    }
}

/// A change: its version, whose it is, and the watch's event.
type Change = (u64, (String, String), Value);

/// The objects and how they came about.
#[derive(Debug, Default)]
pub struct Objects {
    all: BTreeMap<(String, String), Value>,
    version: u64,
    history: Vec<Change>,
    /// What happened before this version is forgotten.
    oldest: u64,
    /// Kinds that nobody has defined, as paths name them: `macvlanips`.
    pub absent: Vec<&'static str>,
}

/// An HTTP code and the object that goes with it.
pub(super) type Answer = (u16, Value);

impl Objects {
    /// An object by its path.
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.all.get(&Place::parse(path)?.key())
    }

    /// All objects of a path.
    pub fn list(&self, path: &str) -> Vec<&Value> {
        let Some(place) = Place::parse(path) else { return Vec::new() };
        self.all.iter().filter(|(key, _)| place.has(key)).map(|(_, object)| object).collect()
    }

    pub(super) fn put(&mut self, place: &Place, mut object: Value) -> Value {
        self.version += 1;
        let key = place.key();
        let before = self.all.get(&key);
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        if let Some(namespace) = &place.namespace {
            metadata["namespace"] = json!(namespace);
        }
        if metadata.get("uid").is_none() {
            metadata["uid"] = before
                .map_or_else(|| json!(format!("uid-{}", self.version)), |old| old["metadata"]["uid"].clone());
        }
        let event = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.history.push((self.version, key.clone(), json!({"type": event, "object": object})));
        self.all.insert(key, object.clone());
        object
    }

    fn remove(&mut self, place: &Place) -> Value {
        self.version += 1;
        let mut object = self.all.remove(&place.key()).unwrap_or_default();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push((self.version, place.key(), json!({"type": "DELETED", "object": object})));
        object
    }

    pub(super) fn since(&self, place: &Place, from: u64) -> Vec<(u64, Value)> {
        let news = self.history.iter().filter(|(at, key, _)| *at > from && place.has(key));
        news.map(|(at, _, event)| (*at, event.clone())).collect()
    }

    pub(super) fn forget(&mut self) {
        self.version += 1;
        self.oldest = self.version;
        self.history.clear();
    }

    pub(super) fn is_forgotten(&self, version: u64) -> bool {
        version < self.oldest
    }

    pub(super) fn answer(&mut self, method: &str, place: &Place, query: &str, body: &Value) -> Answer {
        if self.absent.contains(&&*place.resource) {
            return refusal(404, "");
        }
        let existing = self.all.get(&place.key()).cloned();
        match (method, &place.name, existing) {
            ("GET", None, _) => (200, self.page(place, query)),
            ("POST", None, _) => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let place = Place { name: Some(name.clone()), ..place.clone() };
                match self.all.contains_key(&place.key()) {
                    true => refusal(409, &name),
                    false => (201, self.put(&place, body.clone())),
                }
            }
            ("GET", Some(_), Some(object)) => (200, object),
            ("PUT", Some(name), Some(object)) => match is_at(&object, &body["metadata"]["resourceVersion"]) {
                true => (200, self.put(place, body.clone())),
                false => refusal(409, name),
            },
            ("PATCH", Some(name), Some(object)) => {
                if !is_at(&object, &body["metadata"]["resourceVersion"]) {
                    return refusal(409, name);
                }
                let uid = &body["metadata"]["uid"];
                if !uid.is_null() && object["metadata"]["uid"] != *uid {
                    return refusal(422, name);
                }
                let mut after = object.clone();
                let by_status = place.subresource.as_deref() == Some("status");
                // A status is changed by its own path, and nothing else there but a pod's metadata.
                for (key, value) in body.as_object().into_iter().flatten() {
                    let is_pods = by_status && key == "metadata" && place.resource == "pods";
                    if (key == "status") == by_status || is_pods {
                        merge(&mut after[key], value);
                    }
                }
                after["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
                if after == object {
                    return (200, object);
                }
                if is_deleted(&after) && !has_finalizers(&after) {
                    return (200, self.remove(place));
                }
                (200, self.put(place, after))
            }
            ("DELETE", Some(_), Some(_)) => self.delete(place, body),
            (_, Some(name), None) => refusal(404, name),
            _ => refusal(405, ""),
        }
    }

    pub(super) fn delete(&mut self, place: &Place, options: &Value) -> Answer {
        let name = place.name.clone().unwrap_or_default();
        let Some(object) = self.all.get(&place.key()).cloned() else { return refusal(404, &name) };
        if !is_at(&object, &options["preconditions"]["resourceVersion"]) {
            return refusal(409, &name);
        }
        if !has_finalizers(&object) {
            return (200, self.remove(place));
        }
        let mut after = object;
        after["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        (200, self.put(place, after))
    }

    fn page(&self, place: &Place, query: &str) -> Value {
        let selector = parameter(query, "fieldSelector").replace("%3D", "=");
        let selected = |object: &&Value| match selector.split_once('=') {
            None => true,
            Some((path, value)) => {
                object.pointer(&format!("/{}", path.replace('.', "/"))) == Some(&json!(value))
            }
        };
        let all = self.all.iter().filter(|(key, _)| place.has(key)).map(|(_, object)| object);
        let all: Vec<&Value> = all.filter(selected).collect();
        let start: usize = parameter(query, "continue").parse().unwrap_or(0);
        let limit: usize = parameter(query, "limit").parse().unwrap_or(usize::MAX);
        let end = all.len().min(start.saturating_add(limit));
        let next = if end < all.len() { end.to_string() } else { String::new() };
        let metadata = json!({"resourceVersion": self.version.to_string(), "continue": next});
        json!({"kind": "List", "metadata": metadata, "items": all[start..end]})
    }
}

/// Whether the object is at this version; none means any.
fn is_at(object: &Value, version: &Value) -> bool {
    version.is_null() || object["metadata"]["resourceVersion"] == *version
}

fn is_deleted(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

/// RFC 7386.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(members) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (key, value) in members {
        match (value, target.as_object_mut()) {
            (Value::Null, Some(object)) => drop(object.remove(key)),
            _ => merge(&mut target[key], value),
        }
    }
}

pub(super) fn parameter<'a>(query: &'a str, key: &str) -> &'a str {
    query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
}

pub(super) fn refusal(code: u16, name: &str) -> Answer {
    status(code, name, &format!("{name:?}: {}", reason(code)))
}

pub(super) fn status(code: u16, name: &str, message: &str) -> Answer {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": reason(code), "message": message, "details": {"name": name}});
    (code, status)
}

fn reason(code: u16) -> &'static str {
    match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        _ => "InternalError",
    }
}
