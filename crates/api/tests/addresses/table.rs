//! A table of cases in a file.

use std::collections::BTreeMap;
use std::path::Path;

/// One case: lines `key: value`, then lines of what is expected.
pub(crate) struct Case {
    pub(crate) title: String,
    pub(crate) given: BTreeMap<String, String>,
    expected: String,
}

impl Case {
    fn read(text: &str) -> Case {
        let mut lines = text.trim_end().lines();
        let title = lines.next().unwrap().to_owned();
        let mut case = Case { title, given: BTreeMap::new(), expected: String::new() };
        for line in lines {
            match line
                .split_once(": ")
                .filter(|(key, _)| !key.contains([' ', '{', '[']) && case.expected.is_empty())
            {
                Some((key, value)) => {
                    case.given.insert(key.to_owned(), value.to_owned());
                }
                None => case.expected += &format!("{line}\n"),
            }
        }
        case
    }
}

/// Compares what `answer` says with what the file expects. `LLANO_BLESS=1` writes what it says into the file, to be read
/// before it is kept.
pub(crate) fn check(file: &str, answer: impl Fn(&Case) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/addresses").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut parts = text.split("\n== ");
    let mut blessed = parts.next().unwrap().trim_end().to_owned() + "\n";
    let mut wrong = Vec::new();
    for part in parts {
        let case = Case::read(part);
        let answer = answer(&case);
        let given = part.lines().skip(1).take(case.given.len());
        let given: String = given.map(|line| format!("{line}\n")).collect();
        blessed += &format!("\n== {}\n{given}{answer}", case.title);
        if answer != case.expected {
            wrong.push(format!("{}\nexpected\n{}got\n{answer}", case.title, case.expected));
        }
    }
    if std::env::var_os("LLANO_BLESS").is_some() {
        std::fs::write(&path, blessed).unwrap();
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
