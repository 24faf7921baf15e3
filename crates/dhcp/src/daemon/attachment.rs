//! One attachment: its lines, what the link has of their leases, and the call that waits for it.

use std::os::fd::BorrowedFd;

use cni::{CniResult, Request};

use super::line4::{self, Line4};
use super::line6::{self, Line6};
use super::place::Place;
use super::store::Record;
use super::world::World;
use crate::clock::Millis;
use crate::settings::Settings;
use crate::{Error, Result, answer, identity, v4, v6};

/// ARP probes and neighbour solicitations: as `probe` of the macvlan type, quicker than RFC 5227, because a pod waits.
const PROBE: v4::Probe = v4::Probe { count: 3, interval: 100 };
/// How long DEL waits for a DHCPv6 server to acknowledge a Release: its repetitions would keep the pod waiting.
const RELEASE_WAIT: Millis = 1500;

/// A call that gets its answer later.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// The connection.
    pub(super) connection: u64,
    /// When it is told that there is no lease.
    pub(super) until: Millis,
}

/// What the daemon has to do for an attachment.
#[derive(Debug)]
pub(super) enum Outcome {
    /// ADD has its result.
    Answer(u64, CniResult),
    /// Everything was given back: forget it.
    Done,
}

/// One interface of one container on one network.
#[derive(Debug)]
pub(super) struct Attachment {
    /// The call that made it.
    pub(super) request: Request,
    /// The same as it came, for the record.
    call: String,
    pub(super) settings: Settings,
    /// Where it is.
    pub(super) place: Place,
    pub(super) v4: Option<Line4>,
    pub(super) v6: Option<Line6>,
    pub(super) held_v4: Option<v4::Held>,
    pub(super) held_v6: Option<v6::Held>,
    last_v4: Option<std::net::Ipv4Addr>,
    /// The ADD that waits for its first leases. While it does, the link is not ours to change: the plugin will do it.
    pub(super) waiting: Option<Waiting>,
    /// The DELs that wait for a Release to be acknowledged, and until when.
    pub(super) releasing: Option<(Vec<u64>, Millis)>,
}

impl Attachment {
    /// Starts looking for leases. `before` is a record of the same attachment, whose addresses are asked for again.
    ///
    /// # Errors
    /// The configuration is wrong, or the link is not there.
    pub(super) fn start(
        request: Request,
        call: String,
        waiting: Waiting,
        before: Option<&Record>,
        world: &World,
    ) -> Result<Self> {
        let settings = Settings::parse(&request)?;
        let place = Self::locate(&request, world)?;
        let now = world.now();
        let mut attachment = Attachment::at(request, call, settings, place, Some(waiting));
        if attachment.settings.ipv4 {
            let wish = before.and_then(|r| r.v4.as_ref().map(|h| h.lease.address).or(r.last_v4));
            let client = v4::Client::start(attachment.config_v4(world), world.random(), now, wish);
            attachment.v4 = Some(Line4::new(client));
        }
        if attachment.settings.ipv6 {
            attachment.place.enable_ipv6()?;
            let config = attachment.config_v6();
            let client = match before.and_then(|r| r.v6.clone()) {
                Some(held) => v6::Client::confirm(config, world.random(), now, held),
                None => v6::Client::start(config, world.random(), now),
            };
            attachment.v6 = Some(Line6::new(client));
        }
        Ok(attachment)
    }

