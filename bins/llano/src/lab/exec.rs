//! `llano lab exec`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use super::chosen;
use crate::output::Out;

/// Run a command on a host.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  llano lab exec host1 -- ip address
  llano lab exec host1/web1 -- ip route       in a container of host1
  llano lab exec host1                        a shell

The command sees this machine's files, with a /run, /etc/cni, /etc/llano, /etc/systemd,
/opt/cni, /var/lib/cni and /var/lib/llano of its own. Its exit code is this
command's; 127 means that it was not found.")]
pub(crate) struct Exec {
    /// The lab; not needed when there is only one
    #[arg(long, short, value_name = "NAME")]
    name: Option<String>,
    /// The host or router, or HOST/CONTAINER
    #[arg(value_name = "HOST")]
    host: String,
    /// The command and its arguments; a shell when not given
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) fn exec(args: &Exec, out: &mut Out) -> anyhow::Result<ExitCode> {
    let lab = chosen(args.name.as_deref())?;
    let shell = || std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let program = args.command.first().cloned().unwrap_or_else(shell);
    let mut command = match args.host.split_once('/') {
        Some((host, container)) => lab.host(host)?.open_container(container)?.command(&program)?,
        None => lab.host(&args.host)?.command(&program)?,
    };
    out.flush()?;
    let error = command.args(args.command.iter().skip(1)).exec();
    eprintln!("llano: lab {}: {}: cannot run {}: {error}", lab.name(), args.host, program.display());
    Ok(ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }))
}
