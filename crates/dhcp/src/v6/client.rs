//! The DHCPv6 client for addresses (RFC 8415, section 18.2), without I/O. See [`crate::v4::Client`] for how it is
//! driven.

use std::collections::VecDeque;
use std::net::Ipv6Addr;

use super::{Action, Config, Counters, Held, Lease, Parameters, Phase, Retransmit};
use crate::clock::{Millis, Random, SECOND};
use crate::wire::v6::{IaNa, Message, MessageType, Status, option, parse_v6};

/// A server of this preference is taken without waiting for others.
const BEST: u8 = 255;
/// Wait after a refusal or conflict, doubled each time in a row.
const AGAIN: Millis = SECOND;

#[derive(Debug)]
enum State {
    Init { at: Millis },
    Soliciting(Retransmit, Option<(u8, Box<Lease>)>),
    Requesting(Box<Lease>, Retransmit),
    Confirming(Box<Held>, Retransmit),
    Probing { held: Box<Held>, sent: u32, at: Millis },
    Bound(Box<Held>),
    Renewing(Box<Held>, Retransmit),
    Rebinding(Box<Held>, Retransmit),
    Declining(Box<Lease>, Retransmit),
    Releasing(Box<Lease>, Retransmit),
    Stopped,
}

/// The state machine of one attachment's IPv6 lease.
#[derive(Debug)]
pub struct Client {
    config: Config,
    random: Random,
    state: State,
    xid: u32,
    asked: Millis,
    on_link: Option<Lease>,
    failures_in_row: u32,
    actions: VecDeque<Action>,
    counters: Counters,
}

impl Client {
    fn new(config: Config, mut random: Random, now: Millis, state: State) -> Self {
        let xid = xid(&mut random);
        let (actions, counters) = (VecDeque::new(), Counters::default());
        Client {
            config,
            random,
            state,
            xid,
            asked: now,
            on_link: None,
            failures_in_row: 0,
            actions,
            counters,
        }
    }

    /// A client that looks for a lease at once.
    pub fn start(config: Config, random: Random, now: Millis) -> Self {
        let mut client = Client::new(config, random, now, State::Init { at: now });
        client.on_time(now);
        client
    }

    /// A client whose link was made anew and that has a lease from before: it asks whether the addresses still fit.
    pub fn confirm(config: Config, random: Random, now: Millis, held: Held) -> Self {
        let mut client = Client::new(config, random, now, State::Stopped);
        if held.expires_at().is_some_and(|end| end <= now) {
            return Client { state: State::Init { at: now }, ..client }.begun(now);
        }
        let retransmit = Retransmit::start(Parameters::CONFIRM, now, &mut client.random);
        client.state = State::Confirming(Box::new(held), retransmit);
        client.send(now);
        client
    }

    fn begun(mut self, now: Millis) -> Self {
        self.on_time(now);
        self
    }

    /// A client that goes on with a lease from before a restart. Timers that ran out meanwhile act at once.
    pub fn resume(config: Config, random: Random, now: Millis, held: Held) -> Self {
        let on_link = Some(held.lease.clone());
        let client = Client::new(config, random, now, State::Bound(Box::new(held)));
        Client { on_link, ..client }.begun(now)
    }

    /// The state.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Init { .. } => Phase::Init,
            State::Soliciting(..) => Phase::Soliciting,
            State::Requesting(..) => Phase::Requesting,
            State::Confirming(..) => Phase::Confirming,
            State::Probing { .. } => Phase::Probing,
            State::Bound(_) => Phase::Bound,
            State::Renewing(..) => Phase::Renewing,
            State::Rebinding(..) => Phase::Rebinding,
            State::Declining(..) => Phase::Declining,
            State::Releasing(..) => Phase::Releasing,
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

    #[cfg(test)]
    pub(super) fn xid(&self) -> u32 {
        self.xid
    }

    /// The addresses that are being probed.
    pub fn probing(&self) -> Vec<Ipv6Addr> {
        match &self.state {
            State::Probing { held, .. } => held.lease.addresses.iter().map(|a| a.address).collect(),
            _ => Vec::new(),
        }
    }

