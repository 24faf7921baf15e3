//! Agents without a kernel: the code by which a real one claims addresses, with its node's own token, and nothing behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::agent::claims::{Ask, ClaimError, Gone};
use ::agent::kube::{ApiServer, Options};
use ::agent::{Addressing, Cluster as _, Driver, PodKey, PodView};
use api::IfName;
use api::addresses::{ADDRESSES, AddressRequests};
use apiserver::{Access, VERBS};
use cluster::Cluster;

use crate::{PATIENCE, agent};

/// The claim of an address, as far as it says who has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Has {
    /// The address.
    pub address: IpAddr,
    /// The pod.
    pub pod: String,
    /// The sandbox.
    pub container_id: String,
    /// The interface.
    pub interface: String,
}

/// A pod: what an agent needs to know of it. It takes no Pod object, since the agent is given what it would have read from one;
/// only a controller would find the UID missing.
#[derive(Debug, Clone)]
pub struct SimPod {
    view: Arc<PodView>,
    network: String,
    interfaces: Vec<IfName>,
    requests: AddressRequests,
}

impl SimPod {
    /// A pod of namespace `default` with an address of each of these subnets, on interfaces `net1` and so on.
    pub fn new(name: &str, uid: &str, network: &str, subnets: &[String]) -> SimPod {
        let names = (1..=subnets.len()).map(|number| format!("net{number}"));
        let interfaces: Vec<IfName> = names.map(|name| IfName::new(&name).expect("a name")).collect();
        let asked = interfaces.iter().zip(subnets);
        let asked =
            asked.map(|(name, subnet)| serde_json::json!({"interface": name.as_str(), "subnet": subnet}));
        let annotation = serde_json::Value::from_iter(asked).to_string();
        let known = |key: &str| (key == ADDRESSES).then_some(annotation.as_str());
        let requests = AddressRequests::parse(known, &interfaces).unwrap_or_else(|error| panic!("{error}"));
        let addressing =
            Addressing { annotations: vec![(ADDRESSES, annotation.clone())], ..Addressing::default() };
        let key = PodKey { namespace: "default".to_owned(), name: name.to_owned(), uid: uid.to_owned() };
        let view = PodView {
            key,
            networks: None,
            default_network: None,
            status: None,
            host_network: false,
            is_static: false,
            addressing,
        };
        SimPod { view: Arc::new(view), network: network.to_owned(), interfaces, requests }
    }

    fn container_id(&self, life: usize) -> String {
        format!("{}-{life}", self.view.key.name)
    }
}

/// An agent.
pub struct SimAgent {
    server: ApiServer,
}

impl SimAgent {
    /// Starts one that calls itself `node`, with the token of `token_of`.
    pub fn start(cluster: &Cluster, node: &str, token_of: &str) -> SimAgent {
        let file = format!("/etc/kubernetes/{node}.conf");
        std::fs::write(cluster.on_disk("control", &file), agent::credentials(cluster, token_of)).unwrap();
        // Its thread stays in the namespace in which it is started.
        let start = || {
            let driver = Arc::new(Driver::start().expect("a thread"));
            let options = Options::new(Access::Kubeconfig(Path::new(&file).to_owned()), node.to_owned());
            ApiServer::start(driver, options, None, |_| ()).unwrap_or_else(|error| panic!("{error}"))
        };
        SimAgent { server: cluster.host("control").unwrap().run_in(start).unwrap() }
    }

    /// What the engine calls.
    fn claims(&self) -> &dyn ::agent::claims::Claims {
        self.server.claims().expect("claims are on")
    }

    /// Waits until the watches have had their first lists.
    ///
    /// # Panics
    /// When they have not.
    pub fn wait_until_listed(&self) {
        let listed = || Ok(self.claims().waits_for().is_none().then_some(()));
        Cluster::wait("the first lists", PATIENCE, listed).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Requests sent until now, by verb.
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        let sent = self.server.health().sent;
        VERBS.iter().map(|verb| (*verb, sent.requests(verb))).collect()
    }

