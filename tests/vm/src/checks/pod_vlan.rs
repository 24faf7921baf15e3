//! VLAN links that the agent makes where a pod needs one, through its engine, on a cluster of one node.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use agent::claims::{Ask, ClaimError, Claimed, Claims, Given, Gone, OnNode, Owned};
use agent::{Cluster, Config, Engine, Found, Limits, PodKey, PodView, Runtime, Sandbox, Setup, Store};
use anyhow::{Context, Result, ensure};
use api::kinds::{Network, Subnet};
use api::{Event, Nad, NadSource, NetworkRef};
use cni::Request;
use host::pod_vlan::ALIAS;
use kernel::{Address, Change, Link, Netlink, SetLink};
use serde_json::{Value, json};

use super::Check;
use crate::site::{CABLE, Site, link, make_vlan};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "pod-vlan/links come with pods and go with the last and its network", run: on_demand },
    Check { name: "pod-vlan/an operator's link is used and stays", run: operators },
    Check { name: "pod-vlan/what an agent left is taken away at its start", run: left_over },
    Check { name: "pod-vlan/a link with an address or declared stays", run: in_use },
];

/// Networks named after their VLANs, each a subnet 10.VLAN.0.0/24.
#[derive(Default)]
struct World {
    networks: Mutex<BTreeSet<u16>>,
}

impl World {
    fn networks(&self) -> MutexGuard<'_, BTreeSet<u16>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The networks that there are now. They are all on the node's `eth0`.
    fn has<const N: usize>(&self, networks: [u16; N]) {
        *self.networks() = networks.into();
    }
}

/// `lan10` → 10.
fn id_of(network: &str) -> Option<u16> {
    network.strip_prefix("lan")?.parse().ok()
}

fn object<T: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> Result<T, ClaimError> {
    let object = json!({
        "apiVersion": "llano.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    serde_json::from_value(object)
        .map_err(|error| ClaimError::Unreachable { name: name.to_owned(), reason: error.to_string() })
}

impl Claims for World {
    fn claim(&self, ask: &Ask<'_>, _: Instant) -> Result<Claimed, ClaimError> {
        let id = id_of(ask.network).ok_or_else(|| ClaimError::NoNetwork(ask.network.to_owned()))?;
        let spec = json!({"network": ask.network, "cidr": format!("10.{id}.0.0/24")});
        let subnet = Subnet::parse(&object("MacvlanSubnet", ask.network, &spec)?)?;
        let address = format!("10.{id}.0.5").parse().map_err(|_| ClaimError::NoPod)?;
        let mac = kernel::MacAddr::random().map_err(|error| ClaimError::NoMac(error.to_string()))?;
        let given = Given { address, subnet: Arc::new(subnet), kept: false };
        Ok(Claimed { addresses: vec![given], mac: Some(mac), new_mac: true })
    }

    fn release(&self, _: &Gone<'_>, _: Instant) -> Result<(), ClaimError> {
        Ok(())
    }

    fn let_go(&self, _: &Owned, _: Instant) -> Result<(), ClaimError> {
        Ok(())
    }

    fn quarantine(&self, _: &Owned, _: &str, _: Duration, _: Instant) -> Result<(), ClaimError> {
        Ok(())
    }

    fn owned(&self) -> Option<Vec<Owned>> {
        None
    }

    fn has(&self, _: &Owned) -> Option<bool> {
        None
    }

    fn on_node(&self, network: &str, _: Instant) -> Result<Option<OnNode>, ClaimError> {
        let id = id_of(network).filter(|id| self.networks().contains(id));
        let id = id.ok_or_else(|| ClaimError::NoNetwork(network.to_owned()))?;
        let spec = json!({"parent": "eth0", "vlan": id, "probe": false});
        let network = Network::parse(&object("MacvlanNetwork", network, &spec)?)?;
        Ok(Some(OnNode { network: Arc::new(network), parent: "eth0".to_owned() }))
    }

    fn vlans(&self) -> Option<BTreeSet<(String, u16)>> {
        Some(self.networks().iter().map(|id| ("eth0".to_owned(), *id)).collect())
    }

    fn waits_for(&self) -> Option<&'static str> {
        None
    }
}

impl Cluster for World {
    /// A pod's one network is in its name: `web-lan10`.
    fn pod(&self, key: &PodKey, _: Instant) -> agent::Result<Found> {
        let network = key.name.rsplit_once('-').map(|(_, network)| format!("shop/{network}"));
        Ok(Found::Pod(Arc::new(PodView {
            key: key.clone(),
            networks: None,
            default_network: network,
            status: None,
            host_network: false,
            is_static: false,
            addressing: agent::Addressing::default(),
        })))
    }

    fn pods(&self) -> Option<Vec<Arc<PodView>>> {
        Some(Vec::new())
    }

    fn definition(&self, network: &NetworkRef) -> api::Result<Arc<Nad>> {
        let (namespace, name) = (network.namespace(), network.name());
        let config =
            json!({"cniVersion": "1.0.0", "type": "macvlan", "ipam": {"type": "llano", "network": name}});
        let config = config.to_string();
        let labels = [(api::ROLE.to_owned(), "standalone".to_owned())].into();
        let source =
            NadSource { namespace, name, config: Some(&config), labels: Some(&labels), annotations: None };
        Nad::new(source).map(Arc::new)
    }

    fn definitions(&self) -> Option<Vec<NetworkRef>> {
        Some(Vec::new())
    }

    fn devices(&self, _: &PodKey, _: &str) -> api::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn write_status(&self, _: &PodKey, _: &str, _: Instant) -> agent::Result<()> {
        Ok(())
    }

    fn claims(&self) -> Option<&dyn Claims> {
        Some(self)
    }

    fn event(&self, _: &PodKey, _: Event) {}
}

struct NoRuntime;

impl Runtime for NoRuntime {
    fn sandboxes(&self) -> agent::Result<Vec<Sandbox>> {
        Err(agent::Error::Runtime { endpoint: "none".to_owned(), reason: "there is none".to_owned() })
    }
}

/// The host with an agent.
struct Node<'a> {
    site: &'a Site,
    world: Arc<World>,
    engine: Arc<Engine>,
}

