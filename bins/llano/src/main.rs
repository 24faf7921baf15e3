//! The command line: `llano`.

mod addresses;
mod agent;
mod bins;
mod check;
mod cli;
mod complete;
mod controller;
mod dhcp;
mod host;
mod install;
mod lab;
mod link;
mod log;
mod output;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::output::Out;

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.refuse_pictures();
    let mut out = Out::stdout(cli.output);
    match run(cli.command, &mut out).and_then(|code| out.flush().map(|()| code)) {
        Ok(code) => code,
        // The reader, `head` for one, has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = out.flush();
            eprintln!("llano: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, out: &mut Out) -> anyhow::Result<ExitCode> {
    match command {
        Command::Lab(command) => lab::run(command, out),
        Command::Link(command) => link::run(command, out),
        Command::Host(command) => host::run(command, out),
        Command::Dhcp(command) => dhcp::run(command, out),
        Command::Ip(command) => addresses::ip(&command, out),
        Command::Subnet(command) => addresses::subnet(&command, out),
        Command::Agent(command) => agent::run(command, out),
        Command::Controller(command) => controller::run(command, out),
        Command::Install(command) => install::install(&command, out),
        Command::Uninstall(command) => install::uninstall(&command, out),
        Command::Status(command) => install::status(&command, out),
        Command::Check(command) => check::run(&command, out),
        Command::Completions { shell } => complete::completions(shell, out),
        Command::Man { dir } => complete::manual(&dir, out),
    }
}

fn one_line(error: &anyhow::Error) -> String {
    // An error of a library names its cause itself; the chain would say it twice.
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text.replace('\n', " ")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
