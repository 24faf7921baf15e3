//! Running test programs: several at once, those that need root in a world of their own.

use super::output::{Count, counted};
use super::programs::Program;
use crate::need;
use anyhow::{Result, anyhow, bail};
use std::collections::VecDeque;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// So many tests of a tier may be flaky. More than that is no accident.
const MOST_FLAKY: usize = 2;

/// A world of its own for a program: a network, and directories in which another program's doings would be taken for its own.
/// The shell stays as the program's parent, by which the program knows the world it began in.
const WORLD: &str = "\
for directory in /run/netns /run/llano /var/lib/cni /var/lib/llano; do
    mkdir -p $directory && mount -t tmpfs tmpfs $directory || exit 1
done
ip link set lo up || exit 1
\"$@\"";

/// How the programs of a tier are run.
pub(super) struct Lanes<'a> {
    /// So many at once.
    pub(super) number: usize,
    /// As root, each in a world of its own.
    pub(super) world: bool,
    /// As root at all.
    pub(super) root: bool,
    pub(super) environment: &'a [(&'static str, PathBuf)],
    pub(super) args: &'a [String],
}

/// A program's tests that failed, or why they are not known.
type Outcome = Result<Vec<String>>;

/// Runs a program once more with these arguments.
type OnceMore<'a> = &'a dyn Fn(&Program, &[String], &mut Count) -> Outcome;

impl Lanes<'_> {
    /// Runs the programs in the given order, and what failed once more when it is little: on a real kernel other programs share, a
    /// test may be at fault where the program is not. What passes then is named, so that it gets mended; what fails twice has failed.
    pub(super) fn run(&self, programs: Vec<Program>, total: &mut Count) -> Result<()> {
        let outcomes = self.side_by_side(programs, total)?;
        if !self.root {
            // Nothing but the program takes part.
            return again(outcomes, total, None);
        }
        let once_more =
            |program: &Program, args: &[String], count: &mut Count| self.one(program, args, count, true);
        again(outcomes, total, Some(&once_more))
    }

    fn side_by_side(&self, programs: Vec<Program>, total: &mut Count) -> Result<Vec<(Program, Outcome)>> {
        let queue = Mutex::new(VecDeque::from(programs));
        let lane = || {
            let mut done = Vec::new();
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(program) = next else { return done };
                let mut count = Count::default();
                let outcome = self.one(&program, self.args, &mut count, self.number == 1);
                done.push((program, count, outcome));
            }
        };
        let lanes = thread::scope(|scope| {
            let lanes: Vec<_> = (0..self.number).map(|_| scope.spawn(lane)).collect();
            lanes.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let mut outcomes = Vec::new();
        for lane in lanes {
            for (program, count, outcome) in lane.map_err(|_| anyhow!("a lane of tests broke off"))? {
                total.add(count);
                outcomes.push((program, outcome));
            }
        }
        Ok(outcomes)
    }

    /// Runs one program; beside others, what it prints comes in one piece at its end.
    fn one(&self, program: &Program, args: &[String], count: &mut Count, live: bool) -> Outcome {
        let started = Instant::now();
        eprintln!("{}: begins", program.title());
        let mut command = self.command(program, args)?;
        let outcome = if live {
            counted(&mut command, count, &mut stdout(), None)
        } else {
            let mut said = Vec::new();
            let outcome = counted(&mut command, count, &mut said, Some(&program.target));
            stdout().lock().write_all(&said)?;
            outcome
        };
        eprintln!("{}: ended after {:.0} s", program.title(), started.elapsed().as_secs_f64());
        outcome
    }

    fn command(&self, program: &Program, args: &[String]) -> Result<Command> {
        let (file, directory) = program.start();
        let keep: Vec<&str> = self.environment.iter().map(|(key, _)| *key).chain(["PATH", "HOME"]).collect();
        let mut command = if self.world {
            let unshare = ["--mount", "--net", "--propagation", "private", "sh", "-c", WORLD, "sh"];
            let mut command = need::root_command("unshare", &unshare, &keep)?;
            command.arg(file);
            command
        } else if self.root {
            need::root_command(file, &[], &keep)?
        } else {
            Command::new(file)
        };
        command.args(args).current_dir(directory).env("CARGO_MANIFEST_DIR", directory);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        Ok(command)
    }
}

