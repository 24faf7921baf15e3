//! What is to be said of an object, over what exists.

mod network;
mod pod;
mod reservation;
mod sets;
mod subnet;
mod words;

use api::kinds::{GROUP, MacvlanNetwork, MacvlanReservation, MacvlanSubnet, VERSION};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Operation, Request, Verdict, World};

/// Whether the change may be made. Every refusal names the field, what is wrong with it and the way out.
///
/// Kinds and operations that are none of ours are allowed: the configuration does not send them.
pub fn judge(request: &Request, world: &dyn World) -> Verdict {
    if !matches!(request.operation, Operation::Create | Operation::Update) {
        return Verdict::allow();
    }
    let kind = &request.kind;
    let judged = match (kind.group.as_str(), kind.version.as_str(), kind.kind.as_str()) {
        (GROUP, VERSION, "MacvlanNetwork") => {
            typed::<MacvlanNetwork>(request).and_then(|change| network::judge(&change, world))
        }
        (GROUP, VERSION, "MacvlanSubnet") => {
            typed::<MacvlanSubnet>(request).and_then(|change| subnet::judge(&change, world))
        }
        (GROUP, VERSION, "MacvlanReservation") => {
            typed::<MacvlanReservation>(request).and_then(|change| reservation::judge(&change, world))
        }
        ("", "v1", "Pod") => {
            typed::<pod::Pod>(request).and_then(|change| pod::judge(&change, request, world))
        }
        _ => Ok(Vec::new()),
    };
    match judged {
        Ok(warnings) => Verdict { refused: None, warnings },
        Err(why) => Verdict::refuse(why),
    }
}

/// The warnings, or the refusal.
type Judged = Result<Vec<String>, String>;

/// An object before and after.
struct Change<T> {
    /// None for a creation, and for an object whose types have changed since.
    before: Option<T>,
    after: T,
}

fn typed<T: DeserializeOwned>(request: &Request) -> Result<Change<T>, String> {
    let after = serde_json::from_value(request.object.clone())
        .map_err(|error| format!("{}: the object cannot be read: {error}", request.kind.kind))?;
    let before = match &request.old_object {
        Value::Null => None,
        object => serde_json::from_value(object.clone()).ok(),
    };
    Ok(Change { before, after })
}
