//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::output::Format;

/// Containers with their own MAC and address on the physical LAN.
#[derive(Debug, Parser)]
#[command(
    name = "llano",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "\
Start here:
  llano lab demo              see it working: containers on the LAN of a small lab
  llano link tree             what hangs on what, in every namespace
  llano lab up two-hosts      a lab to try things in
  llano lab --help            everything about labs
  llano check                 is this host ready, and if not, what to do

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong use."
)]
pub(crate) struct Cli {
    /// Print for people (text) or for programs (json)
    #[arg(long, short, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Ends the program when a picture is asked of a command that draws none.
    pub(crate) fn refuse_pictures(&self) {
        let draws = matches!(&self.command, Command::Link(link) if link.draws());
        if matches!(self.output, Format::Svg | Format::Dot) && !draws {
            let kind = clap::error::ErrorKind::InvalidValue;
            let text = "--output svg and --output dot are for `llano link tree`; here it is text or json";
            <Self as clap::CommandFactory>::command().error(kind, text).exit();
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hosts, switches and routers on this machine, made of namespaces
    #[command(subcommand)]
    Lab(crate::lab::Command),
    /// Single links in any namespace, and the tree of all of them
    #[command(subcommand)]
    Link(crate::link::Command),
    /// The network of this host: bonds, VLANs, addresses, declared and kept
    #[command(subcommand)]
    Host(crate::host::Command),
    /// Get, keep and return the DHCP leases of this node's containers
    Dhcp(crate::dhcp::Command),
    /// Addresses of the cluster's networks: who has which, what is free, and giving one free
    Ip(crate::addresses::Ip),
    /// Subnets of the cluster's networks: how full they are, and a map of each
    Subnet(crate::addresses::Subnet),
    /// Find out why it does not work: kernel, interfaces, runtime, Kubernetes, switch
    Check(crate::check::Command),
    /// Give the pods of this node the networks that their annotations ask for
    Agent(crate::agent::Command),
    /// Keep the cluster's addresses, reservations and networks in order: one for the whole cluster
    Controller(crate::controller::Command),
    /// Put Llano on this node: the plugin's files, and its configuration around the primary plugin's
    Install(crate::install::Install),
    /// Give this node back as it was; running pods keep running
    Uninstall(crate::install::Uninstall),
    /// How Llano stands on this node or the cluster, and what to do about what is wrong
    Status(crate::install::StatusCommand),
    /// Print a shell's completion script
    #[command(after_help = "\
Examples:
  llano completions bash > /usr/share/bash-completion/completions/llano
  llano completions zsh > \"${fpath[1]}/_llano\"
  llano completions fish > ~/.config/fish/completions/llano.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages, one for each command, into a directory
    #[command(after_help = "\
Example:
  llano man /usr/local/share/man/man1 && man llano-lab-up")]
    Man {
        /// The directory; made when missing
        dir: PathBuf,
    },
}