    /// Goes on after a restart of the daemon.
    ///
    /// # Errors
    /// [`Error::Gone`] when the link is no longer there.
    pub(super) fn resume(request: Request, record: &Record, world: &World) -> Result<Self> {
        let settings = Settings::parse(&request)?;
        let mut place = Self::locate(&request, world)?;
        if place.id != record.netns {
            return Err(Error::Gone { what: format!("the namespace of {}", place.describe()) });
        }
        // The identity stays what it was when the lease was got, whatever a later plugin made of the link.
        place.mac = record.mac;
        let now = world.now();
        let mut attachment = Attachment::at(request, record.call.clone(), settings, place, None);
        (attachment.held_v4, attachment.held_v6) = (record.v4.clone(), record.v6.clone());
        attachment.last_v4 = record.last_v4;
        if attachment.settings.ipv4 {
            let (config, random) = (attachment.config_v4(world), world.random());
            let client = match record.v4.clone() {
                Some(held) => v4::Client::resume(config, random, now, held),
                None => v4::Client::start(config, random, now, record.last_v4),
            };
            attachment.v4 = Some(Line4::new(client));
        }
        if attachment.settings.ipv6 {
            let (config, random) = (attachment.config_v6(), world.random());
            let client = match record.v6.clone() {
                Some(held) => v6::Client::resume(config, random, now, held),
                None => v6::Client::start(config, random, now),
            };
            attachment.v6 = Some(Line6::new(client));
        }
        Ok(attachment)
    }

    fn locate(request: &Request, world: &World) -> Result<Place> {
        let netns = request.env.netns.as_deref().ok_or_else(|| cni::Error::env("CNI_NETNS is missing"))?;
        Place::find(&world.host_path(netns), &request.env.ifname)
    }

    fn at(
        request: Request,
        call: String,
        settings: Settings,
        place: Place,
        waiting: Option<Waiting>,
    ) -> Self {
        Attachment {
            request,
            call,
            settings,
            place,
            v4: None,
            v6: None,
            held_v4: None,
            held_v6: None,
            last_v4: None,
            waiting,
            releasing: None,
        }
    }

    /// `containerID/network/ifname`.
    pub(super) fn key(&self) -> String {
        identity::key(&self.request.env.container_id, &self.request.name, &self.request.env.ifname)
    }

    fn probe(&self) -> Option<v4::Probe> {
        self.settings.probe.then_some(PROBE)
    }

    fn config_v4(&self, world: &World) -> v4::Config {
        v4::Config {
            mac: self.place.mac,
            options: self.settings.options_v4(&self.key(), self.place.mac),
            parameters: self.settings.request.clone(),
            retransmission: world.options.retransmission,
            probe: self.probe(),
        }
    }

    fn config_v6(&self) -> v6::Config {
        let env = &self.request.env;
        v6::Config {
            duid: identity::duid(
                self.settings.client_id,
                &env.container_id,
                &self.request.name,
                self.place.mac,
            ),
            iaid: identity::iaid(&env.ifname),
            rapid_commit: true,
            probe: self.probe(),
        }
    }

