//! Where a frame was lost: the pair is pinged again while its frames are captured at every place that is ours.
//!
//! The places, from the sender on: its link, the parent of both ends in the host, the receiver's link. A question (who has
//! the address, or the echo request) goes down the list, the answer comes back up; the first place that did not see what
//! the one before it saw is where it was lost.

use std::net::IpAddr;
use std::time::Duration;

use kernel::arp::ArpOperation;
use kernel::ndp::NdpMessage;
use kernel::uapi::{ETH_P_ARP, ETH_P_IP, ETH_P_IPV6};
use kernel::{BpfInsn, MacvlanMode, NetNs, Netlink};
use wire::{Capture, Frame, Ping, capture_only};

use super::{Endpoint, Lost, Role};

const PATIENCE: Duration = Duration::from_millis(700);

/// ARP, ICMP and ICMPv6, so that a busy link does not drown what is looked for.
const FILTER: [BpfInsn; 9] = [
    BpfInsn { code: 0x28, jump_true: 0, jump_false: 0, value: 12 },
    BpfInsn { code: 0x15, jump_true: 5, jump_false: 0, value: ETH_P_ARP as u32 },
    BpfInsn { code: 0x15, jump_true: 0, jump_false: 2, value: ETH_P_IP as u32 },
    BpfInsn { code: 0x30, jump_true: 0, jump_false: 0, value: 23 },
    BpfInsn { code: 0x15, jump_true: 2, jump_false: 3, value: 1 },
    // IPv6: the next header is ICMPv6.
    BpfInsn { code: 0x30, jump_true: 0, jump_false: 0, value: 20 },
    BpfInsn { code: 0x15, jump_true: 0, jump_false: 1, value: 58 },
    BpfInsn { code: 0x06, jump_true: 0, jump_false: 0, value: 0x4_0000 },
    BpfInsn { code: 0x06, jump_true: 0, jump_false: 0, value: 0 },
];

/// What one place saw.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Seen {
    who_has: bool,
    is_at: bool,
    request: bool,
    reply: bool,
}

/// A place with what it saw.
#[derive(Debug, Clone)]
struct Place {
    name: String,
    side: Side,
    seen: Seen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Sender,
    Parent,
    Receiver,
}

/// Pings again and says where it was lost. `others`: someone else on this host reaches the address.
pub(super) fn trace(from: &Endpoint, to: &Endpoint, address: IpAddr, error: &str, others: bool) -> Lost {
    if let Some(lost) = known_beforehand(from, to) {
        return lost;
    }
    let Some(netns) = &from.netns else { return lost("sender", error.to_owned(), Vec::new()) };
    let source = from.addresses.iter().find(|own| own.is_ipv4() == address.is_ipv4()).copied();
    let captures: Vec<(String, Side, Option<Capture>)> = places(from, to)
        .into_iter()
        .map(|(name, side, net, ifname)| (name, side, capture_only(&net, &ifname, &FILTER).ok()))
        .collect();
    let ping = Ping::new(address).count(2).timeout(PATIENCE);
    let ping = source.map_or(ping, |source| ping.from(source));
    let result = ping.run(netns);
    let places: Vec<Place> = captures
        .into_iter()
        .filter_map(|(name, side, capture)| {
            let frames = capture?.stop().ok()?;
            Some(Place { name, side, seen: look(&frames, source, address) })
        })
        .collect();
    if result.is_ok() {
        return lost(
            "lan",
            "lost once, answered when asked again: packets are dropped now and then".to_owned(),
            lines(&places, address),
        );
    }
    conclude(from, to, address, error, others, &places)
}

fn lost(place: &'static str, summary: String, trace: Vec<String>) -> Lost {
    Lost { place, summary, trace }
}

/// What needs no packet to be known.
fn known_beforehand(from: &Endpoint, to: &Endpoint) -> Option<Lost> {
    for (end, place) in [(from, "sender"), (to, "receiver")] {
        let (Some(netns), Some(name)) = (&end.netns, &end.interface) else { continue };
        let link = Netlink::open_in(netns).ok()?.link_by_name(name).ok()?;
        match link {
            None => return Some(lost(place, format!("{name} of {} is gone", end.name), Vec::new())),
            Some(link) if !link.is_up() => {
                return Some(lost(place, format!("{name} of {} is down", end.name), Vec::new()));
            }
            Some(link) if !link.carrier => {
                return Some(lost(place, format!("{name} of {} has no carrier", end.name), Vec::new()));
            }
            Some(_) => {}
        }
    }
    None
}

