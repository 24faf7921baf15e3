//! Pods to work on, and the calls that do it.

use std::path::PathBuf;

use lab::{Call, Container, Ephemeral, Host, Plugins};
use netns_tests::{llano_plugins, reference_plugins};
use serde_json::{Value, json};

const SPEC: &str = "
switches:
  lan: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.1/24] }
";

/// A host with nothing on it.
pub(crate) fn lab() -> Ephemeral {
    netns_tests::up(SPEC)
}

/// Ours and the reference's, each with a name for messages.
pub(crate) fn both() -> [(&'static str, Plugins); 2] {
    [("llano", llano()), ("reference", reference())]
}

/// Ours.
pub(crate) fn llano() -> Plugins {
    llano_plugins()
}

/// Those in `CNI_REFERENCE_DIR`, to compare with another version, else Debian's.
pub(crate) fn reference() -> Plugins {
    std::env::var_os("CNI_REFERENCE_DIR")
        .map_or_else(reference_plugins, |dir| Plugins::at(PathBuf::from(dir)))
}

/// [`both`], without a reference so old that its binary does not hold the name of a feature.
pub(crate) fn both_with(kind: &str, feature: &str) -> Vec<(&'static str, Plugins)> {
    let knows = |plugins: &Plugins| {
        let binary = std::fs::read(plugins.dir().join(kind)).unwrap();
        binary.windows(feature.len()).any(|window| window == feature.as_bytes())
    };
    both().into_iter().filter(|(name, plugins)| *name == "llano" || knows(plugins)).collect()
}

/// One line of a shell in the pod; what it prints.
pub(crate) fn shell(pod: &Container<'_>, line: &str) -> String {
    let output = pod.command("sh").unwrap().args(["-c", line]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// One line of a shell on the host; what it prints.
pub(crate) fn host_shell(host: &Host, line: &str) -> String {
    let output = host.command("sh").unwrap().args(["-c", line]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// A pod whose eth0 is a macvlan on the host's eth0, down, without addresses.
pub(crate) fn macvlan_pod<'a>(host: &'a Host, name: &str, mac: u8) -> Container<'a> {
    let pod = host.container(name).unwrap();
    host_shell(
        host,
        &format!(
            "ip link add tmp{mac} link eth0 address 02:00:00:00:00:{mac:02x} type macvlan mode bridge \
             && ip link set tmp{mac} netns {name}"
        ),
    );
    shell(&pod, &format!("ip link set tmp{mac} name eth0"));
    pod
}

/// Takes a pod away, its link first: a namespace's own end comes some time later, and the next pod has the same MAC.
pub(crate) fn remove(pod: &Container<'_>) {
    shell(pod, "ip link del eth0");
    host_shell(pod.host(), &format!("ip netns del {}", pod.name()));
}

/// The result of the plugin before us in a chain, with these addresses on eth0.
pub(crate) fn previous(pod: &Container<'_>, version: &str, ips: &[(&str, Option<&str>)]) -> Value {
    let ips: Vec<Value> = ips
        .iter()
        .map(|(address, gateway)| {
            let mut ip = json!({"address": address, "interface": 0});
            if let Some(gateway) = gateway {
                ip["gateway"] = json!(gateway);
            }
            if version.starts_with("0.") {
                ip["version"] = json!(if address.contains(':') { "6" } else { "4" });
            }
            ip
        })
        .collect();
    let mac = shell(pod, "ip -br link show eth0 | awk '{print $3}'");
    json!({
        "cniVersion": version,
        "interfaces": [{"name": "eth0", "mac": mac.trim(), "sandbox": pod.path()}],
        "ips": ips,
        "routes": [],
        "dns": {},
    })
}

/// A configuration of `kind` with `keys` and the previous result.
pub(crate) fn config(kind: &str, version: &str, keys: Value, previous: &Value) -> Value {
    let mut config = json!({"cniVersion": version, "name": "net", "type": kind});
    if let (Some(object), Value::Object(keys)) = (config.as_object_mut(), keys) {
        object.extend(keys);
    }
    if !previous.is_null() {
        config["prevResult"] = previous.clone();
    }
    config
}

/// A call for eth0 of the pod.
pub(crate) fn call<'a>(pod: &'a Container<'a>) -> Call<'a> {
    Call { container: pod, ifname: "eth0", id: pod.name(), args: "" }
}

/// The code and the message of a call that must fail.
pub(crate) fn refused(
    plugins: &Plugins,
    verb: &'static str,
    config: &Value,
    call: &Call<'_>,
) -> (u64, String) {
    match plugins.run(verb, config, call) {
        Err(lab::Error::Plugin { code, msg, details, .. }) => {
            (code, format!("{msg} {}", details.unwrap_or_default()))
        }
        other => panic!("{verb} {config}: expected an error, got {other:?}"),
    }
}

/// The result with the names that differ between two pods replaced, and without a `dns` that says nothing, which only
/// old versions of the reference print.
pub(crate) fn anonymous(result: &Value, pod: &Container<'_>) -> Value {
    let text = result.to_string().replace(&format!("/run/netns/{}\"", pod.name()), "/run/netns/POD\"");
    let mut result: Value = serde_json::from_str(&text).unwrap();
    result.as_object_mut().unwrap().retain(|key, value| key != "dns" || *value != json!({}));
    result
}

/// A file to be a plugin's standard input.
pub(crate) fn stdin_file(config: &Value) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config.to_string()).unwrap();
    file
}
