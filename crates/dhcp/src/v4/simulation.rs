//! The client against a simulated server on a simulated wire: loss, duplication, reordering, hostile packets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::clock::{Millis, Random, SECOND};
use crate::wire::v4::{Message, MessageType, option, parse_v4};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
const SERVER: [u8; 4] = [10, 0, 0, 1];

fn config() -> Config {
    Config {
        mac: MAC,
        options: vec![(option::CLIENT_ID, b"\0c/n/eth0".to_vec())],
        parameters: vec![1, 3],
        retransmission: Retransmission { first: 2 * SECOND, max: 62 * SECOND },
        probe: Some(Probe { count: 3, interval: 100 }),
    }
}

/// A server with a pool of 10.0.0.100 and up. It remembers who has what.
#[derive(Debug)]
struct Server {
    lease: u32,
    next: u8,
    bound: BTreeMap<Vec<u8>, Ipv4Addr>,
    declined: BTreeSet<Ipv4Addr>,
    up: bool,
    nak: bool,
}

impl Server {
    fn new(lease: u32) -> Self {
        Server { lease, next: 100, bound: BTreeMap::new(), declined: BTreeSet::new(), up: true, nak: false }
    }

    fn answer(&mut self, m: &Message) -> Option<Message> {
        if !self.up {
            return None;
        }
        let id = m.option(option::CLIENT_ID)?.to_vec();
        let reply = |kind: MessageType, yiaddr: Ipv4Addr| {
            let mut r = Message::request(kind, m.xid, m.chaddr);
            r.op = 2;
            r.yiaddr = yiaddr;
            r.set(option::SERVER_ID, SERVER);
            if kind != MessageType::Nak {
                r.set(option::SUBNET_MASK, [255, 255, 255, 0]);
                r.set(option::ROUTERS, SERVER);
                r.set(option::LEASE_TIME, self.lease.to_be_bytes());
            }
            Some(r)
        };
        match m.kind()? {
            MessageType::Discover => {
                let address = match self.bound.get(&id) {
                    Some(address) => *address,
                    None => loop {
                        let address = Ipv4Addr::new(10, 0, 0, self.next);
                        if !self.declined.contains(&address) {
                            break address;
                        }
                        self.next += 1;
                    },
                };
                reply(MessageType::Offer, address)
            }
            MessageType::Request => {
                if m.address(option::SERVER_ID).is_some_and(|s| s != Ipv4Addr::from(SERVER)) {
                    return None;
                }
                let asked = m.address(option::REQUESTED_ADDRESS).unwrap_or(m.ciaddr);
                let fits = asked.octets()[..3] == [10, 0, 0]
                    && !self.declined.contains(&asked)
                    && self.bound.get(&id).is_none_or(|a| *a == asked);
                if self.nak || !fits {
                    return reply(MessageType::Nak, Ipv4Addr::UNSPECIFIED);
                }
                self.bound.insert(id, asked);
                reply(MessageType::Ack, asked)
            }
            MessageType::Decline => {
                self.bound.remove(&id);
                self.declined.insert(m.address(option::REQUESTED_ADDRESS)?);
                None
            }
            MessageType::Release => {
                assert_eq!(m.option(option::REQUESTED_ADDRESS), None, "RFC 2131, table 5");
                if self.bound.get(&id) == Some(&m.ciaddr) {
                    self.bound.remove(&id);
                }
                None
            }
            _ => None,
        }
    }
}

/// What happens to packets.
#[derive(Debug, Clone, Copy, Default)]
struct Wire {
    loss: u64,
    double: u64,
    most_delay: Millis,
    noise: bool,
}

struct World {
    now: Millis,
    client: Client,
    server: Server,
    wire: Wire,
    random: Random,
    /// (when, to the client?, octets)
    flying: Vec<(Millis, bool, Vec<u8>)>,
    link: Option<Ipv4Addr>,
    granted: usize,
    lost: usize,
    sent: Vec<(Millis, Message)>,
    in_use: BTreeSet<Ipv4Addr>,
}

impl World {
    fn new(client: Client, server: Server, wire: Wire, seed: u64) -> Self {
        let random = Random::new(seed);
        World {
            now: 0,
            client,
            server,
            wire,
            random,
            flying: vec![],
            link: None,
            granted: 0,
            lost: 0,
            sent: vec![],
            in_use: BTreeSet::new(),
        }
    }