fn places(from: &Endpoint, to: &Endpoint) -> Vec<(String, Side, NetNs, String)> {
    let mut places = Vec::new();
    let own = |end: &Endpoint| Some((end.netns.clone()?, end.interface.clone()?));
    if let (Role::Container, Some((net, name))) = (from.role, own(from)) {
        places.push((format!("{name} of {}", from.name), Side::Sender, net, name));
    }
    let siblings = from.parent == to.parent
        && [from, to].iter().all(|end| end.role == Role::Container && end.mode == Some(MacvlanMode::Bridge));
    // Siblings in mode bridge talk past the parent.
    if !siblings && let (Some(net), Some(parent)) = (&from.host, &from.parent) {
        places.push((format!("{parent} of the host"), Side::Parent, net.clone(), parent.clone()));
    }
    if let (Role::Container, Some((net, name))) = (to.role, own(to)) {
        places.push((format!("{name} of {}", to.name), Side::Receiver, net, name));
    }
    places
}

fn look(frames: &[Frame], source: Option<IpAddr>, address: IpAddr) -> Seen {
    let mut seen = Seen::default();
    for frame in frames {
        if let Some(packet) = frame.arp() {
            let (sender, target) = (IpAddr::V4(packet.sender_ip), IpAddr::V4(packet.target_ip));
            match packet.operation {
                ArpOperation::Request if target == address && Some(sender) == source => seen.who_has = true,
                ArpOperation::Reply if sender == address => seen.is_at = true,
                _ => {}
            }
        } else if let Some(packet) = frame.ndp() {
            match packet.message {
                NdpMessage::Solicitation { target, .. } if IpAddr::V6(target) == address => {
                    seen.who_has = true
                }
                NdpMessage::Advertisement { target, .. } if IpAddr::V6(target) == address => {
                    seen.is_at = true
                }
                _ => {}
            }
        } else if let Some((from, to, request)) = echo(&frame.bytes) {
            seen.request |= request && to == address && Some(from) == source;
            seen.reply |= !request && from == address && Some(to) == source;
        }
    }
    seen
}

/// Sender, receiver and whether it asks, of an ICMP echo.
fn echo(frame: &[u8]) -> Option<(IpAddr, IpAddr, bool)> {
    let v4 = |at: usize| Some(IpAddr::from(*frame.get(at..)?.first_chunk::<4>()?));
    let v6 = |at: usize| Some(IpAddr::from(*frame.get(at..)?.first_chunk::<16>()?));
    let ethertype = u16::from_be_bytes(*frame.get(12..)?.first_chunk()?);
    let (from, to, kind) = match ethertype {
        ETH_P_IP => (v4(26)?, v4(30)?, *frame.get(14 + usize::from(frame.get(14)? & 0x0f) * 4)?),
        ETH_P_IPV6 => (v6(22)?, v6(38)?, *frame.get(54)?),
        _ => return None,
    };
    match kind {
        8 | 128 => Some((from, to, true)),
        0 | 129 => Some((from, to, false)),
        _ => None,
    }
}

fn lines(places: &[Place], address: IpAddr) -> Vec<String> {
    let asked = places.iter().any(|place| place.seen.who_has);
    let sent = places.iter().any(|place| place.seen.request);
    let mut lines = Vec::new();
    let mut say = |what: String, saw: &dyn Fn(&Seen) -> bool, back: bool| {
        let order: Vec<&Place> = if back { places.iter().rev().collect() } else { places.iter().collect() };
        for place in order {
            let verb = if saw(&place.seen) { "seen on" } else { "not seen on" };
            lines.push(format!("{what} {verb} {}", place.name));
        }
    };
    if asked || !sent {
        say(format!("who-has {address}"), &|seen| seen.who_has, false);
        say("its answer".to_owned(), &|seen| seen.is_at, true);
    }
    if sent {
        say("echo request".to_owned(), &|seen| seen.request, false);
        say("echo reply".to_owned(), &|seen| seen.reply, true);
    }
    lines
}

