//! SIGKILL of a process that writes, at any moment, on a real disk.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{calls, dump, pod, result};
use crate::Store;

const DIR: &str = "LLANO_TEST_STORE";

/// Step `n` of an endless life: of each pod the intent, the results, the doom, the end.
fn step(store: &Store, n: usize) -> bool {
    let id = format!("p{}", n / 4);
    let done = match n % 4 {
        0 => store.begin(&pod(&id), &calls("a")),
        1 => store.made(&id, &[(0, &result("10.0.0.1/8")), (1, &result("10.0.0.2/8"))]),
        2 => store.doom(&id, None, "deleted"),
        _ => store.forget(&id),
    };
    done.unwrap()
}

/// What is there after `n` steps.
fn state(n: usize) -> Option<(String, &'static str)> {
    let text =
        ["", "eth0=? net1=?", "eth0=10.0.0.1/8 net1=10.0.0.2/8", "!deleted eth0=10.0.0.1/8 net1=10.0.0.2/8"]
            [n % 4];
    (!n.is_multiple_of(4)).then(|| (format!("p{}", n / 4), text))
}

/// Not a test: the process that is killed.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = Store::open(dir.as_ref()).unwrap();
    let first: usize = std::env::var("LLANO_TEST_STEP").unwrap().parse().unwrap();
    for n in first..first + 100_000 {
        assert!(step(&store, n));
        println!("answered {}", n + 1);
    }
}

#[test]
fn a_killed_agent_has_forgotten_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut steps = 0;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::killed::writer", "--nocapture", "--test-threads=1"])
            .env(DIR, dir.path())
            .env("LLANO_TEST_STEP", steps.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let answered = |line: &str| line.rsplit_once("answered ").and_then(|(_, n)| n.trim().parse().ok());
        // Once it is at work, a moment more.
        let mut last: Option<usize> = None;
        for line in lines.by_ref() {
            last = answered(&line.unwrap()).or(last);
            if last.is_some_and(|last| last > steps + 2 + round) {
                break;
            }
        }
        std::thread::sleep(Duration::from_micros(700 * round as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            last = answered(&line.unwrap()).or(last);
        }
        let last = last.expect("the writer came to something");

        let store = Store::open(dir.path()).unwrap();
        let found: Vec<(String, String)> = dump(&store).into_iter().collect();
        let fits = |n: usize| {
            found == state(n).map(|(id, text)| (id, text.to_owned())).into_iter().collect::<Vec<_>>()
        };
        // The answer to the step after may have been on its way.
        steps = [last, last + 1].into_iter().find(|n| fits(*n)).unwrap_or_else(|| {
            panic!("round {round}: {last} answered, found {found:?}, expected {:?}", state(last))
        });
    }
    assert!(steps > 12 * 3);
}