    fn start(seed: u64, lease: u32, wire: Wire) -> Self {
        World::new(Client::start(config(), Random::new(seed), 0, None), Server::new(lease), wire, seed ^ 1)
    }

    fn send(&mut self, to_client: bool, bytes: &[u8]) {
        for _ in 0..=u8::from(self.random.below(100) < self.wire.double) {
            if self.random.below(100) >= self.wire.loss {
                let at = self.now + self.random.below(self.wire.most_delay + 1);
                self.flying.push((at, to_client, bytes.to_vec()));
            }
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.client.next_action() {
            match action {
                Action::Send { message, from, .. } => {
                    if let Some(address) = self.link
                        && message.kind() == Some(MessageType::Request)
                    {
                        assert_eq!((from, message.ciaddr), (address, address));
                    }
                    self.sent.push((self.now, message.clone()));
                    self.send(false, &message.encode());
                }
                Action::Probe(address) => {
                    if self.in_use.contains(&address) {
                        self.client.on_arp(self.now, [9; 6], address, Ipv4Addr::UNSPECIFIED);
                    }
                }
                Action::Granted(held) => {
                    self.link = Some(held.lease.address);
                    self.granted += 1;
                }
                Action::Lost { lease, .. } => {
                    assert_eq!(self.link.take(), Some(lease.address));
                    self.lost += 1;
                }
            }
        }
    }

    fn step(&mut self, until: Millis) -> bool {
        self.drain();
        let packet = self.flying.iter().enumerate().min_by_key(|(_, f)| f.0).map(|(i, f)| (i, f.0));
        let timer = self.client.deadline().unwrap_or(Millis::MAX);
        let next = packet.map_or(timer, |(_, at)| at.min(timer));
        if next > until {
            self.now = until;
            return false;
        }
        self.now = self.now.max(next);
        match packet {
            Some((index, at)) if at <= timer => {
                let (_, to_client, bytes) = self.flying.swap_remove(index);
                if to_client {
                    if self.wire.noise {
                        let mut bad = bytes.clone();
                        let at = usize::try_from(self.random.below(bad.len() as u64)).unwrap();
                        self.client.on_packet(self.now, &bad[..at], None);
                        bad[4] ^= 0x55;
                        self.client.on_packet(self.now, &bad, None);
                    }
                    self.client.on_packet(self.now, &bytes, Some([4; 6]));
                } else if let Some(answer) = self.server.answer(&parse_v4(&bytes).unwrap()) {
                    self.send(true, &answer.encode());
                }
            }
            _ => self.client.on_time(self.now),
        }
        self.drain();
        true
    }

    fn run(&mut self, until: Millis) {
        for _ in 0..20_000 {
            if !self.step(until) {
                return;
            }
        }
        panic!("the client never rests: {:?} at {}", self.client, self.now);
    }

    fn kinds(&self) -> Vec<MessageType> {
        self.sent.iter().filter_map(|(_, m)| m.kind()).collect()
    }
}

#[test]
fn four_packets_and_three_probes_make_a_lease() {
    let mut world = World::start(1, 3600, Wire::default());
    world.run(SECOND);
    assert_eq!(world.kinds(), [MessageType::Discover, MessageType::Request]);
    assert_eq!(world.client.phase(), Phase::Bound);
    assert_eq!(world.link, Some([10, 0, 0, 100].into()));
    assert_eq!(world.client.held().unwrap().lease.server_mac, Some([4; 6]));
}

#[test]
fn renewing_keeps_the_address_for_days_with_few_packets() {
    let mut world = World::start(2, 3600, Wire::default());
    world.run(48 * 3600 * SECOND);
    assert_eq!((world.lost, world.link), (0, Some([10, 0, 0, 100].into())));
    let renewals = world.sent.len() - 2;
    assert!((90..=110).contains(&renewals), "{renewals}");
    assert_eq!(world.granted, renewals + 1);
}

#[test]
fn without_server_the_address_stays_to_the_end_of_the_lease_then_goes_and_comes_back() {
    let mut world = World::start(3, 1000, Wire::default());
    world.run(SECOND);
    world.server.up = false;
    world.run(999 * SECOND);
    assert!(world.link.is_some());
    let before = world.sent.len();
    assert!(before > 5, "it asked again and again: {before}");
    world.run(1001 * SECOND);
    assert_eq!((world.link, world.lost), (None, 1));
    world.run(4000 * SECOND);
    assert!(world.sent.len() - before < 80, "the search backs off");
    world.server.up = true;
    world.run(4070 * SECOND);
    assert_eq!(world.link, Some([10, 0, 0, 100].into()));
}

#[test]
fn rebinding_is_broadcast_and_carries_no_server() {
    let mut world = World::start(4, 1000, Wire::default());
    world.run(SECOND);
    world.server.up = false;
    world.run(930 * SECOND);
    assert_eq!(world.client.phase(), Phase::Rebinding);
    let last = &world.sent.last().unwrap().1;
    assert_eq!((last.option(option::SERVER_ID), last.option(option::REQUESTED_ADDRESS)), (None, None));
    assert_eq!(last.ciaddr, Ipv4Addr::new(10, 0, 0, 100));
    world.server.up = true;
    world.run(1100 * SECOND);
    assert_eq!((world.lost, world.client.phase()), (0, Phase::Bound));
}

#[test]
fn a_conflict_is_declined_and_the_next_address_comes_within_a_second() {
    let mut world = World::start(5, 3600, Wire::default());
    world.in_use.insert([10, 0, 0, 100].into());
    world.run(SECOND);
    assert_eq!(world.link, Some([10, 0, 0, 101].into()));
    assert!(world.server.declined.contains(&Ipv4Addr::new(10, 0, 0, 100)));
    assert_eq!(world.client.counters().conflicts, 1);
    // More conflicts: not faster than one try in ten seconds.
    let mut world = World::start(5, 3600, Wire::default());
    world.in_use.extend((100..=255).map(|n| Ipv4Addr::new(10, 0, 0, n)));
    world.run(60 * SECOND);
    assert!(world.client.counters().conflicts <= 8, "{:?}", world.client.counters());
}

#[test]
fn our_own_arp_is_no_conflict() {
    let mut client = Client::start(config(), Random::new(1), 0, None);
    let mut server = Server::new(100);
    for _ in 0..2 {
        let Some(Action::Send { message, .. }) = client.next_action() else { panic!() };
        client.on_packet(1, &server.answer(&message).unwrap().encode(), None);
    }
    let address = Ipv4Addr::new(10, 0, 0, 100);
    assert_eq!(client.phase(), Phase::Probing);
    client.on_arp(2, MAC, Ipv4Addr::UNSPECIFIED, address);
    client.on_arp(2, [9; 6], [10, 0, 0, 9].into(), address);
    assert_eq!(client.phase(), Phase::Probing);
    client.on_arp(2, [9; 6], Ipv4Addr::UNSPECIFIED, address);
    assert_eq!(client.counters().conflicts, 1);
}

#[test]
fn a_nak_while_renewing_takes_the_address_away_and_the_search_starts() {
    let mut world = World::start(6, 1000, Wire::default());
    world.run(SECOND);
    world.server.nak = true;
    world.run(520 * SECOND);
    assert_eq!((world.link, world.lost), (None, 1));
    let before = world.sent.len();
    world.run(620 * SECOND);
    assert!(world.sent.len() - before < 40, "a server that refuses all is not asked without pause");
    world.server.nak = false;
    world.server.bound.clear();
    world.run(720 * SECOND);
    assert!(world.link.is_some());
}

#[test]
fn release_has_ciaddr_and_no_option_50_and_frees_the_servers_lease() {
    let mut world = World::start(7, 1000, Wire::default());
    world.run(SECOND);
    assert_eq!(world.server.bound.len(), 1);
    assert!(world.client.release().is_some());
    let Some(Action::Send { message, from, to }) = world.client.next_action() else { panic!() };
    assert_eq!((from, to), ([10, 0, 0, 100].into(), Some(SERVER.into())));
    assert_eq!(message.ciaddr, from);
    world.server.answer(&message);
    assert!(world.server.bound.is_empty());
    assert_eq!((world.client.phase(), world.client.deadline()), (Phase::Stopped, None));
    assert!(world.client.release().is_none());
}

#[test]
fn init_reboot_asks_for_the_old_address_first_and_searches_when_refused() {
    let wish = Some([10, 0, 0, 150].into());
    let mut world =
        World::new(Client::start(config(), Random::new(8), 0, wish), Server::new(500), Wire::default(), 1);
    world.run(SECOND);
    assert_eq!((world.kinds(), world.link), (vec![MessageType::Request], wish));
    let wish = Some([192, 168, 0, 1].into());
    let mut world =
        World::new(Client::start(config(), Random::new(8), 0, wish), Server::new(500), Wire::default(), 1);
    world.run(SECOND);
    assert_eq!(world.kinds(), [MessageType::Request, MessageType::Discover, MessageType::Request]);
    assert_eq!(world.link, Some([10, 0, 0, 100].into()));
}

#[test]
fn a_restart_goes_on_where_the_lease_is() {
    let mut world = World::start(9, 1000, Wire::default());
    world.run(SECOND);
    let held = world.client.held().unwrap().clone();
    let resumed = |now| Client::resume(config(), Random::new(3), now, held.clone());
    assert_eq!(resumed(100 * SECOND).phase(), Phase::Bound);
    assert_eq!(resumed(600 * SECOND).phase(), Phase::Renewing);
    assert_eq!(resumed(950 * SECOND).phase(), Phase::Rebinding);
    let mut late = resumed(2000 * SECOND);
    assert!(matches!(late.next_action(), Some(Action::Lost { .. })));
    assert_eq!(late.phase(), Phase::Selecting);
}

#[test]
fn a_foreign_servers_nak_and_ack_do_not_disturb_the_exchange() {
    let mut client = Client::start(config(), Random::new(1), 0, None);
    let mut server = Server::new(100);
    let Some(Action::Send { message, .. }) = client.next_action() else { panic!() };
    client.on_packet(1, &server.answer(&message).unwrap().encode(), None);
    let Some(Action::Send { message, .. }) = client.next_action() else { panic!() };
    for kind in [MessageType::Nak, MessageType::Ack] {
        let mut foreign = server.answer(&message).unwrap();
        foreign.set(option::MESSAGE_TYPE, [kind as u8]);
        foreign.set(option::SERVER_ID, [10, 0, 0, 66]);
        client.on_packet(2, &foreign.encode(), None);
        assert_eq!(client.phase(), Phase::Requesting);
    }
    assert_eq!(client.counters().ignored, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_bad_wire_only_costs_time(
        seed: u64, loss in 0u64..50, double in 0u64..50, most_delay in 0u64..1500, noise: bool, lease in 1u32..5000,
    ) {
        let mut world = World::start(seed, lease.max(60), Wire { loss, double, most_delay, noise });
        // Any finite time is too short for some unlucky wire: weeks of retries a minute apart are not.
        for half_hour in 1..=1000 {
            world.run(half_hour * 1800 * SECOND);
            if world.granted > 0 {
                break;
            }
        }
        prop_assert!(world.granted > 0, "{:?}", world.client);
        // What is on the link is what the server thinks is ours, or the server has forgotten nothing.
        if let Some(address) = world.link {
            prop_assert!(world.server.bound.values().any(|a| *a == address));
        }
    }

    #[test]
    fn no_lease_time_makes_the_client_spin(seed: u64, lease: u32) {
        let mut world = World::start(seed, lease, Wire::default());
        world.run(600 * SECOND);
        prop_assert!(world.sent.len() < 1300, "{}", world.sent.len());
    }

    #[test]
    fn any_bytes_in_any_state_do_no_harm(
        seed: u64, packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..20),
    ) {
        let mut world = World::start(seed, 100, Wire::default());
        for (n, bytes) in packets.into_iter().enumerate() {
            world.run(n as u64 * 20 * SECOND);
            world.client.on_packet(world.now, &bytes, None);
            // A whole message with our transaction and hostile options.
            let mut m = Message::request(MessageType::Ack, 0, MAC).encode();
            if let Some((_, sent)) = world.sent.last() {
                m[4..8].copy_from_slice(&sent.xid.to_be_bytes());
            }
            m[0] = 2;
            m.truncate(240);
            m.extend(&bytes);
            world.client.on_packet(world.now, &m, None);
        }
    }
}
