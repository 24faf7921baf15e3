//! `llano subnet show`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::cluster::Cluster;
use super::count::{bounded, shown};
use super::entry::{Entry, warn};
use super::known::{Known, find};
use super::map::draw;
use super::names::name;
use super::runs::{Runs, State};
use super::subnets::Counts;
use crate::output::{Colour, Out, Text, head};

/// Most namespaces that are listed.
const MOST_HOLDERS: usize = 5;

/// All about one subnet, with a map of its addresses.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The map has a character for each address, in subnets of more than 1,024 for each block of
addresses, and in very large ones (IPv6) a line for each run. Who may not list MacvlanIPs sees
the subnet without its map.

Examples:
  llano subnet show lan4
  llano subnet show lan4 --output json | jq '.runs[] | select(.state == \"free\")'")]
pub(super) struct Show {
    /// The MacvlanSubnet
    #[arg(value_parser = name)]
    name: String,
}

/// What the pods of a namespace take of a subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct NamespaceShare {
    namespace: String,
    used: usize,
    held: usize,
}

pub(super) fn run(args: &Show, cluster: &Cluster, out: &mut Out) -> anyhow::Result<()> {
    let (known, unread) = Known::read(cluster.subnets()?);
    let known = find(known, &args.name).inspect_err(|_| warn(&unread))?;
    let claims = match cluster.claims_if_allowed(&[("spec.subnet", &args.name)])? {
        Ok(claims) => claims,
        Err(why) => {
            out.json(&json!({"subnet": known.object, "problem": why}))?;
            describe(&known, &from_status(&Counts::of(&known)), out)?;
            return out.line(&format!("\nno map: {why}"));
        }
    };
    let (entries, unread) = Entry::read(claims);
    warn(&unread);
    let (runs, holders) = (Runs::of(&known, &entries), holders(&entries));
    out.json(&json!({
        "subnet": known.object,
        "runs": runs.all().iter().map(|run| json!({
            "from": runs.address(run.from),
            "to": runs.address(run.to),
            "addresses": bounded(run.count()),
            "state": run.state,
        })).collect::<Vec<_>>(),
        "namespaces": holders,
    }))?;
    print(&known, &runs, &holders, out)
}

fn print(known: &Known, runs: &Runs, holders: &[NamespaceShare], out: &mut Out) -> anyhow::Result<()> {
    describe(known, &counted(known, runs), out)?;
    out.line("")?;
    draw(runs, out)?;
    if holders.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let mut rows = vec![head(&["NAMESPACE", "USED", "HELD"])];
    for one in holders.iter().take(MOST_HOLDERS) {
        let cells = [one.namespace.clone(), one.used.to_string(), one.held.to_string()];
        rows.push(cells.into_iter().map(Text::new).collect());
    }
    out.table(2, &rows)?;
    match holders.len().saturating_sub(MOST_HOLDERS) {
        0 => Ok(()),
        more => out.line(&format!("  and {more} more")),
    }
}

/// What the object says, key by key.
fn describe(known: &Known, addresses: &str, out: &mut Out) -> anyhow::Result<()> {
    let (subnet, spec) = (&known.subnet, &known.object.spec);
    let title = out.paint(Colour::Strong, &subnet.name);
    out.line(&format!("{title}  {} on network {}", subnet.cidr, subnet.network))?;
    let route = |route: &api::kinds::SubnetRoute| match route.gateway {
        Some(gateway) => format!("{} via {gateway}", route.dst),
        None => route.dst.to_string(),
    };
    let is_for = match known.audience() {
        all if all.is_empty() => "all pods".to_owned(),
        some => some,
    };
    let default = match known.default_of() {
        "" => String::new(),
        "cluster" => "of the cluster: for pods that name no subnet".to_owned(),
        _ => "of these namespaces: for their pods that name no subnet".to_owned(),
    };
    let dns = &subnet.dns;
    let domains = [dns.domain.as_str()].into_iter().chain(dns.search.iter().map(String::as_str));
    let servers = dns.nameservers.iter().map(String::as_str).chain(domains).filter(|text| !text.is_empty());
    let lines = [
        ("gateway", subnet.gateway.map(|gateway| gateway.to_string()).unwrap_or_default()),
        ("pair", subnet.pair_with.clone().unwrap_or_default()),
        ("ranges", spec.ranges.join(", ")),
        ("exclude", spec.exclude.join(", ")),
        ("routes", subnet.routes.iter().map(route).collect::<Vec<_>>().join(", ")),
        ("dns", servers.collect::<Vec<_>>().join(" ")),
        ("for", is_for),
        ("default", default),
        ("reuse delay", if subnet.reuse_delay.is_zero() { String::new() } else { spec.reuse_delay.clone() }),
        ("addresses", addresses.to_owned()),
    ];
    for (key, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        out.line(&format!("  {key:<13}{value}"))?;
    }
    if subnet.disabled {
        out.painted(Colour::Bad, "  disabled     it gives no new addresses; pods keep those that they have")?;
    }
    let conditions = known.object.status.iter().flat_map(|status| &status.conditions);
    for condition in conditions.filter(|condition| condition.status != "True") {
        out.painted(
            Colour::Bad,
            &format!(
                "  {:<13}{}: {}",
                format!("not {}", condition.type_.to_lowercase()),
                condition.reason,
                condition.message
            ),
        )?;
    }
    Ok(())
}

