//! `llano ip free`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::bail;
use serde::Serialize;

use super::cluster::Cluster;
use super::count::{bounded, shown};
use super::entry::{Entry, warn};
use super::known::{Known, find};
use super::names::name;
use crate::output::{Out, Text, head};

/// The lowest addresses that nobody has.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Which free address a pod gets is its node's choice, and need not be the lowest. To be sure of
one, make a MacvlanReservation, or name it in the pod's annotation llano.dev/addresses.

Examples:
  llano ip free                     the first free address of every subnet, and how many there are
  llano ip free lan4 -n 5           five of one subnet, one a line

Exit codes: 1 also when the subnet that was named has no free address.")]
pub(super) struct Free {
    /// Only of this MacvlanSubnet, one address a line
    #[arg(value_parser = name)]
    subnet: Option<String>,
    /// How many addresses of each subnet
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
}

/// What is free of one subnet.
#[derive(Debug, Serialize)]
struct Offer {
    subnet: String,
    network: String,
    disabled: bool,
    /// At most `i64::MAX`, as a status counts.
    free: i64,
    /// The lowest.
    addresses: Vec<IpAddr>,
    #[serde(skip)]
    free_shown: String,
}

pub(super) fn run(args: &Free, cluster: &Cluster, out: &mut Out) -> anyhow::Result<()> {
    let (mut known, unread) = Known::read(cluster.subnets()?);
    warn(&unread);
    let mut fields = Vec::new();
    if let Some(name) = &args.subnet {
        known = vec![find(known, name)?];
        fields.extend(known.first().map(|known| ("spec.network", known.subnet.network.clone())));
    }
    let fields: Vec<_> = fields.iter().map(|(field, value)| (*field, value.as_str())).collect();
    let (entries, unread) = Entry::read(cluster.claims(&fields)?);
    warn(&unread);
    let offers: Vec<Offer> = known.iter().map(|known| offer(known, &entries, args.count)).collect();
    out.json(&offers)?;
    match (&args.subnet, offers.as_slice()) {
        (Some(_), [offer]) => one(offer, out),
        (_, []) => out.line("There is no MacvlanSubnet."),
        (_, offers) => table(offers, out),
    }
}

fn offer(known: &Known, entries: &[Entry], count: u16) -> Offer {
    let subnet = &known.subnet;
    // An address is one network's, whichever of its subnets gave it.
    let taken: BTreeSet<IpAddr> = entries
        .iter()
        .filter(|entry| entry.claim.network == subnet.network)
        .map(|entry| entry.claim.address)
        .collect();
    let free = known.free(&taken);
    Offer {
        subnet: subnet.name.clone(),
        network: subnet.network.clone(),
        disabled: subnet.disabled,
        free: bounded(free.len()),
        free_shown: shown(free.len()),
        addresses: free.iter().take(count.into()).collect(),
    }
}

fn one(offer: &Offer, out: &mut Out) -> anyhow::Result<()> {
    if offer.disabled {
        eprintln!("llano: subnet {} is disabled and gives no new addresses", offer.subnet);
    }
    if offer.addresses.is_empty() {
        bail!("subnet {0} has no free address; who has them: llano subnet show {0}", offer.subnet);
    }
    offer.addresses.iter().try_for_each(|address| out.line(&address.to_string()))
}

fn table(offers: &[Offer], out: &mut Out) -> anyhow::Result<()> {
    let mut rows = vec![head(&["SUBNET", "NETWORK", "FREE", "NEXT"])];
    for offer in offers {
        let addresses: Vec<String> = offer.addresses.iter().map(ToString::to_string).collect();
        let next = if offer.disabled { "disabled".to_owned() } else { addresses.join(" ") };
        let cells = [&offer.subnet, &offer.network, &offer.free_shown, &next];
        rows.push(cells.into_iter().map(|cell| Text::new(&**cell)).collect());
    }
    out.table(0, &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{active, entries, held, lan4, subnet};
    use super::*;
    use crate::output::printed;

    #[test]
    fn the_lowest_free_addresses() {
        let entries = entries(&[
            active("10.20.0.2", "web-0"),
            held("10.20.0.4", "Quarantine", ""),
            active("10.30.0.1", "web-1"),
            active("fd00::1", "web-0"),
        ]);
        let known = [
            lan4(),
            subnet("lan6", "fd00::/64", &json!({})),
            subnet("old", "10.30.0.0/30", &json!({"disabled": true})),
            subnet("tiny", "10.30.0.1/32", &json!({})),
        ];
        let offers: Vec<_> = known.iter().map(|known| offer(known, &entries, 3)).collect();
        let text = printed(|out| table(&offers, out));
        assert_eq!(
            text,
            "\
SUBNET  NETWORK  FREE   NEXT
lan4    lan      179    10.20.0.3 10.20.0.5 10.20.0.6
lan6    lan      ~2^64  fd00::2 fd00::3 fd00::4
old     lan      1      disabled
tiny    lan      0
"
        );
        assert_eq!(printed(|out| one(&offers[0], out)), "10.20.0.3\n10.20.0.5\n10.20.0.6\n");
    }

    #[test]
    fn a_full_subnet_is_a_failure() {
        let entries = entries(&[active("10.30.0.1", "web-1")]);
        let offer = offer(&subnet("tiny", "10.30.0.1/32", &json!({})), &entries, 1);
        let mut error = String::new();
        printed(|out| {
            error = one(&offer, out).unwrap_err().to_string();
            Ok(())
        });
        assert_eq!(error, "subnet tiny has no free address; who has them: llano subnet show tiny");
    }
}
