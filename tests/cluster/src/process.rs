//! One of our programs as a process of the control plane's host, and the memory that a process needs.

use std::fmt;
use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cluster::Cluster;
use netns_tests::bin_dir;

use crate::{PATIENCE, controller, on};

/// What a process may need to settle.
const SETTLED: Duration = Duration::from_secs(5);

/// `llano` with these arguments. Killed when it is dropped.
pub struct Process<'a> {
    cluster: &'a Cluster,
    address: String,
    log: std::path::PathBuf,
    child: Child,
    started: Instant,
}

impl<'a> Process<'a> {
    /// Starts `llano ARGS --metrics-address ADDRESS`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(cluster: &'a Cluster, args: &[&str], address: &str) -> Process<'a> {
        let name = args.first().expect("a command");
        let file = cluster.on_disk("control", &format!("/etc/kubernetes/llano-{name}.log"));
        let log = File::create(&file).unwrap();
        let mut command = cluster.host("control").unwrap().command(bin_dir().join("llano")).unwrap();
        command.args(args).args(["--metrics-address", address]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let started = Instant::now();
        let child = command.spawn().unwrap();
        Process { cluster, address: address.to_owned(), log: file, child, started }
    }

    /// Starts `llano controller` with the rights of the controllers' account, and no webhook.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn controller(cluster: &'a Cluster) -> Process<'a> {
        const FILE: &str = "/etc/kubernetes/llano-controller.conf";
        std::fs::write(cluster.on_disk("control", FILE), controller::credentials(cluster)).unwrap();
        Process::start(
            cluster,
            &["controller", "--namespace", "llano", "--kubeconfig", FILE],
            "127.0.0.1:9465",
        )
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until a number of its metrics is as large.
    ///
    /// # Panics
    /// When it does not get as large.
    pub fn wait(&self, name: &str, least: usize) {
        let url = format!("http://{}/metrics", self.address);
        let reached = || {
            let Ok(text) = on(self.cluster, "control", &["curl", "-sf", &url]) else { return Ok(None) };
            Ok((find::<usize>(&text, name) >= Some(least)).then_some(()))
        };
        Cluster::wait(name, PATIENCE, reached).unwrap_or_else(|error| {
            panic!("{error}: {}", std::fs::read_to_string(&self.log).unwrap_or_default())
        });
    }

    /// Its memory, once it has settled.
    ///
    /// # Panics
    /// When it has ended.
    pub fn memory(&self) -> Memory {
        std::thread::sleep(SETTLED);
        Memory::of(self.child.id())
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Megabytes (2^20).
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// VmRSS.
    pub settled: f64,
    /// VmHWM.
    pub peak: f64,
}

impl Memory {
    /// Of a process.
    ///
    /// # Panics
    /// When there is none of this number.
    pub fn of(pid: impl fmt::Display) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mb = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a process that runs");
            line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
        };
        Memory { settled: mb("VmRSS:"), peak: mb("VmHWM:") }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MB, at most it was {:.1} MB", self.settled, self.peak)
    }
}

/// A number of a page of metrics, by its name with labels.
pub fn find<T: std::str::FromStr>(metrics: &str, name: &str) -> Option<T> {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok())
}

/// Whether `llano` is the one that is shipped, whose memory counts: that is static, and names no loader.
pub fn is_shipped() -> bool {
    let file = std::fs::read(bin_dir().join("llano")).unwrap();
    !file[..file.len().min(4096)].windows(9).any(|bytes| bytes == b"/ld-linux")
}
