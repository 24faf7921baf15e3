//! The table of `cases.txt`: annotations, the delegate calls they come to, and the bytes of the status.

// Helpers of tests are not inside a test function, where the lints would allow these.
#![allow(clippy::unwrap_used)]

mod case;
mod recorder;
mod world;

use case::Case;

const CASES: &str = include_str!("cases.txt");

/// Every case comes out as the file says. With `LLANO_BLESS=1` the file is written anew.
#[test]
fn every_case_comes_out_as_written() {
    let world = world::World::read(include_str!("world.txt"));
    let (head, cases) = Case::read_all(CASES);
    let mut text = head;
    let mut wrong = Vec::new();
    for case in &cases {
        let came = case.run(&world);
        if came != case.expected {
            wrong.push(format!("== {}\n-- expected\n{}-- came\n{came}", case.title, case.expected));
        }
        text.push_str(&case.with(&came));
    }
    if std::env::var_os("LLANO_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/table/cases.txt"), text).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The table is as long as promised, no case stands in it twice, and each says something.
#[test]
fn the_table_is_whole() {
    let (_, cases) = Case::read_all(CASES);
    assert!(cases.len() >= 100, "{} cases", cases.len());
    for (at, case) in cases.iter().enumerate() {
        assert!(cases[..at].iter().all(|other| other.title != case.title), "{} stands twice", case.title);
        assert!(!case.expected.is_empty(), "{} expects nothing", case.title);
    }
}
