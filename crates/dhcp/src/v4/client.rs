//! The DHCPv4 client (RFC 2131, figure 5) with conflict detection (RFC 5227), without I/O.
//!
//! The owner feeds packets and the time, and takes [`Action`]s out until there is none. Nothing here waits, reads a
//! clock or opens a socket.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use super::{Action, Config, Counters, Held, Lease, Phase};
use crate::clock::{Millis, Random, SECOND};
use crate::wire::v4::{Message, MessageType, option, parse_v4};

/// How often a REQUEST is sent before the offer is given up and the search begins anew (RFC 2131, 3.1.5).
const REQUEST_TRIES: u32 = 4;
/// How often a lease of before is asked for before a new one is looked for.
const REBOOT_TRIES: u32 = 2;
/// RFC 2131, 3.1.5: at least ten seconds between DECLINE and the next DISCOVER, against endless loops. The first
/// conflict is not a loop yet, and a pod waits: it gets the next address at once.
const FIRST_DECLINE_WAIT: Millis = 200;
const DECLINE_WAIT: Millis = 10 * SECOND;
/// RFC 2131, 4.4.5: at least a minute between two requests while renewing, unless the lease itself is that short.
const RENEW_FLOOR: Millis = 60 * SECOND;

#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Millis,
    wait: Millis,
    tries: u32,
}

#[derive(Debug)]
enum State {
    Init { at: Millis },
    Selecting(Retry),
    Requesting(Box<Lease>, Millis, Retry),
    Rebooting(Ipv4Addr, Millis, Retry),
    Probing { held: Box<Held>, sent: u32, at: Millis },
    Bound(Box<Held>),
    Renewing(Box<Held>, Millis),
    Rebinding(Box<Held>, Millis),
    Stopped,
}

/// The state machine of one attachment's IPv4 lease.
#[derive(Debug)]
pub struct Client {
    config: Config,
    random: Random,
    state: State,
    xid: u32,
    /// When the exchange in progress began: for `secs`.
    began: Millis,
    /// When the last REQUEST was sent: where a renewed lease counts from.
    asked: Millis,
    /// The address to ask for again.
    wish: Option<Ipv4Addr>,
    /// The lease whose address the owner was told to use.
    on_link: Option<Lease>,
    conflicts_in_row: u32,
    naks_in_row: u32,
    actions: VecDeque<Action>,
    counters: Counters,
}

impl Client {
    fn new(config: Config, mut random: Random, now: Millis, state: State, wish: Option<Ipv4Addr>) -> Self {
        let xid = xid(&mut random);
        let (actions, counters) = (VecDeque::new(), Counters::default());
        Client {
            config,
            random,
            state,
            xid,
            began: now,
            asked: now,
            wish,
            on_link: None,
            conflicts_in_row: 0,
            naks_in_row: 0,
            actions,
            counters,
        }
    }

    /// A client that looks for a lease at once; with `wish`, it asks for that address first (INIT-REBOOT).
    pub fn start(config: Config, random: Random, now: Millis, wish: Option<Ipv4Addr>) -> Self {
        let mut client = Client::new(config, random, now, State::Init { at: now }, wish);
        if let Some(address) = wish {
            client.state = State::Rebooting(address, now, client.first_retry(now));
            client.send_request(now);
        } else {
            client.on_time(now);
        }
        client
    }

    /// A client that goes on with a lease from before a restart. Timers that ran out meanwhile act at once.
    pub fn resume(config: Config, random: Random, now: Millis, held: Held) -> Self {
        let wish = Some(held.lease.address);
        let on_link = Some(held.lease.clone());
        let mut client = Client::new(config, random, now, State::Bound(Box::new(held)), wish);
        client.on_link = on_link;
        client.on_time(now);
        client
    }