/// What was counted just now.
fn counted(known: &Known, runs: &Runs) -> String {
    let count = |state| runs.count(state);
    let (held, reserved) = (count(State::Held), count(State::Reserved));
    let reserved_of =
        if reserved == 0 { String::new() } else { format!(" ({} of them reserved)", shown(reserved)) };
    format!(
        "{} for pods: {} used, {} free, {} held{reserved_of}, {} quarantined",
        shown(known.subnet.usable().len()),
        shown(count(State::Used)),
        shown(count(State::Free)),
        shown(held + reserved),
        shown(count(State::Quarantined)),
    )
}

/// What the controller counted.
fn from_status(counts: &Counts) -> String {
    let number = |count: Option<u128>| count.map_or_else(|| "?".to_owned(), shown);
    format!(
        "{} for pods: {} used, {} free, {} held, {} quarantined (as the controller counted)",
        shown(counts.total),
        number(counts.used),
        number(counts.free),
        number(counts.held),
        number(counts.quarantined),
    )
}

/// Whose pods take how much, most first.
fn holders(entries: &[Entry]) -> Vec<NamespaceShare> {
    let mut shares: BTreeMap<&str, NamespaceShare> = BTreeMap::new();
    for entry in entries {
        // What is quarantined has no namespace, unless a pod had it.
        let Some(namespace) = entry.namespace() else { continue };
        let share = shares.entry(namespace).or_insert_with(|| NamespaceShare {
            namespace: namespace.to_owned(),
            used: 0,
            held: 0,
        });
        match State::of(entry) {
            State::Used => share.used += 1,
            State::Quarantined => {}
            _ => share.held += 1,
        }
    }
    let mut shares: Vec<NamespaceShare> =
        shares.into_values().filter(|share| share.used + share.held > 0).collect();
    shares.sort_by(|a, b| (b.used + b.held).cmp(&(a.used + a.held)).then(a.namespace.cmp(&b.namespace)));
    shares
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::samples::{active, entries, held, lan4, subnet};
    use super::super::server::Server;
    use super::*;
    use crate::output::printed;

    #[test]
    fn all_about_a_subnet() {
        let more = json!({
            "gateway": "10.30.0.17", "routes": [{"dst": "0.0.0.0/0"}, {"dst": "192.168.0.0/16", "gw": "10.30.0.30"}],
            "dns": {"nameservers": ["10.30.0.30"], "search": ["example.org"]}, "reuseDelay": "30s",
            "namespaceSelector": {"matchLabels": {"team": "shop"}}, "default": true, "disabled": true, "pairWith": "shop6",
        });
        let known = subnet("shop", "10.30.0.16/28", &more);
        let mut of_another = active("10.30.0.20", "db-0");
        of_another["spec"]["owner"]["namespace"] = json!("bank");
        let entries = entries(&[
            active("10.30.0.18", "web-0"),
            held("10.30.0.19", "StatefulSet", "web-1"),
            of_another,
            held("10.30.0.21", "Reservation", ""),
            held("10.30.0.22", "Quarantine", ""),
        ]);
        let text = printed(|out| print(&known, &Runs::of(&known, &entries), &holders(&entries), out));
        assert_eq!(
            text,
            "\
shop  10.30.0.16/28 on network lan
  gateway      10.30.0.17
  pair         shop6
  routes       0.0.0.0/0 via 10.30.0.17, 192.168.0.0/16 via 10.30.0.30
  dns          10.30.0.30 example.org
  for          namespaces team=shop
  default      of these namespaces: for their pods that name no subnet
  reuse delay  30s
  addresses    13 for pods: 2 used, 8 free, 2 held (1 of them reserved), 1 quarantined
  disabled     it gives no new addresses; pods keep those that they have

  10.30.0.16  -G#h#r!. .......-
  # 2 used   h 1 held   r 1 reserved   ! 1 quarantined   . 8 free   G 1 gateway   - 2 not for pods

  NAMESPACE  USED  HELD
  shop       1     2
  bank       1     0
"
        );
    }

    #[test]
    fn without_the_right_to_list_claims_there_is_no_map() {
        let mut object: Value = serde_json::to_value(lan4().object).unwrap();
        object["status"] = json!({"used": 1, "free": 180, "held": 0, "quarantined": 0});
        let no = json!({"kind": "Status", "status": "Failure", "code": 403, "message": "forbidden: ada cannot list"});
        let list = json!({"metadata": {}, "items": [object]});
        let server = Server::answering([(200, list), (403, no)]);
        let cluster = Cluster::open(&server.reach()).unwrap();
        let text = printed(|out| run(&Show { name: "lan4".to_owned() }, &cluster, out));
        assert!(
            text.contains("181 for pods: 1 used, 180 free, 0 held, 0 quarantined (as the controller"),
            "{text}"
        );
        assert!(text.contains("\nno map: the right to list macvlanips.llano.dev is missing"), "{text}");
    }
}
