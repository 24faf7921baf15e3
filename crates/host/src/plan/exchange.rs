//! Two links that exchange their MACs.
//!
//! A macvlan takes every frame to its MAC. While it still has the one that its parent gets back, the parent hears no
//! answer to what it asks, and asks again a second later: the macvlan gives the MAC away first.

use kernel::{MacAddr, MacvlanMode};

use super::{LinkChange, Step};
use crate::{Kind, Network};

/// Puts a step before each that gives a parent the MAC of its macvlan.
pub(super) fn give_away(steps: Vec<Step>, current: &Network) -> Vec<Step> {
    let mut all = Vec::with_capacity(steps.len());
    for step in steps {
        if let Step::ChangeLink { name, change } = &step
            && let Some(mac) = change.mac
        {
            let gone = |holder: &String| all.contains(&Step::DeleteLink { name: holder.clone() });
            let holders = current.links.iter().filter(|(holder, link)| {
                // In mode passthru it always has its parent's.
                matches!(&link.kind, Kind::Macvlan(macvlan) if macvlan.mode != MacvlanMode::Passthru)
                    && !gone(holder)
                    && link.mac == Some(mac)
                    && link.parent.as_ref() == Some(name)
            });
            let holders: Vec<&String> = holders.map(|(holder, _)| holder).collect();
            for holder in holders {
                let change = LinkChange { mac: Some(another(mac, current)), ..LinkChange::default() };
                all.push(Step::ChangeLink { name: holder.clone(), change: Box::new(change) });
            }
        }
        all.push(step);
    }
    all
}

/// A MAC that no link here has.
fn another(mac: MacAddr, current: &Network) -> MacAddr {
    let MacAddr([a, b, c, d, e, f]) = mac;
    let free = |mac: &MacAddr| current.links.values().all(|link| link.mac != Some(*mac));
    (1..=u8::MAX).map(|bit| MacAddr([a | 2, b, c, d, e, f ^ bit])).find(free).unwrap_or(mac)
}
