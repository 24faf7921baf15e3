//! SIGKILL at a chosen system call, by strace, and the proof that it came there.
//!
//! `when=N` of strace counts by the call's name, so that killing "at call N" of all would walk almost nothing: the calls
//! come from a trace of a whole run, and each is the k-th of its name. It kills as the call is entered.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// A system call of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// The how many-th of that name it is, from 1.
    pub count: usize,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.count)
    }
}

/// Every call of a trace (`strace -qq`), in order, but the first `execve`, which is strace's own.
pub fn calls(trace: &str) -> Vec<Call> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let names = trace.lines().filter_map(|line| line.split_once('(')).map(|(name, _)| name);
    let all = names.map(|name| {
        let count = seen.entry(name).or_default();
        *count += 1;
        Call { name: name.to_owned(), count: *count }
    });
    all.filter(|call| (call.name.as_str(), call.count) != ("execve", 1)).collect()
}

impl Call {
    /// The options that make strace kill at this call.
    pub fn inject(&self) -> [String; 2] {
        ["-e".to_owned(), format!("inject={}:signal=SIGKILL:when={}", self.name, self.count)]
    }

    /// Whether a run with [`Call::inject`] was killed: then its trace must end in this very call. False when the run ended
    /// before it came to that call: one that waits for the kernel or a daemon does not look equally often each time.
    ///
    /// # Panics
    /// When it ended in another way, or the trace in another call.
    pub fn killed(&self, status: ExitStatus, trace: &str) -> bool {
        let start = format!("{}(", self.name);
        let lines: Vec<&str> = trace.lines().filter(|line| line.contains('(')).collect();
        let of_name = lines.iter().filter(|line| line.starts_with(&start)).count();
        if status.signal() != Some(9) && status.code() != Some(137) {
            assert!(of_name < self.count, "came to {self} and went on: {status}\n{trace}");
            return false;
        }
        let last = lines.last().copied().unwrap_or_default();
        assert!(of_name == self.count && last.starts_with(&start), "was to be killed at {self}\n{trace}");
        true
    }
}
