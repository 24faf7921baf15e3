//! Interfaces with addresses of the cluster. A plugin whose `ipam.type` is `llano` is run with the addresses that were claimed for
//! its interface, as `static` ones; nothing that the pod's owner wrote elsewhere can put others in their place.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use api::addresses::{AddressRequests, NamePattern};
use api::sequence::PluginCall;
use api::{DelegateCall, Event, IfName};
use cni::json::{self, Object, Value};
use cni::{CniResult, Verb};
use ipnet::IpNet;
use kernel::MacAddr;

use super::Arc;
use super::delegate::World;
use crate::PodView;
use crate::claims::{Ask, ClaimError, Claimed, Claims, Given, Gone, Owned};

/// What `ipam.type` is called.
pub(super) const KIND: &str = "llano";
/// So many addresses that others on the LAN use are replaced in one ADD.
const REPLACED: usize = 8;
/// How long such an address is nobody's, where the configuration does not say.
const QUARANTINE: Duration = Duration::from_secs(600);

/// The pod whose interfaces are made, and what it asks for.
pub(super) struct Claimant {
    pod: Arc<PodView>,
    requests: AddressRequests,
    until: Instant,
}

impl Claimant {
    /// What the pod asks for, read as a whole before anything is made. `calls`: all its interfaces.
    pub(super) fn of<'a>(
        pod: &Arc<PodView>,
        calls: impl Iterator<Item = &'a DelegateCall>,
        until: Instant,
    ) -> api::Result<Claimant> {
        let mut calls: Vec<&DelegateCall> = calls.filter(|call| network(call).is_some()).collect();
        calls.sort_by_key(|call| call.position);
        let interfaces: Vec<IfName> = calls.iter().map(|call| call.ifname.clone()).collect();
        let known = &pod.addressing.annotations;
        let annotation = |key: &str| known.iter().find(|(own, _)| *own == key).map(|(_, text)| text.as_str());
        let requests = AddressRequests::parse(annotation, &interfaces)?;
        Ok(Claimant { pod: Arc::clone(pod), requests, until })
    }

    /// What of it has no effect.
    pub(super) fn events(&self) -> impl Iterator<Item = Event> {
        self.requests.warnings().iter().map(api::addresses::Warning::event)
    }
}

/// The MacvlanNetwork of an interface that has its addresses from the cluster.
pub(super) fn network(call: &DelegateCall) -> Option<String> {
    let plugin = call.config.plugins().iter().find(|plugin| plugin.ipam() == Some(KIND))?;
    name_of(&plugin.root()).ok()
}

/// `ipam.network`. It becomes part of a claim's name.
fn name_of(root: &Object<'_>) -> cni::Result<String> {
    let allowed = "the name of a MacvlanNetwork";
    let Some(ipam) = root.object("ipam")? else { return Err(root.missing("ipam", allowed)) };
    let name = ipam.string("network")?.ok_or_else(|| ipam.missing("network", allowed))?;
    match NamePattern::name(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err(cni::Error::config("ipam.network", name, allowed)),
    }
}

/// Runs a plugin whose addresses are the cluster's.
pub(super) fn run(world: &mut World, plugin: &PluginCall<'_>) -> cni::Result<Option<CniResult>> {
    match plugin.verb {
        Verb::Add => add(world, plugin),
        Verb::Del => del(world, plugin),
        Verb::Check => check(world, plugin),
        Verb::Status => status(world, plugin),
        Verb::Gc | Verb::Version => world.run_plugin(&bare(plugin)?),
    }
}

