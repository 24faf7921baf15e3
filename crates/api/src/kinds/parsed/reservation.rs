//! `MacvlanReservation`, parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipam::Addresses;
use kube::core::Selector;

use super::object::Object;
use super::subnet::Subnet;
use crate::kinds::{MOST_RESERVED, MacvlanReservation, ReservedWorkload, WorkloadKind};
use crate::{Mac, Result};

/// Addresses that are kept for pods of a namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Reservation {
    /// Its namespace, and that of its pods.
    pub namespace: String,
    /// Its name in the namespace.
    pub name: String,
    /// The subnet's name.
    pub subnet: String,
    /// For which pods.
    pub who: Who,
    /// Which addresses.
    pub what: What,
}

/// The pods of a reservation, all of its namespace.
#[derive(Debug, Clone, PartialEq)]
pub enum Who {
    /// Those of a workload.
    Workload(ReservedWorkload),
    /// Those with these labels.
    Pods(Selector),
    /// Those that name the reservation.
    Asking,
}

/// The addresses of a reservation: 1 to [`MOST_RESERVED`], of one family, none twice, and no MAC twice.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// These, in this order.
    Pairs(Vec<Pair>),
    /// Every one of these.
    Set(Addresses),
    /// So many, whichever are free.
    Count(u32),
    /// For a StatefulSet's pods, by their ordinals; the reservation's workload is a StatefulSet, or its pods ask.
    Ordinals(BTreeMap<u32, Pair>),
}

/// An address and its MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The address, IPv4 never in IPv6 form.
    pub address: IpAddr,
    /// The MAC that goes with it, if it is given.
    pub mac: Option<Mac>,
}

impl Reservation {
    /// Reads the object.
    ///
    /// # Errors
    /// [`crate::Error::Object`] with the field, its value and what is allowed.
    pub fn parse(object: &MacvlanReservation) -> Result<Reservation> {
        let spec = &object.spec;
        let at = Object::new("MacvlanReservation", &object.metadata);
        let who = match (&spec.workload, &spec.pod_selector) {
            (Some(workload), None) => {
                at.subdomain("spec.workload.name", &workload.name)?;
                Who::Workload(workload.clone())
            }
            (None, Some(selector)) => Who::Pods(at.selector("spec.podSelector", selector)?),
            (None, None) => Who::Asking,
            (Some(_), Some(_)) => {
                return Err(at.refuse("spec.podSelector", "cannot be given together with spec.workload"));
            }
        };
        let what = match (&spec.addresses, &spec.ranges, spec.count, &spec.ordinals) {
            (Some(pairs), None, None, None) => {
                let mut seen = Seen::new(at);
                let read = pairs.iter().enumerate().map(|(n, pair)| {
                    seen.pair(&format!("spec.addresses[{n}]"), &pair.ip, pair.mac.as_deref())
                });
                What::Pairs(read.collect::<Result<_>>()?)
            }
            (None, Some(ranges), None, None) => What::Set(read_ranges(at, ranges)?),
            (None, None, Some(count), None) => What::Count(count),
            (None, None, None, Some(ordinals)) => {
                let mut seen = Seen::new(at);
                let mut read = BTreeMap::new();
                for (n, entry) in ordinals.iter().enumerate() {
                    let path = format!("spec.ordinals[{n}]");
                    let pair = seen.pair(&path, &entry.ip, entry.mac.as_deref())?;
                    if read.insert(entry.ordinal, pair).is_some() {
                        return Err(at.refuse(path, format!("ordinal {} is there twice", entry.ordinal)));
                    }
                }
                What::Ordinals(read)
            }
            _ => {
                let problem =
                    "exactly one of spec.addresses, spec.ranges, spec.count and spec.ordinals must be given";
                return Err(at.refuse("spec", problem));
            }
        };
        let of_a_stateful_set = match &who {
            Who::Workload(workload) => workload.kind == WorkloadKind::StatefulSet,
            Who::Pods(_) => false,
            Who::Asking => true,
        };
        if matches!(what, What::Ordinals(_)) && !of_a_stateful_set {
            return Err(at.refuse("spec.ordinals", "is for the pods of one StatefulSet, which have ordinals"));
        }
        let size = what.size();
        if size == 0 || size > MOST_RESERVED as u128 {
            return Err(
                at.refuse("spec", format!("{size} addresses: 1 to {MOST_RESERVED} can be reserved at once"))
            );
        }
        Ok(Reservation {
            namespace: at.label("metadata.namespace", at.namespace())?,
            name: at.subdomain("metadata.name", at.name())?,
            subnet: at.label("spec.subnet", &spec.subnet)?,
            who,
            what,
        })
    }

