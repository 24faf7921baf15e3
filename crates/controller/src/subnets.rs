//! What a subnet's and a network's status say, and whether a subnet may go. No input or output.

use api::kinds::{MacvlanNetworkStatus, MacvlanSubnetStatus, Subnet};
use k8s_openapi::jiff::Timestamp;

use crate::index::Index;
use crate::status::{Verdict, first_few};

/// What keeps a subnet that is deleted until none of its addresses is claimed any more.
pub(crate) const FINALIZER: &str = "llano.dev/claims";

/// What was found out about a subnet.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) verdict: Verdict,
    pub(crate) status: MacvlanSubnetStatus,
    /// What `metadata.finalizers` has to become.
    pub(crate) finalizers: Option<Finalizers>,
}

/// A change of the finalizers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finalizers {
    /// Its first address is claimed: ours is added.
    Hold(Vec<String>),
    /// It is deleted and no claim of it is known: once the API server has said so too, ours goes.
    Release(Vec<String>),
}

/// How a subnet is; none when there is no such subnet.
pub(crate) fn look(index: &Index, name: &str) -> Option<Look> {
    let known = index.subnets.get(name)?;
    let metadata = &known.object.metadata;
    let before = known.object.status.as_ref();
    let conditions = before.map_or(&[][..], |status| &status.conditions);
    let counts = known.parsed.as_ref().ok().map(|subnet| (subnet.total(), index.counts(subnet)));
    let is_deleted = metadata.deletion_timestamp.is_some();
    let holders: Vec<_> = match &known.parsed {
        // All of it, whatever the ranges are now.
        Ok(subnet) => index.claims_of_subnet(subnet).collect(),
        Err(_) => index.claims().filter(|(_, claim)| *claim.subnet == *name).collect(),
    };
    let verdict = match &known.parsed {
        _ if is_deleted && !holders.is_empty() => {
            let named = holders.iter().map(|((_, address), claim)| format!("{address} ({})", claim.holder()));
            let message = format!(
                "it is deleted when nobody has addresses of it any more; now {}: {}",
                holders.len(),
                first_few(named)
            );
            Verdict::not("Deleting", message)
        }
        Ok(subnet) => usable(
            index,
            subnet,
            counts.map(|(total, counts)| total - counts.used - counts.held - counts.quarantined),
        ),
        Err(error) => Verdict::not("Invalid", error.to_string()),
    };
    let generation = metadata.generation;
    let count = |of: fn(&crate::index::Counts) -> i64| counts.as_ref().map(|(_, counts)| of(counts));
    let status = MacvlanSubnetStatus {
        observed_generation: generation,
        total: counts.map(|(total, _)| total),
        used: count(|counts| counts.used),
        free: counts.map(|(total, counts)| counts.free(total)),
        held: count(|counts| counts.held),
        quarantined: count(|counts| counts.quarantined),
        conditions: verdict.conditions(conditions, generation, Timestamp::now()),
    };
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    let has_ours = finalizers.iter().any(|finalizer| finalizer == FINALIZER);
    let finalizers = match (is_deleted, has_ours, holders.is_empty()) {
        (false, false, false) => Some(Finalizers::Hold([finalizers, &[FINALIZER.to_owned()]].concat())),
        (true, true, true) => {
            let others = finalizers.iter().filter(|finalizer| *finalizer != FINALIZER);
            Some(Finalizers::Release(others.cloned().collect()))
        }
        _ => None,
    };
    Some(Look { verdict, status, finalizers })
}

/// Whether pods can get addresses of it.
fn usable(index: &Index, subnet: &Subnet, free: Option<i64>) -> Verdict {
    let network = &subnet.network;
    match index.networks.get(network.as_str()).map(|known| &known.parsed) {
        None => return Verdict::not("NoNetwork", format!("there is no MacvlanNetwork {network}")),
        Some(Err(error)) => return Verdict::not("NetworkInvalid", error.to_string()),
        Some(Ok(_)) => {}
    }
    if let Some(other) = overlapping(index, subnet) {
        let message = format!(
            "MacvlanSubnet {other} of the same network has some of its addresses; keep their ranges apart"
        );
        return Verdict::not("Overlap", message);
    }
    if let Some(pair) = &subnet.pair_with {
        let other = index.subnets.get(pair.as_str()).and_then(|known| known.parsed.as_ref().ok());
        let fits = other.is_some_and(|other| {
            other.network == *network && other.cidr.addr().is_ipv4() != subnet.cidr.addr().is_ipv4()
        });
        if !fits {
            let message = format!(
                "pairWith: there is no MacvlanSubnet {pair} of the other family on network {network}"
            );
            return Verdict::not("NoPair", message);
        }
    }
    if subnet.disabled {
        return Verdict::not("Disabled", "spec.disabled: it gives no new addresses");
    }
    if free.is_some_and(|free| free <= 0) {
        return Verdict::not("NoFreeAddress", "every address is used, held or quarantined");
    }
    Verdict::ready("pods can get addresses")
}

