//! What is asked for one interface.

use cni::json::Value;

use super::{Family, NamePattern, Pairs, SubnetNames};

/// What a pod asks for one of its interfaces. There is always something to choose from: the addresses of
/// [`Self::pairs`], those of [`Self::reservation`], or with [`Self::auto`] any of the subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(super) subnets: SubnetNames,
    pub(super) pairs: Pairs,
    pub(super) auto: bool,
    pub(super) reservation: Option<String>,
    pub(super) default_route: Option<bool>,
}

/// Any address of a default subnet.
impl Default for Request {
    fn default() -> Request {
        Request {
            subnets: SubnetNames::default(),
            pairs: Pairs::default(),
            auto: true,
            reservation: None,
            default_route: None,
        }
    }
}

impl Request {
    /// Subnets by name.
    pub fn subnets(&self) -> &SubnetNames {
        &self.subnets
    }

    /// Addresses and MACs, to be tried in their order. A family without addresses here is chosen freely.
    pub fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// Whether an address that is chosen freely will do: where nothing else is asked for, and as the last resort when
    /// none of the listed or reserved ones is to be had.
    pub fn auto(&self) -> bool {
        self.auto
    }

    /// The MacvlanReservation of the pod's namespace whose addresses are wanted; a name as the API server allows. With
    /// addresses as well: those of the list that the reservation has.
    pub fn reservation(&self) -> Option<&str> {
        self.reservation.as_deref()
    }

    /// Whether the pod's default route is to go through this interface (`true`), is not to (`false`), or as the network
    /// has it.
    pub fn default_route(&self) -> Option<bool> {
        self.default_route
    }

    /// An object of `llano.dev/addresses` with the same meaning.
    pub(super) fn to_value(&self, interface: &str) -> Value {
        let mut value = Value::object([("interface", interface.into())]);
        match &self.subnets {
            names if names.is_empty() => {}
            SubnetNames::Any(names) => value.set("subnet", list(names)),
            SubnetNames::ByFamily { v4, v6 } => {
                let mut lists = Value::object([]);
                for (family, names) in [(Family::V4, v4), (Family::V6, v6)] {
                    if !names.is_empty() {
                        lists.set(family.key(), list(names));
                    }
                }
                value.set("subnet", lists);
            }
        }
        let ips = self.pairs.ips();
        if !ips.is_empty() {
            value.set(
                "ips",
                Value::Array(ips.ranges().iter().map(|range| range.to_string().into()).collect()),
            );
        }
        let macs = self.pairs.macs();
        if !macs.is_empty() {
            value.set("macs", Value::Array(macs.iter().map(|mac| mac.to_string().into()).collect()));
        }
        if self.auto {
            value.set("auto", true.into());
        }
        if let Some(name) = &self.reservation {
            value.set("reservation", name.as_str().into());
        }
        if let Some(wish) = self.default_route {
            value.set("defaultRoute", wish.into());
        }
        value
    }
}

fn list(names: &[NamePattern]) -> Value {
    Value::Array(names.iter().map(|name| name.as_str().into()).collect())
}
