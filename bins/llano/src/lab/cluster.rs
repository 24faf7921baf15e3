//! `llano lab cluster`: a real Kubernetes cluster on this machine.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ::cluster::{Cluster, ClusterSpec, Component, Containerd};
use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use crate::output::{Colour, Out, Text, head};

/// The commands about clusters.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  llano lab cluster up                          two nodes, in less than a minute
  llano lab cluster up --nodes 3 --containerd 2
  llano lab cluster kubectl get pods -A
  llano lab cluster status
  llano lab cluster logs node1/kubelet
  llano lab cluster import image.tar            nodes pull nothing
  llano lab exec node1 -- ip link               a node is a host of a lab
  llano lab cluster down

etcd, the Kubernetes programs, CoreDNS and flannel are the real ones. They are built by
`cargo xtask cluster up` in a checkout of Llano, once for each version.")]
pub(crate) enum Command {
    /// Bring a cluster up: control plane, nodes, flannel, DNS, and a LAN with a gateway and a plain machine
    Up(Up),
    /// Take a cluster down, with every process, container and file of it; also one whose building was cut short
    Down(Down),
    /// Run kubectl as the cluster's administrator
    Kubectl(Kubectl),
    /// What runs, and which nodes are ready; exit code 1 when something is missing
    Status(Name),
    /// Print the log of a process; without one, the last lines of all
    Logs(Logs),
    /// Kill a process of the cluster (SIGKILL)
    Kill(Of),
    /// End a process of the cluster in its own way (SIGTERM)
    Stop(Of),
    /// Start a process that was killed or stopped
    Start(Of),
    /// Give every node the images of an archive
    Import(Import),
    /// Cut a node's power and boot it: processes and namespaces gone, disk kept
    Reboot(Reboot),
}

/// Which cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct Name {
    /// The cluster's name
    #[arg(long, value_name = "NAME", default_value = "cluster")]
    name: String,
}

/// Bring a cluster up.
#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    #[command(flatten)]
    name: Name,
    /// How many nodes
    #[arg(long, short, value_name = "N", default_value_t = 2)]
    nodes: u8,
    /// The nodes' containerd: the distribution's (1) or 2.x
    #[arg(long, value_name = "VERSION", value_enum, default_value_t = Version::One)]
    containerd: Version,
    /// Print what there would be, and make nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Version {
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

/// Take clusters down.
#[derive(Debug, clap::Args)]
pub(crate) struct Down {
    #[command(flatten)]
    name: Name,
    /// Every cluster on this machine
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Print what would be taken down, and leave it
    #[arg(long)]
    dry_run: bool,
}

/// Run kubectl.
#[derive(Debug, clap::Args)]
pub(crate) struct Kubectl {
    #[command(flatten)]
    name: Name,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Print a log.
#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    #[command(flatten)]
    name: Name,
    /// etcd, kube-apiserver, kube-controller-manager, kube-scheduler, or NODE/kubelet, NODE/containerd, NODE/kube-proxy, NODE/flanneld
    #[arg(value_name = "COMPONENT")]
    component: Option<Component>,
    /// So many lines at its end; 0 is all
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
    /// Go on as it grows
    #[arg(long, short, requires = "component")]
    follow: bool,
}

/// A process.
#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    #[command(flatten)]
    name: Name,
    /// As for `logs`
    #[arg(value_name = "COMPONENT")]
    component: Component,
}

/// Import images.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    #[command(flatten)]
    name: Name,
    /// An OCI layout as a tar archive, or what `docker save` writes
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Reboot a node.
#[derive(Debug, clap::Args)]
pub(crate) struct Reboot {
    #[command(flatten)]
    name: Name,
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
}

pub(crate) fn run(command: Command, out: &mut Out) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => up(&args, out),
        Command::Down(args) => down(&args, out),
        Command::Kubectl(args) => kubectl(&args),
        Command::Status(args) => status(&args, out),
        Command::Logs(args) => logs(&args, out),
        Command::Kill(args) => {
            Cluster::open(&args.name.name)?.kill(&args.component)?;
            changed(&args.component.to_string(), "killed", out)
        }
        Command::Stop(args) => {
            Cluster::open(&args.name.name)?.stop(&args.component)?;
            changed(&args.component.to_string(), "stopped", out)
        }
        Command::Import(args) => {
            let cluster = Cluster::open(&args.name.name)?;
            cluster.import(&args.file)?;
            changed(&args.file.display().to_string(), "imported on every node", out)
        }
        Command::Start(args) => {
            Cluster::open(&args.name.name)?.start(&args.component)?;
            changed(&args.component.to_string(), "started", out)
        }
        Command::Reboot(args) => {
            Cluster::open(&args.name.name)?.reboot(&args.node)?;
            changed(&args.node, "rebooted", out)
        }
    }
}

