//! What can go wrong with a virtual machine.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a machine could not be made or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that the runner needs is not installed.
    #[error("{program} is not installed: apt-get install {package}")]
    MissingProgram {
        /// What was to be run.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A file could not be read or written.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A helper program (apt-get, dpkg, mke2fs…) failed.
    #[error("`{command}` failed: {stderr}")]
    Command {
        /// The command line.
        command: String,
        /// Its standard error, trimmed.
        stderr: String,
    },
    /// The distribution offers none of the kernel packages that are known to boot here.
    #[error(
        "no kernel for the virtual machine: none of {tried} depends on a kernel image; run apt-get update"
    )]
    NoKernel {
        /// The packages asked for.
        tried: String,
    },
    /// The kernel package is not laid out as expected.
    #[error("kernel package {package} has no {what}")]
    Layout {
        /// The package and its version.
        package: String,
        /// What is missing in it.
        what: &'static str,
    },
    /// The kernel has no module of that name, neither as a file nor built in.
    #[error("kernel {release} has no module {module}")]
    NoModule {
        /// The kernel's release.
        release: String,
        /// The module.
        module: String,
    },
    /// The machine did not get as far as its payload.
    #[error("the machine did not start its payload ({why}); its console ends with:\n{console}")]
    Boot {
        /// What was seen instead.
        why: String,
        /// Last lines of the console.
        console: String,
    },
    /// The machine went down before the payload ended: a kernel panic, or QEMU died.
    #[error(
        "the machine went down before its payload ended; last output:\n{output}\nits console ends with:\n{console}"
    )]
    Died {
        /// Last lines of the payload.
        output: String,
        /// Last lines of the console.
        console: String,
    },
    /// QEMU's monitor did not answer as it should.
    #[error("the machine's monitor: {why}")]
    Monitor {
        /// What was seen instead.
        why: String,
    },
    /// The payload did not end in time; the machine was killed.
    #[error(
        "the payload did not end within {limit:?}; last output:\n{output}\nthe console ends with:\n{console}"
    )]
    Timeout {
        /// The time it was given.
        limit: Duration,
        /// Last lines of the payload.
        output: String,
        /// Last lines of the console.
        console: String,
    },
}

impl Error {
    /// For `map_err` on a file operation.
    pub(super) fn io(op: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { op, path, source }
    }
}

/// Runs a program of `package` to its end and returns its standard output.
pub(super) fn run<S: AsRef<OsStr>>(
    program: &str,
    package: &'static str,
    args: impl IntoIterator<Item = S>,
    dir: Option<&Path>,
) -> Result<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(args);
    if let Some(dir) = dir {
        command.current_dir(dir);
    }
    let output = command.output().map_err(|e| spawn_error(e, program, package))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let stderr = if stderr.is_empty() { output.status.to_string() } else { stderr };
    Err(Error::Command { command: format!("{command:?}").replace('"', ""), stderr })
}

/// Tells "not installed" from other failures to start a program.
pub(super) fn spawn_error(error: io::Error, program: &str, package: &'static str) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        Error::MissingProgram { program: program.to_owned(), package }
    } else {
        Error::Io { op: "run", path: program.into(), source: error }
    }
}
