//! Calling another plugin: its file, its process, its answer.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::shorten;
use crate::json::{self, Value};
use crate::{CniResult, Error, Request, Result, Verb, Version};

/// Most bytes of a plugin's answer or of its standard error.
const OUTPUT_LIMIT: usize = 4 << 20;

/// The file of plugin `name` in the first directory of `path` that has one. No look at the execute bit, as in
/// the reference. Errors with code 7, and the reference's words.
pub fn find(name: &str, path: &[PathBuf]) -> Result<PathBuf> {
    if name.is_empty() {
        return Err(Error::invalid_config("no plugin name provided"));
    }
    if name.contains(['/', '\0']) {
        return Err(Error::invalid_config(format!("invalid plugin name: {}", shorten(name, 256))));
    }
    if path.is_empty() {
        return Err(Error::invalid_config("no paths provided"));
    }
    if let Some(found) = path.iter().map(|directory| directory.join(name)).find(|file| file.is_file()) {
        return Ok(found);
    }
    let list: Vec<_> = path.iter().map(|directory| directory.to_string_lossy()).collect();
    let name = shorten(name, 256);
    Err(Error::invalid_config(format!("failed to find plugin {name:?} in path [{}]", list.join(" "))))
}

/// Runs `plugin` with the request's environment and configuration, but with `verb`. The result of ADD; none
/// for any other verb. Standard error passes through.
pub fn exec(plugin: &Path, request: &Request, verb: Verb) -> Result<Option<CniResult>> {
    exec_with(plugin, request, verb, &request.raw)
}

/// The same with another configuration.
pub fn exec_with(plugin: &Path, request: &Request, verb: Verb, config: &[u8]) -> Result<Option<CniResult>> {
    let output = run(plugin, request, verb, config)?;
    if !output.status.success() {
        return Err(failure(&output));
    }
    if verb != Verb::Add {
        return Ok(None);
    }
    result_of(&output.stdout, request.version).map(Some)
}

/// An ADD's answer. `null` is an empty result, and one without version is of the configuration's version,
/// both as in the reference.
fn result_of(stdout: &[u8], version: Version) -> Result<CniResult> {
    let value = json::parse(stdout).map_err(|error| error.context("failed to unmarshal raw result"))?;
    CniResult::parse(&value, version)
}

/// The error a failed plugin printed, else what it wrote to standard error.
fn failure(output: &Output) -> Error {
    // Go's words.
    let status = match output.status.code() {
        Some(code) => format!("exit status {code}"),
        None => output.status.to_string(),
    };
    if output.stdout.is_empty() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stderr = shorten(stderr.trim_end(), 4096);
        return Error::internal(if stderr.is_empty() {
            format!("netplugin failed with no error message: {status}")
        } else {
            format!("netplugin failed: {stderr:?}: {status}")
        });
    }
    match json::parse(&output.stdout).and_then(|value| Error::from_json(&value)) {
        Ok(error) => error,
        Err(error) => {
            let stdout = String::from_utf8_lossy(&output.stdout);
            let stdout = shorten(&stdout, 1024);
            Error::internal(format!(
                "netplugin failed but error parsing its diagnostic message {stdout:?}: {error}"
            ))
        }
    }
}

fn run(plugin: &Path, request: &Request, verb: Verb, config: &[u8]) -> Result<Output> {
    let fail = |what: &str, error: &dyn std::fmt::Display| {
        Error::io(format!("cannot {what} {}: {error}", plugin.display()))
    };
    // A file in memory, not a pipe: a plugin that does not read its input cannot block us.
    let memory = memfd_create("cni-config", MemfdFlags::CLOEXEC)
        .map_err(|error| fail("make the configuration for", &error))?;
    let mut memory = File::from(memory);
    memory.write_all(config).map_err(|error| fail("write the configuration for", &error))?;

    let mut command = Command::new(plugin);
    set_environment(&mut command, request, verb);
    let mut retries = 5;
    let mut child = loop {
        rustix::fs::seek(&memory, rustix::fs::SeekFrom::Start(0))
            .map_err(|error| fail("rewind the configuration for", &error))?;
        let stdin = memory.try_clone().map_err(|error| fail("hand the configuration to", &error))?;
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => break child,
            // The file is being replaced by an upgrade: it will be whole in a moment.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && retries > 0 => {
                retries -= 1;
                std::thread::sleep(Duration::from_secs(1));
            }
            Err(error) => return Err(fail("run", &error)),
        }
    };
    let pipes = (child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from));
    let read = match pipes {
        (Some(stdout), Some(stderr)) => read_both(pidfd(&child).as_ref(), stdout, stderr),
        _ => Err(io::Error::other("it has no pipes")),
    };
    if read.is_err() {
        // It may be blocked on a pipe nobody reads any more.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| fail("wait for", &error))?;
    let (stdout, stderr) = read.map_err(|error| fail("read the answer of", &error))?;
    Ok(Output { status, stdout, stderr })
}