/// Runs what failed once more, when it is little and all of it is known.
fn again(outcomes: Vec<(Program, Outcome)>, total: &mut Count, run: Option<OnceMore<'_>>) -> Result<()> {
    let (mut failed, mut broken) = (Vec::new(), Vec::new());
    for (program, outcome) in outcomes {
        match outcome {
            Ok(tests) if tests.is_empty() => {}
            Ok(tests) => failed.push((program, tests)),
            Err(error) => broken.push(error),
        }
    }
    let names = |failed: &[(Program, Vec<String>)]| {
        failed.iter().flat_map(|(_, tests)| tests.clone()).collect::<Vec<_>>()
    };
    let all = names(&failed);
    // All that failed is known by name.
    let known = broken.is_empty() && all.len() as u64 == total.failed;
    if let Some(run) = run.filter(|_| !all.is_empty() && all.len() <= MOST_FLAKY && known) {
        eprintln!("\nonce more, by themselves: {}", all.join(", "));
        let mut second = Count::default();
        for (program, tests) in &failed {
            let args: Vec<String> = ["--exact".to_owned()].into_iter().chain(tests.iter().cloned()).collect();
            if run(program, &args, &mut second).is_err() {
                second.failed += 1;
            }
        }
        if second.failed == 0 && second.passed == total.failed {
            println!("FLAKY, failed at first and passed by themselves: {}", all.join(", "));
            total.passed += second.passed;
            (total.failed, total.flaky) = (0, second.passed);
            return Ok(());
        }
    }
    match broken.into_iter().next() {
        Some(error) => Err(error),
        None if all.is_empty() => Ok(()),
        None => bail!("{} failed", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_fails_twice_has_failed_and_what_does_not_is_named() {
        // What fails of one program's ten tests, at first and by itself.
        let outcome = |first: &[&str], second: Option<&[&str]>| {
            let names = |failed: &[&str]| failed.iter().copied().map(str::to_owned).collect::<Vec<_>>();
            let count = |of: usize, failed: usize| Count {
                passed: (of - failed) as u64,
                failed: failed as u64,
                ..Count::default()
            };
            let mut total = count(10, first.len());
            let asked = Cell::new(false);
            let run = |_: &Program, args: &[String], counted: &mut Count| {
                asked.set(true);
                let failed = second.unwrap_or_default();
                counted.add(count(args.len() - 1, failed.len()));
                Ok(names(failed))
            };
            let outcome = again(
                vec![(Program::default(), Ok(names(first)))],
                &mut total,
                second.map(|_| &run as OnceMore<'_>),
            );
            (outcome.is_ok(), asked.get(), total)
        };
        let count = |passed, failed, flaky| Count { passed, failed, flaky, ..Count::default() };
        assert_eq!(outcome(&[], Some(&[])), (true, false, count(10, 0, 0)));
        assert_eq!(outcome(&["a"], Some(&[])), (true, true, count(10, 0, 1)));
        assert_eq!(outcome(&["a"], Some(&["a"])), (false, true, count(9, 1, 0)));
        assert_eq!(outcome(&["a", "b"], Some(&["b"])), (false, true, count(8, 2, 0)));
        assert_eq!(outcome(&["a", "b", "c"], Some(&[])), (false, false, count(7, 3, 0)));
        assert_eq!(outcome(&["a"], None), (false, false, count(9, 1, 0)));
    }

    #[test]
    fn a_program_that_broke_off_is_not_tried_again() {
        let run = |_: &Program, _: &[String], _: &mut Count| Ok(Vec::new());
        let outcomes = vec![
            (Program::default(), Ok(vec!["a".to_owned()])),
            (Program::default(), Err(anyhow!("broke off"))),
        ];
        let mut total = Count { failed: 1, ..Count::default() };
        let error = again(outcomes, &mut total, Some(&run)).expect_err("it broke off");
        assert_eq!((error.to_string().as_str(), total.failed), ("broke off", 1));
    }
}
