//! Netlink messages as bytes: [`decode`] and [`decode_ack`] take any bytes, [`encode`] gives what a change is sent as.

use rustix::io::Errno;

use crate::uapi::*;
use crate::wire::{Attrs, HEADER, Messages, Raw, Writer, u32_at};
use crate::{Address, Change, Filter, Link, Neighbour, Qdisc, Result, Route, Rule};

/// One message of the kernel.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // Short-lived.
pub enum Message {
    /// A link is there or changed.
    Link(Link),
    /// A link is gone.
    LinkGone(Link),
    /// An address is there or changed.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route is there or changed.
    Route(Route),
    /// A route is gone.
    RouteGone(Route),
    /// A neighbour is there or changed.
    Neighbour(Neighbour),
    /// A neighbour is gone.
    NeighbourGone(Neighbour),
    /// A rule.
    Rule(Rule),
    /// A queueing discipline.
    Qdisc(Qdisc),
    /// A filter.
    Filter(Filter),
}

impl Message {
    /// Decodes one message. `None`: it is not one of those above, or cannot be read, or is of another family.
    fn decode(raw: Raw<'_>) -> Option<Self> {
        let body = raw.body;
        Some(match raw.kind {
            RTM_NEWLINK => Self::Link(Link::decode(body)?),
            RTM_DELLINK => Self::LinkGone(Link::decode(body)?),
            RTM_NEWADDR => Self::Address(Address::decode(body)?),
            RTM_DELADDR => Self::AddressGone(Address::decode(body)?),
            RTM_NEWROUTE => Self::Route(Route::decode(body)?),
            RTM_DELROUTE => Self::RouteGone(Route::decode(body)?),
            RTM_NEWNEIGH => Self::Neighbour(Neighbour::decode(body)?),
            RTM_DELNEIGH => Self::NeighbourGone(Neighbour::decode(body)?),
            RTM_NEWRULE => Self::Rule(Rule::decode(body)?),
            RTM_NEWQDISC => Self::Qdisc(Qdisc::decode(body)?),
            RTM_NEWTFILTER => Self::Filter(Filter::decode(body)?),
            _ => return None,
        })
    }
}

/// Decodes a datagram of netlink messages, a reply or a notification. Takes any bytes: a message that is not one of
/// ours or cannot be read is left out, and a length that does not fit ends the list.
pub fn decode(bytes: &[u8]) -> Vec<Message> {
    Messages(bytes).filter_map(Message::decode).collect()
}

/// The bytes that a change is sent as, its first message with this sequence number. Fails on a value that the kernel
/// could not take, such as the name of an interface that is too long.
pub fn encode(change: &Change, seq: u32) -> Result<Vec<u8>> {
    let mut w = Writer::new(seq);
    change.encode(&mut w)?;
    Ok(w.bytes().to_vec())
}

/// The kernel's acknowledgement (`NLMSG_ERROR`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// `None` is success.
    pub errno: Option<Errno>,
    /// The kernel's explanation.
    pub text: Option<String>,
}

/// Reads the body of an acknowledgement, `struct nlmsgerr` and what follows it. `capped`: the request is not
/// repeated beyond its header (`NLM_F_CAPPED`); `explained`: attributes follow (`NLM_F_ACK_TLVS`). Takes any bytes.
pub fn decode_ack(body: &[u8], capped: bool, explained: bool) -> Option<Ack> {
    let errno = errno_of(*body.first_chunk()?);
    let request = if capped { HEADER } else { (u32_at(body, 4)? as usize).checked_next_multiple_of(4)? };
    let text = explained.then(|| text_of(body, request.saturating_add(4))).flatten();
    Some(Ack { errno, text })
}

/// The kernel gives errors as negative numbers.
pub(crate) fn errno_of(bytes: [u8; 4]) -> Option<Errno> {
    match i32::from_ne_bytes(bytes) {
        0 => None,
        n @ -4095..0 => Some(Errno::from_raw_os_error(-n)),
        _ => Some(Errno::PROTO),
    }
}

/// The explanation among the attributes from `at` on.
pub(crate) fn text_of(body: &[u8], at: usize) -> Option<String> {
    let text = Attrs::after(body, at).find(|attr| attr.kind == NLMSGERR_ATTR_MSG)?.string();
    (!text.is_empty()).then_some(text)
}