    /// Descriptors to wait for.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.v4.iter().flat_map(Line4::fds).chain(self.v6.iter().flat_map(Line6::fds))
    }

    /// When [`Attachment::step`] wants to be called without a packet.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let lines = [self.v4.as_ref().and_then(Line4::deadline), self.v6.as_ref().and_then(Line6::deadline)];
        let calls = [self.waiting.map(|w| w.until), self.releasing.as_ref().map(|(_, until)| *until)];
        lines.into_iter().chain(calls).flatten().min()
    }

    /// Reads what arrived, lets time pass, does what follows.
    ///
    /// # Errors
    /// [`Error::Gone`], or the store cannot be written.
    pub(super) fn step(&mut self, world: &World) -> Result<Option<Outcome>> {
        let now = world.now();
        if let Some(line) = &mut self.v4 {
            line.receive(now, self.place.mac);
            line.on_time(now);
        }
        if let Some(line) = &mut self.v6 {
            line.receive(now, self.place.mac);
            line.on_time(now);
        }
        while let Some(event) =
            self.v4.as_mut().map(|l| l.next_event(now, &self.place)).transpose()?.flatten()
        {
            let new = match event {
                line4::Event::Granted(held) => {
                    tracing::info!(key = self.key(), address = %held.lease.address, server = %held.lease.server, seconds = held.lease.seconds, "IPv4 lease");
                    Some(held)
                }
                line4::Event::Lost(lease, why) => {
                    tracing::warn!(key = self.key(), address = %lease.address, why, "IPv4 lease lost");
                    self.last_v4 = Some(lease.address);
                    None
                }
            };
            let old = std::mem::replace(&mut self.held_v4, new);
            self.save(world)?;
            if self.waiting.is_none() {
                let (old, new) = (old.map(|h| h.lease), self.held_v4.as_ref().map(|h| &h.lease));
                self.place.readdress_v4(&self.settings, old.as_ref(), new)?;
            }
        }
        while let Some(event) =
            self.v6.as_mut().map(|l| l.next_event(now, &self.place)).transpose()?.flatten()
        {
            let new = match event {
                line6::Event::Granted(held) => {
                    tracing::info!(key = self.key(), address = %held.lease.addresses[0].address, "IPv6 lease");
                    Some(held)
                }
                line6::Event::Lost(lease, why) => {
                    tracing::warn!(key = self.key(), address = %lease.addresses[0].address, why, "IPv6 lease lost");
                    None
                }
                line6::Event::Released => return Ok(self.releasing.is_some().then_some(Outcome::Done)),
            };
            let old = std::mem::replace(&mut self.held_v6, new);
            self.save(world)?;
            if self.waiting.is_none() {
                let (old, new) = (old.map(|h| h.lease), self.held_v6.as_ref().map(|h| &h.lease));
                self.place.readdress_v6(old.as_ref(), new)?;
            }
        }
        if self.releasing.as_ref().is_some_and(|(_, until)| now >= *until) {
            return Ok(Some(Outcome::Done));
        }
        if let (Some(waiting), Some(result)) = (self.waiting, self.result()) {
            self.waiting = None;
            return Ok(Some(Outcome::Answer(waiting.connection, result)));
        }
        Ok(None)
    }

    /// The result, once every wanted family has its lease.
    pub(super) fn result(&self) -> Option<CniResult> {
        let whole = (!self.settings.ipv4 || self.held_v4.is_some())
            && (!self.settings.ipv6 || self.held_v6.is_some());
        let (v4, v6) = (self.held_v4.as_ref().map(|h| &h.lease), self.held_v6.as_ref().map(|h| &h.lease));
        whole.then(|| answer::result(&self.settings, v4, v6))
    }

    /// Whether this is the same link as the one a new ADD names.
    pub(super) fn is_at(&self, place: &Place) -> bool {
        (self.place.id, self.place.index) == (place.id, place.index)
    }

    /// Writes the record. Only while something is or was held: an attempt leaves nothing.
    fn save(&self, world: &World) -> Result<()> {
        world.store.put(&self.key(), &self.record(world))
    }

    /// All that is known, for the store.
    pub(super) fn record(&self, world: &World) -> Record {
        Record {
            call: self.call.clone(),
            mac: self.place.mac,
            netns: self.place.id,
            v4: self.held_v4.clone(),
            v6: self.held_v6.clone(),
            last_v4: self.last_v4,
            boot: world.boot.clone(),
            written: world.now(),
            wall: World::wall(),
        }
    }

    /// Gives everything back. True when a DHCPv6 server's acknowledgement is awaited; then [`Outcome::Done`] follows
    /// from a later step.
    pub(super) fn release(&mut self, connections: Vec<u64>, world: &World) -> bool {
        let now = world.now();
        let mut wait = false;
        if let Some(line) = &mut self.v4 {
            if let Some(lease) = line.release() {
                tracing::info!(key = identity::key(&self.request.env.container_id, &self.request.name, &self.request.env.ifname), address = %lease.address, "IPv4 lease released");
            }
            let _ = line.next_event(now, &self.place);
        }
        if let Some(line) = &mut self.v6 {
            wait = line.client.release(now).is_some()
                && !matches!(line.next_event(now, &self.place), Err(Error::Gone { .. }));
        }
        (self.held_v4, self.held_v6) = (None, None);
        self.releasing = Some((connections, now + RELEASE_WAIT));
        wait
    }
}
