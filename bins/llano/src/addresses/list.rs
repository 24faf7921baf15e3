//! `llano ip list`.

use std::time::SystemTime;

use super::cluster::Cluster;
use super::entry::{Entry, warn};
use super::moment::since;
use super::names::name;
use crate::output::{Colour, Out, Text, head};

/// Every address that is in use or kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano ip list
  llano ip list --network lan -n shop
  llano ip list --subnet lan4 --held                  only what no pod has at the moment
  llano ip list --output json | jq -r '.[] | select(.owner.node == \"n1\") | .address'

With --output json each element has the keys of a MacvlanIP's spec, and the object's name and
when it was created.")]
pub(super) struct List {
    /// Only of this MacvlanNetwork
    #[arg(long, value_parser = name, value_name = "NAME")]
    network: Option<String>,
    /// Only of this MacvlanSubnet
    #[arg(long, value_parser = name, value_name = "NAME")]
    subnet: Option<String>,
    /// Only what pods of this namespace have or had last
    #[arg(long, short, value_parser = name, value_name = "NAME")]
    namespace: Option<String>,
    /// Only what no pod has: kept for one, resting, or quarantined
    #[arg(long)]
    held: bool,
}

pub(super) fn run(args: &List, cluster: &Cluster, out: &mut Out) -> anyhow::Result<()> {
    let wanted = [
        ("spec.network", &args.network),
        ("spec.subnet", &args.subnet),
        ("spec.owner.namespace", &args.namespace),
    ];
    let fields: Vec<_> =
        wanted.iter().filter_map(|(field, value)| Some((*field, value.as_deref()?))).collect();
    let (mut entries, unread) = Entry::read(cluster.claims(&fields)?);
    entries.retain(|entry| !args.held || entry.is_held());
    warn(&unread);
    out.json(&entries.iter().map(Entry::record).collect::<Vec<_>>())?;
    if entries.is_empty() {
        return out.line(if args.held { "No address is held." } else { "No address is in use or held." });
    }
    print(&entries, SystemTime::now(), out)
}

fn print(entries: &[Entry], now: SystemTime, out: &mut Out) -> anyhow::Result<()> {
    let mut rows = vec![head(&["ADDRESS", "SUBNET", "MAC", "POD", "INTERFACE", "NODE", "HELD", "AGE"])];
    for entry in entries {
        let (claim, owner) = (&entry.claim, entry.owner());
        let of_owner =
            |text: fn(&api::kinds::ClaimOwner) -> &String| owner.map(text).cloned().unwrap_or_default();
        // Who had it last is not who has it.
        let pod = Text::new(entry.pod().unwrap_or_default());
        rows.push(vec![
            Text::new(claim.address.to_string()),
            Text::new(&*claim.subnet),
            Text::new(claim.mac.map(|mac| mac.to_string()).unwrap_or_default()),
            if entry.is_held() { pod.colour(Colour::Faint) } else { pod },
            Text::new(of_owner(|owner| &owner.interface)),
            Text::new(of_owner(|owner| &owner.node)),
            Text::new(entry.hold(now)),
            Text::new(entry.created().map(|created| since(created, now)).unwrap_or_default()),
        ]);
    }
    out.table(0, &rows)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{active, entries, held, now};
    use super::*;
    use crate::output::printed;

    #[test]
    fn a_list_of_addresses() {
        let entries = entries(&[
            active("10.20.0.10", "web-1"),
            active("10.20.0.9", "web-0"),
            held("10.20.0.11", "StatefulSet", "web-2"),
            held("10.20.0.12", "Reservation", ""),
            held("10.20.0.13", "ReuseDelay", "cart-7d4b9"),
            held("10.20.0.14", "Quarantine", ""),
            active("fd00::9", "web-0"),
        ]);
        let text = printed(|out| print(&entries, now(), out));
        assert_eq!(
            text,
            "\
ADDRESS     SUBNET  MAC                POD              INTERFACE  NODE  HELD                         AGE
10.20.0.9   lan4    02:00:5e:10:00:05  shop/web-0       net1       n1                                 3h
10.20.0.10  lan4    02:00:5e:10:00:05  shop/web-1       net1       n1                                 3h
10.20.0.11  lan4    02:00:5e:10:00:07  shop/web-2       net1             StatefulSet shop/web         3h
10.20.0.12  lan4                                                         MacvlanReservation shop/web  3h
10.20.0.13  lan4    02:00:5e:10:00:07  shop/cart-7d4b9  net1             rests, 4m left               3h
10.20.0.14  lan4                                                         quarantined, 20m left        3h
fd00::9     lan6    02:00:5e:10:00:05  shop/web-0       net1       n1                                 3h
"
        );
    }
}
