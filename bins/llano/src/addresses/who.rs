//! `llano ip who`: one address in words.

use std::time::SystemTime;

use api::kinds::{HoldReason, Holder};
use serde_json::json;

use super::cluster::Cluster;
use super::entry::{Entry, warn};
use super::known::Known;
use super::moment::{full, left, since};
use super::names::{Asked, name};
use super::standing::standing;
use crate::output::Out;

/// Whose an address is, or why nobody has it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano ip who 10.20.0.57
  llano ip who fd00::5 --network lan
  llano ip who lan.10.20.0.57                the name of a MacvlanIP says the network as well
  llano ip who 10.20.0.57 --output json      the claims on it, and what it is to each subnet")]
pub(super) struct Who {
    /// The address, or the name of its MacvlanIP
    address: Asked,
    /// On this MacvlanNetwork only: others may have the same address
    #[arg(long, value_parser = name, value_name = "NAME")]
    network: Option<String>,
}

pub(super) fn run(args: &Who, cluster: &Cluster, out: &mut Out) -> anyhow::Result<()> {
    let asked = args.address.on(args.network.as_ref())?;
    let (address, network) = (asked.address, asked.network.as_ref());
    let entries = claims_on(cluster, &asked)?;
    let (mut known, unread) = Known::read(cluster.subnets()?);
    known.retain(|known| network.is_none_or(|network| known.subnet.network == *network));
    warn(&unread);
    let free_of = known
        .iter()
        .filter(|known| !entries.iter().any(|entry| entry.claim.network == known.subnet.network))
        .filter_map(|known| Some((known, standing(known, address)?)));
    let free_of: Vec<_> = free_of.collect();
    out.json(&json!({
        "address": address,
        "claims": entries.iter().map(Entry::record).collect::<Vec<_>>(),
        "subnets": free_of.iter().map(|(known, standing)| json!({
            "name": known.subnet.name, "network": known.subnet.network, "standing": standing,
        })).collect::<Vec<_>>(),
    }))?;
    for entry in &entries {
        words(entry, SystemTime::now()).iter().try_for_each(|line| out.line(line))?;
    }
    for (known, standing) in &free_of {
        out.line(&format!("{address} {}", standing.words(&known.subnet.name, &known.subnet.network)))?;
    }
    match (entries.is_empty() && free_of.is_empty(), network) {
        (false, _) => Ok(()),
        (true, None) => out.line(&format!("{address} is in no MacvlanSubnet")),
        (true, Some(network)) => out.line(&format!("{address} is in no MacvlanSubnet of network {network}")),
    }
}

/// The claims on an address: one on each network at most.
pub(super) fn claims_on(cluster: &Cluster, asked: &Asked) -> anyhow::Result<Vec<Entry>> {
    let address = asked.address.to_string();
    let mut fields = vec![("spec.address", &*address)];
    fields.extend(asked.network.as_deref().map(|network| ("spec.network", network)));
    let (entries, unread) = Entry::read(cluster.claims(&fields)?);
    warn(&unread);
    Ok(entries)
}

/// Whose it is, a sentence first, then what else is known.
pub(super) fn words(entry: &Entry, now: SystemTime) -> Vec<String> {
    let mut lines = vec![format!("{} {}", entry.claim.address, sentence(entry, now))];
    let claim = &entry.claim;
    let mut more = |key: &str, value: String| lines.push(format!("  {key:<11}{value}"));
    more("network", format!("{}, subnet {}", claim.network, claim.subnet));
    if let Some(mac) = claim.mac {
        more("mac", mac.to_string());
    }
    match &claim.holder {
        Holder::Active(pod) => {
            more("container", pod.container_id.clone());
            more("pod UID", pod.uid.clone());
            if let Some(keeper) = entry.keeper() {
                more("kept for", format!("{keeper}, also when the pod has gone"));
            }
        }
        Holder::Held { message: Some(message), .. } => more("message", message.clone()),
        Holder::Held { .. } => {}
    }
    if let Some(created) = entry.created() {
        more("taken", format!("{} ({} ago)", full(created), since(created, now)));
    }
    if let Holder::Held { since: from, .. } = &claim.holder {
        more("held", format!("{} ({} ago)", full(*from), since(*from, now)));
    }
    lines
}

