//! `llano ip` and `llano subnet`: the addresses of a cluster, as the API server has them.

mod cluster;
mod count;
mod entry;
mod free;
mod known;
mod list;
mod map;
mod moment;
mod names;
mod reach;
mod refusal;
mod release;
mod runs;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod server;
mod show;
mod standing;
mod subnets;
mod who;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::output::Out;
use cluster::Cluster;
use reach::Reach;

/// Addresses of the cluster's networks.
#[derive(Debug, Args)]
#[command(after_help = "\
Addresses that are in use or kept are MacvlanIPs, one object each; to list them takes the
ClusterRole llano-admin, bound cluster-wide. Which addresses pods can get, MacvlanSubnets say
(`llano subnet`).

Examples:
  llano ip list --subnet lan             every address of subnet lan that is not free
  llano ip list -n shop --held           what is kept for pods of namespace shop
  llano ip who 10.20.0.57                whose it is, in words
  llano ip free lan -n 3                 three addresses that nobody has
  llano ip release 10.20.0.57 --dry-run  what giving it free would mean")]
pub(crate) struct Ip {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    action: IpAction,
}

#[derive(Debug, Subcommand)]
enum IpAction {
    List(list::List),
    Who(who::Who),
    Free(free::Free),
    Release(release::Release),
}

/// Subnets of the cluster's networks.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llano subnet list           how full each subnet is, and for whom it is
  llano subnet show lan       all about one, with a map of its addresses and who holds most")]
pub(crate) struct Subnet {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    action: SubnetAction,
}

#[derive(Debug, Subcommand)]
enum SubnetAction {
    List(subnets::List),
    Show(show::Show),
}

pub(crate) fn ip(command: &Ip, out: &mut Out) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open(&command.reach)?;
    match &command.action {
        IpAction::List(args) => list::run(args, &cluster, out)?,
        IpAction::Who(args) => who::run(args, &cluster, out)?,
        IpAction::Free(args) => free::run(args, &cluster, out)?,
        IpAction::Release(args) => release::run(args, &cluster, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn subnet(command: &Subnet, out: &mut Out) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open(&command.reach)?;
    match &command.action {
        SubnetAction::List(args) => subnets::run(args, &cluster, out)?,
        SubnetAction::Show(args) => show::run(args, &cluster, out)?,
    }
    Ok(ExitCode::SUCCESS)
}
