//! `llano lab`: labs on this machine.

mod cluster;
mod demo;
mod example;
mod exec;
mod matrix;
mod up;

use std::process::ExitCode;

use ::lab::Lab;
use anyhow::bail;
use clap::Subcommand;

use crate::output::Out;

/// The commands about labs.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A lab is a set of hosts, routers and switches made of namespaces. It uses no
interface of this machine, needs root, and stays until it is taken down.
Several may be up at once.

  llano lab demo                          see it all working, ten seconds
  llano lab examples                      labs that come with the program
  llano lab up two-hosts                  bring one up
  llano lab exec host1 -- ping -c1 10.1.0.2
  llano lab matrix                        who reaches whom
  llano lab down                          take it down

  llano lab show two-hosts > mine.yaml    a beginning for your own
  llano lab up mine.yaml")]
pub(crate) enum Command {
    /// Bring a lab up from a YAML file or a built-in example
    Up(up::Up),
    /// Take a lab down, with every process in it; also one whose building was cut short
    Down(up::Down),
    /// Run a command on a lab's host
    Exec(exec::Exec),
    /// List the labs
    #[command(visible_alias = "ls")]
    List,
    /// Ping between every pair of hosts and containers
    Matrix(matrix::Args),
    /// List the built-in examples
    Examples,
    /// Print a built-in example's YAML
    Show(example::Show),
    /// Show containers on a LAN: two hosts, a switch, a gateway, and a macvlan.conf from a handbook
    Demo(demo::Demo),
    /// A real Kubernetes cluster: nodes and LAN are a lab
    #[command(subcommand)]
    Cluster(cluster::Command),
}

pub(crate) fn run(command: Command, out: &mut Out) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => up::up(&args, out),
        Command::Down(args) => up::down(&args, out),
        Command::Exec(args) => exec::exec(&args, out),
        Command::List => up::list(out),
        Command::Matrix(args) => matrix::run(&args, out),
        Command::Examples => example::list(out),
        Command::Show(args) => example::show(&args, out),
        Command::Demo(args) => demo::run(&args, out),
        Command::Cluster(command) => cluster::run(command, out),
    }
}

/// The lab of that name, or the only one there is.
fn chosen(name: Option<&str>) -> anyhow::Result<Lab> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => only_one()?,
    };
    Lab::open(&name).map_err(|error| of_lab(&name, error))
}

fn only_one() -> anyhow::Result<String> {
    let mut names: Vec<String> = Lab::list().into_iter().map(|lab| lab.name).collect();
    match names.len() {
        1 => Ok(names.remove(0)),
        0 => bail!("no lab is up; bring one up with `llano lab up two-hosts`"),
        _ => bail!("several labs are up, name one: {}", names.join(", ")),
    }
}

/// Says which lab an error is about, where it does not say so itself.
fn of_lab(name: &str, error: ::lab::Error) -> anyhow::Error {
    use ::lab::Error;
    match error {
        Error::Spec { .. } | Error::Io { .. } | Error::Network { .. } | Error::Yaml(_) => {
            anyhow::Error::new(error).context(format!("lab {name}"))
        }
        other => other.into(),
    }
}
