//! Which subnets a request leads to.

use kube::core::SelectorExt;

use super::{ADDRESSES, Choice, Family, IpRange, NamePattern, PodFacts, Request, SubnetFacts, SubnetNames};
use crate::{Error, Result};

/// Most subnets or reasons that an error lists.
const LISTED: usize = 8;

/// The subnets for a request of one interface, those to be tried first at the beginning. The first of these that says
/// anything decides:
///
/// 1. subnets by name, in the order they are named; a pattern's subnets in the order of their names;
/// 2. the reservation's subnet;
/// 3. the subnets that have the addresses asked for;
/// 4. the defaults of the namespace: `default`, with a `namespaceSelector` that matches;
/// 5. the defaults of the cluster: `default`, without a `namespaceSelector`.
///
/// Always only subnets of the interface's network whose selectors match and that are not closed. Among defaults those
/// with a `podSelector` go first, then those with a `nodeSelector`, then by name. A namespace that has defaults of its own
/// never falls back to the cluster's: it may have them to be apart from the others.
///
/// The other subnet of a pair comes along, unless the request names subnets by family, and is left out when it is closed
/// or not for this pod. Then subnets that have none of the addresses asked for go: out, or to the end when the
/// request is content with others.
///
/// # Errors
/// [`Error::NoSubnet`], with every subnet that was considered and why it was not taken.
pub fn choose_subnets<'a>(
    request: &Request,
    pod: &PodFacts<'_>,
    subnets: &'a [SubnetFacts],
) -> Result<Choice<'a>> {
    let mut here: Vec<&SubnetFacts> = subnets.iter().filter(|subnet| subnet.network == pod.network).collect();
    here.sort_by(|a, b| a.name.cmp(&b.name));
    let mut search = Search { pod, all: subnets, here, choice: Choice::default(), refused: Vec::new() };
    search.find(request)?;
    // Also before the pairs are added: the pair of a subnet that goes is not wanted.
    for family in Family::BOTH {
        if !search.choice.of(family).is_empty() {
            search.fit_addresses(request, family)?;
        }
    }
    search.add_pairs(&request.subnets);
    for family in Family::BOTH {
        search.fit_addresses(request, family)?;
    }
    Ok(search.choice)
}

struct Search<'a, 'p> {
    pod: &'p PodFacts<'p>,
    all: &'a [SubnetFacts],
    /// Those of the interface's network, by name.
    here: Vec<&'a SubnetFacts>,
    choice: Choice<'a>,
    /// Why others were not taken.
    refused: Vec<String>,
}

