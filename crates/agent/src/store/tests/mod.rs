//! The store against the clock, the power switch and itself.

mod answers;
mod damaged;
mod disk;
mod killed;
mod power;
mod together;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{
    ClusterNetwork, DelegateCall, Lookup, Nad, NadSource, NetConfig, NetworkRef, Options, Sandbox, resolve,
};
use cni::json;
use cni::{CniResult, Version};

use super::{Pod, Store};

struct Definitions;

impl Lookup for Definitions {
    fn definition(&self, network: &NetworkRef) -> api::Result<Arc<Nad>> {
        let config = r#"{"cniVersion":"1.0.0","type":"macvlan","ipam":{"type":"static"}}"#;
        let (namespace, name) = (network.namespace(), network.name());
        Nad::new(NadSource { namespace, name, config: Some(config), ..NadSource::default() }).map(Arc::new)
    }

    fn configuration(&self, name: &str) -> api::Result<NetConfig> {
        panic!("{name}")
    }

    fn devices(&self, _: &str) -> api::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Calls of a pod on these networks, its first one before them.
fn calls(networks: &str) -> Vec<DelegateCall> {
    let cluster = NetConfig::parse(r#"{"cniVersion":"1.0.0","name":"cbr0","type":"bridge"}"#, None).unwrap();
    let options = Options::new(ClusterNetwork::Configuration(cluster));
    let pod =
        api::Pod { namespace: "ns", name: "p", uid: "u", networks: Some(networks), default_network: None };
    let sandbox = Sandbox { container_id: "c", ifname: "eth0", args: "", runtime_config: None };
    resolve(&pod, &sandbox, &options, &Definitions).unwrap().calls
}

fn pod(id: &str) -> Pod {
    Pod {
        container_id: id.to_owned(),
        namespace: "ns".to_owned(),
        name: format!("pod-{id}"),
        uid: "u".to_owned(),
        netns: Some("/run/netns/x".into()),
        ifname: "eth0".to_owned(),
        path: vec!["/opt/cni/bin".into()],
    }
}

fn result(address: &str) -> CniResult {
    let text = format!(
        r#"{{"interfaces":[{{"name":"eth0","mtu":1500}}],"ips":[{{"address":"{address}","interface":0}}]}}"#
    );
    CniResult::parse(&json::parse(text.as_bytes()).unwrap(), Version::V110).unwrap()
}

/// What is in the store, in a form to compare and to read: `p1: eth0=10.0.0.1/24 net1=? net2!why`.
fn dump(store: &Store) -> BTreeMap<String, String> {
    let records = store.all().unwrap().into_iter().map(|record| record.unwrap());
    let text = |record: &super::Record| {
        let mut text: Vec<String> = record.doomed.iter().map(|why| format!("!{why}")).collect();
        for attachment in &record.attachments {
            let made = attachment.result.as_ref().map_or("?".to_owned(), |r| r.ips[0].address.to_string());
            let doomed = attachment.doomed.as_ref().map(|why| format!("!{why}")).unwrap_or_default();
            text.push(format!("{}={made}{doomed}", attachment.call.ifname));
        }
        text.join(" ")
    };
    records.map(|record| (record.pod.container_id.clone(), text(&record))).collect()
}

/// A life of pods, step by step.
type Step = fn(&Store) -> crate::Result<bool>;
const STEPS: [Step; 14] = [
    |store| store.begin(&pod("p1"), &calls("a,b")),
    |store| {
        store.made(
            "p1",
            &[(0, &result("10.0.0.1/24")), (1, &result("10.1.0.1/24")), (2, &result("10.2.0.1/24"))],
        )
    },
    |store| store.begin(&pod("p2"), &calls("a")),
    |store| store.attach("p1", &calls("a,b,c")[3..]),
    |store| store.made("p1", &[(3, &result("10.3.0.1/24"))]),
    |store| store.doom("p1", Some(&[1]), "unplugged"),
    |store| store.gone("p1", &[1]),
    |store| store.made("p2", &[(0, &result("10.0.0.2/24")), (1, &result("10.1.0.2/24"))]),
    |store| store.doom("p1", None, "deleted"),
    |store| store.begin(&pod("p3"), &calls("")),
    |store| store.forget("p1"),
    |store| store.doom("p3", None, "failed"),
    |store| store.gone("p3", &[0]),
    |store| store.forget("p3"),
];