    /// The first of its addresses that pods of the subnet cannot get; a count has none.
    pub fn outside(&self, subnet: &Subnet) -> Option<IpAddr> {
        let usable = subnet.usable();
        match &self.what {
            What::Pairs(pairs) => pairs.iter().map(|pair| pair.address).find(|ip| !usable.contains(*ip)),
            What::Ordinals(pairs) => pairs.values().map(|pair| pair.address).find(|ip| !usable.contains(*ip)),
            What::Set(set) => set.iter().find(|ip| !usable.contains(*ip)),
            What::Count(_) => None,
        }
    }
}

impl What {
    /// How many addresses.
    pub fn size(&self) -> u128 {
        match self {
            What::Pairs(pairs) => pairs.len() as u128,
            What::Set(set) => set.len(),
            What::Count(count) => u128::from(*count),
            What::Ordinals(pairs) => pairs.len() as u128,
        }
    }
}

/// The number at the end of the name of a StatefulSet's pod: 2 for `web-2` of `web`. `None` for a pod that is not the set's by name.
pub fn ordinal_of(set: &str, pod: &str) -> Option<u32> {
    let digits = pod.strip_prefix(set)?.strip_prefix('-')?;
    // As the StatefulSet writes it: no sign, no leading zero.
    digits.parse().ok().filter(|ordinal: &u32| ordinal.to_string() == digits)
}

/// What was read so far, to find what is there twice.
struct Seen<'a> {
    at: Object<'a>,
    addresses: BTreeSet<IpAddr>,
    macs: BTreeSet<Mac>,
}

impl<'a> Seen<'a> {
    fn new(at: Object<'a>) -> Seen<'a> {
        Seen { at, addresses: BTreeSet::new(), macs: BTreeSet::new() }
    }

    fn pair(&mut self, path: &str, ip: &str, mac: Option<&str>) -> Result<Pair> {
        let at = self.at;
        let ip_path = format!("{path}.ip");
        let address = at.address(&ip_path, ip)?;
        if self.addresses.first().is_some_and(|first| first.is_ipv4() != address.is_ipv4()) {
            return Err(at.refuse(ip_path, format!("{address} must be of the family of the others")));
        }
        if !self.addresses.insert(address) {
            return Err(at.refuse(ip_path, format!("{address} is there twice")));
        }
        let mac_path = format!("{path}.mac");
        let mac = mac.map(|mac| at.mac(&mac_path, mac)).transpose()?;
        if let Some(mac) = mac.filter(|mac| !self.macs.insert(*mac)) {
            return Err(at.refuse(mac_path, format!("{mac} is there twice: each interface has its own")));
        }
        Ok(Pair { address, mac })
    }
}

fn read_ranges(at: Object<'_>, ranges: &[String]) -> Result<Addresses> {
    let mut set = Addresses::new();
    let mut v4 = None;
    for (n, text) in ranges.iter().enumerate() {
        let path = format!("spec.ranges[{n}]");
        let (from, to) = at.run(&path, text)?;
        if *v4.get_or_insert(from.is_ipv4()) != from.is_ipv4() {
            return Err(at.refuse(path, format!("{text} must be of the family of the others")));
        }
        set.insert_run(from, to);
    }
    Ok(set)
}