    /// What was seen since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// When [`Client::on_time`] wants to be called next.
    pub fn deadline(&self) -> Option<Millis> {
        match &self.state {
            State::Init { at } | State::Probing { at, .. } => Some(*at),
            State::Soliciting(r, _) | State::Requesting(_, r) | State::Confirming(_, r) => Some(r.at),
            State::Declining(_, r) | State::Releasing(_, r) => Some(r.at),
            State::Bound(held) => earliest(held.renew_at(), held.expires_at()),
            State::Renewing(held, r) => earliest(Some(r.at), earliest(held.rebind_at(), held.expires_at())),
            State::Rebinding(held, r) => earliest(Some(r.at), held.expires_at()),
            State::Stopped => None,
        }
    }

    /// The next thing to do, oldest first.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Millis) {
        for _ in 0..8 {
            if self.deadline().is_none_or(|at| at > now) {
                return;
            }
            self.act(now);
        }
    }

    fn act(&mut self, now: Millis) {
        match std::mem::replace(&mut self.state, State::Stopped) {
            State::Init { .. } => self.begin(now, Parameters::SOLICIT, |r| State::Soliciting(r, None)),
            // The first wait is over: the best of those that answered.
            State::Soliciting(_, Some((_, offer))) => {
                self.begin(now, Parameters::REQUEST, |r| State::Requesting(offer, r));
            }
            State::Soliciting(r, None) => self.repeat(now, r, |r| State::Soliciting(r, None)),
            State::Requesting(offer, r) => self.repeat(now, r, |r| State::Requesting(offer, r)),
            State::Confirming(held, r) => match r.next(now, &mut self.random) {
                Some(r) => {
                    self.state = State::Confirming(held, r);
                    self.send(now);
                }
                // RFC 8415, 18.2.3: nobody answered: go on with what was known.
                None => self.bind(held),
            },
            State::Probing { held, sent, .. } => self.probe(now, held, sent),
            State::Bound(held) => self.extend(now, held, None),
            State::Renewing(held, r) => self.extend(now, held, Some((r, false))),
            State::Rebinding(held, r) => self.extend(now, held, Some((r, true))),
            State::Declining(lease, r) => self.repeat(now, r, |r| State::Declining(lease, r)),
            State::Releasing(lease, r) => match r.next(now, &mut self.random) {
                Some(r) => {
                    self.state = State::Releasing(lease, r);
                    self.send(now);
                }
                None => self.actions.push_back(Action::Released),
            },
            State::Stopped => {}
        }
    }

    /// A new exchange.
    fn begin(&mut self, now: Millis, parameters: Parameters, state: impl FnOnce(Retransmit) -> State) {
        self.xid = xid(&mut self.random);
        self.state = state(Retransmit::start(parameters, now, &mut self.random));
        self.send(now);
    }

    /// The same message again, or from the beginning when there were enough.
    fn repeat(&mut self, now: Millis, last: Retransmit, state: impl FnOnce(Retransmit) -> State) {
        match last.next(now, &mut self.random) {
            Some(r) => {
                self.state = state(r);
                self.send(now);
            }
            None => self.again(now),
        }
    }

    fn again(&mut self, now: Millis) {
        self.lose("no server knows the lease any more");
        let wait = AGAIN << self.failures_in_row.min(6);
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        self.state = State::Init { at: now + wait };
    }

    /// After T1 the server is asked, after T2 anyone, at the end the addresses go.
    fn extend(&mut self, now: Millis, held: Box<Held>, last: Option<(Retransmit, bool)>) {
        if held.expires_at().is_some_and(|end| now >= end) {
            self.lose("the lease ran out, no server extended it");
            self.state = State::Init { at: now };
            return;
        }
        let rebind = held.rebind_at().is_some_and(|at| now >= at);
        match last {
            Some((r, was)) if was == rebind => {
                // RENEW and REBIND are repeated without a count.
                let next = r.next(now, &mut self.random).unwrap_or(r);
                self.state = if rebind { State::Rebinding(held, next) } else { State::Renewing(held, next) };
                self.send(now);
            }
            _ if rebind => self.begin(now, Parameters::REBIND, |r| State::Rebinding(held, r)),
            _ => self.begin(now, Parameters::RENEW, |r| State::Renewing(held, r)),
        }
    }

    fn probe(&mut self, now: Millis, held: Box<Held>, sent: u32) {
        match self.config.probe {
            Some(probe) if sent < probe.count => {
                for address in &held.lease.addresses {
                    self.actions.push_back(Action::Probe(address.address));
                }
                self.state = State::Probing { held, sent: sent + 1, at: now + probe.interval };
            }
            _ => self.bind(held),
        }
    }

    fn bind(&mut self, held: Box<Held>) {
        self.failures_in_row = 0;
        self.on_link = Some(held.lease.clone());
        self.actions.push_back(Action::Granted(held.as_ref().clone()));
        self.state = State::Bound(held);
    }

    fn lose(&mut self, why: &'static str) {
        if let Some(lease) = self.on_link.take() {
            self.actions.push_back(Action::Lost { lease, why });
        }
    }

    /// A UDP payload arrived on the client's port.
    pub fn on_packet(&mut self, now: Millis, payload: &[u8]) {
        if !self.read(now, payload) {
            self.counters.ignored = self.counters.ignored.saturating_add(1);
        }
    }

    /// True when the packet belonged to the exchange.
    fn read(&mut self, now: Millis, payload: &[u8]) -> bool {
        let Ok(message) = parse_v6(payload) else { return false };
        let ours = message.options.get(option::CLIENT_ID) == Some(self.config.duid.as_slice());
        if message.xid != self.xid || !ours || message.options.get(option::SERVER_ID).is_none() {
            return false;
        }
        match (message.kind, &self.state) {
            (MessageType::Advertise, State::Soliciting(..)) => self.on_advertise(now, &message),
            (MessageType::Reply, _) => self.on_reply(now, &message),
            _ => false,
        }
    }

    fn on_advertise(&mut self, now: Millis, message: &Message) -> bool {
        let lease = Lease::read(message, self.config.iaid);
        let State::Soliciting(r, best) = &mut self.state else { return false };
        let Some(lease) = lease else {
            self.note(message);
            return true;
        };
        self.counters.advertises = self.counters.advertises.saturating_add(1);
        let preference =
            message.options.get(option::PREFERENCE).and_then(|d| d.first().copied()).unwrap_or(0);
        // After the first wait the first that answers is taken (RFC 8415, 18.2.1).
        let at_once = preference == BEST || r.sent() > 1;
        if best.as_ref().is_none_or(|(p, _)| preference > *p) {
            *best = Some((preference, Box::new(lease)));
        }
        if at_once {
            r.at = now;
            self.on_time(now);
        }
        true
    }

    fn on_reply(&mut self, now: Millis, message: &Message) -> bool {
        let failed = message.options.status().code != 0;
        match std::mem::replace(&mut self.state, State::Stopped) {
            state @ State::Soliciting(..) => {
                let rapid = self.config.rapid_commit && message.options.get(option::RAPID_COMMIT).is_some();
                match Lease::read(message, self.config.iaid).filter(|_| rapid && !failed) {
                    Some(lease) => self.start_probe(now, lease),
                    None => self.state = state,
                }
                rapid
            }
            State::Requesting(offer, r) => {
                if message.options.get(option::SERVER_ID) != Some(&offer.server) {
                    self.state = State::Requesting(offer, r);
                    return false;
                }
                match Lease::read(message, self.config.iaid).filter(|_| !failed) {
                    Some(lease) => self.start_probe(now, lease),
                    None => {
                        // NoAddrsAvail, NotOnLink, …: this server has changed its mind.
                        self.note(message);
                        self.again(now);
                    }
                }
                true
            }
            State::Confirming(held, _) => {
                if failed {
                    self.note(message);
                    self.state = State::Init { at: now };
                    self.on_time(now);
                } else {
                    self.bind(held);
                }
                true
            }
            State::Renewing(held, r) => self.extended(now, message, held, r, State::Renewing),
            State::Rebinding(held, r) => self.extended(now, message, held, r, State::Rebinding),
            State::Declining(..) => {
                self.again(now);
                true
            }
            State::Releasing(..) => {
                self.actions.push_back(Action::Released);
                true
            }
            state => {
                self.state = state;
                false
            }
        }
    }

    fn extended(
        &mut self,
        now: Millis,
        message: &Message,
        held: Box<Held>,
        r: Retransmit,
        state: fn(Box<Held>, Retransmit) -> State,
    ) -> bool {
        let ia =
            message.options.all(option::IA_NA).filter_map(IaNa::parse).find(|ia| ia.iaid == self.config.iaid);
        let code = ia.as_ref().map(|ia| ia.options.status().code);
        match (Lease::read(message, self.config.iaid), code) {
            (Some(lease), _) => {
                let same = |a: &Lease, b: &Lease| {
                    a.addresses.iter().all(|a| b.addresses.iter().any(|b| a.address == b.address))
                };
                let known = same(&lease, &held.lease);
                let next = Held { lease, since: self.asked };
                if known {
                    self.bind(Box::new(next));
                } else {
                    self.state = State::Stopped;
                    self.probe(now, Box::new(next), 0);
                }
            }
            // RFC 8415, 18.2.10.1: the server forgot us: ask it for the same addresses again.
            (None, Some(Status::NO_BINDING)) => {
                let mut lease = held.lease;
                if let Some(server) = message.options.get(option::SERVER_ID) {
                    lease.server = server.to_vec();
                }
                self.begin(now, Parameters::REQUEST, |r| State::Requesting(Box::new(lease), r));
            }
            // The addresses are taken away: lifetimes of zero.
            (None, Some(0 | Status::NOT_ON_LINK)) => {
                self.lose("the server took the addresses back");
                self.state = State::Init { at: now };
                self.on_time(now);
            }
            _ => {
                self.note(message);
                self.state = state(held, r);
            }
        }
        true
    }

    /// Remembers a refusal for who asks.
    fn note(&mut self, message: &Message) {
        let ia = message.options.get(option::IA_NA).and_then(IaNa::parse);
        let inner = ia.map(|ia| ia.options.status()).filter(|s| s.code != 0);
        let outer = Some(message.options.status()).filter(|s| s.code != 0);
        if let Some(status) = inner.or(outer) {
            self.counters.status = Some(status);
        }
    }

    fn start_probe(&mut self, now: Millis, lease: Lease) {
        self.probe(now, Box::new(Held { lease, since: self.asked }), 0);
    }

    /// Somebody else has, or is about to take, `address`.
    pub fn on_conflict(&mut self, now: Millis, address: Ipv6Addr) {
        let State::Probing { held, .. } = &self.state else { return };
        if !held.lease.addresses.iter().any(|a| a.address == address) {
            return;
        }
        let lease = Box::new(held.lease.clone());
        self.counters.conflicts = self.counters.conflicts.saturating_add(1);
        self.lose("its successor is used by another host");
        self.begin(now, Parameters::DECLINE, |r| State::Declining(lease, r));
    }

    /// Gives everything back; [`Action::Released`] comes when the server knows, or did not answer. Returns what is
    /// released; nothing when there was nothing, and then nothing follows.
    pub fn release(&mut self, now: Millis) -> Option<Lease> {
        let lease = match std::mem::replace(&mut self.state, State::Stopped) {
            State::Bound(held)
            | State::Renewing(held, _)
            | State::Rebinding(held, _)
            | State::Confirming(held, _) => held.lease,
            State::Probing { held, .. } => held.lease,
            State::Requesting(offer, _) => *offer,
            State::Releasing(lease, _) => *lease,
            _ => return None,
        };
        let released = lease.clone();
        self.begin(now, Parameters::RELEASE, |r| State::Releasing(Box::new(lease), r));
        Some(released)
    }

    fn send(&mut self, now: Millis) {
        self.asked = now;
        let (kind, lease, server, began) = match &self.state {
            State::Soliciting(r, _) => (MessageType::Solicit, None, false, r.began),
            State::Requesting(lease, r) => (MessageType::Request, Some(&**lease), true, r.began),
            State::Confirming(held, r) => (MessageType::Confirm, Some(&held.lease), false, r.began),
            State::Renewing(held, r) => (MessageType::Renew, Some(&held.lease), true, r.began),
            State::Rebinding(held, r) => (MessageType::Rebind, Some(&held.lease), false, r.began),
            State::Declining(lease, r) => (MessageType::Decline, Some(&**lease), true, r.began),
            State::Releasing(lease, r) => (MessageType::Release, Some(&**lease), true, r.began),
            _ => return,
        };
        match kind {
            MessageType::Solicit => self.counters.solicits = self.counters.solicits.saturating_add(1),
            MessageType::Request => self.counters.requests = self.counters.requests.saturating_add(1),
            _ => {}
        }
        let elapsed = now.saturating_sub(began);
        let message = super::message::build(&self.config, kind, self.xid, lease, server, elapsed);
        self.actions.push_back(Action::Send(message));
    }
}

fn earliest(a: Option<Millis>, b: Option<Millis>) -> Option<Millis> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn xid(random: &mut Random) -> u32 {
    u32::try_from(random.bits() >> 40).unwrap_or(1)
}
