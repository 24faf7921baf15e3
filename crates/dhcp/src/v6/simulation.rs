//! The client against a simulated server on a simulated wire.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;
use crate::clock::{Millis, Random, SECOND};
use crate::v4::Probe;
use crate::wire::v6::{IaNa, Message, MessageType, Options, option, parse_v6};

const DUID: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 7];

fn config(rapid_commit: bool) -> Config {
    Config { duid: DUID.to_vec(), iaid: 7, rapid_commit, probe: Some(Probe { count: 3, interval: 100 }) }
}

#[derive(Debug)]
struct Server {
    id: u8,
    preference: u8,
    valid: u32,
    next: u16,
    rapid: bool,
    up: bool,
    bound: BTreeMap<Vec<u8>, Ipv6Addr>,
    declined: BTreeSet<Ipv6Addr>,
}

impl Server {
    fn new(valid: u32) -> Self {
        let (bound, declined) = (BTreeMap::new(), BTreeSet::new());
        Server { id: 1, preference: 0, valid, next: 0x100, rapid: false, up: true, bound, declined }
    }

    fn duid(&self) -> Vec<u8> {
        vec![0, 3, 0, 1, 4, 0, 0, 0, 0, self.id]
    }

    fn answer(&mut self, m: &Message) -> Option<Message> {
        let id = m.options.get(option::CLIENT_ID)?.to_vec();
        let for_me = m.options.get(option::SERVER_ID).is_none_or(|s| s == self.duid());
        if !self.up || !for_me {
            return None;
        }
        let ia = IaNa::parse(m.options.get(option::IA_NA)?)?;
        let asked = ia
            .options
            .get(option::IA_ADDR)
            .and_then(|d| Some(Ipv6Addr::from(<[u8; 16]>::try_from(d.get(..16)?).ok()?)));
        let mut options = Options::default();
        options.push(option::CLIENT_ID, id.clone());
        options.push(option::SERVER_ID, self.duid());
        options.push(option::PREFERENCE, [self.preference]);
        let mut kind = MessageType::Reply;
        let mut grant = None;
        let mut status = 0u16;
        match m.kind {
            MessageType::Solicit => {
                let address = self.choose(&id);
                grant = Some(address);
                if self.rapid && m.options.get(option::RAPID_COMMIT).is_some() {
                    options.push(option::RAPID_COMMIT, []);
                    self.bound.insert(id, address);
                } else {
                    kind = MessageType::Advertise;
                }
            }
            MessageType::Request => {
                let address = self.choose(&id);
                self.bound.insert(id, address);
                grant = Some(address);
            }
            MessageType::Renew | MessageType::Rebind => match self.bound.get(&id) {
                Some(address) if Some(*address) == asked => grant = Some(*address),
                _ => status = 3,
            },
            MessageType::Confirm => {}
            MessageType::Release => {
                self.bound.remove(&id);
            }
            MessageType::Decline => {
                self.bound.remove(&id);
                self.declined.extend(asked);
            }
            _ => return None,
        }
        let mut given = IaNa { iaid: ia.iaid, t1: 0, t2: 0, options: Options::default() };
        if let Some(address) = grant {
            let mut data = address.octets().to_vec();
            data.extend(self.valid.to_be_bytes());
            data.extend(self.valid.to_be_bytes());
            given.options.push(option::IA_ADDR, data);
        }
        if status != 0 {
            given.options.push(option::STATUS, status.to_be_bytes());
        }
        options.push(option::IA_NA, given.encode());
        Some(Message { kind, xid: m.xid, options })
    }

    fn choose(&mut self, id: &[u8]) -> Ipv6Addr {
        if let Some(address) = self.bound.get(id) {
            return *address;
        }
        loop {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, self.id.into(), 0, 0, 0, self.next);
            if !self.declined.contains(&address) {
                return address;
            }
            self.next += 1;
        }
    }
}

struct World {
    now: Millis,
    client: Client,
    servers: Vec<Server>,
    loss: u64,
    double: u64,
    most_delay: Millis,
    random: Random,
    flying: Vec<(Millis, bool, Vec<u8>)>,
    link: Vec<Ipv6Addr>,
    sent: Vec<(Millis, MessageType)>,
    in_use: BTreeSet<Ipv6Addr>,
    lost: usize,
    released: bool,
}

impl World {
    fn new(client: Client, servers: Vec<Server>) -> Self {
        World {
            now: 0,
            client,
            servers,
            loss: 0,
            double: 0,
            most_delay: 0,
            random: Random::new(9),
            flying: vec![],
            link: vec![],
            sent: vec![],
            in_use: BTreeSet::new(),
            lost: 0,
            released: false,
        }
    }

    fn start(seed: u64, server: Server) -> Self {
        World::new(Client::start(config(false), Random::new(seed), 0), vec![server])
    }

