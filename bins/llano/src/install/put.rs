//! `llano install`.

use std::path::PathBuf;
use std::process::ExitCode;

use ::install::{Follower, Installation, KUBECONFIG, LINKS, Options, Plugin, Service, State, Step};
use anyhow::bail;
use cni::Version;
use serde_json::json;

use super::{Where, token};
use crate::output::{Colour, Out};

/// Put Llano on this node: the plugin's files, and its configuration around the primary plugin's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano install --dry-run                   every file that it would write
  llano install                             the plugin, and 00-llano.conflist around the first configuration
  llano install --link macvlan,host-local   and Llano's plugins under these names
  llano install --kubeconfig FILE           and an agent of its own, for a node without the DaemonSet
  llano install --cni-conf-dir /var/lib/rancher/k3s/agent/etc/cni/net.d \\
                --cni-bin-dir /var/lib/rancher/k3s/data/cni
  llano install --root /mnt                 into a tree that becomes a node later

The DaemonSet does the same when its agent starts: this command is for nodes without it. What was there is kept,
and `llano uninstall` gives it back. Killed at any point, it is run again and goes on.

From then on the runtime asks the agent for every pod: start `llano agent` at once, or pods wait for it.")]
pub(crate) struct Install {
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
    /// Plugin types that are to be Llano's too, beside `llano`; what is there under these names is kept
    #[arg(long, value_name = "TYPES", value_delimiter = ',', value_parser = LINKS)]
    link: Vec<String>,
    /// The plugin's program [default: llano-cni beside this program]
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// The newest version of CNI that the container runtime speaks: 1.1.0 for containerd 2, else 1.0.0
    #[arg(long, value_name = "VERSION", default_value = "1.0.0", value_parser = version)]
    cni_version: Version,
    /// A NetworkAttachmentDefinition, NAMESPACE/NAME, as the first network of pods in place of a primary plugin
    #[arg(long, value_name = "NETWORK", value_parser = definition)]
    cluster_network: Option<String>,
    /// Wait until there is a configuration of a primary plugin to wrap
    #[arg(long)]
    wait: bool,
    /// Credentials of an agent on this node, copied to /etc/llano/kubeconfig; with systemd also a unit
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Where this program will be on the node, for the unit [default: where it is now]
    #[arg(long, value_name = "PATH", requires = "kubeconfig")]
    program: Option<PathBuf>,
}

fn version(text: &str) -> Result<Version, String> {
    let known = Version::ALL.iter().filter(|version| **version >= Version::V031);
    let known: Vec<Version> = known.copied().collect();
    known.iter().copied().find(|version| version.as_str() == text).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|version| version.as_str()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn definition(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(text.to_owned())
        }
        _ => Err("expected NAMESPACE/NAME".to_owned()),
    }
}

pub(crate) fn install(args: &Install, out: &mut Out) -> anyhow::Result<ExitCode> {
    let options = options(args)?;
    if let Some(kubeconfig) = &args.kubeconfig
        && let Some(warning) = token::check(kubeconfig, &crate::agent::node_name())?
    {
        // Not among the results, which a program may read.
        eprintln!("llano: warning: {warning}");
    }
    if args.dry_run {
        return plan(&options, out);
    }
    let mut installation = Installation::open(options)?;
    let steps = installation.install()?;
    for step in &steps {
        out.line(&said(step))?;
    }
    out.flush()?;
    let mut follower = Follower::new(installation)?;
    let mut state = follower.look();
    if args.wait && !matches!(state, State::Wrapped { .. }) {
        out.line("waiting for the configuration of a primary plugin")?;
        out.flush()?;
        let stopper = follower.stopper();
        follower.run(&mut |now| {
            if matches!(now, State::Wrapped { .. }) {
                stopper.stop();
            }
            state = now.clone();
        })?;
    }
    out.json(&json!({ "dry_run": false, "files": steps, "configuration": words(&state) }))?;
    match &state {
        State::Failed { reason } => bail!("{reason}"),
        State::Wrapped { .. } => out.painted(Colour::Good, &words(&state))?,
        _ => out.painted(Colour::Strong, &words(&state))?,
    }
    if args.kubeconfig.is_some() {
        out.line(&format!(
            "the agent's credentials are in {KUBECONFIG}; start it: systemctl start llano-agent"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn options(args: &Install) -> anyhow::Result<Options> {
    let service = match &args.kubeconfig {
        None => None,
        Some(kubeconfig) => Some(Service {
            kubeconfig: kubeconfig.clone(),
            program: args.program.clone().map_or_else(std::env::current_exe, Ok)?,
            args: Vec::new(),
        }),
    };
    Ok(Options {
        places: args.place.places(),
        plugin: Plugin::Path(args.plugin.clone().map_or_else(crate::bins::llano_cni, Ok)?),
        links: args.link.clone(),
        version: args.cni_version,
        cluster_network: args.cluster_network.clone(),
        service,
    })
}

fn plan(options: &Options, out: &mut Out) -> anyhow::Result<ExitCode> {
    let steps = Installation::plan(options)?;
    out.json(&json!({ "dry_run": true, "files": steps }))?;
    for step in &steps {
        let verb = if step.same { "is there already:" } else { &format!("would {}", step.what) };
        let kept = if step.keeps { " (what is there is kept)" } else { "" };
        out.line(&format!("{verb} {}{kept}", step.path.display()))?;
    }
    if !steps.iter().any(|step| step.path.ends_with(::install::CONFLIST)) {
        let conf = options.places.conf().display();
        out.line(&format!("no configuration of a primary plugin in {conf} yet: it would be waited for"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn said(step: &Step) -> String {
    let verb = match (step.same, step.what) {
        (true, _) => "is there already:",
        (false, "link") => "linked",
        (false, _) => "wrote",
    };
    let kept = if step.keeps { " (what was there is kept)" } else { "" };
    format!("{verb} {}{kept}", step.path.display())
}

/// A state for people.
fn words(state: &State) -> String {
    match state {
        State::Wrapped { list, hidden_by: None } => format!(
            "00-llano.conflist has network {} around {}, CNI {}",
            list.network,
            list.cluster.to_text(),
            list.version
        ),
        State::Wrapped { hidden_by: Some(file), .. } => {
            format!("{file} sorts before 00-llano.conflist, and the runtime takes it: give it a later name")
        }
        State::Waiting => {
            "there is no configuration of a primary plugin to wrap yet; the agent waits for it".to_owned()
        }
        State::Unusable { file, reason } => format!("{file} cannot be wrapped: {reason}"),
        State::Blocked { reason } | State::Failed { reason } => reason.clone(),
    }
}
