//! Plans against a world in which things fail.

use api::sequence::{self, PluginCall};
use api::status::DeviceInfo;
use api::{Delegate, Device, Plan, RouteChange};
use cni::{CniResult, Error, Interface, IpConfig, Result, Verb};

use crate::support::{Cluster, pod};

/// Fails for the steps in `fails` (`ADD net1 macvlan`, `route net1`), and writes every step down.
#[derive(Default)]
struct World {
    fails: Vec<&'static str>,
    steps: Vec<String>,
}

impl World {
    fn step(&mut self, step: String) -> Result<()> {
        let fails = self.fails.contains(&step.as_str());
        self.steps.push(step.clone());
        if fails { Err(Error::io(step)) } else { Ok(()) }
    }
}

impl Delegate for World {
    fn run(&mut self, plugin: &PluginCall<'_>) -> Result<Option<CniResult>> {
        let prev = if plugin.config.contains("prevResult") { " prev" } else { "" };
        let (verb, ifname, kind) = (plugin.verb.as_str(), &plugin.call.ifname, plugin.kind);
        self.step(format!("{verb} {ifname} {kind}"))?;
        if let Some(last) = self.steps.last_mut() {
            last.push_str(prev);
        }
        if plugin.verb != Verb::Add {
            return Ok(None);
        }
        let name = ifname.to_string();
        Ok(Some(CniResult {
            interfaces: vec![Interface { name, sandbox: "/ns".to_owned(), ..Interface::default() }],
            ips: vec![IpConfig {
                address: "10.0.0.9/24".parse().unwrap(),
                gateway: None,
                interface: Some(0),
            }],
            ..CniResult::default()
        }))
    }

    fn change_default_route(&mut self, change: &RouteChange) -> Result<()> {
        self.step(format!("route {}", change.ifname))
    }

    fn device_info(&mut self, _: &Device) -> Option<DeviceInfo> {
        None
    }
}

fn plan(networks: &str) -> Plan {
    let chain = r#"{"cniVersion":"1.0.0","plugins":[{"type":"macvlan"},{"type":"tuning"}]}"#;
    Cluster::of(&[("a", chain), ("b", r#"{"cniVersion":"0.3.1","type":"vlan"}"#)]).plan(networks).unwrap()
}

#[test]
fn everything_is_made_in_order() {
    let mut world = World::default();
    let added = sequence::add(&plan("a,b"), &pod(""), &mut world).unwrap();
    assert_eq!(world.steps, ["ADD eth0 bridge", "ADD net1 macvlan", "ADD net1 tuning prev", "ADD net2 vlan"]);
    let events: Vec<&str> = added.events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(
        events,
        [
            "Add eth0 [10.0.0.9/24] from cbr0",
            "Add net1 [10.0.0.9/24] from default/a",
            "Add net2 [10.0.0.9/24] from default/b"
        ]
    );
    assert!(added.events.iter().all(|event| event.reason == "AddedInterface" && event.kind() == "Normal"));
    assert_eq!(added.results.len(), 3);
}

#[test]
fn the_middle_of_a_chain_fails_and_all_of_it_is_undone() {
    let mut world = World { fails: vec!["ADD net1 tuning"], ..World::default() };
    let failure = sequence::add(&plan("a,b"), &pod(""), &mut world).unwrap_err();
    assert_eq!(
        world.steps,
        [
            "ADD eth0 bridge",
            "ADD net1 macvlan",
            "ADD net1 tuning",
            "DEL net1 tuning",
            "DEL net1 macvlan",
            "DEL eth0 bridge prev"
        ]
    );
    assert_eq!((failure.position, failure.left.len(), failure.error.code()), (1, 0, 5));
}

#[test]
fn what_cannot_be_undone_is_told_and_stops_nothing() {
    let fails = vec!["ADD net2 vlan", "DEL net1 tuning", "DEL eth0 bridge"];
    let mut world = World { fails, ..World::default() };
    let failure = sequence::add(&plan("a,b"), &pod(""), &mut world).unwrap_err();
    let undone: Vec<&String> = world.steps.iter().filter(|step| step.starts_with("DEL")).collect();
    assert_eq!(undone.len(), 4, "{undone:?}");
    assert_eq!(failure.left.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn a_default_route_that_cannot_be_set_undoes_all() {
    let mut world = World { fails: vec!["route net1"], ..World::default() };
    let networks = r#"[{"name":"a","default-route":["10.0.0.1"]},{"name":"b"}]"#;
    sequence::add(&plan(networks), &pod(""), &mut world).unwrap_err();
    let undone: Vec<&str> =
        world.steps.iter().map(String::as_str).skip_while(|step| *step != "route net1").collect();
    assert_eq!(
        undone,
        [
            "route net1",
            "DEL net2 vlan",
            "DEL net1 tuning prev",
            "DEL net1 macvlan prev",
            "DEL eth0 bridge prev"
        ]
    );
}

#[test]
fn deletion_goes_on_to_the_end_with_the_results_its_versions_know() {
    let mut world = World { fails: vec!["DEL net1 tuning"], ..World::default() };
    let calls: Vec<_> =
        plan("a,b").calls.into_iter().map(|call| (call, Some(CniResult::default()))).collect();
    let left = sequence::del(&calls, &mut world);
    assert_eq!(
        world.steps,
        // 0.3.1 has no previous result on DEL. The failed step's note is the failure's.
        ["DEL net2 vlan", "DEL net1 tuning", "DEL net1 macvlan prev", "DEL eth0 bridge prev"]
    );
    assert_eq!(left.len(), 1);
}

#[test]
fn check_and_status_ask_those_that_know_them() {
    let mut world = World::default();
    for call in &plan("a,b").calls {
        sequence::check_one(call, &CniResult::default(), &mut world).unwrap();
        sequence::status_one(call, &mut world).unwrap();
    }
    assert_eq!(world.steps, ["CHECK eth0 bridge prev", "CHECK net1 macvlan prev", "CHECK net1 tuning prev"]);
}
