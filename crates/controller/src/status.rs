//! What an object's status says: conditions, and how a status that changed is written. No input or output.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// Most bytes of a condition's message that are of use to people; the API server takes 32 KiB.
const LONGEST_MESSAGE: usize = 1024;
/// Most holders that a message names.
const NAMED: usize = 5;

/// How an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) ready: bool,
    /// One word in CamelCase.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Verdict {
    pub(crate) fn ready(message: impl Into<String>) -> Verdict {
        Verdict { ready: true, reason: "Ready", message: message.into() }
    }

    pub(crate) fn not(reason: &'static str, message: impl Into<String>) -> Verdict {
        let mut message = message.into();
        let end = (0..=LONGEST_MESSAGE).rev().find(|at| message.is_char_boundary(*at)).unwrap_or_default();
        message.truncate(end);
        Verdict { ready: false, reason, message }
    }

    /// The condition `Ready`, with the time since when it is as it is.
    pub(crate) fn conditions(
        &self,
        before: &[Condition],
        generation: Option<i64>,
        now: Timestamp,
    ) -> Vec<Condition> {
        let status = if self.ready { "True" } else { "False" };
        let same = before.iter().find(|condition| condition.type_ == "Ready" && condition.status == status);
        let since = same.map_or_else(
            // As a server writes it: whole seconds.
            || Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
            |condition| condition.last_transition_time.clone(),
        );
        vec![Condition {
            type_: "Ready".to_owned(),
            status: status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message.clone(),
            observed_generation: generation,
            last_transition_time: since,
        }]
    }

    /// Whether people should hear of it: it is not as it was told before. What is well from the beginning is no news.
    pub(crate) fn is_news(&self, before: &[Condition]) -> bool {
        match before.iter().find(|condition| condition.type_ == "Ready") {
            Some(known) => known.reason != self.reason,
            None => !self.ready,
        }
    }
}

/// The merge patch that turns one status into another; none when they are the same.
pub(crate) fn patch<S: Serialize>(before: Option<&S>, after: &S) -> Option<Value> {
    let value = |status: &S| serde_json::to_value(status).unwrap_or_default();
    let (before, mut after) = (before.map(value).unwrap_or_default(), value(after));
    if before == after {
        return None;
    }
    // A list that has become empty is left out by its type, and must be taken away all the same.
    for key in before.as_object().into_iter().flat_map(|members| members.keys()) {
        if after.get(key).is_none() {
            after[key] = Value::Null;
        }
    }
    Some(json!({ "status": after }))
}

/// `a, b, c and 12 more`.
pub(crate) fn first_few(mut all: impl Iterator<Item = String>) -> String {
    let named: Vec<String> = all.by_ref().take(NAMED).collect();
    match all.count() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use api::kinds::{MacvlanReservationStatus, TakenAddress};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_condition_keeps_its_time_while_it_is_the_same() {
        let first = Verdict::not("Conflict", "a").conditions(&[], Some(1), at(10));
        let same = Verdict::not("NoSubnet", "b").conditions(&first, Some(2), at(20));
        assert_eq!((same[0].last_transition_time.0, same[0].message.as_str()), (at(10), "b"));
        let other = Verdict::ready("c").conditions(&same, Some(2), at(30));
        assert_eq!((other[0].last_transition_time.0, other[0].status.as_str()), (at(30), "True"));
    }

    #[test]
    fn news_are_told_once() {
        let (ready, not) = (Verdict::ready("a"), Verdict::not("Conflict", "b"));
        assert!(!ready.is_news(&[]) && not.is_news(&[]));
        let told = not.conditions(&[], None, at(1));
        assert!(!not.is_news(&told) && ready.is_news(&told) && Verdict::not("NoSubnet", "").is_news(&told));
        assert_eq!(Verdict::not("X", "ä".repeat(1000)).message.len(), 1024);
    }

    #[test]
    fn only_what_changed_is_written_and_what_is_gone_is_taken_away() {
        let taken = TakenAddress { ip: "10.0.0.5".into(), ..TakenAddress::default() };
        let some =
            MacvlanReservationStatus { addresses: vec![taken], reserved: Some(1), ..Default::default() };
        let none = MacvlanReservationStatus { reserved: Some(0), ..Default::default() };
        assert_eq!(patch(Some(&some), &some), None);
        assert_eq!(patch(Some(&some), &none), Some(json!({"status": {"reserved": 0, "addresses": null}})));
        assert_eq!(patch(None, &none), Some(json!({"status": {"reserved": 0}})));
    }

    #[test]
    fn long_lists_are_counted() {
        let list = |count: u32| first_few((1..=count).map(|n| n.to_string()));
        assert_eq!(
            (list(0), list(5), list(7)),
            (String::new(), "1, 2, 3, 4, 5".into(), "1, 2, 3, 4, 5 and 2 more".into())
        );
    }
}