/// Where the agent keeps its records, on the host.
const DIR: &str = "/run/pod-vlan";

impl<'a> Node<'a> {
    fn new(site: &'a Site) -> Result<Node<'a>> {
        let world = Arc::new(World::default());
        let engine = site.host()?.run_in(|| engine(Arc::clone(&world)))??;
        Ok(Node { site, world, engine })
    }

    /// The agent ended, and another is there.
    fn restart(self) -> Result<Node<'a>> {
        let Node { site, world, engine: old } = self;
        drop(Arc::into_inner(old).context("somebody works still")?);
        let engine = site.host()?.run_in(|| engine(Arc::clone(&world)))??;
        site.host()?.run_in(|| engine.reconcile())?;
        Ok(Node { site, world, engine })
    }

    /// A call for a pod of this name, whose namespace has the same name.
    fn call(&self, verb: &str, pod: &str) -> Result<()> {
        let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={pod};K8S_POD_UID=uid-{pod}");
        let netns = format!("/run/netns/{pod}");
        let variables = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", pod),
            ("CNI_NETNS", &netns),
            ("CNI_IFNAME", "eth0"),
            ("CNI_ARGS", &args),
            ("CNI_PATH", "/plugins"),
        ];
        // Every pod names its network itself.
        let config = r#"{"cniVersion":"1.1.0","name":"llano","type":"llano","clusterNetwork":"shop/lan10"}"#;
        let request = Request::from_texts(&variables, config)?;
        let reply = self.site.host()?.run_in(|| self.engine.call(&request))?;
        reply.answer.map(drop).with_context(|| format!("{verb} {pod}"))
    }

    /// The networks are others.
    fn networks<const N: usize>(&self, networks: [u16; N]) -> Result<()> {
        self.world.has(networks);
        self.site.host()?.run_in(|| self.engine.lans_changed())?;
        Ok(())
    }

    /// The VLANs' links on the host, by name.
    fn links(&self) -> Result<Vec<String>> {
        let links = Netlink::open_in(self.site.host()?.net())?.links()?;
        let mut names: Vec<String> =
            links.into_iter().filter(|link| link.kind.as_vlan().is_some()).map(|link| link.name).collect();
        names.sort();
        Ok(names)
    }

    fn link(&self, name: &str) -> Result<Link> {
        link(self.site.host()?.net(), name)
    }
}

fn engine(world: Arc<World>) -> Result<Arc<Engine>> {
    let dir = Path::new(DIR);
    std::fs::create_dir_all(dir)?;
    let setup = Setup {
        config: Config::default(),
        spool: dir.join("spool"),
        settings: dir.join("settings.json"),
        paths: attach::paths::Paths::default(),
        limits: Limits::default(),
    };
    Ok(Engine::new(Store::open(&dir.join("store"))?, world, Arc::new(NoRuntime), setup))
}

/// These VLAN links and no others.
fn expect(node: &Node<'_>, names: &[&str], when: &str) -> Result<()> {
    let links = node.links()?;
    ensure!(links == names, "{when}: {links:?}, expected {names:?}");
    Ok(())
}