    /// The state.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Init { .. } => Phase::Init,
            State::Selecting(_) => Phase::Selecting,
            State::Requesting(..) => Phase::Requesting,
            State::Rebooting(..) => Phase::Rebooting,
            State::Probing { .. } => Phase::Probing,
            State::Bound(_) => Phase::Bound,
            State::Renewing(..) => Phase::Renewing,
            State::Rebinding(..) => Phase::Rebinding,
            State::Stopped => Phase::Stopped,
        }
    }

    /// The lease in use.
    pub fn held(&self) -> Option<&Held> {
        match &self.state {
            State::Bound(held) | State::Renewing(held, _) | State::Rebinding(held, _) => Some(held),
            _ => None,
        }
    }

    /// What was seen since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// When [`Client::on_time`] wants to be called next.
    pub fn deadline(&self) -> Option<Millis> {
        match &self.state {
            State::Init { at } | State::Probing { at, .. } => Some(*at),
            State::Selecting(retry) | State::Requesting(_, _, retry) | State::Rebooting(_, _, retry) => {
                Some(retry.at)
            }
            State::Bound(held) => held.renew_at().min(held.expires_at()),
            State::Renewing(held, at) => held.rebind_at().map(|t| t.min(*at)),
            State::Rebinding(held, at) => held.expires_at().map(|t| t.min(*at)),
            State::Stopped => None,
        }
    }

    /// The next thing to do, oldest first.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Millis) {
        // Each round either changes the state or moves its deadline behind `now`; the bound is for safety only.
        for _ in 0..8 {
            if self.deadline().is_none_or(|at| at > now) {
                return;
            }
            self.act(now);
        }
    }

    fn act(&mut self, now: Millis) {
        match std::mem::replace(&mut self.state, State::Stopped) {
            State::Init { .. } => {
                self.xid = xid(&mut self.random);
                self.began = now;
                self.state = State::Selecting(self.first_retry(now));
                self.send_discover(now);
            }
            State::Selecting(retry) => {
                self.state = State::Selecting(self.next_retry(now, retry));
                self.send_discover(now);
            }
            State::Requesting(offer, asked, retry) if retry.tries < REQUEST_TRIES => {
                self.state = State::Requesting(offer, asked, self.next_retry(now, retry));
                self.send_request(now);
            }
            State::Rebooting(address, asked, retry) if retry.tries < REBOOT_TRIES => {
                self.state = State::Rebooting(address, asked, self.next_retry(now, retry));
                self.send_request(now);
            }
            State::Requesting(..) | State::Rebooting(..) => self.state = State::Init { at: now },
            State::Probing { held, sent, .. } => self.probe(now, held, sent),
            State::Bound(held) => {
                self.xid = xid(&mut self.random);
                self.began = now;
                self.extend(now, held);
            }
            State::Renewing(held, _) | State::Rebinding(held, _) => self.extend(now, held),
            State::Stopped => {}
        }
    }

    /// After T1 the server is asked, after T2 anyone, at the end the address goes.
    fn extend(&mut self, now: Millis, held: Box<Held>) {
        let (Some(rebind), Some(end)) = (held.rebind_at(), held.expires_at()) else {
            self.state = State::Bound(held);
            return;
        };
        if now >= end {
            self.lose("the lease ran out, no server extended it");
            self.state = State::Init { at: now };
            return;
        }
        let (state, until): (fn(Box<Held>, Millis) -> State, _) =
            if now >= rebind { (State::Rebinding, end) } else { (State::Renewing, rebind) };
        let floor = RENEW_FLOOR.min(((end - held.since) / 16).max(SECOND));
        let next = now + ((until - now) / 2).max(floor);
        self.state = state(held, next);
        self.send_request(now);
    }

    fn probe(&mut self, now: Millis, held: Box<Held>, sent: u32) {
        match self.config.probe {
            Some(probe) if sent < probe.count => {
                self.actions.push_back(Action::Probe(held.lease.address));
                self.state = State::Probing { held, sent: sent + 1, at: now + probe.interval };
            }
            _ => self.bind(held),
        }
    }

    fn bind(&mut self, held: Box<Held>) {
        self.naks_in_row = 0;
        self.conflicts_in_row = 0;
        self.wish = Some(held.lease.address);
        self.on_link = Some(held.lease.clone());
        self.actions.push_back(Action::Granted(held.as_ref().clone()));
        self.state = State::Bound(held);
    }

    /// A UDP payload arrived on the client's port. `source_mac` is the frame's, when it is known.
    pub fn on_packet(&mut self, now: Millis, payload: &[u8], source_mac: Option<[u8; 6]>) {
        if !self.read(now, payload, source_mac) {
            self.counters.ignored = self.counters.ignored.saturating_add(1);
        }
    }

    /// True when the packet belonged to the exchange.
    fn read(&mut self, now: Millis, payload: &[u8], source_mac: Option<[u8; 6]>) -> bool {
        let Ok(message) = parse_v4(payload) else { return false };
        if message.op != 2 || message.xid != self.xid || message.chaddr != self.config.mac {
            return false;
        }
        let Some(kind) = message.kind() else { return false };
        match (&self.state, kind) {
            (State::Selecting(_), MessageType::Offer) => {
                let Some(offer) = Lease::read(&message, source_mac, None, &mut self.random) else {
                    self.counters.bad_offers = self.counters.bad_offers.saturating_add(1);
                    return true;
                };
                self.counters.offers = self.counters.offers.saturating_add(1);
                let retry = self.first_retry(now);
                self.state = State::Requesting(Box::new(offer), now, retry);
                self.send_request(now);
                true
            }
            (State::Requesting(offer, asked, _), MessageType::Ack) => {
                let (offer, since) = (offer.clone(), *asked);
                self.granted(now, &message, source_mac, Some(&offer), since)
            }
            (State::Rebooting(_, asked, _), MessageType::Ack) => {
                let since = *asked;
                self.granted(now, &message, source_mac, None, since)
            }
            (State::Requesting(offer, ..), MessageType::Nak) => {
                // Another server's refusal does not concern the offer that was taken.
                if message.address(option::SERVER_ID).is_some_and(|id| id != offer.server) {
                    return false;
                }
                self.refused(now);
                true
            }
            (State::Rebooting(..), MessageType::Nak) => {
                self.refused(now);
                true
            }
            (State::Renewing(held, _) | State::Rebinding(held, _), MessageType::Ack) => {
                let old = held.lease.clone();
                let Some(lease) = Lease::read(&message, source_mac, Some(&old), &mut self.random) else {
                    return false;
                };
                let held = Box::new(Held { lease, since: self.asked });
                if held.lease.address == old.address {
                    self.bind(held);
                } else {
                    // A new address has to be probed like any other; the old one stays until the new one is there.
                    self.start_probe(now, held);
                }
                true
            }
            (State::Renewing(..) | State::Rebinding(..), MessageType::Nak) => {
                self.lose("the server refused to extend the lease");
                self.refused(now);
                true
            }
            _ => false,
        }
    }

    fn granted(
        &mut self,
        now: Millis,
        message: &Message,
        source_mac: Option<[u8; 6]>,
        offer: Option<&Lease>,
        since: Millis,
    ) -> bool {
        let Some(lease) = Lease::read(message, source_mac, offer, &mut self.random) else { return false };
        // Two servers may answer one DISCOVER: only the one that was chosen may grant.
        if offer.is_some_and(|o| o.server != lease.server) {
            return false;
        }
        self.start_probe(now, Box::new(Held { lease, since }));
        true
    }

    fn start_probe(&mut self, now: Millis, held: Box<Held>) {
        self.state = State::Stopped;
        self.probe(now, held, 0);
    }

    fn lose(&mut self, why: &'static str) {
        if let Some(lease) = self.on_link.take() {
            self.actions.push_back(Action::Lost { lease, why });
        }
    }

    fn refused(&mut self, now: Millis) {
        self.counters.naks = self.counters.naks.saturating_add(1);
        self.wish = None;
        // The first refusal is common (a stale wish): search at once. A server that refuses what it offers is not
        // asked without pause.
        let wait = match self.naks_in_row {
            0 => 0,
            n => (SECOND << (n - 1).min(6)).min(self.config.retransmission.max),
        };
        self.naks_in_row = self.naks_in_row.saturating_add(1);
        self.state = State::Init { at: now + wait };
        self.on_time(now);
    }

    /// An ARP packet was seen: `sender` claims or asks for an address with `mac`; a probe has no sender address.
    /// RFC 5227, 2.1.1: while probing, both an ARP of the address's owner and a foreign probe for it are a conflict.
    pub fn on_arp(&mut self, now: Millis, mac: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) {
        let State::Probing { held, .. } = &self.state else { return };
        let address = held.lease.address;
        let claims = sender == address || (sender.is_unspecified() && target == address);
        if mac == self.config.mac || !claims {
            return;
        }
        let server = held.lease.server;
        self.counters.conflicts = self.counters.conflicts.saturating_add(1);
        let mut message = Message::request(MessageType::Decline, xid(&mut self.random), self.config.mac);
        message.set(option::REQUESTED_ADDRESS, address.octets());
        message.set(option::SERVER_ID, server.octets());
        message.set(option::MESSAGE, *b"address in use");
        self.identify(&mut message);
        self.actions.push_back(Action::Send { message, from: Ipv4Addr::UNSPECIFIED, to: None });
        self.lose("its successor is used by another host");
        let wait = if self.conflicts_in_row == 0 { FIRST_DECLINE_WAIT } else { DECLINE_WAIT };
        self.conflicts_in_row += 1;
        self.wish = None;
        self.state = State::Init { at: now + wait };
    }

    /// Gives everything back and stops. A lease that is held, being probed or just asked for is released: a RELEASE
    /// for an address that the server never granted does nothing there. Returns the lease that was released.
    pub fn release(&mut self) -> Option<Lease> {
        let lease = match std::mem::replace(&mut self.state, State::Stopped) {
            State::Bound(held) | State::Renewing(held, _) | State::Rebinding(held, _) => held.lease,
            State::Probing { held, .. } => held.lease,
            State::Requesting(offer, ..) => *offer,
            _ => return None,
        };
        let mut message = Message::request(MessageType::Release, xid(&mut self.random), self.config.mac);
        message.ciaddr = lease.address;
        message.set(option::SERVER_ID, lease.server.octets());
        self.identify(&mut message);
        self.actions.push_back(Action::Send { message, from: lease.address, to: Some(lease.server) });
        Some(lease)
    }

    fn send_discover(&mut self, now: Millis) {
        self.counters.discovers = self.counters.discovers.saturating_add(1);
        let mut message = self.ask(MessageType::Discover, now);
        if let Some(address) = self.wish {
            message.set(option::REQUESTED_ADDRESS, address.octets());
        }
        self.actions.push_back(Action::Send { message, from: Ipv4Addr::UNSPECIFIED, to: None });
    }

    fn send_request(&mut self, now: Millis) {
        self.counters.requests = self.counters.requests.saturating_add(1);
        self.asked = now;
        let mut message = self.ask(MessageType::Request, now);
        let (mut from, mut to) = (Ipv4Addr::UNSPECIFIED, None);
        match &mut self.state {
            State::Requesting(offer, asked, _) => {
                *asked = now;
                message.set(option::REQUESTED_ADDRESS, offer.address.octets());
                message.set(option::SERVER_ID, offer.server.octets());
            }
            State::Rebooting(address, asked, _) => {
                *asked = now;
                message.set(option::REQUESTED_ADDRESS, address.octets());
            }
            State::Renewing(held, _) => {
                (from, to) = (held.lease.address, Some(held.lease.server));
                message.ciaddr = from;
                message.broadcast = false;
            }
            State::Rebinding(held, _) => {
                from = held.lease.address;
                message.ciaddr = from;
                message.broadcast = false;
            }
            _ => return,
        }
        self.actions.push_back(Action::Send { message, from, to });
    }

    /// A message with everything that does not depend on the state.
    fn ask(&self, kind: MessageType, now: Millis) -> Message {
        let mut message = Message::request(kind, self.xid, self.config.mac);
        let elapsed = now.saturating_sub(self.began) / SECOND;
        message.secs = u16::try_from(elapsed).unwrap_or(u16::MAX);
        // Frames reach us before we have an address, so answers may be unicast. Should a switch or a server not
        // manage that, every second repetition asks for a broadcast.
        message.broadcast = match &self.state {
            State::Selecting(r) | State::Requesting(_, _, r) | State::Rebooting(_, _, r) => r.tries % 2 == 0,
            _ => false,
        };
        message.set(option::PARAMETERS, self.config.parameters.clone());
        message.set(option::MAX_SIZE, 1500u16.to_be_bytes());
        for (code, data) in &self.config.options {
            message.set(*code, data.clone());
        }
        message
    }

    fn identify(&self, message: &mut Message) {
        if let Some((code, id)) = self.config.options.iter().find(|(code, _)| *code == option::CLIENT_ID) {
            message.set(*code, id.clone());
        }
    }

    fn first_retry(&mut self, now: Millis) -> Retry {
        let wait = self.config.retransmission.first;
        Retry { at: now + self.jitter(wait), wait, tries: 1 }
    }

    fn next_retry(&mut self, now: Millis, last: Retry) -> Retry {
        let wait = (last.wait * 2).min(self.config.retransmission.max);
        Retry { at: now + self.jitter(wait), wait, tries: last.tries.saturating_add(1) }
    }

    fn jitter(&mut self, wait: Millis) -> Millis {
        self.random.around(wait, (wait / 4).min(SECOND))
    }
}

fn xid(random: &mut Random) -> u32 {
    // Zero is kept for "none".
    u32::try_from(random.bits() >> 32).unwrap_or(1).max(1)
}
