//! From what a pod asks for an interface to the ways to an address. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use api::addresses::{Family, PodFacts, Request, SubnetFacts, choose_subnets};
use api::kinds::{Reservation, ReservedWorkload, Subnet, What, Who, WorkloadKind, ordinal_of};
use claims::plan::Identity;
use claims::{Keeper, Kept, KeptFor, Run, mac_addr, plan};
use kernel::MacAddr;
use kube::core::SelectorExt;

use super::view::State;
use super::{Ask, ClaimError, Given};
use crate::PodView;

/// So many listed addresses are tried one by one, in their order. Of more any will do.
const MOST_LISTED: u128 = 4096;
/// So many addresses are named in an error.
const NAMED: usize = 4;

/// One way to an address: a subnet, what may be chosen of it, and what the address will be kept for.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) identity: Identity,
    pub(super) request: plan::Request,
    pub(super) subnet: Arc<Subnet>,
}

/// What an interface is to get.
pub(super) struct Wish<'a> {
    ask: &'a Ask<'a>,
    request: Request,
    /// By family, those to be tried first at the beginning. No family without subnets.
    subnets: Vec<(Family, Vec<Arc<Subnet>>)>,
    /// Those that the pod may draw from.
    reservations: Vec<Arc<Reservation>>,
}

impl<'a> Wish<'a> {
    /// What the pod asks for, as the subnets and reservations are now.
    pub(super) fn of(state: &State, ask: &'a Ask<'a>) -> Result<Wish<'a>, ClaimError> {
        let request = ask.request.cloned().unwrap_or_default();
        let macs = request.pairs().macs().len();
        if request.pairs().ips().is_empty() && macs > 1 {
            return Err(ClaimError::MacsAlone(macs));
        }
        let reservations = reservations(state, ask.pod, request.reservation())?;
        let in_network = |reservation: &&Arc<Reservation>| {
            state.subnets.get(&reservation.subnet).is_some_and(|subnet| subnet.network == ask.network)
        };
        let facts_of = |subnet: &Arc<Subnet>| {
            let facts = SubnetFacts::of(subnet);
            let has = facts.closed.is_some() && has_some(state, ask, subnet, &reservations);
            SubnetFacts { closed: facts.closed.filter(|_| !has), ..facts }
        };
        let facts: Vec<SubnetFacts> = state.subnets.values().map(facts_of).collect();
        let nothing = api::addresses::Labels::new();
        let pod = PodFacts {
            network: ask.network,
            pod_labels: &ask.pod.addressing.labels,
            namespace_labels: state.namespaces.get(&ask.pod.key.namespace).unwrap_or(&nothing),
            node_labels: state.node.as_ref().unwrap_or(&nothing),
            reservation_subnet: reservations.iter().find(in_network).map(|found| found.subnet.as_str()),
        };
        let choice = choose_subnets(&request, &pod, &facts)?;
        let known = |family: Family| {
            let chosen = choice.of(family).iter().filter_map(|facts| state.subnets.get(&facts.name));
            (family, chosen.cloned().collect::<Vec<_>>())
        };
        let mut subnets: Vec<_> = Family::BOTH.into_iter().map(known).collect();
        subnets.retain(|(_, subnets)| !subnets.is_empty());
        Ok(Wish { ask, request, subnets, reservations })
    }

    /// The families of which it is to have an address.
    pub(super) fn families(&self) -> impl Iterator<Item = Family> {
        self.subnets.iter().map(|(family, _)| *family)
    }

    /// The MAC that goes with an address, where the pod says so.
    pub(super) fn mac_of(&self, address: IpAddr) -> Option<MacAddr> {
        self.request.pairs().mac_of(address).map(mac_addr)
    }

    /// The MAC that the pod asks for with whatever address it gets.
    pub(super) fn any_mac(&self) -> Option<MacAddr> {
        match (self.request.pairs().macs(), self.request.pairs().ips().is_empty()) {
            ([one], true) => Some(mac_addr(*one)),
            _ => self.ask.mac,
        }
    }

    /// The ways to an address of a family, those to be tried first at the beginning. `first`: the interface's first address, of
    /// the other family; the pair of its subnet comes first.
    pub(super) fn ways(
        &self,
        family: Family,
        first: Option<&Given>,
        mac: Option<MacAddr>,
    ) -> Result<Vec<Way>, ClaimError> {
        let mut subnets: Vec<Arc<Subnet>> =
            self.subnets.iter().filter(|(own, _)| *own == family).flat_map(|(_, all)| all.clone()).collect();
        if let Some(first) = first {
            // Stable: the others keep their order.
            subnets.sort_by_key(|subnet| !is_pair(subnet, &first.subnet));
        }
        let listed = self.request.pairs().ips().count(family) > 0;
        let mut ways = Vec::new();
        let mut last_resorts = Vec::new();
        for subnet in &subnets {
            let way = |kept_for: Option<KeptFor>, usable: Vec<Run>, wanted: Vec<IpAddr>| {
                let (network, name) = (subnet.network.clone(), subnet.name.clone());
                let request = plan::Request { network, subnet: name, usable, wanted, mac };
                Way { identity: self.identity(kept_for), request, subnet: Arc::clone(subnet) }
            };
            let all = || subnet.usable().runs().collect::<Vec<Run>>();
            let set = stateful_set(self.ask.pod);
            let reservation = self.reservations.iter().find(|own| own.subnet == subnet.name);
            let (kept_for, ordinal) = match reservation {
                Some(own) => (Some(kept_for(own)), own_ordinal(own, self.ask.pod)),
                None => (set.clone(), None),
            };
            let wanted = match (listed, ordinal) {
                (true, _) => self.listed_in(subnet, family, first),
                (false, Some(address)) => Some(Listed::Each(vec![address])),
                (false, None) => Some(Listed::Each(Vec::new())),
            };
            // A workload that has a reservation waits for its addresses, unless it names others, or names it and is content with any.
            let named = reservation.is_some_and(|own| self.request.reservation() == Some(own.name.as_str()));
            let others = reservation.is_some() && listed && !named;
            match wanted {
                Some(Listed::Each(wanted)) => {
                    if others {
                        last_resorts.push(way(set.clone(), all(), wanted.clone()));
                    }
                    ways.push(way(kept_for, all(), wanted));
                }
                Some(Listed::Any(runs)) => {
                    if others {
                        last_resorts.push(way(set.clone(), runs.clone(), Vec::new()));
                    }
                    ways.push(way(kept_for, runs, Vec::new()));
                }
                None => {}
            }
            if self.request.auto() && (named || (listed && reservation.is_none())) {
                last_resorts.push(way(set, all(), Vec::new()));
            }
        }
        ways.append(&mut last_resorts);
        if ways.is_empty() {
            let asked = self.request.pairs().ips().iter(family).take(NAMED).collect();
            return Err(ClaimError::NotUsable { network: self.ask.network.to_owned(), asked });
        }
        Ok(ways)
    }

    fn identity(&self, kept_for: Option<KeptFor>) -> Identity {
        let key = &self.ask.pod.key;
        Identity {
            namespace: key.namespace.clone(),
            pod: key.name.clone(),
            uid: key.uid.clone(),
            container_id: self.ask.container_id.to_owned(),
            interface: self.ask.interface.as_str().to_owned(),
            kept_for,
        }
    }

    /// The listed addresses that the subnet gives; `None` when it gives none of them.
    fn listed_in(&self, subnet: &Subnet, family: Family, first: Option<&Given>) -> Option<Listed> {
        let pairs = self.request.pairs();
        let ips = pairs.ips();
        if let (false, Some(place)) =
            (pairs.macs().is_empty(), first.and_then(|first| ips.place(first.address)))
        {
            // With MACs the nth addresses of both families belong together.
            let own = ips.iter(family).nth(usize::try_from(place).ok()?)?;
            return subnet.usable().contains(own).then(|| Listed::Each(vec![own]));
        }
        if ips.count(family) <= MOST_LISTED {
            let given: Vec<IpAddr> = ips.iter(family).filter(|ip| subnet.usable().contains(*ip)).collect();
            return (!given.is_empty()).then_some(Listed::Each(given));
        }
        let mut runs: Vec<Run> = Vec::new();
        for range in ips.ranges().iter().filter(|range| range.family() == family) {
            let inside =
                subnet.usable().runs().map(|(from, to)| (from.max(range.first()), to.min(range.last())));
            runs.extend(inside.filter(|(from, to)| from <= to));
        }
        runs.sort_unstable();
        (!runs.is_empty()).then_some(Listed::Any(runs))
    }
}