fn on_demand() -> Result<()> {
    let site = Site::new(CABLE)?;
    let trunk = site.trunk()?.net();
    make_vlan(trunk, "eth0", 10, Some("10.10.0.1/24"))?;
    make_vlan(trunk, "eth0", 20, Some("10.20.0.1/24"))?;
    let node = Node::new(&site)?;
    node.networks([10, 20])?;
    let (a, b) = (site.pod("a-lan10")?, site.pod("b-lan20")?);
    expect(&node, &[], "before there is a pod")?;
    // The agent brings it up.
    let parent = node.link("eth0")?.index;
    Netlink::open_in(site.host()?.net())?.apply(&Change::SetLink { index: parent, set: SetLink::down() })?;
    node.call("ADD", "a-lan10")?;
    expect(&node, &["eth0.10"], "with a pod on one network")?;
    let made = node.link("eth0.10")?;
    ensure!(made.is_up() && made.alias.as_deref() == Some(ALIAS), "not as it should be: {made:?}");
    let addresses = Netlink::open_in(site.host()?.net())?.addresses(Some(made.index))?;
    ensure!(addresses.is_empty(), "the host is on the VLAN: {addresses:?}");
    node.call("ADD", "b-lan20")?;
    expect(&node, &["eth0.10", "eth0.20"], "with pods on both networks")?;
    a.reaches("10.10.0.1")?;
    b.reaches("10.20.0.1")?;
    a.does_not_reach("10.20.0.1")?;
    node.call("CHECK", "a-lan10")?;

    // As long as a network wants it, the next pod finds it.
    node.call("DEL", "a-lan10")?;
    expect(&node, &["eth0.10", "eth0.20"], "the networks are there")?;
    node.call("ADD", "a-lan10")?;
    ensure!(node.link("eth0.10")?.index == made.index, "it was made again");
    // As long as a pod is on it, the network's end changes nothing.
    node.networks([20])?;
    expect(&node, &["eth0.10", "eth0.20"], "the network is gone, its pod is not")?;
    a.reaches("10.10.0.1")?;
    node.call("DEL", "a-lan10")?;
    expect(&node, &["eth0.20"], "network and pod are gone")?;
    b.reaches("10.20.0.1")?;
    node.call("DEL", "b-lan20")?;
    node.networks([])?;
    expect(&node, &[], "both are gone")
}

fn operators() -> Result<()> {
    let site = Site::new(CABLE)?;
    let host = site.host()?.net();
    make_vlan(site.trunk()?.net(), "eth0", 30, Some("10.30.0.1/24"))?;
    let index = make_vlan(host, "eth0", 30, None)?;
    let mut netlink = Netlink::open_in(host)?;
    netlink.apply(&Change::SetLink { index, set: SetLink::down() })?;
    let renamed = SetLink { name: Some("warehouse".to_owned()), ..SetLink::default() };
    netlink.apply(&Change::SetLink { index, set: renamed })?;
    let node = Node::new(&site)?;
    node.networks([30])?;
    let pod = site.pod("c-lan30")?;
    node.call("ADD", "c-lan30")?;
    expect(&node, &["warehouse"], "with a pod")?;
    ensure!(node.link("warehouse")?.alias.is_none(), "it was marked as ours");
    pod.reaches("10.30.0.1")?;
    node.networks([])?;
    node.call("DEL", "c-lan30")?;
    let node = node.restart()?;
    expect(&node, &["warehouse"], "when nobody needs it")
}

fn left_over() -> Result<()> {
    let site = Site::new(CABLE)?;
    let node = Node::new(&site)?;
    node.networks([40, 50])?;
    let _pods = (site.pod("d-lan40")?, site.pod("e-lan50")?);
    node.call("ADD", "d-lan40")?;
    node.call("ADD", "e-lan50")?;
    node.call("DEL", "d-lan40")?;
    // The networks went while no agent was there.
    node.world.has([]);
    let node = node.restart()?;
    expect(&node, &["eth0.50"], "one has a pod still")?;
    node.call("DEL", "e-lan50")?;
    expect(&node, &[], "after the last DEL")
}

fn in_use() -> Result<()> {
    let site = Site::new(CABLE)?;
    let host = site.host()?;
    let node = Node::new(&site)?;
    node.networks([60, 70])?;
    let _pods = (site.pod("f-lan60")?, site.pod("g-lan70")?);
    node.call("ADD", "f-lan60")?;
    node.call("ADD", "g-lan70")?;
    let address: IpAddr = "10.60.0.9".parse()?;
    let address = Address::new(node.link("eth0.60")?.index, address.into());
    Netlink::open_in(host.net())?.apply(&Change::AddAddress(address.clone()))?;
    let declared =
        "interfaces: [ { name: eth0.70, type: vlan, state: up, vlan: { base-iface: eth0, id: 70 } } ]\n";
    host.run_in(|| {
        std::fs::create_dir_all("/etc/llano").and_then(|()| std::fs::write("/etc/llano/host.yaml", declared))
    })??;
    node.networks([])?;
    node.call("DEL", "f-lan60")?;
    node.call("DEL", "g-lan70")?;
    expect(&node, &["eth0.60", "eth0.70"], "somebody uses them")?;
    host.run_in(|| std::fs::remove_file("/etc/llano/host.yaml"))??;
    Netlink::open_in(host.net())?.apply(&Change::DeleteAddress(address))?;
    node.networks([])?;
    expect(&node, &[], "nobody does any more")
}