/// A descriptor that becomes readable when the child exits; none before Linux 5.3.
fn pidfd(child: &Child) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// The request's variables over those of this process; one that the request has not is not inherited.
fn set_environment(command: &mut Command, request: &Request, verb: Verb) {
    let env = &request.env;
    let path =
        env.path.iter().map(|directory| directory.as_os_str()).collect::<Vec<_>>().join(OsStr::new(":"));
    let netns = env.netns.as_deref().map_or(OsStr::new(""), Path::as_os_str);
    let variables = [
        ("CNI_COMMAND", OsStr::new(verb.as_str())),
        ("CNI_CONTAINERID", OsStr::new(&env.container_id)),
        ("CNI_NETNS", netns),
        ("CNI_IFNAME", OsStr::new(&env.ifname)),
        ("CNI_ARGS", OsStr::new(&env.args)),
        ("CNI_PATH", &path),
        ("CNI_NETNS_OVERRIDE", OsStr::new(if env.netns_override { "1" } else { "" })),
    ];
    for (name, value) in variables {
        if value.is_empty() {
            command.env_remove(name);
        } else {
            command.env(name, value);
        }
    }
}

/// The child's standard output and error.
struct Pipe {
    file: Option<File>,
    bytes: Vec<u8>,
}

impl Pipe {
    fn new(fd: OwnedFd) -> Pipe {
        Pipe { file: Some(File::from(fd)), bytes: Vec::new() }
    }

    /// Takes what is there, by way of `buffer`; how many bytes, none at the end.
    fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let count = match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            other => other?,
        };
        if count == 0 {
            self.file = None;
        }
        self.bytes.extend_from_slice(&buffer[..count]);
        if self.bytes.len() > OUTPUT_LIMIT {
            return Err(io::Error::other(format!("it is longer than {OUTPUT_LIMIT} bytes")));
        }
        Ok(count)
    }
}

/// Reads both pipes to their end, or to the end of the child: a daemon it left behind may keep them open.
/// Differs: the reference would wait for that daemon. Standard error is passed on as it comes.
fn read_both(child: Option<&OwnedFd>, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (mut stdout, mut stderr) = (Pipe::new(stdout), Pipe::new(stderr));
    let mut buffer = [0; 4096];
    let mut exited = false;
    while stdout.file.is_some() || stderr.file.is_some() {
        let sources: [Option<BorrowedFd<'_>>; 3] = [
            stdout.file.as_ref().map(File::as_fd),
            stderr.file.as_ref().map(File::as_fd),
            child.filter(|_| !exited).map(OwnedFd::as_fd),
        ];
        let mut fds: Vec<PollFd<'_>> =
            sources.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        // Once it is gone only what it already wrote is taken.
        match poll(&mut fds, exited.then_some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(0) => break,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let ready = sources.map(|source| source.is_some() && ready.next() == Some(true));
        if ready[0] {
            stdout.take(&mut buffer)?;
        }
        if ready[1] {
            let count = stderr.take(&mut buffer)?;
            let _ = io::stderr().write_all(&buffer[..count]);
        }
        exited |= ready[2];
    }
    Ok((stdout.bytes, stderr.bytes))
}

/// An answer as a plugin prints it, for callers that have the text already.
pub fn parse_answer(stdout: &[u8], version: Version) -> Result<CniResult> {
    result_of(stdout, version)
}

/// The configuration of a request with `prevResult` replaced, as text for [`exec_with`].
pub fn config_with_prev_result(request: &Request, result: &CniResult) -> Result<String> {
    let mut config = request.conf.clone();
    if let Value::Object(members) = &mut config {
        members.retain(|(key, _)| !key.eq_ignore_ascii_case("prevResult"));
    }
    config.set("prevResult", result.to_json(request.version)?);
    Ok(config.to_compact())
}