/// The addresses that a pod lists.
enum Listed {
    /// These, in this order; none: whichever.
    Each(Vec<IpAddr>),
    /// Any of these.
    Any(Vec<Run>),
}

fn is_pair(one: &Subnet, other: &Subnet) -> bool {
    let names = |a: &Subnet, b: &Subnet| a.pair_with.as_deref() == Some(b.name.as_str());
    names(one, other) || names(other, one)
}

/// What the addresses of a StatefulSet's pod are kept for.
fn stateful_set(pod: &PodView) -> Option<KeptFor> {
    let controller = pod.addressing.controller.as_ref().filter(|own| own.kind == "StatefulSet")?;
    let (namespace, name) = (pod.key.namespace.clone(), controller.name.clone());
    Some(KeptFor { kind: Keeper::StatefulSet, namespace, name })
}

fn kept_for(reservation: &Reservation) -> KeptFor {
    let (namespace, name) = (reservation.namespace.clone(), reservation.name.clone());
    KeptFor { kind: Keeper::Reservation, namespace, name }
}

/// The address that a reservation by ordinals has for the pod.
fn own_ordinal(reservation: &Reservation, pod: &PodView) -> Option<IpAddr> {
    let What::Ordinals(pairs) = &reservation.what else { return None };
    let set = pod.addressing.controller.as_ref()?;
    Some(pairs.get(&ordinal_of(&set.name, &pod.key.name)?)?.address)
}

