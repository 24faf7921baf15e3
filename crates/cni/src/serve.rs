//! The dispatcher: from the process's environment and standard input to a verb, and back.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

use crate::env::RawEnv;
use crate::json::Value;
use crate::request::config_limit;
use crate::{CniResult, Error, Request, Result, Verb, Version, netns};

/// A plugin: what it does for each verb.
pub trait Plugin {
    /// One line for who calls it without `CNI_COMMAND`: `CNI macvlan plugin llano-cni 0.1.0`.
    fn about(&self) -> String;

    /// The versions it takes, oldest first.
    fn versions(&self) -> &'static [Version] {
        Version::ALL
    }

    /// Makes the attachment.
    fn add(&self, request: &Request) -> Result<CniResult>;

    /// Undoes it; what is already gone is no error.
    fn del(&self, request: &Request) -> Result<()>;

    /// Says whether it still is as it was made.
    fn check(&self, _request: &Request) -> Result<()> {
        Ok(())
    }

    /// Says whether ADD can be served.
    fn status(&self, _request: &Request) -> Result<()> {
        Ok(())
    }

    /// Undoes every attachment that is not in [`Request::valid_attachments`].
    fn gc(&self, _request: &Request) -> Result<()> {
        Ok(())
    }
}

/// Where a call comes from and its answer goes.
pub struct Io<'a> {
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    /// The configuration.
    pub stdin: &'a mut dyn Read,
    /// The answer.
    pub stdout: &'a mut dyn Write,
    /// The about text.
    pub stderr: &'a mut dyn Write,
}

/// Serves the one call this process was started for. The exit code is 0 or 1.
pub fn serve(plugin: &dyn Plugin) -> ExitCode {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let io = Io {
        env: &|name| std::env::var_os(name),
        // The descriptors themselves: std's buffers cost memory, and would split the answer at its last line.
        stdin: &mut Descriptor(stdin.as_fd()),
        stdout: &mut Descriptor(stdout.as_fd()),
        stderr: &mut std::io::stderr(),
    };
    ExitCode::from(serve_with(plugin, io))
}

/// The same with everything injected. Never panics, also when nobody reads the answer.
pub fn serve_with(plugin: &dyn Plugin, mut io: Io<'_>) -> u8 {
    let answer = match answer(plugin, &mut io) {
        Ok(answer) => answer,
        Err(error) => {
            let _ = io.stdout.write_all(error.to_json().to_pretty().as_bytes());
            return 1;
        }
    };
    match io.stdout.write_all(answer.as_bytes()).and_then(|()| io.stdout.flush()) {
        Ok(()) => 0,
        // Nobody reads: there is nowhere to say so but the exit code.
        Err(_) => 1,
    }
}

/// What goes to standard output.
fn answer(plugin: &dyn Plugin, io: &mut Io<'_>) -> Result<String> {
    let raw = RawEnv::read(io.env);
    if raw.command.is_empty() {
        let versions: Vec<&str> = plugin.versions().iter().map(|version| version.as_str()).collect();
        let about = plugin.about();
        let _ = writeln!(io.stderr, "{about}\nCNI protocol versions supported: {}", versions.join(", "));
        return Ok(String::new());
    }
    raw.check()?;
    if raw.verb() == Some(Verb::Version) {
        return Ok(version_text(plugin.versions()));
    }
    let config = read_config(io.stdin, config_limit(raw.verb()))?;
    let mut request = Request::new(&raw, config, plugin.versions())?;
    match (request.env.verb, guard(&request)) {
        (Verb::Add, Err(error)) => return Err(error),
        (Verb::Del, Err(error)) => {
            // The path was recycled, so the pod is gone: what it holds elsewhere is given back, as the reference does.
            request.env.netns = None;
            plugin.del(&request)?;
            return Err(error);
        }
        _ => {}
    }
    dispatch(plugin, &request)
}

fn dispatch(plugin: &dyn Plugin, request: &Request) -> Result<String> {
    match request.env.verb {
        Verb::Add => Ok(plugin.add(request)?.to_json(request.version)?.to_pretty()),
        Verb::Del => plugin.del(request).map(|()| String::new()),
        Verb::Check => plugin.check(request).map(|()| String::new()),
        Verb::Status => plugin.status(request).map(|()| String::new()),
        Verb::Gc => plugin.gc(request).map(|()| String::new()),
        Verb::Version => Ok(version_text(plugin.versions())),
    }
}

/// Code 8 when `CNI_NETNS` is the plugin's own namespace. Differs: the reference looks after the callback has
/// run, when a host's interface may already be changed; here no interface is touched.
fn guard(request: &Request) -> Result<()> {
    match &request.env.netns {
        Some(path) if !request.env.netns_override && netns::is_own(path) => {
            Err(Error::netns("plugin's netns and netns from CNI_NETNS should not be the same"))
        }
        _ => Ok(()),
    }
}

fn read_config(stdin: &mut dyn Read, limit: usize) -> Result<Vec<u8>> {
    let mut config = Vec::with_capacity(4096);
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match stdin.take(limit).read_to_end(&mut config) {
        Ok(_) => Ok(config),
        Err(error) => Err(Error::io(format!("error reading from stdin: {error}"))),
    }
}

/// Go's encoder: one line, a newline at its end; always our own version, not the configuration's.
fn version_text(supported: &[Version]) -> String {
    let list = supported.iter().map(|version| Value::from(version.as_str())).collect::<Vec<_>>();
    let answer = Value::object([
        ("cniVersion", Value::from(Version::CURRENT.as_str())),
        ("supportedVersions", Value::from(list)),
    ]);
    let mut text = answer.to_compact();
    text.push('\n');
    text
}

/// Unbuffered reading and writing of a file descriptor.
struct Descriptor<'a>(BorrowedFd<'a>);

impl Read for Descriptor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(rustix::io::read(self.0, buffer)?)
    }
}

impl Write for Descriptor<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(rustix::io::write(self.0, bytes)?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