fn changed(object: &str, what: &str, out: &mut Out) -> anyhow::Result<ExitCode> {
    out.json(&json!({"object": object, "done": what}))?;
    out.line(&format!("{object} {what}"))?;
    Ok(ExitCode::SUCCESS)
}

fn up(args: &Up, out: &mut Out) -> anyhow::Result<ExitCode> {
    let containerd = match args.containerd {
        Version::One => Containerd::Distribution,
        Version::Two => Containerd::V2,
    };
    let spec = ClusterSpec::new(args.nodes, containerd)?;
    let name = &args.name.name;
    if args.dry_run {
        out.json(&json!({"cluster": name, "dryRun": true, "spec": spec}))?;
        out.line(&format!("cluster {name}: control plane, {}, gateway, plain", spec.nodes().join(", ")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let started = Instant::now();
    let cluster = Cluster::up(spec, name, &mut |what| {
        eprintln!("{:>5.1} s  {what}", started.elapsed().as_secs_f64());
    })?;
    let seconds = started.elapsed().as_secs_f64();
    out.json(&json!({"cluster": name, "nodes": cluster.spec().nodes(), "seconds": seconds}))?;
    out.line(&format!("cluster {name} is up after {seconds:.0} s: {}", cluster.spec().nodes().join(", ")))?;
    out.painted(Colour::Faint, "try: llano lab cluster kubectl get pods -A")?;
    Ok(ExitCode::SUCCESS)
}

fn down(args: &Down, out: &mut Out) -> anyhow::Result<ExitCode> {
    let names = if args.all { Cluster::list() } else { vec![args.name.name.clone()] };
    for name in &names {
        if !args.dry_run {
            Cluster::down(name)?;
        }
        out.line(&format!(
            "cluster {name} {}",
            if args.dry_run { "would be taken down" } else { "is down" }
        ))?;
    }
    if names.is_empty() {
        out.line("no cluster is up")?;
    }
    out.json(&json!({"down": names, "dryRun": args.dry_run}))?;
    Ok(ExitCode::SUCCESS)
}

fn kubectl(args: &Kubectl) -> anyhow::Result<ExitCode> {
    let mut command = Cluster::open(&args.name.name)?.kubectl()?;
    // kubectl takes this process's place: its exit code, its signals, its terminal.
    let error = command.args(&args.args).exec();
    bail!("cannot start kubectl: {error}")
}

fn status(args: &Name, out: &mut Out) -> anyhow::Result<ExitCode> {
    let status = Cluster::open(&args.name)?.status()?;
    out.json(&status)?;
    let mut rows = vec![head(&["COMPONENT", "STATE"])];
    for one in &status.components {
        let state = if one.running {
            Text::new("running").colour(Colour::Good)
        } else {
            Text::new("not running").colour(Colour::Bad)
        };
        rows.push(vec![Text::new(&*one.component), state]);
    }
    out.table(0, &rows)?;
    let nodes = if status.ready_nodes.is_empty() { "none".to_owned() } else { status.ready_nodes.join(", ") };
    out.line(&format!("ready nodes: {nodes}"))?;
    Ok(if status.ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn logs(args: &Logs, out: &mut Out) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open(&args.name.name)?;
    let Some(component) = &args.component else {
        let lines = args.tail.unwrap_or(5);
        let mut document = serde_json::Map::new();
        for component in cluster.components() {
            let text = tail(&cluster.log(&component), lines)?;
            out.painted(Colour::Strong, &format!("== {component}"))?;
            out.line(&text)?;
            document.insert(component.to_string(), text.into());
        }
        out.json(&document)?;
        return Ok(ExitCode::SUCCESS);
    };
    let file = cluster.log(component);
    let text = tail(&file, args.tail.unwrap_or(0))?;
    out.json(&json!({"component": component.to_string(), "log": text}))?;
    out.line(&text)?;
    out.flush()?;
    if args.follow {
        follow(&file)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The last lines of a file; all of them for 0.
fn tail(file: &Path, lines: usize) -> anyhow::Result<String> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end();
    if lines == 0 {
        return Ok(text.to_owned());
    }
    let all: Vec<&str> = text.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].join("\n"))
}

/// Prints what is appended, until it is interrupted.
fn follow(file: &Path) -> anyhow::Result<()> {
    let wrong = || format!("cannot read {}", file.display());
    let mut log = std::fs::File::open(file).with_context(wrong)?;
    log.seek(SeekFrom::End(0)).with_context(wrong)?;
    let mut stdout = std::io::stdout();
    loop {
        let mut text = Vec::new();
        log.read_to_end(&mut text).with_context(wrong)?;
        stdout.write_all(&text)?;
        stdout.flush()?;
        std::thread::sleep(Duration::from_millis(200));
    }
}
