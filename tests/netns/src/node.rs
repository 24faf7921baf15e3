//! A node of a lab with an agent: its directory, its process, and what must not be left behind.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use kernel::uapi::RT_TABLE_MAIN;
use kernel::{NetNs, Netlink, RouteFilter};
use lab::{Host, Plugins};
use serde_json::{Value, json};

use crate::files::Files;

/// A host with a directory for its agent, whose program is `program`.
#[derive(Debug)]
pub struct AgentNode<'a> {
    /// The host.
    pub host: &'a Host,
    /// The agent's cluster.
    pub files: Files,
    program: PathBuf,
    dir: tempfile::TempDir,
}

/// An agent that serves.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// How often its threads have waited so far, each by its number: who sleeps all the time waits once.
    ///
    /// # Panics
    /// When it is gone.
    pub fn waits(&self) -> BTreeMap<String, String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let waits = |task: std::fs::DirEntry| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap();
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
            (task.file_name().into_string().unwrap(), line.unwrap().to_owned())
        };
        tasks.map(|task| waits(task.unwrap())).collect()
    }

    /// Kills it.
    ///
    /// # Panics
    /// When it is gone already.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it end by itself.
    ///
    /// # Panics
    /// When it fails.
    pub fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl<'a> AgentNode<'a> {
    /// A node without attachments.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(host: &'a Host, program: &str) -> AgentNode<'a> {
        crate::require_root();
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path());
        AgentNode { host, files, program: program.into(), dir }
    }

    /// The agent's directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A pod of the cluster that asks for these networks, and its container in the namespace of that name.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn pod(&self, name: &str, container: &str, networks: &str) {
        self.files.put_pod(name, networks, "");
        self.host.container(container).unwrap();
    }

    /// A macvlan network with addresses of its own on the host's `eth0`, as a definition.
    pub fn macvlan(&self, name: &str, subnet: &str, role: Option<&str>, extra: &Value) {
        let mut conf = json!({
            "cniVersion": "1.1.0", "type": "macvlan", "master": "eth0",
            "ipam": {"type": "host-local", "dataDir": "/run/leases", "ranges": [[{"subnet": subnet}]]},
        });
        for (key, value) in extra.as_object().unwrap() {
            conf[key] = value.clone();
        }
        self.files.put_definition(name, role, &conf);
    }

    /// Starts the agent and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn serve(&self) -> Running {
        let mut command = self.host.command(&self.program).unwrap();
        command.arg(self.dir()).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Running { child }
    }

    /// Runs the agent for one thing.
    ///
    /// # Panics
    /// When that fails.
    pub fn run(&self, args: &[&str]) {
        let status = self.host.command(&self.program).unwrap().arg(self.dir()).args(args).status().unwrap();
        assert!(status.success(), "{args:?}: {status}");
    }

    /// The same through `strace` with these options; it may be killed.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn traced(&self, args: &[&str], strace: &[&str], trace: &Path) -> std::process::ExitStatus {
        let mut command = self.host.command("strace").unwrap();
        command.args(["-qq", "-o"]).arg(trace).args(strace).arg(&self.program).arg(self.dir()).args(args);
        command.stderr(Stdio::null()).status().unwrap()
    }

    /// The call of a verb for a pod, as `test-agent call` and the socket take it. Its container is in the namespace of the same name.
    pub fn body(&self, verb: &str, pod: &str, container: &str) -> String {
        let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={pod};K8S_POD_UID=uid-{pod}");
        json!({
            "verb": verb, "containerID": container, "netns": format!("/run/netns/{container}"), "ifname": "eth0",
            "args": args, "path": "/nowhere", "config": self.conf(),
        })
        .to_string()
    }

    /// The configuration of `type: llano`.
    pub fn conf(&self) -> Value {
        json!({
            "cniVersion": "1.1.0", "name": "llano", "type": "llano", "clusterNetwork": "shop/lan",
            "multusNamespace": "shop", "dataDirs": ["/run/leases"], "socket": self.dir().join("agent.sock"), "spoolDir": self.dir().join("spool"),
        })
    }

    /// Serves one call in a process of its own, through `strace` with these options if there are any.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn call(&self, body: &str, strace: &[&str], trace: &Path) -> (Value, std::process::ExitStatus) {
        let mut command = if strace.is_empty() {
            self.host.command(&self.program).unwrap()
        } else {
            let mut command = self.host.command("strace").unwrap();
            command.args(["-qq", "-o"]).arg(trace).args(strace).arg(&self.program);
            command
        };
        command.arg(self.dir()).arg("call");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // Who is killed reads nothing.
        let _ = child.stdin.take().unwrap().write_all(body.as_bytes());
        let output = child.wait_with_output().unwrap();
        (serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), output.status)
    }

    /// Calls the plugin `llano` as a runtime does.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn plugin(&self, plugins: &Plugins, verb: &str, pod: &str, container: &str) -> Result<Value, Value> {
        let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={pod};K8S_POD_UID=uid-{pod}");
        let mut command = self.host.command(plugins.dir().join("llano")).unwrap();
        command
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", container)
            .env("CNI_NETNS", format!("/run/netns/{container}"))
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", args)
            .env("CNI_PATH", plugins.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(self.conf().to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        if output.status.success() { Ok(answer) } else { Err(answer) }
    }

    /// What is on the host and in these containers that should not be.
    ///
    /// # Panics
    /// When it cannot be looked at.
    pub fn leftovers(&self, containers: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        let links = |net: &NetNs| Netlink::open_in(net).unwrap().links().unwrap();
        for name in containers {
            let container = self.host.open_container(name).unwrap();
            let extra = links(container.net()).into_iter().filter(|link| link.name != "lo");
            found.extend(extra.map(|link| format!("link {} in {name}", link.name)));
        }
        let extra = links(self.host.net()).into_iter().filter(|link| !["lo", "eth0"].contains(&&*link.name));
        found.extend(extra.map(|link| format!("link {} on the host", link.name)));
        let filter = RouteFilter { table: Some(RT_TABLE_MAIN), protocol: Some(76), ..RouteFilter::default() };
        let routes = Netlink::open_in(self.host.net()).unwrap().routes(&filter).unwrap();
        found.extend(routes.iter().map(|route| format!("route {:?}", route.dst)));
        let files = self.host.command("find").unwrap().args(["/run/leases", "-type", "f"]).output().unwrap();
        for file in String::from_utf8_lossy(&files.stdout).lines() {
            let name = file.rsplit('/').next().unwrap_or_default();
            if name != "lock" && !name.starts_with("last_reserved_ip.") {
                found.push(format!("lease {file}"));
            }
        }
        let store = agent::Store::open(&self.dir().join("store")).unwrap();
        let records = store.all().unwrap();
        found.extend(records.into_iter().map(|record| format!("record {:?}", record.unwrap().pod)));
        found
    }
}