fn add(world: &mut World, plugin: &PluginCall<'_>) -> cni::Result<Option<CniResult>> {
    let engine = Arc::clone(&world.engine);
    let claimant = world.claimant.clone();
    let (Some(claims), Some(claimant)) = (engine.cluster.claims(), claimant) else {
        return Err(ClaimError::NoPod.to_cni());
    };
    let config = json::parse(plugin.config.as_bytes())?;
    let root = Object::root(&config)?;
    let network = name_of(&root)?;
    let container_id = world.container_id.clone();
    let interface = &plugin.call.ifname;
    let request = claimant.requests.of(interface);
    let ask = Ask {
        network: &network,
        pod: &claimant.pod,
        container_id: &container_id,
        interface,
        request,
        mac: asked_mac(&root, &plugin.args),
        own_mac: root.text("mode")? != Some("passthru"),
    };
    let key = &claimant.pod.key;
    let default_route = match request.and_then(api::addresses::Request::default_route) {
        Some(wish) => Some(wish),
        // Without one nobody outside of the subnet could reach the pod; other interfaces have what their subnet says.
        None => (plugin.call.position == 0).then_some(true),
    };
    let mut conflicts = 0;
    // The interface's own MAC, when somebody has answered from it.
    let mut on_lan: Option<(MacAddr, cni::Error)> = None;
    loop {
        let claimed = claims.claim(&ask, claimant.until).map_err(|error| {
            engine.cluster.event(key, error.event());
            error.to_cni()
        })?;
        if let Some((_, answer)) = on_lan.take().filter(|(mac, _)| claimed.mac == Some(*mac)) {
            // Another address with the same MAC would not make that one its own.
            return Err(answer);
        }
        let call = with(plugin, &claimed, default_route)?;
        let answer = world.run_plugin(&call);
        let Some((given, error)) = answer.as_ref().err().and_then(|error| in_use(error, &claimed)) else {
            return answer;
        };
        if given.kept {
            // Another address is not what the pod is to have, and this one is nobody else's.
            let error = still_on_the_lan(given, claimed.mac, error);
            engine.cluster.event(key, Event::warning(api::event::ADDRESS_IN_USE, error.msg()));
            return Err(error);
        }
        let why = error.msg();
        engine.cluster.event(key, Event::warning(api::event::ADDRESS_IN_USE, why.clone()));
        let owned = owned(&network, given.address, &container_id, interface.as_str());
        let pause = quarantine_of(&root)?;
        claims.quarantine(&owned, &why, pause, claimant.until).map_err(|error| error.to_cni())?;
        conflicts += 1;
        if conflicts == REPLACED {
            return answer;
        }
        let own = words(&why).find(|mac: &MacAddr| Some(*mac) == claimed.mac);
        on_lan = own.zip(answer.err());
    }
}

/// The interface goes first: as long as it is there, its addresses are its own.
fn del(world: &mut World, plugin: &PluginCall<'_>) -> cni::Result<Option<CniResult>> {
    let config = json::parse(plugin.config.as_bytes())?;
    let network = name_of(&Object::root(&config)?);
    let made = world.request(plugin)?.prev_result().ok().flatten();
    world.run_plugin(&bare(plugin)?)?;
    let engine = Arc::clone(&world.engine);
    // Without a network nothing was claimed. Where no API server is asked, the controller finds what is left.
    let (Ok(network), Some(claims)) = (network, engine.cluster.claims()) else { return Ok(None) };
    let addresses: Vec<IpAddr> = made.iter().flat_map(|made| &made.ips).map(|ip| ip.address.addr()).collect();
    let gone = Gone {
        network: &network,
        container_id: &world.container_id,
        interface: plugin.call.ifname.as_str(),
        addresses: &addresses,
        used: made.is_some() || !world.unmade,
    };
    let until = Instant::now() + engine.setup.limits.del;
    claims.release(&gone, until).map(|()| None).map_err(|error| error.to_cni())
}

fn check(world: &mut World, plugin: &PluginCall<'_>) -> cni::Result<Option<CniResult>> {
    let config = json::parse(plugin.config.as_bytes())?;
    let network = name_of(&Object::root(&config)?)?;
    let promised = world.request(plugin)?.prev_result()?.unwrap_or_default();
    world.run_plugin(&bare(plugin)?)?;
    let interface = plugin.call.ifname.as_str();
    for ip in &promised.ips {
        let owned = owned(&network, ip.address.addr(), &world.container_id, interface);
        if world.engine.cluster.claims().and_then(|claims| claims.has(&owned)) == Some(false) {
            let text = format!("{} of network {network} is not claimed for {interface}", owned.address);
            return Err(cni::Error::plugin(attach::CODE_MISMATCH, text));
        }
    }
    Ok(None)
}

fn status(world: &mut World, plugin: &PluginCall<'_>) -> cni::Result<Option<CniResult>> {
    let engine = Arc::clone(&world.engine);
    match engine.cluster.claims().map(Claims::waits_for) {
        Some(None) => world.run_plugin(&bare(plugin)?),
        Some(Some(what)) => Err(cni::Error::unavailable(format!("the API server has not listed {what} yet"))),
        None => Err(cni::Error::unavailable("addresses of the cluster need its API server")),
    }
}

