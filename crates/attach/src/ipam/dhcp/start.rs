//! Starting the daemon, once, however many plugins want it at the same time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

/// How often it is looked whether the daemon listens.
const STEP: Duration = Duration::from_millis(5);
/// A log longer than this begins anew with the next daemon.
const LOG_LIMIT: u64 = 1 << 20;

/// Makes sure that somebody listens on `socket` before `end`. The daemon decides by its own lock who serves; the lock
/// here only keeps a hundred plugins from starting a hundred daemons of which all but one end at once.
pub(super) fn daemon(socket: &Path, state_dir: &Path, cni_path: &[PathBuf], end: Instant) -> Result<()> {
    if listens(socket) {
        return Ok(());
    }
    let program = find(cni_path, socket)?;
    let dir = socket.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| Error::State {
        op: "make",
        path: dir.to_owned(),
        source,
    })?;
    let lock = open(&with_end(socket, ".start"), false)?;
    while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        if listens(socket) {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(cni::Error::try_again(
                "another plugin has been starting the DHCP daemon for too long",
            )
            .into());
        }
        std::thread::sleep(STEP);
    }
    if listens(socket) {
        return Ok(());
    }
    start(&program, socket, state_dir, end)
}

fn listens(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

fn start(program: &Path, socket: &Path, state_dir: &Path, end: Instant) -> Result<()> {
    let log_path = with_end(socket, ".log");
    let mut log = open(&log_path, true)?;
    let failed = |source| Error::State { op: "write", path: log_path.clone(), source };
    let mut from = log.metadata().map_err(failed)?.len();
    if from > LOG_LIMIT {
        log.set_len(0).map_err(failed)?;
        from = 0;
    }
    // `--detach`: it leaves our session before it does anything else. We do not wait for it: when the plugin ends, the
    // daemon becomes init's child.
    let mut command = Command::new(program);
    command
        .args(["dhcp", "--detach", "--socket"])
        .arg(socket)
        .arg("--state-dir")
        .arg(state_dir)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.try_clone().map_err(failed)?);
    let mut child =
        command.spawn().map_err(|source| Error::State { op: "start", path: program.to_owned(), source })?;
    loop {
        if listens(socket) {
            return Ok(());
        }
        let ended = child.try_wait().ok().flatten();
        if let Some(status) = ended {
            // 3: somebody else serves, or is about to.
            if status.code() != Some(3) {
                let why = last_line(&mut log, from);
                let text =
                    format!("cannot start the DHCP daemon: {} dhcp: {status}: {why}", program.display());
                return Err(cni::Error::unavailable(text).into());
            }
        }
        if Instant::now() >= end {
            let text = format!("the DHCP daemon does not listen on {} in time", socket.display());
            return Err(cni::Error::try_again(text).into());
        }
        std::thread::sleep(STEP);
    }
}

/// `llano`, beside this program, where the runtime looks for plugins, or where programs are.
fn find(cni_path: &[PathBuf], socket: &Path) -> Result<PathBuf> {
    const USUAL: [&str; 5] = ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/opt/llano/bin"];
    let own = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    let dirs: Vec<PathBuf> =
        own.into_iter().chain(cni_path.iter().cloned()).chain(USUAL.map(PathBuf::from)).collect();
    if let Some(found) = dirs.iter().map(|dir| dir.join("llano")).find(|file| is_program(file)) {
        return Ok(found);
    }
    let list: Vec<_> = dirs.iter().map(|dir| dir.to_string_lossy()).collect();
    Err(cni::Error::unavailable(format!(
        "ipam.type dhcp needs the program \"llano\", which runs the DHCP daemon: nothing listens on {}, and there is \
         no llano in [{}]",
        socket.display(),
        list.join(" ")
    ))
    .into())
}

/// The plugin has a link of the program's name among the other plugins, for its type `llano`: that is not the program.
fn is_program(file: &Path) -> bool {
    file.canonicalize().is_ok_and(|real| real.is_file() && !real.ends_with("llano-cni"))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn open(path: &Path, append: bool) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600).read(true);
    let opened = if append { options.append(true) } else { options.write(true).truncate(false) }.open(path);
    opened.map_err(|source| Error::State { op: "open", path: path.to_owned(), source })
}

/// What the daemon said last.
fn last_line(log: &mut File, from: u64) -> String {
    let mut text = Vec::new();
    let read = log.seek(SeekFrom::Start(from)).and_then(|_| log.take(4096).read_to_end(&mut text));
    if read.is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&text).trim_end().lines().last().unwrap_or("it said nothing").to_owned()
}
