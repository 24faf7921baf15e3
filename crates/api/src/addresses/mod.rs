//! What a pod asks of the subnets: addresses, MACs, reservations, interface by interface. Pure.
//!
//! [`AddressRequests::parse`] reads [`ADDRESSES`] and the annotations of Spiderpool and of Rancher's flat networks that mean
//! the same; [`choose_subnets`] says which subnets a [`Request`] leads to. `docs/addresses.md` is the user's side.

mod choose;
mod draft;
mod list;
mod names;
mod own;
mod pairs;
mod rancher;
mod read;
mod request;
mod spiderpool;
mod subnet;

use std::fmt;
use std::net::IpAddr;

use cni::json::Value;

pub use choose::choose_subnets;
use draft::Draft;
pub use list::{AddressList, IpRange};
pub use names::{NamePattern, SubnetNames};
pub use pairs::{MacList, Pairs};
pub use request::Request;
pub use subnet::{Choice, Labels, PodFacts, Selector, SubnetFacts};

use crate::error::shorten;
use crate::event::{self, Event};
use crate::{Error, IfName, Result};

/// The pod annotation that asks for addresses.
pub const ADDRESSES: &str = "llano.dev/addresses";

/// Most bytes of one annotation here: what Kubernetes allows for all annotations of an object together.
pub const LONGEST_ADDRESSES: usize = 256 << 10;

/// Most names in one list of subnets.
pub const MOST_SUBNETS: usize = 64;

/// The keys of all pod annotations that [`AddressRequests::parse`] reads.
pub fn annotations() -> impl Iterator<Item = &'static str> {
    std::iter::once(ADDRESSES).chain(spiderpool::keys()).chain(rancher::keys())
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, IPv4 first.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The other one.
    pub fn other(self) -> Family {
        match self {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        }
    }

    /// Its key in annotations.
    fn key(self) -> &'static str {
        match self {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// Something in an annotation that has no effect, on purpose. Worth an event, no reason to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The annotation's key, or the path of a key in it.
    pub key: String,
    /// Why, and what to do instead.
    pub why: String,
}

impl Warning {
    fn new(key: impl Into<String>, why: impl Into<String>) -> Warning {
        Warning { key: key.into(), why: why.into() }
    }

    /// The event for the pod.
    pub fn event(&self) -> Event {
        Event::warning(event::IGNORED, self.to_string())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.why)
    }
}

/// What a pod's annotations ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddressRequests {
    /// In the order of the pod's interfaces, each at most once.
    requests: Vec<(IfName, Request)>,
    warnings: Vec<Warning>,
}

impl AddressRequests {
    /// Reads the annotations of a pod. `annotation` gives a pod annotation's value by its key; `interfaces` are those
    /// of the pod's interfaces that have their addresses from Llano's subnets, in the pod's order.
    ///
    /// Where several annotations speak of one interface, each may say what the others do not.
    ///
    /// # Errors
    /// An annotation that cannot be read or names no interface of `interfaces`, with the path of the key; two
    /// annotations that contradict each other, with both keys.
    pub fn parse<'a>(
        annotation: impl Fn(&str) -> Option<&'a str>,
        interfaces: &[IfName],
    ) -> Result<AddressRequests> {
        let texts = Texts { annotation: &annotation };
        let mut warnings = Vec::new();
        let mut found = own::read(&texts, interfaces)?;
        // A pod without an interface of ours may have its addresses from the others, who then read their annotations.
        if !interfaces.is_empty() {
            found.extend(spiderpool::read(&texts, interfaces, &mut warnings)?);
            found.extend(rancher::read(&texts)?);
        }
        let mut drafts: Vec<Draft> = interfaces.iter().map(|_| Draft::default()).collect();
        for (place, draft) in found {
            if let (Some(own), Some(interface)) = (drafts.get_mut(place), interfaces.get(place)) {
                own.join(draft, interface)?;
            }
        }
        let mut requests = Vec::new();
        for (interface, draft) in interfaces.iter().zip(drafts) {
            if let Some(request) = draft.finish(interface)? {
                requests.push((interface.clone(), request));
            }
        }
        Ok(AddressRequests { requests, warnings })
    }

    /// What is asked for an interface, if anything.
    pub fn of(&self, interface: &IfName) -> Option<&Request> {
        self.requests.iter().find(|(own, _)| own == interface).map(|(_, request)| request)
    }

    /// All requests, in the order of the pod's interfaces.
    pub fn iter(&self) -> impl Iterator<Item = (&IfName, &Request)> {
        self.requests.iter().map(|(interface, request)| (interface, request))
    }

    /// What has no effect.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The requests as one value of [`ADDRESSES`], for records and for people: it reads as the same requests.
    pub fn to_annotation(&self) -> String {
        let values = self.iter().map(|(interface, request)| request.to_value(interface.as_str()));
        Value::Array(values.collect()).to_compact()
    }
}

/// The pod's annotations.
struct Texts<'f, 'a> {
    annotation: &'f dyn Fn(&str) -> Option<&'a str>,
}

impl<'a> Texts<'_, 'a> {
    /// The value of an annotation; blank text says nothing.
    fn get(&self, key: &'static str) -> Result<Option<&'a str>> {
        match (self.annotation)(key) {
            Some(text) if text.len() > LONGEST_ADDRESSES => Err(Error::Annotation {
                annotation: key,
                problem: format!("has {} bytes, at most {LONGEST_ADDRESSES} are allowed", text.len()),
            }),
            text => Ok(text.map(str::trim).filter(|text| !text.is_empty())),
        }
    }
}

/// The refusal of `text` for the key at `path`.
fn refuse(path: &str, text: &str, allowed: &str) -> Error {
    Error::Key(cni::Error::config(path, format_args!("{:?}", shorten(text)), allowed))
}
