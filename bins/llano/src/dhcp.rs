//! `llano dhcp`: the daemon behind `ipam.type: dhcp`, and a look at its leases.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use dhcp::daemon::{DEFAULT_SOCKET, Options, Row, default_state_dir, leases, prefixed, serve};
use dhcp::v4::Retransmission;

use crate::output::{Out, Text, head};

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
The plugin starts the daemon with the first container, so there is nothing to do. To have systemd do it:
  systemctl enable --now llano-dhcp.socket

Leases are on disk before a container gets its address: the daemon may be stopped, killed and upgraded; the next one
goes on with them. SIGTERM ends it and gives no lease back.

Examples:
  llano dhcp                              serve in the foreground
  llano dhcp --host-prefix /host          serve from a container that sees the host's root at /host
  llano dhcp list                         who has which address, and for how long
  llano dhcp list --output json | jq '.[] | select(.state != \"Bound\")'

Exit codes: 0 ended by a signal, 1 failed, 3 another daemon serves the socket."
)]
pub(crate) struct Command {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the leases of the daemon
    List {
        /// The daemon's socket
        #[arg(long, default_value = DEFAULT_SOCKET, value_name = "PATH")]
        socket: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// Where to listen; systemd's socket is taken when it hands one over
    #[arg(long, default_value = DEFAULT_SOCKET, value_name = "PATH")]
    socket: PathBuf,
    /// Where leases are kept [default: /var/lib/llano/dhcp, for another socket a directory below]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The host's root, put before the socket's and every namespace's path
    #[arg(long, value_name = "DIR")]
    host_prefix: Option<PathBuf>,
    /// Wait for the answer to a first message; doubled with each repetition
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "TIME")]
    timeout: Duration,
    /// Longest wait between two repetitions
    #[arg(long, default_value = "62s", value_parser = duration, value_name = "TIME")]
    resend_max: Duration,
    /// When to give up an ADD whose configuration has no `ipam.timeout`; kubelet itself gives up after 4 minutes
    #[arg(long, default_value = "2m", value_parser = duration, value_name = "TIME")]
    resend_timeout: Duration,
    /// Write the process id here
    #[arg(long, value_name = "PATH")]
    pidfile: Option<PathBuf>,
    /// Leave the caller's session: what the plugin starts it with
    #[arg(long, hide = true)]
    detach: bool,
    /// End after so long without lease and call [default: never]
    #[arg(long, value_parser = duration, value_name = "TIME")]
    idle_exit: Option<Duration>,
}

pub(crate) fn run(command: Command, out: &mut Out) -> anyhow::Result<ExitCode> {
    match command.action {
        Some(Action::List { socket }) => list(&leases(&socket)?, out).map(|()| ExitCode::SUCCESS),
        None => daemon(command.serve),
    }
}

fn daemon(args: Serve) -> anyhow::Result<ExitCode> {
    if args.detach {
        dhcp::daemon::detach();
    }
    let filter = tracing_subscriber::EnvFilter::try_from_env("LLANO_LOG").unwrap_or_else(|_| "info".into());
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).init();
    let state = args.state_dir.unwrap_or_else(|| default_state_dir(&args.socket));
    let options = Options {
        state_dir: prefixed(args.host_prefix.as_deref(), &state),
        socket: args.socket,
        host_prefix: args.host_prefix,
        retransmission: Retransmission { first: millis(args.timeout), max: millis(args.resend_max) },
        limit: millis(args.resend_timeout),
        pidfile: args.pidfile,
        idle_exit: args.idle_exit.map(millis),
    };
    match serve(options) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error @ dhcp::Error::AlreadyRunning { .. }) => {
            eprintln!("llano: {error}");
            Ok(ExitCode::from(3))
        }
        Err(error) => Err(error.into()),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `500ms`, `10s`, `2m`, `1h`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> anyhow::Result<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => bail!("{text:?}: allowed is a number with ms, s, m or h, such as 2s"),
    };
    let number: u64 = number.parse().context("a number with ms, s, m or h, such as 2s")?;
    let millis = number.checked_mul(factor).filter(|m| (1..=86_400_000).contains(m));
    Ok(Duration::from_millis(millis.context("from 1ms to 24h")?))
}

fn list(rows: &[Row], out: &mut Out) -> anyhow::Result<()> {
    out.json(&rows)?;
    if rows.is_empty() {
        return out.line("No leases.");
    }
    let seconds = |s: Option<u64>| s.map_or_else(|| "never".to_owned(), |s| format!("{s} s"));
    let mut table =
        vec![head(&["CONTAINER", "NETWORK", "INTERFACE", "ADDRESS", "STATE", "RENEWS IN", "EXPIRES IN"])];
    for row in rows {
        let address = if row.addresses.is_empty() { "none yet".to_owned() } else { row.addresses.join(" ") };
        let cells = [
            row.container_id.chars().take(12).collect(),
            row.network.clone(),
            row.ifname.clone(),
            address,
            row.state.clone(),
            seconds(row.renew_in),
            seconds(row.expires_in),
        ];
        table.push(cells.into_iter().map(Text::new).collect());
    }
    out.table(0, &table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, millis) in [("500ms", 500), ("2s", 2000), ("7", 7000), ("3m", 180_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(millis));
        }
        for text in ["", "s", "1.5s", "-1s", "2 s", "99999999h", "0s", "25h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
