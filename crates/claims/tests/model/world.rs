use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use claims::plan::{Attached, Identity, Request};
use claims::{Actor, Claim, Event, KeptFor, Place, Run, Taken, Version};

use crate::server::{Refused, Server, Write};
use crate::shared::Shared;

pub(crate) const NETWORK: &str = "lan";
pub(crate) const SUBNET: &str = "lan";
pub(crate) const INTERFACE: &str = "net1";
pub(crate) const NAMESPACE: &str = "ns";

/// A pod as its owner has it: started that many times under the same name, each time with a new UID.
#[derive(Clone, Debug)]
pub(crate) struct PodSpec {
    pub(crate) name: &'static str,
    pub(crate) kept_for: Option<KeptFor>,
    /// The nodes it is started on, one for each life.
    pub(crate) nodes: &'static [usize],
    /// Whether its owner may end it.
    pub(crate) ends: bool,
}

/// How many times each fault may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// Agents that are killed.
    pub(crate) crash: u8,
    /// Nodes that are cut off from the API server.
    pub(crate) cut: u8,
    /// Answers that do not come.
    pub(crate) lost: u8,
    /// Pods that are deleted from the API by force.
    pub(crate) force: u8,
    /// Sandboxes that are made again.
    pub(crate) sandbox: u8,
    /// Events of the watch that come twice.
    pub(crate) twice: u8,
    /// DELs whose agent has not seen yet that the pod ends.
    pub(crate) blind: u8,
    /// Controllers that are killed.
    pub(crate) controller: u8,
}

/// What an actor does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// The controller believes its watch and does not ask the API server for the pod.
    ClearsUnasked,
    /// The controller gives nobody time.
    ClearsWithoutGrace,
    /// An agent takes what its node's predecessor still has, and no policy forbids it.
    TakesActive,
    /// A DEL lets go of whatever claim the pod has, not only of its own sandbox's.
    ReleasesOtherSandbox,
    /// An agent trusts its watch more than the answers it got.
    ForgetsOwnWrites,
    /// Nobody looks for claims without a record.
    LeavesOrphans,
    /// The search for orphans knows a claim by its sandbox, whatever the address.
    OrphansBySandbox,
    /// After an answer that was lost, the agent goes on without looking.
    TrustsSilence,
    /// An agent never fences.
    NeverFences,
    /// Nobody finds out that a pod will not come back for its address.
    KeepsUid,
}

/// What is walked through.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) pods: Vec<PodSpec>,
    pub(crate) nodes: usize,
    /// How many addresses the subnet has.
    pub(crate) addresses: u8,
    /// How many of them, from the last one, are reserved for this.
    pub(crate) reserved: Option<(u8, KeptFor)>,
    pub(crate) reuse_delay: Duration,
    pub(crate) faults: Faults,
    /// The nodes that faults happen to.
    pub(crate) fails: &'static [usize],
    /// Whether a pod must get the address that it had before. Not when it comes to another node: that one's watch may not
    /// show it yet.
    pub(crate) keeps: bool,
    pub(crate) mutant: Option<Mutant>,
    /// What has happened in any of the states, so that a test can say that it looked at it.
    pub(crate) did: Arc<AtomicU32>,
    pub(crate) settled: crate::settle::Memory,
}

/// What must have happened for a check to be worth something.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Did {
    Create = 1,
    Take = 2,
    Renew = 4,
    Hold = 8,
    Release = 16,
    Clear = 32,
    Collect = 64,
    Fence = 128,
    Orphan = 256,
    Late = 512,
    Again = 1024,
    Refused = 2048,
    LetGo = 4096,
    Overlap = 8192,
    Wait = 16384,
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub(crate) struct World {
    pub(crate) server: Shared<Server>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) nodes: Vec<Shared<Node>>,
    /// What the controller has decided and not written yet.
    pub(crate) pending: Option<Shared<Write>>,
    /// Requests whose sender is dead or has heard nothing: they may still arrive.
    pub(crate) late: Vec<Shared<(Actor, Write)>>,
    pub(crate) left: Faults,
    /// What must never happen and has.
    pub(crate) wrong: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    /// Not in the API.
    Gone,
    Running,
    /// Being deleted.
    Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pod {
    pub(crate) life: Life,
    /// Which life: its UID.
    pub(crate) lives: u8,
    pub(crate) node: usize,
    pub(crate) sandboxes: u8,
    /// The address that its interface had, where it must have it again.
    pub(crate) had: Option<IpAddr>,
}