/// Whether addresses of the subnet are this pod's already: its own, or kept for its StatefulSet or its reservation.
fn has_some(state: &State, ask: &Ask<'_>, subnet: &Subnet, reservations: &[Arc<Reservation>]) -> bool {
    let network = state.taken.network(&subnet.network);
    let owned = network.own().any(|claim| {
        let owner = &claim.owner;
        claim.subnet == subnet.name
            && owner.uid == ask.pod.key.uid
            && owner.interface == ask.interface.as_str()
    });
    let mut keepers = reservations.iter().map(|own| kept_for(own)).chain(stateful_set(ask.pod));
    let is_here = |(_, kept): (IpAddr, Kept)| *kept.subnet == *subnet.name;
    owned || keepers.any(|keeper| network.kept(&keeper).any(is_here))
}

/// The reservations of the pod's namespace that it may draw from, the one it names first.
fn reservations(
    state: &State,
    pod: &PodView,
    named: Option<&str>,
) -> Result<Vec<Arc<Reservation>>, ClaimError> {
    let namespace = &pod.key.namespace;
    let mut found = Vec::new();
    if let Some(name) = named {
        let own = state.reservations.get(&(namespace.clone(), name.to_owned()));
        let names = || (namespace.clone(), name.to_owned());
        let own = own.ok_or_else(|| {
            let (namespace, name) = names();
            ClaimError::NoReservation { namespace, name }
        })?;
        if !matches!(own.who, Who::Asking) && !is_for(own, pod) {
            let (namespace, name) = names();
            return Err(ClaimError::OthersReservation { namespace, name });
        }
        found.push(Arc::clone(own));
    }
    let from = (namespace.clone(), String::new());
    let in_namespace = state.reservations.range(from..).take_while(|((own, _), _)| own == namespace);
    let others = in_namespace.map(|(_, own)| own).filter(|own| Some(own.name.as_str()) != named);
    found.extend(others.filter(|own| is_for(own, pod)).cloned());
    Ok(found)
}

/// Whether it is for the pod without the pod's naming it.
fn is_for(reservation: &Reservation, pod: &PodView) -> bool {
    match &reservation.who {
        Who::Asking => false,
        Who::Pods(selector) => selector.matches(&pod.addressing.labels),
        Who::Workload(workload) => is_of(workload, pod),
    }
}

/// Whether the pod is the workload's. A Deployment's pods are a ReplicaSet's that is named after it and the pods' hash, a CronJob's
/// those of a Job that is named after it and a number.
fn is_of(workload: &ReservedWorkload, pod: &PodView) -> bool {
    if workload.kind == WorkloadKind::Pod {
        return workload.name == pod.key.name;
    }
    let Some(controller) = &pod.addressing.controller else { return false };
    let (kind, name) = (controller.kind.as_str(), controller.name.as_str());
    let after = || name.strip_prefix(workload.name.as_str())?.strip_prefix('-');
    match workload.kind {
        WorkloadKind::Deployment => {
            let hash = pod.addressing.labels.get("pod-template-hash").map(String::as_str);
            kind == "ReplicaSet" && hash.is_some() && after() == hash
        }
        WorkloadKind::CronJob => {
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            kind == "Job" && after().is_some_and(is_number)
        }
        WorkloadKind::StatefulSet => kind == "StatefulSet" && name == workload.name,
        WorkloadKind::DaemonSet => kind == "DaemonSet" && name == workload.name,
        WorkloadKind::ReplicaSet => kind == "ReplicaSet" && name == workload.name,
        WorkloadKind::Job => kind == "Job" && name == workload.name,
        WorkloadKind::Pod => false,
    }
}
