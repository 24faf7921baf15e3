//! `loopback`.

use serde_json::{Value, json};

use crate::support::{anonymous, both, call, config, host_shell, lab, llano, macvlan_pod, refused, shell};

#[test]
fn both_show_the_same_loopback() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    for version in ["0.2.0", "0.3.1", "0.4.0", "1.0.0"] {
        let shown: Vec<Value> = both()
            .iter()
            .map(|(name, plugins)| {
                let pod = host.container(&format!("{name}-{version}")).unwrap();
                shell(&pod, "ip link set lo down");
                let config = config("loopback", version, json!({}), &Value::Null);
                let result = plugins.run("ADD", &config, &call(&pod)).unwrap();
                assert!(shell(&pod, "ip link show lo").contains(",UP"), "{name}");
                if version >= "0.4.0" {
                    plugins.run("CHECK", &config, &call(&pod)).unwrap();
                }
                plugins.run("DEL", &config, &call(&pod)).unwrap();
                assert!(!shell(&pod, "ip link show lo").contains(",UP"), "{name}");
                anonymous(&result, &pod)
            })
            .collect();
        if version < "1.0.0" {
            // The reference labels a result of 1.0.0 with the older version, whose form is another.
            assert_ne!(shown[0], shown[1], "{version}");
            match version {
                "0.2.0" => assert_eq!(shown[0]["ip4"]["ip"], "127.0.0.1/8"),
                _ => assert_eq!(shown[0]["ips"][0]["version"], "4"),
            }
        } else {
            assert_eq!(shown[0], shown[1], "{version}");
        }
    }
}

#[test]
fn a_previous_result_passes_through() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let previous = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0", "sandbox": "/x", "mac": "02:00:00:00:00:01"}],
        "ips": [{"address": "10.1.2.3/24", "gateway": "10.1.2.1", "interface": 0}],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {"nameservers": ["10.1.2.1"]},
    });
    let shown: Vec<Value> = both()
        .iter()
        .map(|(name, plugins)| {
            let pod = host.container(name).unwrap();
            plugins.run("ADD", &config("loopback", "1.0.0", json!({}), &previous), &call(&pod)).unwrap()
        })
        .collect();
    assert_eq!(shown[0], previous);
    assert_eq!(shown[0], shown[1]);
}

#[test]
fn a_pod_that_is_gone_is_no_error_for_del_alone() {
    let lab = lab();
    let host = lab.host("host").unwrap();
    let pod = host.container("gone").unwrap();
    let config = config("loopback", "1.0.0", json!({}), &Value::Null);
    host_shell(host, "ip netns del gone");
    llano().run("DEL", &config, &call(&pod)).unwrap();
    for verb in ["ADD", "CHECK"] {
        let (_, text) = refused(&llano(), verb, &config, &call(&pod));
        assert!(text.contains("/run/netns/gone"), "{verb}: {text}");
    }
}

#[test]
fn check_sees_that_it_is_down_and_add_that_it_is_not_a_loopback() {
    let lab = lab();
    let pod = macvlan_pod(lab.host("host").unwrap(), "pod", 1);
    let config = config("loopback", "1.0.0", json!({}), &Value::Null);
    shell(&pod, "ip link set lo down");
    let (_, text) = refused(&llano(), "CHECK", &config, &call(&pod));
    assert!(text.contains("loopback interface is down"), "{text}");
    shell(&pod, "ip address add 10.1.2.3/24 dev lo");
    let (_, text) = refused(&llano(), "ADD", &config, &call(&pod));
    assert!(text.contains("non-loopback address 10.1.2.3"), "{text}");
}