    /// ADDs: claims addresses for these pods, so many pods at once, a pod's interfaces one after the other.
    pub fn add(&self, pods: &[SimPod], at_once: usize, life: usize) -> Vec<Result<Has, ClaimError>> {
        each(pods, at_once, |pod| {
            pod.interfaces.iter().map(|interface| self.claim(pod, interface, life)).collect()
        })
    }

    fn claim(&self, pod: &SimPod, interface: &IfName, life: usize) -> Result<Has, ClaimError> {
        let container_id = pod.container_id(life);
        let ask = Ask {
            network: &pod.network,
            pod: &pod.view,
            container_id: &container_id,
            interface,
            request: pod.requests.of(interface),
            mac: None,
            own_mac: true,
        };
        let claimed = self.claims().claim(&ask, Instant::now() + PATIENCE)?;
        let [given] = claimed.addresses.as_slice() else { panic!("{interface:?} has {claimed:?}") };
        Ok(Has {
            address: given.address,
            pod: pod.view.key.name.clone(),
            container_id,
            interface: interface.as_str().to_owned(),
        })
    }

    /// DELs of the same pods. It gives what failed.
    pub fn del(&self, pods: &[SimPod], at_once: usize, life: usize, had: &[Has]) -> Vec<ClaimError> {
        let had: BTreeMap<(&str, &str), IpAddr> =
            had.iter().map(|has| ((has.pod.as_str(), has.interface.as_str()), has.address)).collect();
        each(pods, at_once, |pod| {
            let release = |interface: &IfName| {
                let address = had.get(&(pod.view.key.name.as_str(), interface.as_str()));
                let gone = Gone {
                    network: &pod.network,
                    container_id: &pod.container_id(life),
                    interface: interface.as_str(),
                    addresses: address.map_or(&[], std::slice::from_ref),
                    used: true,
                };
                self.claims().release(&gone, Instant::now() + PATIENCE).err()
            };
            pod.interfaces.iter().filter_map(release).collect()
        })
    }
}

/// Does something for each pod, with so many threads, which take the next pod when they are done with one.
fn each<T: Send>(pods: &[SimPod], at_once: usize, work: impl Fn(&SimPod) -> Vec<T> + Sync) -> Vec<T> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(pod) = pods.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let made = work(pod);
                    results.lock().unwrap().extend(made);
                }
            });
        }
    });
    results.into_inner().unwrap()
}

/// Does something with every agent at the same time, each beginning a little later than the one before.
pub fn staggered<T: Send>(
    agents: &[SimAgent],
    stagger: Duration,
    work: impl Fn(usize, &SimAgent) -> T + Sync,
) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let start = |(at, agent)| {
            let thread = scope.spawn(move || work(at, agent));
            std::thread::sleep(stagger);
            thread
        };
        let threads: Vec<_> = agents.iter().enumerate().map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// Requests of all agents together.
pub fn requests(agents: &[SimAgent]) -> BTreeMap<&'static str, u64> {
    let mut all = BTreeMap::new();
    for (verb, count) in agents.iter().flat_map(SimAgent::requests) {
        *all.entry(verb).or_default() += count;
    }
    all
}

/// Who has which address as the objects say, all of them active.
///
/// # Panics
/// When one of them is held.
pub fn claimed(cluster: &Cluster) -> BTreeSet<Has> {
    const LINES: &str = "jsonpath={range .items[*]}{.spec.address} {.spec.owner.pod} {.spec.owner.containerID} \
                         {.spec.owner.interface} {.spec.hold.reason}{\"\\n\"}{end}";
    let text = cluster.kubectl_output(["get", "mip", "-o", LINES]).unwrap_or_else(|error| panic!("{error}"));
    let has = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, pod, container_id, interface] = words.as_slice() else { panic!("not active: {line}") };
        Has {
            address: address.parse().expect("an address"),
            pod: (*pod).to_owned(),
            container_id: (*container_id).to_owned(),
            interface: (*interface).to_owned(),
        }
    };
    text.lines().map(has).collect()
}
