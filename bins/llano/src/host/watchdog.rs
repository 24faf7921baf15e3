//! `llano host watchdog`, which no person calls.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ::host::Here;
use ::host::keep::{Places, Process};

/// Take a change back when its program dies.
#[derive(Debug, clap::Args)]
pub(crate) struct Watchdog {
    /// The change
    #[arg(long, value_name = "ID")]
    change: String,
    /// The process that makes it
    #[arg(long, value_name = "PID:START")]
    author: Process,
}

pub(crate) fn run(args: &Watchdog) -> anyhow::Result<()> {
    // A terminal that closes, and who interrupts the command, must not end it. What the handlers set is never read.
    for signal in [signal_hook::consts::SIGHUP, signal_hook::consts::SIGINT, signal_hook::consts::SIGQUIT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let watchdog = ::host::keep::Watchdog {
        places: Places::default(),
        change: args.change.clone(),
        author: args.author,
    };
    watchdog.run(&mut || Here::open(|_| {}), || {
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(b"ready\n").and_then(|()| stdout.flush());
    })?;
    Ok(())
}
