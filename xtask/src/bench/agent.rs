//! Pods by way of the agent: the plugin asks, the engine makes all of a pod's interfaces. The cluster is a directory of files, so
//! that the API server's time is in no figure; the figures with an API server are made by `agent-bench` of the cluster's tests.

use super::peers::container_id;
use super::process::Prepared;
use super::report::{Budget, Figure, Limit, Scenario, Unit};
use super::samples::Samples;
use super::site::{PARENT, Site, Storage};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const AGENT: &str = "plugin and agent";
const FLOOR: &str = "floor: one process, kernel calls only";

/// The programs.
pub(super) struct Programs {
    /// A directory with `llano`.
    pub(super) plugins: PathBuf,
    pub(super) agent: PathBuf,
    pub(super) floor: PathBuf,
}

/// An agent that serves, ended when it is dropped.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Pods with one and with three macvlans, with everything in memory and with store and leases on the disk.
pub(super) fn measure(site: &Site, programs: &Programs, rounds: usize) -> Result<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    let mut number = 0;
    for storage in [Storage::Run, Storage::Disk] {
        let dir = site.data_dir(storage, "agent")?;
        describe(&dir, &site.data_dir(storage, "leases")?)?;
        let agent = start(&programs.agent, &dir)?;
        // As on every node that has pods: what they share, such as the shim of host access, is there.
        let pod = site.pod(&format!("standing-{}", storage.name()))?;
        let floors = site.data_dir(storage, "floor-standing")?;
        number += 1;
        Place { programs, dir: &dir, pod: &pod, floors: &floors, macvlans: 3 }
            .plugin("ADD", number)?
            .run()?;
        for macvlans in [1, 3] {
            let pod = site.pod(&format!("agent-{}-{macvlans}", storage.name()))?;
            let floors = site.data_dir(storage, &format!("floor-{macvlans}"))?;
            let place = Place { programs, dir: &dir, pod: &pod, floors: &floors, macvlans };
            let [adds, dels] = place.measure(rounds, &mut number)?;
            scenarios
                .extend([scenario("ADD", storage, macvlans, adds), scenario("DEL", storage, macvlans, dels)]);
        }
        drop(agent);
    }
    Ok(scenarios)
}

fn scenario(verb: &str, storage: Storage, macvlans: u32, samples: [Samples; 2]) -> Scenario {
    let figure = |(who, samples): (&str, Samples)| Figure { who: who.into(), unit: Unit::Micros, samples };
    let mut scenario = Scenario {
        name: format!("{}-{macvlans}-{}", verb.to_lowercase(), storage.name()),
        title: format!("{verb} of a pod, {macvlans} macvlan, state on {}", storage.name()),
        figures: [AGENT, FLOOR].into_iter().zip(samples).map(figure).collect(),
        budgets: vec![],
    };
    if verb == "ADD" && macvlans == 3 {
        let value = scenario.median(AGENT) / 1000.0;
        scenario.budgets = vec![Budget { what: "ms", value, limit: Limit::AtMost(8.0) }];
    }
    scenario
}

/// Networks `lan`, `extra1` and `extra2`, and the pods on them, as `test-agent` reads them.
fn describe(dir: &Path, leases: &Path) -> Result<()> {
    let write = |file: PathBuf, value: &Value| {
        let parent = file.parent().unwrap_or(dir);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&file, value.to_string()))
            .with_context(|| format!("cannot write {}", file.display()))
    };
    for (name, subnet) in [("lan", "10.64.0.0/16"), ("extra1", "10.65.0.0/16"), ("extra2", "10.66.0.0/16")] {
        let conf = json!({
            "cniVersion": "1.0.0", "type": "macvlan", "master": PARENT,
            "ipam": {"type": "host-local", "dataDir": leases, "ranges": [[{"subnet": subnet}]]},
        });
        write(dir.join(format!("definitions/shop/{name}.json")), &conf)?;
    }
    // The leases are where the floor's are.
    write(dir.join("config"), &json!({"dataDirs": [leases]}))?;
    for (name, networks) in [("pod1", ""), ("pod3", "extra1,extra2")] {
        let pod = json!({"uid": format!("uid-{name}"), "networks": networks, "default": ""});
        write(dir.join(format!("pods/shop/{name}.json")), &pod)?;
    }
    Ok(())
}

fn start(program: &Path, dir: &Path) -> Result<Agent> {
    let mut command = Command::new(program);
    command.arg(dir).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut agent = Agent(command.spawn().with_context(|| format!("cannot start {}", program.display()))?);
    let stdout = agent.0.stdout.take().context("the agent has no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context("cannot read from the agent")?;
    if line != "ready\n" {
        bail!("the agent said {line:?}, expected ready");
    }
    Ok(agent)
}

struct Place<'a> {
    programs: &'a Programs,
    /// The agent's directory.
    dir: &'a Path,
    pod: &'a Path,
    /// The floor's leases.
    floors: &'a Path,
    macvlans: u32,
}

impl Place<'_> {
    /// The agent and the floor in turn; times of ADD and of DEL.
    fn measure(&self, rounds: usize, number: &mut u32) -> Result<[[Samples; 2]; 2]> {
        let mut adds = [Samples::default(), Samples::default()];
        let mut dels = adds.clone();
        for _ in 0..rounds {
            *number += 1;
            adds[0].push(self.plugin("ADD", *number)?.run()?.time);
            dels[0].push(self.plugin("DEL", *number)?.run()?.time);
            for (verb, samples) in [("add", &mut adds[1]), ("del", &mut dels[1])] {
                samples.push(self.floor(verb, *number)?.run()?.time);
            }
        }
        Ok([adds, dels])
    }

    fn plugin(&self, verb: &str, number: u32) -> Result<Prepared> {
        let name = format!("pod{}", self.macvlans);
        let conf = json!({
            "cniVersion": "1.0.0", "name": "llano", "type": "llano", "clusterNetwork": "shop/lan",
            "multusNamespace": "shop", "socket": self.dir.join("agent.sock"), "spoolDir": self.dir.join("spool"),
        });
        let args =
            format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name};K8S_POD_UID=uid-{name}");
        let environment = [
            ("CNI_COMMAND", verb.to_string()),
            ("CNI_CONTAINERID", container_id(number)),
            ("CNI_NETNS", self.pod.display().to_string()),
            ("CNI_IFNAME", "eth0".to_string()),
            ("CNI_ARGS", args),
            ("CNI_PATH", self.programs.plugins.display().to_string()),
        ];
        Prepared::new(&self.programs.plugins.join("llano"), &[], &environment, &conf.to_string())
    }

    fn floor(&self, verb: &str, number: u32) -> Result<Prepared> {
        let [_, _, third, fourth] = (number % 65_000 + 10).to_be_bytes();
        let mut args = vec![verb.to_string()];
        for interface in 0..self.macvlans {
            if interface > 0 {
                args.push(",".to_string());
            }
            args.extend([
                self.pod.display().to_string(),
                format!("floor{interface}"),
                container_id(number),
                self.floors.join(format!("floor{interface}")).display().to_string(),
                PARENT.to_string(),
                format!("10.{}.{third}.{fourth}", 80 + interface),
            ]);
        }
        Prepared::new(&self.programs.floor, &args, &[], "")
    }
}
