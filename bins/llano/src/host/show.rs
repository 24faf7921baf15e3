//! `llano host show`.

use ::host::{Network, State};
use anyhow::bail;
use kernel::Netlink;

use super::look_after_unfinished;
use crate::output::Out;

/// Show the network, or some interfaces.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano host show                    everything
  llano host show bond0 bond0.100    these interfaces, with their routes
  llano host show eth0 > eth0.yaml   a beginning for a file of your own
  llano host show --output json | jq -r '.interfaces[].name'")]
pub(crate) struct Show {
    /// Interfaces [default: all]
    #[arg(value_name = "IF")]
    interfaces: Vec<String>,
}

pub(crate) fn show(args: &Show, out: &mut Out) -> anyhow::Result<()> {
    look_after_unfinished();
    let network = Network::read(&mut Netlink::open()?)?;
    if let Some(unknown) = args.interfaces.iter().find(|name| !network.links.contains_key(*name)) {
        let names: Vec<&str> = network.links.keys().map(String::as_str).collect();
        bail!("there is no interface {unknown}; there are {}", names.join(", "));
    }
    let mut state = State::of(&network);
    if !args.interfaces.is_empty() {
        let named = |name: &String| args.interfaces.contains(name);
        state.interfaces.retain(|interface| named(&interface.name));
        state.routes.config.retain(|route| route.next_hop_interface.as_ref().is_some_and(named));
        state.route_rules = Default::default();
    }
    out.json(&state)?;
    state.to_yaml().lines().try_for_each(|line| out.line(line))
}