    fn drain(&mut self) {
        while let Some(action) = self.client.next_action() {
            match action {
                Action::Send(message) => {
                    self.sent.push((self.now, message.kind));
                    self.fly(false, &message.encode());
                }
                Action::Probe(address) => {
                    if self.in_use.contains(&address) {
                        self.client.on_conflict(self.now, address);
                    }
                }
                Action::Granted(held) => self.link = held.lease.addresses.iter().map(|a| a.address).collect(),
                Action::Lost { .. } => {
                    assert!(!self.link.is_empty());
                    self.link.clear();
                    self.lost += 1;
                }
                Action::Released => self.released = true,
            }
        }
    }

    fn fly(&mut self, to_client: bool, bytes: &[u8]) {
        for _ in 0..=u8::from(self.random.below(100) < self.double) {
            if self.random.below(100) >= self.loss {
                let at = self.now + self.random.below(self.most_delay + 1);
                self.flying.push((at, to_client, bytes.to_vec()));
            }
        }
    }

    fn run(&mut self, until: Millis) {
        for _ in 0..20_000 {
            self.drain();
            let packet = self.flying.iter().enumerate().min_by_key(|(_, f)| f.0).map(|(i, f)| (i, f.0));
            let timer = self.client.deadline().unwrap_or(Millis::MAX);
            let next = packet.map_or(timer, |(_, at)| at.min(timer));
            if next > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            match packet {
                Some((index, at)) if at <= timer => {
                    let (_, to_client, bytes) = self.flying.swap_remove(index);
                    if to_client {
                        self.client.on_packet(self.now, &bytes);
                    } else {
                        let message = parse_v6(&bytes).unwrap();
                        let answers: Vec<_> =
                            self.servers.iter_mut().filter_map(|s| s.answer(&message)).collect();
                        answers.into_iter().for_each(|a| self.fly(true, &a.encode()));
                    }
                }
                _ => self.client.on_time(self.now),
            }
        }
        panic!("the client never rests: {:?}", self.client);
    }

    fn kinds(&self) -> Vec<MessageType> {
        self.sent.iter().map(|(_, kind)| *kind).collect()
    }
}

#[test]
fn four_messages_make_a_lease_and_rapid_commit_two() {
    let mut world = World::start(1, Server::new(3600));
    world.run(2 * SECOND);
    assert_eq!(world.kinds(), [MessageType::Solicit, MessageType::Request]);
    assert_eq!((world.client.phase(), world.link.len()), (Phase::Bound, 1));

    let server = Server { rapid: true, ..Server::new(3600) };
    let mut world = World::new(Client::start(config(true), Random::new(1), 0), vec![server]);
    world.run(SECOND);
    assert_eq!((world.kinds(), world.link.len()), (vec![MessageType::Solicit], 1));
}

#[test]
fn the_preferred_server_is_taken_and_the_best_at_once() {
    let server = |id, preference| Server { id, preference, ..Server::new(3600) };
    let mut world =
        World::new(Client::start(config(false), Random::new(1), 0), vec![server(1, 0), server(2, 9)]);
    world.run(2 * SECOND);
    assert_eq!(world.link[0].segments()[3], 2);
    let mut world =
        World::new(Client::start(config(false), Random::new(1), 0), vec![server(1, 255), server(2, 9)]);
    world.run(500);
    assert_eq!(world.link[0].segments()[3], 1, "no waiting for others");
}

#[test]
fn renewing_keeps_the_address() {
    let mut world = World::start(2, Server::new(1000));
    world.run(24 * 3600 * SECOND);
    assert_eq!((world.lost, world.link.len()), (0, 1));
    let renewals = world.kinds().iter().filter(|k| **k == MessageType::Renew).count();
    assert!((160..180).contains(&renewals), "{renewals}");
}

#[test]
fn without_server_rebind_then_loss_then_solicit_and_back() {
    let mut world = World::start(3, Server::new(1000));
    world.run(2 * SECOND);
    world.servers[0].up = false;
    world.run(900 * SECOND);
    assert_eq!((world.client.phase(), world.link.len()), (Phase::Rebinding, 1));
    world.run(1010 * SECOND);
    assert_eq!((world.lost, world.link.len(), world.client.phase()), (1, 0, Phase::Soliciting));
    world.run(5000 * SECOND);
    let solicits = world.kinds().iter().filter(|k| **k == MessageType::Solicit).count();
    assert!(solicits < 20, "{solicits}");
    world.servers[0].up = true;
    world.run(10_000 * SECOND);
    assert_eq!(world.link.len(), 1);
}