fn owned(network: &str, address: IpAddr, container_id: &str, interface: &str) -> Owned {
    let (container_id, interface) = (container_id.to_owned(), interface.to_owned());
    Owned { network: network.to_owned(), address, container_id, interface }
}

/// The same call without any address: what DEL and CHECK need is in the previous result.
fn bare<'a>(plugin: &PluginCall<'a>) -> cni::Result<PluginCall<'a>> {
    let mut config = stripped(plugin)?;
    config.set("ipam", Value::object([("type", "static".into())]));
    Ok(PluginCall { args: stripped_args(&plugin.args), config: config.to_compact(), ..*plugin })
}

/// The same call with what was claimed.
fn with<'a>(
    plugin: &PluginCall<'a>,
    claimed: &Claimed,
    default_route: Option<bool>,
) -> cni::Result<PluginCall<'a>> {
    let mut config = stripped(plugin)?;
    config.set("ipam", ipam(claimed, default_route));
    if let Some(mac) = claimed.mac {
        put(&mut config, "mac", mac.to_string().into());
    }
    if claimed.new_mac {
        let switch = |(key, _): &&mut (String, Value)| key.eq_ignore_ascii_case("probe");
        if let Value::Object(members) = &mut config
            && let Some((_, probe)) = members.iter_mut().find(switch)
        {
            ask_as_itself(probe);
        }
    }
    Ok(PluginCall { args: stripped_args(&plugin.args), config: config.to_compact(), ..*plugin })
}

/// The configuration without any of the places from which `static` and the plugins take addresses, and those of a MAC that comes
/// before the configuration's own.
fn stripped(plugin: &PluginCall<'_>) -> cni::Result<Value> {
    let mut config = json::parse(plugin.config.as_bytes())?;
    within(&mut config, "runtimeConfig", &mut |runtime| {
        remove(runtime, "ips");
        remove(runtime, "mac");
    });
    within(&mut config, "args", &mut |args| within(args, "cni", &mut |cni| remove(cni, "ips")));
    remove(&mut config, "ipam");
    Ok(config)
}

/// `CNI_ARGS` without addresses.
fn stripped_args(args: &str) -> String {
    let keeps = |pair: &&str| !matches!(pair.split('=').next(), Some("IP" | "GATEWAY" | "MAC"));
    let pairs: Vec<&str> = args.split(';').filter(keeps).collect();
    pairs.join(";")
}

/// Changes each member of this name, which is read without regard to case.
fn within(value: &mut Value, key: &str, change: &mut dyn FnMut(&mut Value)) {
    if let Value::Object(members) = value {
        let named = members.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case(key));
        named.for_each(|(_, value)| change(value));
    }
}

fn remove(value: &mut Value, key: &str) {
    if let Value::Object(members) = value {
        members.retain(|(name, _)| !name.eq_ignore_ascii_case(key));
    }
}

/// Nobody has the interface's MAC: unless the configuration says otherwise it asks the LAN from it, which saves the ADD from
/// changing it.
fn ask_as_itself(probe: &mut Value) {
    const KEY: &str = "temporaryMac";
    if *probe == Value::Bool(true) {
        *probe = Value::object([]);
    }
    if let Value::Object(members) = probe
        && !members.iter().any(|(key, _)| key.eq_ignore_ascii_case(KEY))
    {
        probe.set(KEY, false.into());
    }
}

fn put(value: &mut Value, key: &str, member: Value) {
    remove(value, key);
    value.set(key, member);
}

/// `ipam` with what was claimed.
fn ipam(claimed: &Claimed, default_route: Option<bool>) -> Value {
    let given = &claimed.addresses;
    let addresses = given.iter().map(|Given { address, subnet, .. }| {
        let mut value =
            Value::object([("address", format!("{address}/{}", subnet.cidr.prefix_len()).into())]);
        if let Some(gateway) = subnet.gateway {
            value.set("gateway", gateway.to_string().into());
        }
        value
    });
    let routes = given.iter().flat_map(|given| routes(given, default_route));
    let routes = routes.map(|(dst, gateway)| {
        let mut value = Value::object([("dst", dst.to_string().into())]);
        if let Some(gateway) = gateway {
            value.set("gw", gateway.to_string().into());
        }
        value
    });
    let mut value = Value::object([
        ("type", "static".into()),
        ("addresses", Value::Array(addresses.collect())),
        ("routes", Value::Array(routes.collect())),
    ]);
    if let Some(dns) = given.iter().map(|given| &given.subnet.dns).find(|dns| !dns.is_empty()) {
        let list = |texts: &[String]| Value::Array(texts.iter().map(|text| text.as_str().into()).collect());
        let mut object = Value::object([
            ("nameservers", list(&dns.nameservers)),
            ("search", list(&dns.search)),
            ("options", list(&dns.options)),
        ]);
        if !dns.domain.is_empty() {
            object.set("domain", dns.domain.as_str().into());
        }
        value.set("dns", object);
    }
    value
}