/// The last question that was sent decides: the echo where the address was found, else who has it.
fn conclude(
    from: &Endpoint,
    to: &Endpoint,
    address: IpAddr,
    error: &str,
    others: bool,
    places: &[Place],
) -> Lost {
    let trace = lines(places, address);
    let echo = places.iter().any(|place| place.seen.request);
    let what = if echo { "echo request".to_owned() } else { format!("who-has {address}") };
    let question = |seen: &Seen| if echo { seen.request } else { seen.who_has };
    let answer = |seen: &Seen| if echo { seen.reply } else { seen.is_at };
    let isolated = [(from, to), (to, from)].iter().any(|(child, host)| {
        child.role == Role::Container && host.role == Role::Host && child.parent == host.parent
    });
    let asked = places.iter().any(|place| question(&place.seen));
    let same_parent = from.parent.is_some() && from.parent == to.parent;
    let of_mode = |mode| [from, to].into_iter().find(|end| end.mode == Some(mode));
    if let Some(private) = of_mode(MacvlanMode::Private).filter(|_| same_parent && asked) {
        let why = format!("{} has mode private: it talks to nobody on its parent", private.name);
        return lost("isolation", why, trace);
    }
    let arrived = places.iter().any(|place| place.side == Side::Receiver && question(&place.seen));
    let siblings = from.role == Role::Container && to.role == Role::Container;
    if of_mode(MacvlanMode::Vepa).is_some() && same_parent && siblings && asked && !arrived {
        let why =
            "mode vepa: the switch's port does not send frames back (hairpin, reflective relay)".to_owned();
        return lost("lan", why, trace);
    }
    if isolated
        && (asked || places.is_empty())
        && !places.iter().any(|place| place.side != Side::Parent && place.seen.reply)
    {
        let child = if from.role == Role::Container { from } else { to };
        let parent = child.parent.as_deref().unwrap_or("the parent");
        let why = format!(
            "the kernel passes no frame between {parent} and {}, a macvlan on it: turn host access on (hostAccess: true, llano host access on {parent})",
            child.name
        );
        return lost("isolation", why, trace);
    }
    if !asked {
        let place = if error.contains("route") { "route" } else { "sender" };
        return lost(place, format!("{} sent nothing: {error}", from.name), trace);
    }
    // Down the list, then back up.
    for pair in places.windows(2) {
        if question(&pair[0].seen) && !question(&pair[1].seen) {
            let place = if pair[1].side == Side::Receiver { "receiver" } else { "parent" };
            return lost(
                place,
                format!(
                    "{what} was lost between {} and {}: a filter on it (tc, nft), or its settings",
                    pair[0].name, pair[1].name
                ),
                trace,
            );
        }
    }
    for pair in places.windows(2) {
        if answer(&pair[1].seen) && !answer(&pair[0].seen) {
            let place = if pair[0].side == Side::Sender { "parent" } else { "receiver" };
            return lost(
                place,
                format!(
                    "the answer to {what} was lost between {} and {}: a filter on it (tc, nft), or the parent's MAC filter",
                    pair[1].name, pair[0].name
                ),
                trace,
            );
        }
    }
    let last = places.last().map_or("the sender", |place| place.name.as_str());
    match (to.role, others) {
        (Role::Container, _) if places.last().is_some_and(|place| place.side == Side::Receiver) => lost(
            "receiver",
            format!("{what} reached {last}, and it does not answer: a filter in it, or no such address"),
            trace,
        ),
        (_, true) if from.role == Role::Container => {
            let mac = from.mac.map_or_else(String::new, |mac| format!(" {mac}"));
            lost(
                "lan",
                format!(
                    "{what} left by {last}, no answer came, though others here are answered: the switch or hypervisor drops frames of {}'s MAC{mac}",
                    from.name
                ),
                trace,
            )
        }
        (Role::Gateway, _) => lost(
            "gateway",
            format!("{what} left by {last}, no answer came: {} answers nobody here", to.name),
            trace,
        ),
        _ => lost(
            "peer",
            format!(
                "{what} left by {last}, no answer came: {} is off, filters, or is not on this LAN",
                to.name
            ),
            trace,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_frame_breaks_the_reader(bytes: Vec<u8>, ethertype in proptest::sample::select(vec![0x0800u16, 0x86dd, 0x0806])) {
            let mut frame = vec![0; 12];
            frame.extend(ethertype.to_be_bytes());
            frame.extend(bytes);
            let _ = echo(&frame);
            let frame = Frame { at: Duration::ZERO, bytes: frame };
            let _ = look(&[frame], None, IpAddr::from([10, 0, 0, 1]));
        }
    }
}
