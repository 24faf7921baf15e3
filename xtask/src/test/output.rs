//! What test programs print: how many tests, which failed, and what these said.

use crate::run;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};

/// What a tier's runners counted.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    /// Of the passed ones, those that did not at first.
    pub(super) flaky: u64,
    /// What the tests said that failed, also those that passed afterwards.
    pub(super) reasons: Vec<String>,
}

impl Count {
    pub(super) fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.flaky += other.flaky;
        self.reasons.extend(other.reasons);
    }
}

/// Runs `cargo test` or a test program, hands on what it prints, and adds up what its runners counted. Answers the tests that failed.
/// With `progress`, what the program is called, each test's end is told on standard error as it comes.
pub(super) fn counted(
    command: &mut Command,
    count: &mut Count,
    show: &mut dyn Write,
    progress: Option<&str>,
) -> Result<Vec<String>> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", run::shown(command)))?;
    let stdout = child.stdout.take().context("a test program has no standard output")?;
    let (mut failed, mut begun, mut ended) = (Vec::new(), 0, 0);
    let mut panics = Panics::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read what a test program prints")?;
        let line = String::from_utf8_lossy(&line);
        writeln!(show, "{line}")?;
        if let Some(more) = test_result(&line) {
            count.add(more);
            ended += 1;
        }
        if let (Some(name), Some(test)) = (progress, line.strip_prefix("test "))
            && test.contains(" ... ")
        {
            eprintln!("  {name}: {test}");
        }
        count.reasons.extend(panics.line(&line));
        begun += u64::from(begins(&line));
        failed.extend(failed_test(&line).map(str::to_owned));
    }
    let status: ExitStatus = child.wait().context("cannot wait for a test program")?;
    // A program that broke off has told neither of all its tests nor how many there were.
    if begun > ended {
        bail!("`{}`: {} of {begun} test programs broke off: {status}", run::shown(command), begun - ended);
    }
    if !status.success() && failed.is_empty() {
        bail!("`{}` failed: {status}", run::shown(command));
    }
    Ok(failed)
}

/// `running 5 tests`, as every Rust test program begins.
fn begins(line: &str) -> bool {
    let number = line.strip_prefix("running ").and_then(|rest| rest.split_once(" test"));
    number.is_some_and(|(number, end)| number.parse::<u64>().is_ok() && (end.is_empty() || end == "s"))
}

/// `test NAME ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// What tests say as they fail, which may stand hours before the end: `thread 'a::b' (17) panicked at src/c.rs:4:5:`, and the
/// line after it.
#[derive(Default)]
struct Panics {
    head: Option<String>,
}

impl Panics {
    /// Of a reason so much is repeated.
    const LONGEST: usize = 1500;

    fn line(&mut self, line: &str) -> Option<String> {
        let reason = self.head.take().map(|head| {
            let reason: String = line.chars().take(Panics::LONGEST).collect();
            format!("{head} {reason}")
        });
        self.head = (line.starts_with("thread '") && line.contains(" panicked at ")).then(|| line.to_owned());
        reason
    }
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; …`, as every Rust test program ends.
fn test_result(line: &str) -> Option<Count> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut count = Count::default();
    for part in counts.split("; ") {
        let Some((number, what)) = part.split_once(' ') else { continue };
        let Ok(number) = number.parse() else { continue };
        match what {
            "passed" => count.passed = number,
            "failed" => count.failed = number,
            "ignored" => count.ignored = number,
            _ => {}
        }
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runners_last_line_is_counted() {
        let line = "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(test_result(line), Some(Count { passed: 5, failed: 2, ignored: 1, ..Count::default() }));
        assert_eq!(test_result("test result_of_parse ... ok"), None);
        assert!(begins("running 1 test") && begins("running 30 tests") && begins("running 0 tests"));
        assert!(!begins("running tests") && !begins("test running 1 test ... ok"));
        assert_eq!(failed_test("test a::b ... FAILED"), Some("a::b"));
        assert_eq!(failed_test("test a::b ... ok"), None);
    }

    #[test]
    fn what_a_failed_test_said_is_repeated() {
        let mut panics = Panics::default();
        let lines =
            ["---- a::b stdout ----", "thread 'a::b' (17) panicked at c.rs:4:5:", "left: 1", "right: 2"];
        let reasons: Vec<String> = lines.iter().filter_map(|line| panics.line(line)).collect();
        assert_eq!(reasons, ["thread 'a::b' (17) panicked at c.rs:4:5: left: 1"]);
    }

    #[test]
    fn a_program_that_breaks_off_is_no_flaky_test() {
        let counts = |script: &str| {
            counted(Command::new("sh").args(["-c", script]), &mut Count::default(), &mut Vec::new(), None)
        };
        let one =
            "echo 'running 1 test'; echo 'test a ... FAILED'; echo 'test result: FAILED. 0 passed; 1 failed'";
        assert_eq!(counts(&format!("{one}; exit 101")).expect("all is told"), ["a"]);
        let two =
            counts(&format!("{one}; echo 'running 7 tests'; exit 101")).expect_err("the second said nothing");
        assert!(two.to_string().contains("1 of 2 test programs broke off"), "{two}");
    }
}
