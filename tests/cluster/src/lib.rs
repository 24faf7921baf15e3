//! Helpers of the tests on a real cluster: one cluster for all tests of a program, and what they ask it.
//!
//! A test program has no harness of its own: its `main` calls [`run`] with a list of tests. It needs root and the programs that
//! `cargo xtask cluster build` makes.

// A test that cannot look at the cluster has failed: a panic is the right answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

pub mod addresses;
pub mod addresses_keeping;
pub mod agent;
pub mod basics;
pub mod churn;
pub mod controller;
pub mod daemon;
pub mod deploys;
mod host;
pub mod interfaces;
pub mod kept;
mod kubectl;
mod manifest;
pub mod networks;
mod pods;
pub mod process;
pub mod simulated;
pub mod timed;
mod verbs;
mod watch;
pub mod wire;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cluster::{Cluster, ClusterSpec};
use netns_tests::LeakCheck;

pub use host::{ask_from, links, on, pings};
pub use kubectl::kubectl;
pub use manifest::without_kind;
pub use pods::{Pod, ask, deployment, exec, pod, pods_of, ready_pods};
pub use vm_tests::size;
pub use watch::{event, wait_for, watch};

/// What a test may wait for a pod or a node. Far more than an idle machine needs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A test: its name and what it does with the cluster.
pub type Test = (&'static str, fn(&mut Cluster));

/// Brings a cluster up, runs the tests whose name contains one of the program's arguments, takes the cluster down, and looks for
/// what it left. Prints what Rust's own harness prints.
pub fn run(spec: ClusterSpec, tests: &[Test]) -> ExitCode {
    harness(tests, |chosen| if chosen.is_empty() { 0 } else { with_cluster(spec, chosen) })
}

/// As [`run`], for tests that bring their clusters up themselves.
pub fn run_alone(tests: &[(&'static str, fn())]) -> ExitCode {
    harness(tests, |chosen| {
        clear_orphans();
        chosen.iter().filter(|(name, test)| !passes(name, test)).count()
    })
}

fn harness<T>(tests: &[(&'static str, T)], run: impl FnOnce(&[&(&'static str, T)]) -> usize) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let exact = args.iter().any(|arg| arg == "--exact");
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let matches = |name: &str, filter: &str| if exact { name == filter } else { name.contains(filter) };
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| matches(name, filter));
    if args.iter().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<_> = tests.iter().filter(|(name, _)| wanted(name)).collect();
    println!("\nrunning {} tests", chosen.len());
    let started = Instant::now();
    let failed = run(&chosen);
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        chosen.len().saturating_sub(failed),
        tests.len() - chosen.len(),
        started.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a test and prints its line: the runner of the tiers reads it, so that the time has one of its own.
fn passes(name: &str, test: impl FnOnce()) -> bool {
    let started = Instant::now();
    let said = std::panic::catch_unwind(AssertUnwindSafe(test)).err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    });
    // In the form of Rust's own, in one line: the runner repeats it at the end.
    if let Some(said) = &said {
        println!("thread '{name}' panicked at {name}:\n{}", said.replace('\n', " "));
    }
    let passed = said.is_none();
    println!(
        "after {:.1} s:\ntest {name} ... {}",
        started.elapsed().as_secs_f64(),
        if passed { "ok" } else { "FAILED" }
    );
    passed
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
        if !passes(name, || test(&mut cluster)) {
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
        let pid = name.strip_prefix('t').and_then(|pid| pid.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
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
        let ours = format!("t{}", std::process::id());
        for tree in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            assert_none(&tree.path(), &format!("llano-lab-{ours}"));
        }
        assert_none(Path::new("/var/lib/llano-cluster"), &ours);
        assert_none(Path::new("/run/llano-lab"), &ours);
        assert!(!processes_of(&ours), "processes are left");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let left = mounts.lines().find(|line| {
            line.contains(&format!("/llano-lab/{ours}")) || line.contains(&format!("/llano-cluster/{ours}"))
        });
        assert_eq!(left, None, "a mount is left");
        for directory in ["/var/lib/kubelet", "/var/lib/etcd", "/etc/kubernetes", "/var/log/pods"] {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().count();
            assert_eq!(entries, 0, "{directory} of the machine has files");
        }
    }
}

fn assert_none(directory: &Path, prefix: &str) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let left = entry.file_name().to_string_lossy().starts_with(prefix);
        assert!(!left, "{} is left", entry.path().display());
    }
}

/// Whether a process is in a host of this program's clusters: the lab says so in its environment.
fn processes_of(prefix: &str) -> bool {
    let wanted = format!("LLANO_LAB={prefix}");
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| std::fs::read(entry.path().join("environ")).ok())
        .any(|text| text.split(|byte| *byte == 0).any(|word| word.starts_with(wanted.as_bytes())))
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
