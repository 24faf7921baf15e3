//! A pod's networks annotation: any text is read or refused in words that name it, and what is read survives its record and
//! comes to a plan whose interface names are different.
#![no_main]

use std::sync::Arc;

use api::status::{DeviceInfo, Statuses};
use api::{
    ClusterNetwork, DelegateCall, Error, Lookup, NETWORKS, Nad, NadSource, NetConfig, NetworkRef, Options,
    Pod, Sandbox, Selection, Selections, hotplug, resolve,
};
use cni::json;
use libfuzzer_sys::fuzz_target;

struct Anything;

impl Lookup for Anything {
    fn definition(&self, network: &NetworkRef) -> api::Result<Arc<Nad>> {
        let config = r#"{"cniVersion":"1.0.0","type":"ovs","capabilities":{"ips":true,"mac":true,"portMappings":true,
            "bandwidth":true,"deviceID":true,"infinibandGUID":true}}"#;
        let (namespace, name) = (network.namespace(), network.name());
        Nad::new(NadSource { namespace, name, config: Some(config), ..NadSource::default() }).map(Arc::new)
    }

    fn configuration(&self, name: &str) -> api::Result<NetConfig> {
        Err(Error::Configuration { origin: name.to_owned(), problem: String::new() })
    }

    fn devices(&self, _: &str) -> api::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

fuzz_target!(|text: &str| {
    let _ = Selections::parse_default(text, "kube-system");
    // The other annotation, and what plugins tell of devices.
    if let Ok(statuses) = Statuses::parse(text) {
        assert!(statuses.elements().iter().all(|status| status.name.len() <= text.len()));
        let again = Statuses::parse(&statuses.to_annotation()).expect("a status is read again");
        assert_eq!(again.elements(), statuses.elements());
    }
    let _ = DeviceInfo::parse(text.as_bytes());
    let selections = match Selections::parse(text, "pods") {
        Ok(selections) => selections,
        Err(error) => {
            assert!(error.to_string().contains(NETWORKS) && error.event().message.len() <= 1024);
            return;
        }
    };
    for selection in &selections.elements {
        let value = json::parse(selection.to_value().to_compact().as_bytes()).expect("a record is JSON");
        assert_eq!(&Selection::from_value(&value).expect("a record is read"), selection);
    }
    let cluster = NetConfig::parse(r#"{"name":"c","type":"flannel"}"#, None).expect("a configuration");
    let options = Options::new(ClusterNetwork::Configuration(cluster));
    let pod = Pod { namespace: "pods", name: "p", uid: "u", networks: Some(text), default_network: None };
    let sandbox = Sandbox { container_id: "c", ifname: "eth0", args: text, runtime_config: None };
    let Ok(plan) = resolve(&pod, &sandbox, &options, &Anything) else { return };
    assert_eq!(plan.calls.len(), selections.elements.len() + 1);
    for (at, call) in plan.calls.iter().enumerate() {
        assert!(plan.calls[..at].iter().all(|other| other.ifname != call.ifname));
        let value = json::parse(call.to_value().to_compact().as_bytes()).expect("a record is JSON");
        assert_eq!(DelegateCall::from_value(&value).expect("a record is read").to_value(), call.to_value());
    }
    let asks =
        |call: &DelegateCall| call.selection.as_ref().is_some_and(|asked| asked.default_route.is_some());
    if !plan.calls.iter().any(asks) {
        let change = hotplug::change(&plan.calls, &pod, &sandbox, &options, &Anything);
        assert!(change.expect("the same annotation").is_empty());
    }
});
