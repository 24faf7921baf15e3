//! Reverse path filters while IPv4 addresses change their link.
//!
//! Until the LAN has learnt where an address is now, its frames come by the old link, and the routes lead back by the new
//! one. A strict filter drops them, and a stream waits 200 ms for each lost one: both links are loose for that moment.

use std::collections::BTreeMap;

use super::Step;
use crate::{Link, Network, Wanted, sysctls};

const SETTING: &str = "ipv4/rp_filter";
/// Any interface that leads back is right.
const LOOSE: &str = "2";

/// The links that are loose, with what is wanted of them afterwards.
pub(super) struct Loose(BTreeMap<String, Option<String>>);

impl Loose {
    /// The links that give IPv4 addresses to each other. `current` has the new links already.
    pub(super) fn of(current: &Network, wanted: &Wanted) -> Self {
        let has = |link: Option<&Link>, ip| {
            link.is_some_and(|link| link.addresses.iter().any(|address| address.net.addr() == ip))
        };
        let mut loose = BTreeMap::new();
        for giver in &wanted.affected {
            for address in current.links.get(giver).into_iter().flat_map(|link| &link.addresses) {
                let ip = address.net.addr();
                if ip.is_ipv6() || has(wanted.network.links.get(giver), ip) {
                    continue;
                }
                let takes = |dev: &&String| {
                    has(wanted.network.links.get(*dev), ip) && !has(current.links.get(*dev), ip)
                };
                for taker in wanted.affected.iter().filter(takes) {
                    for dev in [giver, taker] {
                        let link = wanted.network.links.get(dev);
                        // What is not said afterwards cannot be put back.
                        let value = link.map(|link| link.sysctls.get(SETTING).cloned());
                        if value != Some(None) && value != Some(Some(LOOSE.to_owned())) {
                            loose.insert(dev.clone(), value.flatten());
                        }
                    }
                }
            }
        }
        Self(loose)
    }

    /// Whether a setting waits for [`Loose::end`].
    pub(super) fn waits(&self, dev: &str, setting: &str) -> bool {
        setting == SETTING && self.0.contains_key(dev)
    }

    pub(super) fn begin(&self) -> impl Iterator<Item = Step> {
        self.0.keys().map(|dev| set(dev, LOOSE))
    }

    pub(super) fn end(&self) -> impl Iterator<Item = Step> {
        self.0.iter().filter_map(|(dev, value)| Some(set(dev, value.as_ref()?)))
    }
}

fn set(dev: &str, value: &str) -> Step {
    Step::SetSysctl { path: sysctls::path(SETTING, dev), value: value.to_owned() }
}
