//! One program, prepared so that nothing but its own life is inside the measured time.

use crate::sys::{self, Words};
use anyhow::{Context, Result, bail};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// Path, arguments, environment and standard input, ready for exec.
pub(super) struct Prepared {
    path: CString,
    argv: Words,
    envp: Words,
    stdin: Vec<u8>,
    shown: String,
}

/// A run that succeeded.
pub(super) struct Finished {
    /// From before the spawn until the exit was seen.
    pub(super) time: Duration,
    pub(super) stdout: Vec<u8>,
}

/// A run under way.
pub(super) struct Running {
    pub(super) pid: i32,
    stdout: OwnedFd,
}

/// What fits a pipe without a reader; configurations and results are below 4 KiB.
const PIPE: usize = 65536;

impl Prepared {
    pub(super) fn new(program: &Path, args: &[String], env: &[(&str, String)], stdin: &str) -> Result<Self> {
        let shown = program.display().to_string();
        if stdin.len() > PIPE {
            bail!("{shown}: {} bytes of standard input do not fit a pipe", stdin.len());
        }
        let argv = [shown.clone()].into_iter().chain(args.iter().cloned());
        let envp = env.iter().map(|(key, value)| format!("{key}={value}"));
        Ok(Self {
            path: CString::new(shown.clone())?,
            argv: Words::new(argv)?,
            envp: Words::new(envp)?,
            stdin: stdin.into(),
            shown,
        })
    }

    /// Pipes with the whole input in them already: while the program runs, this process only waits.
    fn pipes(&self) -> Result<(OwnedFd, OwnedFd, OwnedFd)> {
        let (stdin, feed) = sys::pipe().context("cannot make a pipe")?;
        File::from(feed).write_all(&self.stdin).context("cannot fill a pipe")?;
        let (stdout, program_end) = sys::pipe().context("cannot make a pipe")?;
        Ok((stdin, stdout, program_end))
    }

    /// Runs it to its end.
    pub(super) fn run(&self) -> Result<Finished> {
        let (stdin, stdout, program_end) = self.pipes()?;
        let started = Instant::now();
        let pid = sys::spawn(&self.path, &self.argv, &self.envp, &stdin, &program_end)
            .with_context(|| format!("cannot start {}", self.shown))?;
        let ended = sys::wait(pid)?;
        let time = started.elapsed();
        drop(program_end);
        let stdout = read(stdout)?;
        if let Some(failure) = ended.failure {
            bail!("{}: {failure}: {}", self.shown, String::from_utf8_lossy(&stdout).trim());
        }
        Ok(Finished { time, stdout })
    }

    /// Starts it without waiting.
    pub(super) fn start(&self) -> Result<Running> {
        let (stdin, stdout, program_end) = self.pipes()?;
        let pid = sys::spawn(&self.path, &self.argv, &self.envp, &stdin, &program_end)
            .with_context(|| format!("cannot start {}", self.shown))?;
        Ok(Running { pid, stdout })
    }
}

/// Runs all of them, so many at once; returns the time from the first start to the last exit.
pub(super) fn run_many(programs: &[Prepared], at_once: usize) -> Result<Duration> {
    let mut waiting = programs.iter();
    let mut running: Vec<Running> = Vec::new();
    let mut complaint = None;
    let started = Instant::now();
    loop {
        while running.len() < at_once
            && let Some(program) = waiting.next()
        {
            running.push(program.start()?);
        }
        if running.is_empty() {
            break;
        }
        let ended = sys::wait(-1)?;
        let Some(index) = running.iter().position(|run| run.pid == ended.pid) else { continue };
        let run = running.swap_remove(index);
        if let Some(failure) = ended.failure {
            complaint = Some(format!("{failure}: {}", String::from_utf8_lossy(&read(run.stdout)?).trim()));
        }
    }
    let time = started.elapsed();
    match complaint {
        Some(complaint) => bail!("one of {} at once failed: {complaint}", programs.len()),
        None => Ok(time),
    }
}

fn read(pipe: OwnedFd) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::from(pipe).read_to_end(&mut bytes).context("cannot read a pipe")?;
    Ok(bytes)
}
