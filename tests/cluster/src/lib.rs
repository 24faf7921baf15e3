//! Helpers of the tests on a real cluster: one cluster for all tests of a program, and what they ask it.
//!
//! A test program has no harness of its own: its `main` calls [`run`] with a list of tests. It needs root and the programs that
//! `cargo xtask cluster build` makes.

// A test that cannot look at the cluster has failed: a panic is the right answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod pods;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cluster::{Cluster, ClusterSpec};
use netns_tests::LeakCheck;

pub use pods::{Pod, ask, deployment, exec, pods_of, ready_pods};

/// What a test may wait for a pod or a node. Far more than an idle machine needs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A test: its name and what it does with the cluster.
pub type Test = (&'static str, fn(&mut Cluster));

/// Brings a cluster up, runs the tests whose name contains one of the program's arguments, takes the cluster down, and looks for
/// what it left. Prints what Rust's own harness prints.
pub fn run(spec: ClusterSpec, tests: &[Test]) -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let chosen: Vec<&Test> = tests.iter().filter(|(name, _)| wanted(name)).collect();
    if std::env::args().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let started = Instant::now();
    let mut failed = 0;
    if !chosen.is_empty() {
        failed = with_cluster(spec, &chosen);
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        chosen.len().saturating_sub(failed),
        tests.len() - chosen.len(),
        started.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn with_cluster(spec: ClusterSpec, tests: &[&Test]) -> usize {
    clear_orphans();
    let clean = Clean::begin();
    let name = format!("t{}", std::process::id());
    let mut cluster = match Cluster::up(spec, &name, &mut |what| println!("cluster: {what}")) {
        Ok(cluster) => cluster,
        Err(error) => {
            println!("cluster up ... FAILED\n{error}");
            return tests.len();
        }
    };
    let mut failed = 0;
    for (name, test) in tests {
        let started = Instant::now();
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| test(&mut cluster)));
        let word = if ended.is_ok() { "ok" } else { "FAILED" };
        println!("test {name} ... {word} ({:.1} s)", started.elapsed().as_secs_f64());
        if ended.is_err() {
            failed += 1;
            println!("{}", state_of(&cluster));
        }
    }
    drop(cluster);
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        Cluster::down(&name).unwrap_or_else(|error| panic!("{error}"));
        clean.assert();
    }));
    if ended.is_err() {
        println!("test nothing_is_left ... FAILED");
        failed = (failed + 1).min(tests.len());
    }
    failed
}

/// What helps to understand a failure.
fn state_of(cluster: &Cluster) -> String {
    let ask = |args: &[&str]| cluster.kubectl_output(args).unwrap_or_else(|error| error.to_string());
    format!("{}\n{}", ask(&["get", "pods", "-A", "-o", "wide"]), ask(&["get", "events", "-A"]))
}

/// Takes down the clusters of test programs that were killed.
fn clear_orphans() {
    for name in Cluster::list() {
        let pid = name.strip_prefix('t').and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = Cluster::down(&name);
        }
    }
}

/// Proof that a cluster left nothing: what [`LeakCheck`] looks at, the machine's settings, and the cgroups.
pub struct Clean {
    leaks: LeakCheck,
    settings: Vec<String>,
}

impl Clean {
    /// Looks at the machine now.
    pub fn begin() -> Self {
        Clean { leaks: LeakCheck::begin(), settings: settings() }
    }

    /// Compares with the machine now.
    ///
    /// # Panics
    /// When something is new, or a setting of the machine has changed.
    pub fn assert(&self) {
        self.leaks.assert_clean();
        assert_eq!(self.settings, settings(), "settings of the machine");
        let name = format!("llano-lab-t{}", std::process::id());
        for tree in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let dir = tree.path().join(&name);
            assert!(!dir.exists(), "{} is left", dir.display());
        }
        let files = format!("/var/lib/llano-cluster/t{}", std::process::id());
        assert!(!std::path::Path::new(&files).exists(), "{files} is left");
        for directory in ["/var/lib/kubelet", "/var/lib/etcd", "/etc/kubernetes", "/var/log/pods"] {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().count();
            assert_eq!(entries, 0, "{directory} of the machine has files");
        }
    }
}

/// What a kubelet or kube-proxy would change of the machine.
fn settings() -> Vec<String> {
    [
        "vm/overcommit_memory",
        "vm/panic_on_oom",
        "kernel/panic",
        "kernel/panic_on_oops",
        "kernel/hostname",
        "net/ipv4/ip_forward",
    ]
    .iter()
    .map(|key| {
        format!("{key} {}", std::fs::read_to_string(format!("/proc/sys/{key}")).unwrap_or_default().trim())
    })
    .collect()
}