/// The subnet's routes, with a default route where one is wanted and the subnet has a gateway, without one where none is.
fn routes(given: &Given, default_route: Option<bool>) -> Vec<(IpNet, Option<IpAddr>)> {
    let subnet = &given.subnet;
    let mut routes: Vec<_> = subnet.routes.iter().map(|route| (route.dst, route.gateway)).collect();
    let has_default = routes.iter().any(|(dst, _)| dst.prefix_len() == 0);
    match (default_route, subnet.gateway) {
        (Some(false), _) => routes.retain(|(dst, _)| dst.prefix_len() != 0),
        (Some(true), Some(gateway)) if !has_default => {
            let everywhere = match gateway {
                IpAddr::V4(_) => IpNet::from(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
                IpAddr::V6(_) => IpNet::from(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)),
            };
            if let Ok(everywhere) = IpNet::new(everywhere.addr(), 0) {
                routes.push((everywhere, Some(gateway)));
            }
        }
        _ => {}
    }
    routes
}

/// The MAC that the runtime, `CNI_ARGS` or the configuration asks for, in macvlan's order. One that cannot be read is none here:
/// the plugin refuses it.
fn asked_mac(root: &Object<'_>, args: &str) -> Option<MacAddr> {
    let runtime = root.object("runtimeConfig").ok().flatten();
    let from_runtime = runtime.and_then(|runtime| runtime.text("mac").ok().flatten());
    let from_args = args.split(';').find_map(|pair| pair.strip_prefix("MAC="));
    let from_config = root.text("mac").ok().flatten();
    let text = from_runtime.or(from_args.filter(|text| !text.is_empty())).or(from_config)?;
    text.parse().ok().filter(|mac: &MacAddr| !mac.is_multicast() && !mac.is_zero())
}

/// Which of the claimed addresses somebody else on the LAN uses, as the plugin says.
fn in_use<'c, 'e>(error: &'e cni::Error, claimed: &'c Claimed) -> Option<(&'c Given, &'e cni::Error)> {
    if error.code() != attach::CODE_ADDRESS_IN_USE {
        return None;
    }
    let text = error.msg();
    let mut words = words::<IpAddr>(&text);
    let ours = |address: IpAddr| claimed.addresses.iter().find(|given| given.address == address);
    words.find_map(ours).map(|given| (given, error))
}

/// The error of an address that is kept for the pod, as the plugin's: who still answers for it, and what to do about it.
fn still_on_the_lan(given: &Given, mac: Option<MacAddr>, error: &cni::Error) -> cni::Error {
    let (address, text) = (given.address, error.msg());
    let holder = words::<MacAddr>(&text).next();
    let who = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
    let what = if holder.is_some() && holder == mac {
        "the MAC that is kept with it: the interface that had both before is still on the LAN. Wait until its node has taken it away, or \
         power that node off"
    } else {
        "which is not the MAC that is kept with it: an interface that had it before, or another machine. Take that off the LAN; the pod \
         gets no other address"
    };
    let text = format!("address {address} is kept for this pod and in use on the LAN{who}, {what}");
    cni::Error::plugin(attach::CODE_ADDRESS_IN_USE, text)
}

/// What of a text is such a thing.
fn words<T: std::str::FromStr>(text: &str) -> impl Iterator<Item = T> {
    text.split_whitespace().filter_map(|word| word.trim_end_matches(',').parse().ok())
}

/// `probe.quarantine` in seconds.
fn quarantine_of(root: &Object<'_>) -> cni::Result<Duration> {
    let probe = root.get("probe").and_then(|probe| probe.object().ok());
    let seconds = probe.map_or(Ok(None), |probe| probe.u32_in("quarantine", 1..=86_400))?;
    Ok(seconds.map_or(QUARANTINE, |seconds| Duration::from_secs(u64::from(seconds))))
}
