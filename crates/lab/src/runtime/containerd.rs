//! A containerd of a host's own, and `ctr run --cni`.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use super::{IMAGE, Running, Runtime, cgroups, image, output, require, wait_for};
use crate::error::{Error, Result};
use crate::host::Host;

const DIRECTORY: &str = "/run/containerd";
const LOG: &str = "/run/containerd/log";
const SOCKET: &str = "/run/containerd/containerd.sock";

/// State and content in the host's own /run; only what `ctr run` needs.
const CONFIG: &str = r#"version = 2
root = "/run/containerd/root"
state = "/run/containerd/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt",
]
[grpc]
  address = "/run/containerd/containerd.sock"
"#;

/// The containerd of a host. It ends with the lab.
#[derive(Debug, Clone, Copy)]
pub struct Containerd<'a> {
    host: &'a Host,
}

impl<'a> Containerd<'a> {
    /// The one that was started on this host.
    pub fn of(host: &'a Host) -> Self {
        Containerd { host }
    }

    /// Starts one, and does not wait until it answers: hosts can be prepared at once.
    ///
    /// # Errors
    /// When it is not installed, or cannot be run.
    pub fn start(host: &'a Host) -> Result<Self> {
        require(&["containerd", "ctr", "runc", "busybox"])?;
        let log = host.run_in(|| -> std::io::Result<fs::File> {
            fs::create_dir_all(DIRECTORY)?;
            fs::write("/run/containerd/config.toml", CONFIG)?;
            fs::File::create(LOG)
        })?;
        let failed = |error| Error::io("prepare", DIRECTORY, error);
        let log = log.map_err(failed)?;
        let mut process = host
            .command("containerd")?
            .args(["--config", "/run/containerd/config.toml"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .spawn()
            .map_err(|error| program("containerd", host, error.to_string()))?;
        // Lab::down ends it; somebody has to take its exit status.
        std::thread::spawn(move || process.wait());
        Ok(Containerd { host })
    }

    /// Waits until it answers and gives it the image.
    ///
    /// # Errors
    /// When it does not answer; with its log.
    pub fn ready(self) -> Result<Self> {
        let archive = image::archive(self.host)?;
        let answers = || Ok(self.host.run_in(|| Path::new(SOCKET).exists())?.then_some(()));
        wait_for(answers, || {
            program("containerd", self.host, format!("does not answer:\n{}", self.read(LOG)))
        })?;
        self.ctr(&["image", "import", archive])?;
        Ok(self)
    }

    fn ctr(&self, args: &[&str]) -> Result<String> {
        output(self.host, "ctr", args, &[])
    }

    fn read(&self, path: &str) -> String {
        self.host
            .run_in(|| fs::read_to_string(path).unwrap_or_default())
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// The process of a container whose task runs: ctr starts it only when the network is complete.
    fn running(&self, name: &str) -> Result<Option<u32>> {
        let list = self.ctr(&["task", "ls"])?;
        let mut lines = list.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
        Ok(lines.find_map(|words| match words.as_slice() {
            [task, pid, "RUNNING"] if *task == name => pid.parse().ok(),
            _ => None,
        }))
    }

    /// Whether `ctr run` has come to its end.
    fn has_ended(&self, process: &mut Child) -> Result<Option<()>> {
        let status = process.try_wait().map_err(|error| program("ctr run", self.host, error.to_string()))?;
        Ok(status.map(drop))
    }
}

impl Runtime for Containerd<'_> {
    /// A `ctr run` that stays in the foreground: only that calls the plugins when the container ends.
    fn run(&self, name: &str) -> Result<Running> {
        let log = log_of(name);
        let messages = self.host.run_in(|| fs::File::create(&log))?;
        let messages = messages.map_err(|error| Error::io("create", &log, error))?;
        let errors = messages.try_clone().map_err(|error| Error::io("copy", &log, error))?;
        let cgroup = format!("/{}/{name}", cgroups::of(self.host.lab()));
        let mut process = self
            .host
            .command("ctr")?
            .args(["run", "--rm", "--cni", "--cgroup", &cgroup, IMAGE, name, "/bin/sleep", "1000000"])
            .stdin(Stdio::null())
            .stdout(messages)
            .stderr(errors)
            .spawn()
            .map_err(|error| program("ctr", self.host, error.to_string()))?;
        let refused = || program(&format!("ctr run {name}"), self.host, self.read(&log));
        let look = || match self.running(name)? {
            Some(pid) => Ok(Some(pid)),
            None if self.has_ended(&mut process)?.is_some() => Err(refused()),
            None => Ok(None),
        };
        let pid = wait_for(look, refused)?;
        Ok(Running::of_process(name, pid)?.with_process(process))
    }

    fn exec(&self, name: &str, command: &[&str]) -> Result<String> {
        // Unique among the container's processes is enough, also of those that go on.
        let id = format!("x{}", next());
        self.ctr(&[&["task", "exec", "--exec-id", &id, name], command].concat())
    }

    /// Kills the container; `ctr run --rm` then calls DEL and deletes it.
    fn remove(&self, mut container: Running) -> Result<()> {
        let name = container.name().to_owned();
        self.ctr(&["task", "kill", "--signal", "SIGKILL", &name])?;
        let what = format!("ctr run {name}");
        if let Some(mut process) = container.take_process() {
            wait_for(
                || self.has_ended(&mut process),
                || program(&what, self.host, "does not end".to_owned()),
            )?;
        }
        let log = self.read(&log_of(&name));
        if log.contains("level=error") { Err(program(&what, self.host, log)) } else { Ok(()) }
    }
}

fn log_of(name: &str) -> String {
    format!("{DIRECTORY}/{name}.log")
}

fn program(what: &str, host: &Host, reason: String) -> Error {
    Error::Program { program: format!("{what} on {}", host.name()), reason }
}

fn next() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}
