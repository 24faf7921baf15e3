//! What each annotation says of one interface, joined to one request.

use super::{AddressList, Family, MacList, Pairs, Request, SubnetNames};
use crate::{Error, IfName, Result};

/// Something with the key that says it, for messages.
#[derive(Debug)]
pub(super) struct Said<T> {
    /// The path of the key, beginning with the annotation's own.
    pub(super) by: String,
    pub(super) what: T,
}

/// Which addresses: with an empty list always `auto`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) ips: AddressList,
    pub(super) auto: bool,
}

/// What is said of one interface until now. Nothing, to begin with.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) subnets: Option<Said<SubnetNames>>,
    pub(super) addresses: Option<Said<Wish>>,
    pub(super) macs: Option<Said<MacList>>,
    pub(super) reservation: Option<Said<String>>,
    pub(super) default_route: Option<Said<bool>>,
}

impl Draft {
    /// Adds what another annotation says. What both say, they must say alike.
    pub(super) fn join(&mut self, other: Draft, interface: &IfName) -> Result<()> {
        join(&mut self.subnets, other.subnets, "subnets", interface)?;
        join(&mut self.addresses, other.addresses, "addresses", interface)?;
        join(&mut self.macs, other.macs, "MACs", interface)?;
        join(&mut self.reservation, other.reservation, "reservations", interface)?;
        join(&mut self.default_route, other.default_route, "default routes", interface)
    }

    /// The request; `None` when nothing is said.
    pub(super) fn finish(self, interface: &IfName) -> Result<Option<Request>> {
        let Draft { subnets, addresses, macs, reservation, default_route } = self;
        if subnets.is_none()
            && addresses.is_none()
            && macs.is_none()
            && reservation.is_none()
            && default_route.is_none()
        {
            return Ok(None);
        }
        let auto = addresses.as_ref().map_or(reservation.is_none(), |said| said.what.auto);
        Ok(Some(Request {
            subnets: subnets.map(|said| said.what).unwrap_or_default(),
            pairs: pairs(addresses, macs, interface)?,
            auto,
            reservation: reservation.map(|said| said.what),
            default_route: default_route.map(|said| said.what),
        }))
    }
}

fn join<T: PartialEq>(
    own: &mut Option<Said<T>>,
    other: Option<Said<T>>,
    what: &str,
    interface: &IfName,
) -> Result<()> {
    let Some(other) = other else { return Ok(()) };
    match own {
        None => *own = Some(other),
        Some(own) if own.what == other.what => {}
        Some(own) => {
            return Err(Error::Contradiction {
                interface: interface.clone(),
                first: own.by.clone(),
                second: other.by,
                problem: format!("they ask for different {what}; remove one of the two"),
            });
        }
    }
    Ok(())
}

fn pairs(addresses: Option<Said<Wish>>, macs: Option<Said<MacList>>, interface: &IfName) -> Result<Pairs> {
    let (ips_key, ips) = addresses.map(|said| (said.by, said.what.ips)).unwrap_or_default();
    let (macs_key, macs) = macs.map(|said| (said.by, said.what)).unwrap_or_default();
    let (many_macs, counts) = (macs.as_slice().len(), Family::BOTH.map(|family| (family, ips.count(family))));
    Pairs::new(ips, macs).map_err(|family| {
        let count = counts.iter().find(|(own, _)| *own == family).map_or(0, |(_, count)| *count);
        Error::Contradiction {
            interface: interface.clone(),
            first: ips_key,
            second: macs_key,
            problem: format!(
                "the addresses of a family and the MACs are paired by their place, and their numbers differ ({family} \
                 addresses: {count}, MACs: {many_macs}); give as many of each, or leave the MACs out"
            ),
        }
    })
}
