//! `llano link`: single links in any namespace, and the tree of all of them.

mod add;
mod before;
mod del;
mod equal;
mod events;
mod place;
mod refusal;
mod set;
mod show;
mod source_mac;
mod tree;
mod tree_watch;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

use crate::output::Out;
pub(crate) use place::raise_descriptor_limit;
pub(crate) use tree_watch::Ears;

/// The commands about links.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A namespace is named by a name of `ip netns`, a path, a process number, a container's ID or name, or
POD_NAMESPACE/POD. A change that is refused leaves nothing behind; --dry-run says what would be done, also as the
equal `ip` command.

Examples:
  llano link tree                                      what hangs on what, in every namespace
  llano link add mv0 --parent eth0 --netns web --up    a macvlan on the host's eth0 in a container
  llano link set mv0 --netns web --mode private
  llano link source-mac add mv0 02:00:5e:10:00:01
  llano link watch                                     links and addresses as they change
  llano link del mv0 --netns web")]
pub(crate) enum Command {
    /// Make a link
    Add(Box<add::Add>),
    /// Change a link, all of it or nothing
    Set(Box<set::Set>),
    /// Delete a link
    Del(del::Del),
    /// Show links with all that is known of them
    Show(show::Show),
    /// Print links and addresses as they change
    Watch(watch::Watch),
    /// The senders that a macvlan of mode source receives from
    #[command(subcommand)]
    SourceMac(source_mac::Command),
    /// Parents and children across every namespace of the machine
    Tree(tree::Tree),
}

impl Command {
    /// Whether it can print a picture.
    pub(crate) fn draws(&self) -> bool {
        matches!(self, Self::Tree(_))
    }
}

pub(crate) fn run(command: Command, out: &mut Out) -> anyhow::Result<ExitCode> {
    match command {
        Command::Add(args) => add::run(&args, out),
        Command::Set(args) => set::run(&args, out),
        Command::Del(args) => del::run(&args, out),
        Command::Show(args) => show::run(&args, out),
        Command::Watch(args) => watch::run(&args, out),
        Command::SourceMac(command) => source_mac::run(&command, out),
        Command::Tree(args) => tree::run(&args, out),
    }?;
    Ok(ExitCode::SUCCESS)
}