#[test]
fn a_server_that_forgot_is_asked_for_the_same_address() {
    let mut world = World::start(4, Server::new(1000));
    world.run(2 * SECOND);
    let address = world.link[0];
    world.servers[0].bound.clear();
    world.run(600 * SECOND);
    assert_eq!((world.lost, world.link.as_slice()), (0, [address].as_slice()));
    assert!(world.kinds().ends_with(&[MessageType::Renew, MessageType::Request]));
}

#[test]
fn a_conflict_is_declined_and_another_address_taken() {
    let mut world = World::start(5, Server::new(1000));
    let first = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x100);
    world.in_use.insert(first);
    world.run(10 * SECOND);
    assert_eq!(world.link.len(), 1);
    assert_ne!(world.link[0], first);
    assert!(world.servers[0].declined.contains(&first));
}

#[test]
fn release_is_repeated_and_ends_without_an_answer() {
    let mut world = World::start(6, Server::new(1000));
    world.run(2 * SECOND);
    assert!(world.client.release(world.now).is_some());
    world.run(3 * SECOND);
    assert!(world.released && world.servers[0].bound.is_empty());

    let mut world = World::start(6, Server::new(1000));
    world.run(2 * SECOND);
    world.servers[0].up = false;
    world.client.release(world.now);
    world.run(60 * SECOND);
    assert_eq!(world.kinds().iter().filter(|k| **k == MessageType::Release).count(), 4);
    assert!(world.released && world.client.deadline().is_none());
}

#[test]
fn confirm_keeps_what_fits_and_a_restart_goes_on() {
    let mut world = World::start(7, Server::new(1000));
    world.run(2 * SECOND);
    let held = world.client.held().unwrap().clone();
    let server = Server::new(1000);
    let mut again =
        World::new(Client::confirm(config(false), Random::new(8), 5 * SECOND, held.clone()), vec![server]);
    again.now = 5 * SECOND;
    again.run(6 * SECOND);
    assert_eq!((again.kinds(), again.link), (vec![MessageType::Confirm], world.link));
    // Nobody answers: what was known is used on.
    let mut alone =
        World::new(Client::confirm(config(false), Random::new(8), 5 * SECOND, held.clone()), vec![]);
    alone.run(60 * SECOND);
    assert_eq!(alone.link.len(), 1);
    let resumed = |now| Client::resume(config(false), Random::new(1), now, held.clone()).phase();
    assert_eq!(resumed(100 * SECOND), Phase::Bound);
    assert_eq!(resumed(600 * SECOND), Phase::Renewing);
    assert_eq!(resumed(850 * SECOND), Phase::Rebinding);
    assert_eq!(resumed(1100 * SECOND), Phase::Soliciting);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_bad_wire_only_costs_time(seed: u64, loss in 0u64..50, double in 0u64..50, most_delay in 0u64..1500, valid in 120u32..5000) {
        let mut world = World::start(seed, Server::new(valid));
        (world.loss, world.double, world.most_delay, world.random) = (loss, double, most_delay, Random::new(seed ^ 5));
        let came = |world: &World| !world.link.is_empty() || world.lost > 0;
        // Any finite time is too short for some unlucky wire, and retries are up to an hour apart: a year of them is not.
        for hour in 1..=365 * 24 {
            world.run(hour * 3600 * SECOND);
            if came(&world) {
                break;
            }
        }
        prop_assert!(came(&world), "{:?}", world.client);
    }

    #[test]
    fn no_lifetime_makes_the_client_spin(seed: u64, valid: u32) {
        let mut world = World::start(seed, Server::new(valid));
        world.run(600 * SECOND);
        prop_assert!(world.sent.len() < 1300, "{}", world.sent.len());
    }

    #[test]
    fn any_bytes_in_any_state_do_no_harm(
        seed: u64, packets in proptest::collection::vec((1u8..10, proptest::collection::vec(any::<u8>(), 0..200)), 1..20),
    ) {
        let mut world = World::start(seed, Server::new(100));
        let mut random = Random::new(seed);
        for (n, (kind, bytes)) in packets.into_iter().enumerate() {
            world.run(n as u64 * 10 * SECOND);
            world.client.on_packet(world.now, &bytes);
            let mut options = Options::default();
            options.push(option::CLIENT_ID, DUID);
            options.push(option::SERVER_ID, world.servers[0].duid());
            let mut message = Message { kind: MessageType::Reply, xid: world.client.xid(), options }.encode();
            message[0] = kind;
            message.extend(&bytes);
            world.client.on_packet(world.now, &message);
            if random.below(4) == 0 {
                let mut ia = IaNa { iaid: 7, t1: 0, t2: 0, options: Options::default() }.encode();
                ia.extend(&bytes);
                message.extend([0, 3]);
                message.extend(u16::try_from(ia.len()).unwrap().to_be_bytes());
                message.extend(ia);
                world.client.on_packet(world.now, &message);
            }
        }
    }
}