/// A node: its agent, its kubelet's sandboxes, its interfaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) alive: bool,
    pub(crate) cut: bool,
    pub(crate) taken: Taken,
    pub(crate) place: Place,
    /// What the watch has yet to deliver.
    pub(crate) queue: Vec<Event>,
    /// What it delivered last.
    pub(crate) last: Option<Event>,
    pub(crate) records: Vec<Record>,
}

/// The agent's record of a sandbox, on disk but for `sent` and `Claimed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) pod: usize,
    pub(crate) lives: u8,
    pub(crate) container: String,
    pub(crate) phase: Phase,
    /// The request that the agent waits for.
    pub(crate) sent: Option<Sent>,
    /// Whether its agent has been dead or cut off since the record was made.
    pub(crate) away: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Begun.
    Adding,
    /// The claim is the sandbox's; there is no interface yet.
    Claimed(IpAddr, Version),
    /// The interface is up.
    Attached(IpAddr, Version),
    /// The interface is gone; the sandbox's claims are to be let go of.
    Ending,
    /// There is no such sandbox, only this claim of it, which is to be let go of.
    Orphan(IpAddr),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sent {
    pub(crate) write: Write,
    /// Whether it is known that no answer will come.
    pub(crate) unsure: bool,
}

impl Scenario {
    pub(crate) fn did(&self, what: Did) {
        self.did.fetch_or(what as u32, Ordering::Relaxed);
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub(crate) fn address(&self, n: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, n).into()
    }

    pub(crate) fn usable(&self) -> Vec<Run> {
        vec![(self.address(1), self.address(self.addresses))]
    }

    pub(crate) fn identity(&self, pod: usize, record: &Record) -> Identity {
        Identity {
            namespace: NAMESPACE.into(),
            pod: self.pods[pod].name.into(),
            uid: self.uid(pod, record.lives),
            container_id: record.container.clone(),
            interface: INTERFACE.into(),
            kept_for: self.pods[pod].kept_for.clone(),
        }
    }

    pub(crate) fn uid(&self, pod: usize, lives: u8) -> String {
        format!("{}-{lives}", self.pods[pod].name)
    }

    pub(crate) fn request(&self) -> Request {
        Request {
            network: NETWORK.into(),
            subnet: SUBNET.into(),
            usable: self.usable(),
            wanted: Vec::new(),
            mac: None,
        }
    }

    pub(crate) fn start(&self) -> World {
        let mut server = Server::default();
        crate::controller::reserve_all(self, &mut server);
        let nodes = (0..self.nodes).map(|node| {
            let name = node_name(node);
            let mut node = Node {
                alive: true,
                cut: false,
                taken: Taken::new(&name),
                place: Place::of(&name),
                queue: Vec::new(),
                last: None,
                records: Vec::new(),
            };
            node.list(&server);
            Shared::new(node)
        });
        World {
            nodes: nodes.collect(),
            server: Shared::new(server),
            pods: self.pods.iter().map(Pod::first).collect(),
            pending: None,
            late: Vec::new(),
            left: self.faults,
            wrong: None,
        }
    }
}

impl World {
    /// Whether the pod with that UID is in the API.
    pub(crate) fn exists(&self, pod: usize, lives: u8) -> bool {
        self.pods[pod].lives == lives && self.pods[pod].life != Life::Gone
    }

