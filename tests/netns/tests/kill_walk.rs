//! SIGKILL at every single system call of ADD and of DEL: afterwards one DEL, or one GC, leaves nothing behind,
//! and a new ADD works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::needless_pass_by_value)] // A test ends where it cannot go on.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use kernel::uapi::RT_TABLE_MAIN;
use kernel::{Netlink, RouteFilter};
use lab::{Host, Lab, LabSpec, Plugins};
use netns_tests::kill::{Call, calls};
use netns_tests::llano_plugins;
use serde_json::{Value, json};

const SPEC: &str = "
switches:
  lan: {}
hosts:
  host:
    interfaces:
      eth0: { switch: lan, addresses: [10.9.0.1/24, \"fd09::1/64\"] }
";

struct Walk<'a> {
    host: &'a Host,
    plugins: &'a Plugins,
    scratch: &'a Path,
    conf: Value,
}

impl Walk<'_> {
    fn env(&self, verb: &str, pod: &str) -> Vec<(&'static str, String)> {
        vec![
            ("CNI_COMMAND", verb.to_owned()),
            ("CNI_CONTAINERID", pod.to_owned()),
            ("CNI_NETNS", format!("/run/netns/{pod}")),
            ("CNI_IFNAME", "eth0".to_owned()),
            ("CNI_PATH", self.plugins.dir().display().to_string()),
        ]
    }

    /// Runs the plugin, through strace with `options` when there are any; the answer and how it ended.
    fn run(
        &self,
        verb: &str,
        pod: &str,
        conf: &Value,
        options: &[&str],
    ) -> (Value, std::process::ExitStatus) {
        let plugin = self.plugins.dir().join("macvlan");
        let mut command = if options.is_empty() {
            self.host.command(&plugin).unwrap()
        } else {
            let mut strace = self.host.command("strace").unwrap();
            strace.args(["-qq", "-o"]).arg(self.scratch.join("trace")).args(options).arg(&plugin);
            strace
        };
        command.envs(self.env(verb, pod)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A killed plugin reads nothing.
        let _ = child.stdin.take().unwrap().write_all(conf.to_string().as_bytes());
        let output = child.wait_with_output().unwrap();
        let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (answer, output.status)
    }

    fn must(&self, verb: &str, pod: &str, conf: &Value, when: &str) {
        let (answer, status) = self.run(verb, pod, conf, &[]);
        assert!(status.success(), "{verb} of {pod} {when}: {answer}");
    }

    /// Every call that a whole run makes, in order, but the `execve` that is strace's own.
    ///
    /// A run waits for what the kernel does in the background, and so may look a second time: of three runs the
    /// shortest count of each name is taken, which every run makes.
    fn trace(&self, pod: &str) -> [(&'static str, Vec<Call>); 2] {
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..3 {
            for (verb, runs) in ["ADD", "DEL"].iter().zip(&mut runs) {
                let (answer, status) = self.run(verb, pod, &self.conf, &["-s", "0"]);
                assert!(status.success(), "traced {verb}: {answer}");
                runs.push(calls(&fs::read_to_string(self.scratch.join("trace")).unwrap()));
            }
        }
        let [adds, dels] = runs.map(|runs| {
            let in_all = |call: &Call| runs.iter().all(|run| run.contains(call));
            runs[0].iter().filter(|call| in_all(call)).cloned().collect::<Vec<Call>>()
        });
        [("ADD", adds), ("DEL", dels)]
    }

    /// Kills the plugin as it enters `call`, and proves that it got there and no further. A run that ended before it came
    /// to that call is undone and tried again.
    fn kill_at(&self, verb: &str, pod: &str, call: &Call) {
        let inject = call.inject();
        for _ in 0..5 {
            let (_, status) = self.run(verb, pod, &self.conf, &["-s", "0", &inject[0], &inject[1]]);
            if call.killed(status, &fs::read_to_string(self.scratch.join("trace")).unwrap()) {
                return;
            }
            let again = if verb == "ADD" { "DEL" } else { "ADD" };
            self.must(again, pod, &self.conf, "to try the kill again");
        }
        panic!("{verb} never came to {call}");
    }

    fn gc(&self, valid: &[&str]) -> Value {
        let mut conf = self.conf.clone();
        conf["cniVersion"] = json!("1.1.0");
        let valid: Vec<Value> = valid.iter().map(|id| json!({"containerID": id, "ifname": "eth0"})).collect();
        conf["cni.dev/valid-attachments"] = Value::Array(valid);
        conf
    }

    /// What is there that should not be.
    fn leftovers(&self, pod: &str) -> Vec<String> {
        let mut found = Vec::new();
        let links = |net: &kernel::NetNs| Netlink::open_in(net).unwrap().links().unwrap();
        let pod = self.host.open_container(pod).unwrap();
        found.extend(
            links(pod.net())
                .iter()
                .filter(|link| link.name != "lo")
                .map(|link| format!("pod link {}", link.name)),
        );
        let known = ["lo", "eth0"];
        found.extend(
            links(self.host.net())
                .iter()
                .filter(|link| !known.contains(&link.name.as_str()))
                .map(|link| format!("host link {}", link.name)),
        );
        let mut socket = Netlink::open_in(self.host.net()).unwrap();
        let filter = RouteFilter { table: Some(RT_TABLE_MAIN), protocol: Some(76), ..RouteFilter::default() };
        found.extend(socket.routes(&filter).unwrap().iter().map(|route| format!("route {route:?}")));
        let files = self.host.command("find").unwrap().args(["/run", "-type", "f"]).output().unwrap();
        for file in String::from_utf8_lossy(&files.stdout).lines() {
            let name = file.rsplit('/').next().unwrap_or_default();
            let kept = name == "lock" || name.starts_with("last_reserved_ip.") || name.ends_with(".lock");
            let ours = file.starts_with("/run/llano/ipam/") || file.starts_with("/run/llano-dhcp/");
            if !kept && !ours && !file.starts_with("/run/netns/") {
                found.push(format!("file {file}"));
            }
        }
        found
    }

    /// Kills ADD and DEL at every call, and cleans up by DEL at even calls, by GC at odd ones.
    fn walk(&self) {
        self.host.container("traced").unwrap();
        let verbs = self.trace("traced");
        let [adds, dels] = [&verbs[0].1, &verbs[1].1].map(Vec::len);
        assert!(adds > 30 && dels > 20, "{adds} and {dels} calls are no whole run");
        for (verb, calls) in &verbs {
            for (number, call) in calls.iter().enumerate() {
                let pod = format!("{}{number}", verb.to_lowercase());
                let mut container = self.host.container(&pod).unwrap();
                let when = format!("after a kill of {verb} at {call}");
                if *verb == "DEL" {
                    self.must("ADD", &pod, &self.conf, "before the kill");
                }
                self.kill_at(verb, &pod, call);
                if number % 2 == 0 {
                    self.must("DEL", &pod, &self.conf, &when);
                } else {
                    self.must("GC", &pod, &self.gc(&[]), &when);
                    // GC is told of no namespace: the link goes with the pod's, as after a crash of the node's runtime.
                    container.delete().unwrap();
                    container = self.host.container(&pod).unwrap();
                }
                assert_eq!(self.leftovers(&pod), Vec::<String>::new(), "{when}");
                self.must("ADD", &pod, &self.conf, &when);
                self.must("DEL", &pod, &self.conf, &when);
                assert_eq!(self.leftovers(&pod), Vec::<String>::new(), "{when} and one more ADD and DEL");
                container.delete().unwrap();
            }
        }
        eprintln!("killed ADD at {adds} calls and DEL at {dels} calls");
    }
}

fn walk(conf: Value) {
    let plugins = llano_plugins();
    let lab = Lab::ephemeral(&LabSpec::parse(SPEC).unwrap()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    Walk { host: lab.host("host").unwrap(), plugins: &plugins, scratch: scratch.path(), conf }.walk();
}

fn dual_stack(extra: Value) -> Value {
    let mut conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "macvlan", "master": "eth0",
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/leases",
            "ranges": [
                [{"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.10", "rangeEnd": "10.9.0.20", "gateway": "10.9.0.1"}],
                [{"subnet": "fd09::/64", "rangeStart": "fd09::10", "rangeEnd": "fd09::20"}],
            ],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    });
    for (key, value) in extra.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

#[test]
fn macvlan_with_host_local() {
    walk(dual_stack(json!({})));
}

#[test]
fn macvlan_with_host_local_and_host_access() {
    walk(dual_stack(json!({"hostAccess": true})));
}

#[test]
fn macvlan_with_host_local_and_probe() {
    walk(dual_stack(json!({"probe": {"count": 1, "interval": 10}})));
}