/// The sentence, without the address it begins with.
pub(super) fn sentence(entry: &Entry, now: SystemTime) -> String {
    let keeper = entry.keeper().unwrap_or_default();
    let (reason, until) = match &entry.claim.holder {
        Holder::Active(pod) => {
            return format!(
                "is in use by pod {}/{}: interface {} on node {}",
                pod.namespace, pod.pod, pod.interface, pod.node
            );
        }
        Holder::Held { reason, until, .. } => (reason, until),
    };
    let until =
        until.map(|until| format!("until {} ({})", full(until), left(until, now))).unwrap_or_default();
    let last = entry.pod().map(|pod| format!("; pod {pod} had it last")).unwrap_or_default();
    match (reason, entry.pod()) {
        (HoldReason::StatefulSet, Some(pod)) => format!(
            "is kept for pod {pod}, which gets it again, until {keeper} has gone or is scaled below that pod"
        ),
        (HoldReason::StatefulSet, None) => format!("is kept for {keeper}, until that has gone"),
        (HoldReason::Reservation, _) => format!("is reserved by {keeper}, and no pod has it{last}"),
        (HoldReason::ReuseDelay, _) => format!("rests {until}, then it is free{last}"),
        (HoldReason::Quarantine, _) => {
            format!("is quarantined {until}: somebody else on the LAN uses it{last}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{active, entries, held, lan4, now, subnet};
    use super::super::server::Server;
    use super::*;
    use crate::output::printed;

    #[test]
    fn an_address_of_two_networks() {
        let mut elsewhere = subnet("dmz4", "10.20.0.0/24", &json!({})).object;
        elsewhere.spec.network = "dmz".to_owned();
        let claims = json!({"metadata": {}, "items": [active("10.20.0.9", "web-0")]});
        let subnets = json!({"metadata": {}, "items": [lan4().object, elsewhere]});
        let server = Server::answering([(200, claims), (200, subnets)]);
        let cluster = Cluster::open(&server.reach()).unwrap();
        let args = Who { address: "10.20.0.9".parse().unwrap(), network: None };
        let text = printed(|out| run(&args, &cluster, out));
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(
            lines,
            [
                "10.20.0.9 is in use by pod shop/web-0: interface net1 on node n1",
                "10.20.0.9 is free, of subnet dmz4 on network dmz",
            ]
        );
        assert!(server.asked()[0].line.contains("fieldSelector=spec.address%3D10.20.0.9"));
    }

    fn said(claim: serde_json::Value) -> String {
        entries(&[claim])
            .iter()
            .flat_map(|entry| words(entry, now()))
            .fold(String::new(), |text, line| text + &line + "\n")
    }

    #[test]
    fn an_address_in_use() {
        assert_eq!(
            said(active("10.20.0.9", "web-0")),
            "\
10.20.0.9 is in use by pod shop/web-0: interface net1 on node n1
  network    lan, subnet lan4
  mac        02:00:5e:10:00:05
  container  c1
  pod UID    uid-of-web-0
  taken      2026-11-22 03:00:00 UTC (3h ago)
"
        );
    }

    #[test]
    fn an_address_that_is_quarantined() {
        assert_eq!(
            said(held("10.20.0.14", "Quarantine", "")),
            "\
10.20.0.14 is quarantined until 2026-11-22 06:20:00 UTC (20m left): somebody else on the LAN uses it
  network    lan, subnet lan4
  message    0a:00:27:00:00:09 answered the probe
  taken      2026-11-22 03:00:00 UTC (3h ago)
  held       2026-11-22 05:50:00 UTC (10m ago)
"
        );
    }

    #[test]
    fn why_an_address_is_kept() {
        let said = |reason, pod| {
            let entries = entries(&[held("10.20.0.11", reason, pod)]);
            sentence(&entries[0], now())
        };
        assert_eq!(
            said("StatefulSet", "web-2"),
            "is kept for pod shop/web-2, which gets it again, until StatefulSet shop/web has gone or is scaled below that pod"
        );
        assert_eq!(said("Reservation", ""), "is reserved by MacvlanReservation shop/web, and no pod has it");
        assert_eq!(
            said("Reservation", "a"),
            "is reserved by MacvlanReservation shop/web, and no pod has it; pod shop/a had it last"
        );
        assert_eq!(
            said("ReuseDelay", "a"),
            "rests until 2026-11-22 06:04:00 UTC (4m left), then it is free; pod shop/a had it last"
        );
    }
}