    /// Whether the record's pod is in the API and not being deleted.
    pub(crate) fn runs(&self, record: &Record) -> bool {
        self.exists(record.pod, record.lives) && self.pods[record.pod].life == Life::Running
    }

    pub(crate) fn uid_exists(&self, scenario: &Scenario, uid: &str) -> bool {
        (0..self.pods.len())
            .any(|pod| scenario.uid(pod, self.pods[pod].lives) == uid && self.pods[pod].life != Life::Gone)
    }

    /// Whether the node has nothing and will never have anything: how late it hears of others changes nothing.
    fn is_idle(&self, scenario: &Scenario, node: usize) -> bool {
        let state = &self.nodes[node];
        let has_pod = |(pod, spec): (&Pod, &PodSpec)| {
            (pod.life != Life::Gone && pod.node == node)
                || spec.nodes[usize::from(pod.lives)..].contains(&node)
        };
        state.works()
            && state.queue.is_empty()
            && state.records.is_empty()
            && !self.pods.iter().zip(&scenario.pods).any(has_pod)
    }

    /// A request arrives at the API server. All watches will show what it did.
    pub(crate) fn write(
        &mut self,
        scenario: &Scenario,
        actor: &Actor,
        write: &Write,
    ) -> Result<Event, Refused> {
        let policy = !scenario.is(Mutant::TakesActive);
        let answer = self.server.change(|server| server.write(actor, write, policy));
        match &answer {
            Ok(event) => {
                for index in 0..self.nodes.len() {
                    let idle = self.is_idle(scenario, index);
                    let node = &mut self.nodes[index];
                    match idle {
                        _ if !node.alive => {}
                        true => node.change(|node| node.taken.apply(event.clone())),
                        false => node.change(|node| node.queue.push(event.clone())),
                    }
                }
            }
            Err(Refused::Conflict) => {}
            Err(Refused::Forbidden) => self.wrong = Some("a step of a plan is against the rules"),
        }
        self.forget_hopeless();
        answer
    }

    /// Writes of an old version cannot have an effect any more: worlds with and without them are the same.
    fn forget_hopeless(&mut self) {
        let hopeless = |write: &Write| {
            let (claim, now) = (write.claim(), self.server.claims.get(&write.claim().address));
            claim.version != Version(0) && now.is_none_or(|now| now.version != claim.version)
        };
        self.late.retain(|late| !hopeless(&late.1));
        if self.pending.as_ref().is_some_and(|write| hopeless(write)) {
            self.pending = None;
        }
    }
}

impl Pod {
    /// In its first life, before its first ADD.
    fn first(spec: &PodSpec) -> Pod {
        Pod { life: Life::Running, lives: 1, node: spec.nodes[0], sandboxes: 0, had: None }
    }
}

impl Record {
    pub(crate) fn address(&self) -> Option<(IpAddr, Version)> {
        match self.phase {
            Phase::Claimed(address, version) | Phase::Attached(address, version) => Some((address, version)),
            Phase::Adding | Phase::Ending | Phase::Orphan(_) => None,
        }
    }

    pub(crate) fn attached(&self) -> Option<Attached> {
        let (address, version) = self.address()?;
        Some(Attached {
            network: NETWORK.into(),
            address,
            container_id: self.container.clone(),
            interface: INTERFACE.into(),
            version,
        })
    }

    /// Whether it stands behind a claim of this node.
    pub(crate) fn is_behind(&self, claim: &Claim) -> bool {
        let is_its = match self.phase {
            // A call that still goes on takes over, or lets go of, what its sandbox has.
            Phase::Adding | Phase::Ending => true,
            Phase::Claimed(address, _) | Phase::Attached(address, _) | Phase::Orphan(address) => {
                address == claim.address
            }
        };
        self.container == claim.owner.container_id && is_its
    }

    pub(crate) fn ends(&self) -> bool {
        matches!(self.phase, Phase::Ending | Phase::Orphan(_))
    }
}

pub(crate) fn node_name(node: usize) -> String {
    format!("n{node}")
}
