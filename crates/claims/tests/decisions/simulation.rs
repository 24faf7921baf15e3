//! Ten agents claim exactly as many addresses as there are, with a watch that lags. Time goes in milliseconds; nothing is random
//! that a seed does not decide.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use claims::plan::{Identity, Next, Request, add};
use claims::{CREATES_AT_ONCE, Claim, Event, Place, Run, Taken, Version};

use crate::given::{identity, request};

const AGENTS: usize = 10;
const ADDRESSES: usize = 1000;
const ROUNDS: usize = 3;
/// A watch shows an event that many milliseconds after it happened.
const LAG: u64 = 20;
/// The API server makes one claim after the other. So long each takes it, and what an agent needs besides.
const CREATE: u64 = 1;
const AGENT: u64 = 2;

struct Agent {
    taken: Taken,
    place: Place,
    /// What the watch has yet to show, and when.
    watch: VecDeque<(u64, Event)>,
    /// Requests under way: when each arrives, and of which pod.
    sent: Vec<(u64, Claim)>,
    /// Pods that want an address.
    pods: Vec<Identity>,
}

struct World {
    now: u64,
    version: u64,
    claims: BTreeMap<IpAddr, Claim>,
    agents: Vec<Agent>,
    creates: usize,
    random: u64,
    busy_until: u64,
    usable: Run,
}

impl World {
    fn new(seed: u64) -> World {
        let agents = (0..AGENTS).map(|n| {
            let name = format!("node{n}");
            let mut taken = Taken::new(&name);
            taken.apply(Event::ListBegun);
            taken.apply(Event::ListEnded(Version(0)));
            let place = Place::of(&name);
            Agent { taken, place, watch: VecDeque::new(), sent: Vec::new(), pods: Vec::new() }
        });
        let usable = ("10.0.0.1".parse().unwrap(), "10.0.3.232".parse().unwrap());
        World {
            now: 0,
            version: 0,
            claims: BTreeMap::new(),
            agents: agents.collect(),
            creates: 0,
            random: seed,
            busy_until: 0,
            usable,
        }
    }

    /// When a request that is sent now has its effect: the server is busy with others, and the way takes a little.
    fn due(&mut self) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.busy_until = self.busy_until.max(self.now + AGENT) + CREATE;
        self.busy_until + (self.random >> 33) % 3
    }

    fn tell_all(&mut self, event: &Event) {
        for agent in &mut self.agents {
            agent.watch.push_back((self.now + LAG, event.clone()));
        }
    }

    fn show(&mut self) {
        let now = self.now;
        for agent in &mut self.agents {
            while agent.watch.front().is_some_and(|(due, _)| *due <= now) {
                let (_, event) = agent.watch.pop_front().unwrap();
                agent.taken.apply(event);
            }
        }
    }

    fn arrivals(&mut self, n: usize) {
        let (arrived, under_way) = self.agents[n].sent.drain(..).partition(|(due, _)| *due <= self.now);
        self.agents[n].sent = under_way;
        let arrived: Vec<(u64, Claim)> = arrived;
        for (_, mut claim) in arrived {
            if self.claims.contains_key(&claim.address) {
                let agent = &mut self.agents[n];
                agent.taken.refused("lan", claim.address);
                agent.place.refused();
                agent.pods.push(Identity {
                    uid: claim.owner.uid.clone(),
                    container_id: claim.owner.container_id,
                    ..identity("", None)
                });
                continue;
            }
            self.version += 1;
            claim.version = Version(self.version);
            self.claims.insert(claim.address, claim.clone());
            self.agents[n].taken.wrote(&claim);
            self.tell_all(&Event::Applied(claim));
        }
    }

    /// Every agent starts new calls, at most `at_once` at a time.
    fn calls(&mut self, n: usize, at_once: usize) {
        let wants = Request { usable: vec![self.usable], ..request(self.usable) };
        while self.agents[n].sent.len() < at_once {
            let agent = &mut self.agents[n];
            let Some(pod) = agent.pods.pop() else { return };
            let Next::Create(claim) = add(&pod, &wants, &agent.taken, &mut agent.place) else {
                panic!("an address is free for each pod")
            };
            agent.taken.trying("lan", claim.address);
            self.creates += 1;
            let due = self.due();
            self.agents[n].sent.push((due, claim));
        }
    }

    /// All pods at once, and then all of them gone.
    fn round(&mut self, round: usize, at_once: usize) {
        for pod in 0..ADDRESSES {
            let uid = format!("{round}-{pod}");
            let pod_of = Identity { container_id: uid.clone(), ..identity(&uid, None) };
            self.agents[pod % AGENTS].pods.push(pod_of);
        }
        while self.agents.iter().any(|agent| !agent.pods.is_empty() || !agent.sent.is_empty()) {
            self.now += 1;
            self.show();
            for n in 0..AGENTS {
                self.arrivals(n);
                self.calls(n, at_once);
            }
        }
        let uids: BTreeSet<_> = self.claims.values().map(|claim| claim.owner.uid.as_str()).collect();
        assert_eq!((self.claims.len(), uids.len()), (ADDRESSES, ADDRESSES));

        for (_, claim) in std::mem::take(&mut self.claims) {
            self.version += 1;
            let agent = self.agents.iter_mut().find(|agent| agent.taken.node() == claim.owner.node).unwrap();
            agent.taken.deleted(&claim);
            self.tell_all(&Event::Deleted(Claim { version: Version(self.version), ..claim }));
        }
        self.now += LAG;
        self.show();
        for agent in &self.agents {
            assert_eq!(agent.taken.network("lan").numbers(&[self.usable]).used, 0);
        }
    }
}

#[test]
fn a_full_subnet_costs_few_more_writes_than_claims() {
    let claims = ROUNDS * ADDRESSES;
    for at_once in 1..=CREATES_AT_ONCE {
        for seed in 1..=3 {
            let mut world = World::new(seed);
            (0..ROUNDS).for_each(|round| world.round(round, at_once));
            eprintln!("{at_once} at once, seed {seed}: {} creates for {claims} claims", world.creates);
            assert!(world.creates * 10 <= claims * 12, "{} creates for {claims} claims", world.creates);
        }
    }
}