/// Another subnet of the network that gives some of the same addresses.
fn overlapping<'a>(index: &'a Index, subnet: &Subnet) -> Option<&'a str> {
    let others = index.subnets.values().filter_map(|known| known.parsed.as_ref().ok());
    let mut others = others.filter(|other| other.name != subnet.name && other.network == subnet.network);
    let overlaps = |other: &Subnet| {
        let own: Vec<_> = subnet.usable().runs().collect();
        other.usable().runs().any(|(from, to)| {
            own.iter().any(|run| run.0.is_ipv4() == from.is_ipv4() && run.0 <= to && from <= run.1)
        })
    };
    others.find(|other| overlaps(other)).map(|other| other.name.as_str())
}

/// How a network is, as far as it does not depend on its definitions: the status with this verdict.
pub(crate) fn network_status(index: &Index, name: &str, verdict: &Verdict) -> Option<MacvlanNetworkStatus> {
    let known = index.networks.get(name)?;
    let generation = known.object.metadata.generation;
    let before = known.object.status.as_ref().map_or(&[][..], |status| &status.conditions);
    Some(MacvlanNetworkStatus {
        observed_generation: generation,
        pods: Some(index.pods_on(name)),
        conditions: verdict.conditions(before, generation, Timestamp::now()),
    })
}

#[cfg(test)]
mod tests {
    use claims::{Hold, Keeper, Reason, Time};
    use serde_json::{Value, json};

    use super::*;
    use crate::changes::State;
    use crate::fixtures::{active, holding, kept, state_with_subnet, subnet};

    fn verdict(state: &State) -> &'static str {
        look(&state.index, "lan4").unwrap().verdict.reason
    }

    #[test]
    fn addresses_are_counted_by_what_keeps_them() {
        let mut state = state_with_subnet();
        let hold = |reason| Hold { reason, since: Time(1), until: Some(Time(9)), message: None };
        state.claim_applied(active("10.0.0.4", "web", "u1"));
        state.claim_applied(active("10.0.0.5", "web", "u1"));
        state.claim_applied(holding(kept(active("10.0.0.6", "db-0", ""), Keeper::StatefulSet, "db")));
        state.claim_applied(active("10.0.0.7", "x", "").held(hold(Reason::ReuseDelay), ""));
        state.claim_applied(active("10.0.0.8", "x", "").held(hold(Reason::Quarantine), ""));
        // Nobody could be given the gateway's address: it does not count.
        state.claim_applied(active("10.0.0.1", "odd", "u3"));
        let status = look(&state.index, "lan4").unwrap().status;
        let counts = (status.total, status.used, status.held, status.quarantined, status.free);
        assert_eq!(counts, (Some(13), Some(2), Some(2), Some(1), Some(8)));
        assert_eq!(state.index.pods_on("lan"), 2, "one pod with two addresses, and the odd one");
        assert_eq!(verdict(&state), "Ready");
    }

    #[test]
    fn a_subnet_says_why_it_gives_nothing() {
        let base = json!({"network": "lan", "cidr": "10.0.0.0/28"});
        let with = |key: &str, value: Value| {
            let mut spec = base.clone();
            spec[key] = value;
            spec
        };
        for (spec, reason) in [
            (base.clone(), "Ready"),
            (with("network", json!("none")), "NoNetwork"),
            (with("disabled", json!(true)), "Disabled"),
            (with("pairWith", json!("none")), "NoPair"),
            (with("pairWith", json!("lan6")), "Ready"),
            (with("gateway", json!("10.9.9.9")), "Invalid"),
            (with("ranges", json!(["10.0.0.9"])), "NoFreeAddress"),
            (with("cidr", json!("10.0.1.0/24")), "Overlap"),
        ] {
            let mut state = state_with_subnet();
            state.subnet_applied(subnet("lan6", json!({"network": "lan", "cidr": "fd00::/64"})));
            state.subnet_applied(subnet("more", json!({"network": "lan", "cidr": "10.0.1.0/28"})));
            state.claim_applied(active("10.0.0.9", "web", "u1"));
            state.subnet_applied(subnet("lan4", spec.clone()));
            assert_eq!(verdict(&state), reason, "{spec}");
        }
    }

    #[test]
    fn a_subnet_with_claims_is_kept_until_they_are_gone() {
        let mut state = state_with_subnet();
        let finalizers = |state: &State| look(&state.index, "lan4").unwrap().finalizers;
        assert_eq!(finalizers(&state), None, "nothing is claimed yet");
        state.claim_applied(active("10.0.0.4", "web", "u1"));
        assert_eq!(finalizers(&state), Some(Finalizers::Hold(vec![FINALIZER.into()])));

        let mut object = subnet("lan4", json!({"network": "lan", "cidr": "10.0.0.0/28"}));
        object.metadata.finalizers = Some(vec!["other/one".into(), FINALIZER.into()]);
        state.subnet_applied(object.clone());
        assert_eq!(finalizers(&state), None);
        object.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
        state.subnet_applied(object);
        let waiting = look(&state.index, "lan4").unwrap();
        assert_eq!((waiting.verdict.reason, waiting.finalizers), ("Deleting", None));
        assert!(
            waiting.verdict.message.contains("now 1: 10.0.0.4")
                && waiting.verdict.message.contains("pod shop/web")
        );
        state.claims_listed(&std::collections::BTreeSet::new());
        assert_eq!(finalizers(&state), Some(Finalizers::Release(vec!["other/one".into()])));
    }
}
