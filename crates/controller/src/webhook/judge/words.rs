//! What several messages have in common.

use std::net::IpAddr;

use api::kinds::Subnet;

/// Most entries of a list in a message.
const LISTED: usize = 5;

/// `a`, or `a-b`.
pub(super) fn run((from, to): (IpAddr, IpAddr)) -> String {
    if from == to { from.to_string() } else { format!("{from}-{to}") }
}

/// What pods of a subnet get, for messages.
pub(super) fn usable(subnet: &Subnet) -> String {
    let runs: Vec<String> = subnet.usable().runs().take(LISTED + 1).map(run).collect();
    if runs.is_empty() { "none".to_owned() } else { first(&runs, ", ...") }
}

/// The first few, and how many more.
pub(super) fn listed(items: &[String]) -> String {
    first(items, &format!(" and {} more", items.len().saturating_sub(LISTED)))
}

fn first(items: &[String], more: &str) -> String {
    let (shown, rest) = items.split_at(items.len().min(LISTED));
    let more = if rest.is_empty() { "" } else { more };
    format!("{}{more}", shown.join(", "))
}

/// What is wrong with a field of an object, in the words of [`api::Error::Object`].
pub(super) fn refuse(kind: &'static str, name: String, path: &str, problem: String) -> String {
    api::Error::Object { kind, name, path: path.to_owned(), problem }.to_string()
}