impl<'a> Search<'a, '_> {
    fn find(&mut self, request: &Request) -> Result<()> {
        match &request.subnets {
            names if names.is_empty() => return self.unnamed(request),
            SubnetNames::Any(names) => {
                let asked = self.named(names, None);
                let missing = |family: &Family| self.choice.of(*family).is_empty();
                if self.choice.is_empty() || asked.iter().any(missing) {
                    return Err(self.none(""));
                }
            }
            SubnetNames::ByFamily { v4, v6 } => {
                for (family, names) in [(Family::V4, v4), (Family::V6, v6)] {
                    self.named(names, Some(family));
                    if !names.is_empty() && self.choice.of(family).is_empty() {
                        return Err(self.none(""));
                    }
                }
            }
        }
        match (request.reservation(), self.pod.reservation_subnet) {
            (Some(reservation), Some(subnet)) => self.agree(reservation, subnet),
            _ => Ok(()),
        }
    }

    /// Adds the subnets that are named. Says of which families they are, those that were refused included: a family that
    /// is asked for by the name of a subnet must not be left out in silence.
    fn named(&mut self, names: &[NamePattern], family: Option<Family>) -> Vec<Family> {
        let mut asked = Vec::new();
        for pattern in names {
            let matching: Vec<&SubnetFacts> =
                self.here.iter().copied().filter(|subnet| pattern.matches(&subnet.name)).collect();
            if matching.is_empty() {
                self.refused.push(self.nothing_of(pattern));
            }
            for subnet in matching {
                if let Some(list) = family.filter(|family| *family != subnet.family()) {
                    if pattern.is_name() {
                        let own = subnet.family();
                        self.refused
                            .push(format!("{pattern} is an {own} subnet, named among the {list} ones"));
                    }
                    continue;
                }
                if pattern.is_name() {
                    asked.push(subnet.family());
                }
                self.consider(subnet);
            }
        }
        asked
    }

    fn nothing_of(&self, pattern: &NamePattern) -> String {
        if !pattern.is_name() {
            return format!("no subnet is called {pattern}");
        }
        match self.all.iter().find(|subnet| subnet.name == pattern.as_str()) {
            Some(subnet) => format!("{pattern} is a subnet of network {}", subnet.network),
            None => format!("there is no subnet {pattern}"),
        }
    }

    fn unnamed(&mut self, request: &Request) -> Result<()> {
        let ips = request.pairs().ips();
        if let Some(name) = self.pod.reservation_subnet {
            if let Some(name) = NamePattern::name(name) {
                self.named(&[name], None);
            }
        } else if !ips.is_empty() {
            for range in ips.ranges() {
                // Neighbours in the list are mostly neighbours in the network.
                if self.choice.of(range.family()).last().is_some_and(|subnet| gives_all(subnet, range)) {
                    continue;
                }
                let givers: Vec<&SubnetFacts> =
                    self.here.iter().copied().filter(|subnet| gives(subnet, range)).collect();
                let subnets = if givers.is_empty() { self.home(range).into_iter().collect() } else { givers };
                subnets.into_iter().for_each(|subnet| self.consider(subnet));
            }
        } else {
            self.defaults();
        }
        // Of addresses without a subnet there is more to say: fit_addresses does.
        if self.choice.is_empty() && ips.is_empty() {
            return Err(self.none(&self.how_to_name()));
        }
        Ok(())
    }

    fn defaults(&mut self) {
        let mut defaults: Vec<&SubnetFacts> =
            self.here.iter().copied().filter(|subnet| subnet.default).collect();
        let own = |subnet: &SubnetFacts| {
            subnet.namespace_selector.as_ref().is_some_and(|own| own.matches(self.pod.namespace_labels))
        };
        if defaults.iter().any(|subnet| own(subnet)) {
            defaults.retain(|subnet| own(subnet));
        } else {
            defaults.retain(|subnet| subnet.namespace_selector.is_none());
        }
        // Stable: by name where both are alike.
        defaults.sort_by_key(|subnet| (subnet.pod_selector.is_none(), subnet.node_selector.is_none()));
        for subnet in defaults {
            self.consider(subnet);
        }
    }

    fn consider(&mut self, subnet: &'a SubnetFacts) {
        match subnet.refusal(self.pod) {
            None => self.choice.push(subnet),
            Some(why) if self.refused.contains(&why) => {}
            Some(why) => self.refused.push(why),
        }
    }

    /// Adds to each subnet its pair. A pod that names subnets of both families has named them all.
    fn add_pairs(&mut self, names: &SubnetNames) {
        if matches!(names, SubnetNames::ByFamily { .. }) {
            return;
        }
        for family in Family::BOTH {
            if !names.is_empty() && !self.choice.of(family).is_empty() {
                continue;
            }
            for subnet in self.choice.of(family.other()).to_vec() {
                let pairs = self.here.iter().copied().filter(|other| other.is_pair_of(subnet));
                for pair in pairs.filter(|pair| pair.refusal(self.pod).is_none()) {
                    self.choice.push(pair);
                }
            }
        }
    }

    /// A pod that names a reservation and subnets must mean the same.
    fn agree(&mut self, reservation: &str, name: &str) -> Result<()> {
        for family in Family::BOTH {
            let subnets = self.choice.of_mut(family);
            if subnets.iter().any(|subnet| subnet.name == name) {
                subnets.retain(|subnet| subnet.name == name);
                return Ok(());
            }
        }
        let why = format!(
            "reservation {reservation} is of subnet {name}, which is not among those that the pod asks for by name; \
             name that one, or none"
        );
        Err(self.none(&why))
    }

    /// Leaves of a family the subnets that have one of the addresses asked for.
    fn fit_addresses(&mut self, request: &Request, family: Family) -> Result<()> {
        let ips = request.pairs().ips();
        for range in ips.ranges().iter().filter(|range| range.family() == family) {
            if !self.choice.of(family).iter().any(|subnet| has(subnet, range)) {
                return Err(self.homeless(range));
            }
        }
        if ips.count(family) > 0 {
            let subnets = self.choice.of_mut(family);
            let gives_one = |subnet: &&SubnetFacts| ips.ranges().iter().any(|range| gives(subnet, range));
            let has_one = |subnet: &&SubnetFacts| ips.ranges().iter().any(|range| has(subnet, range));
            if request.auto() {
                subnets.sort_by_key(|subnet| !gives_one(subnet));
            } else if subnets.iter().any(gives_one) {
                subnets.retain(gives_one);
            } else {
                subnets.retain(has_one);
            }
        }
        Ok(())
    }

    /// The subnet of the network that gives these addresses, else one in whose CIDR they are.
    fn home(&self, range: &IpRange) -> Option<&'a SubnetFacts> {
        let first = |which: fn(&SubnetFacts, &IpRange) -> bool| {
            self.here.iter().copied().find(|subnet| which(subnet, range))
        };
        first(gives).or_else(|| first(has))
    }

    /// The error for addresses that no chosen subnet has.
    fn homeless(&self, range: &IpRange) -> Error {
        let Some(home) = self.home(range) else {
            let family = range.family();
            let all = self.here.iter().filter(|subnet| subnet.family() == family);
            let all = all.map(|subnet| format!("{} {}", subnet.name, subnet.cidr)).collect::<Vec<_>>();
            return self.none(&format!("{range} is in none of its {family} subnets ({})", listed(&all)));
        };
        let tried = self.choice.of(range.family());
        let why = match home.refusal(self.pod) {
            Some(why) => why,
            None if tried.is_empty() => format!("the pod asks for {} subnets", range.family().other()),
            None => format!("the pod asks for {}", listed(&names(tried.iter()))),
        };
        let why = format!("{range} is in {}, and {why}", home.name);
        Error::NoSubnet { network: self.pod.network.to_owned(), why }
    }

    fn how_to_name(&self) -> String {
        if self.here.is_empty() {
            return "it has no subnets; create a MacvlanSubnet".to_owned();
        }
        let free = names(self.here.iter().filter(|subnet| subnet.refusal(self.pod).is_none()));
        match (free.is_empty(), self.refused.is_empty()) {
            (true, _) => "none of its other subnets is for this pod".to_owned(),
            (false, true) => format!(
                "none is the default; name one of {} in {ADDRESSES}, or set default: true on one of them",
                listed(&free)
            ),
            (false, false) => format!("{ADDRESSES} may name another: {}", listed(&free)),
        }
    }

    /// The error: why each subnet was not taken, and `more`.
    fn none(&self, more: &str) -> Error {
        let mut why = listed(&self.refused);
        if !more.is_empty() && !why.is_empty() {
            why.push_str("; ");
        }
        why.push_str(more);
        Error::NoSubnet { network: self.pod.network.to_owned(), why }
    }
}

fn has(subnet: &SubnetFacts, range: &IpRange) -> bool {
    subnet.cidr.contains(&range.first()) && subnet.cidr.contains(&range.last())
}

/// Whether pods get one of these addresses of it.
fn gives(subnet: &SubnetFacts, range: &IpRange) -> bool {
    has(subnet, range) && subnet.usable.iter().any(|(from, to)| *from <= range.last() && range.first() <= *to)
}

/// Whether pods get every one of these addresses of it.
fn gives_all(subnet: &SubnetFacts, range: &IpRange) -> bool {
    subnet.usable.iter().any(|(from, to)| *from <= range.first() && range.last() <= *to)
}

fn names<'a, 's: 'a>(subnets: impl Iterator<Item = &'a &'s SubnetFacts>) -> Vec<String> {
    subnets.map(|subnet| subnet.name.clone()).collect()
}

/// The first few, and how many more.
fn listed(items: &[String]) -> String {
    let (shown, more) = items.split_at(items.len().min(LISTED));
    match more.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
