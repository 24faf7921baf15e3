//! ifupdown: interfaces(5), and the state of what is up.

use std::path::{Path, PathBuf};

use super::glob::matches;
use super::{Owner, Subject, Tool, View};

const MAIN: &str = "etc/network/interfaces";
const STATES: [&str; 2] = ["run/network/ifstate", "run/ifstate"];
const PROGRAMS: [&str; 3] = ["sbin/ifup", "usr/sbin/ifup", "bin/ifup"];
/// A file may source itself.
const DEEPEST: usize = 8;

/// A stanza that configures an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stanza {
    pub(super) interface: String,
    pub(super) words: String,
    pub(super) path: PathBuf,
}

pub(super) fn owners(view: &View, subjects: &[&Subject]) -> Vec<Owner> {
    if !PROGRAMS.iter().any(|path| view.exists(path)) {
        return Vec::new();
    }
    let mut stanzas = Vec::new();
    read(view, &view.path(MAIN), 0, &mut stanzas);
    let up = up(view);
    let mut owners = Vec::new();
    for subject in subjects {
        let own = stanzas.iter().find(|stanza| stanza.interface == subject.name);
        let state = up.iter().find(|(name, _)| *name == subject.name);
        let (evidence, says) = match (own, state) {
            (Some(stanza), _) => (view.shown(&stanza.path), format!("has \"{}\"", stanza.words)),
            (None, Some((_, path))) => (view.shown(path), "has set it up".to_owned()),
            (None, None) => continue,
        };
        let interface = subject.name.clone();
        owners.push(Owner { interface, tool: Tool::Ifupdown, evidence, says, running: state.is_some() });
    }
    owners
}

/// What is up: lines of PHYSICAL=LOGICAL.
fn up(view: &View) -> Vec<(String, PathBuf)> {
    let mut up = Vec::new();
    for path in STATES.iter().map(|path| view.path(path)) {
        let text = view.read(&path).unwrap_or_default();
        let names = text.lines().filter_map(|line| line.split_once('='));
        up.extend(names.map(|(name, _)| (name.trim().to_owned(), path.clone())));
    }
    up
}

fn read(view: &View, path: &Path, depth: usize, stanzas: &mut Vec<Stanza>) {
    let Some(text) = view.read(path) else { return };
    for line in lines(&text) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            // `inet manual` leaves addresses alone, but still takes the interface up and down.
            ["iface", name, ..] => {
                let words = words.join(" ");
                stanzas.push(Stanza { interface: (*name).to_owned(), words, path: path.to_owned() });
            }
            [word @ ("source" | "source-directory" | "source-dir"), names @ ..] if depth < DEEPEST => {
                for name in names {
                    for file in sourced(view, path, name, *word != "source") {
                        read(view, &file, depth + 1, stanzas);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Lines without comments, those that end in a backslash joined with the next.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let begun = line.strip_suffix('\\');
        let part = begun.unwrap_or(line);
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => last.push_str(&format!(" {}", part.trim_start())),
            None if part.trim_start().starts_with('#') || part.trim().is_empty() => continue,
            None => lines.push(part.trim_start().to_owned()),
        }
        goes_on = begun.is_some();
    }
    lines
}

/// Files of a `source` line: a pattern in its last part, or all files of a directory.
fn sourced(view: &View, from: &Path, name: &str, directory: bool) -> Vec<PathBuf> {
    let path = match name.strip_prefix('/') {
        Some(absolute) => view.path(absolute),
        None => from.parent().unwrap_or(from).join(name),
    };
    let (dir, pattern) = match (directory, path.file_name().and_then(|name| name.to_str())) {
        (false, Some(last)) => (path.parent().unwrap_or(&path).to_owned(), last.to_owned()),
        _ => (path.clone(), "*".to_owned()),
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| !name.starts_with('.') && matches(&pattern, name))
        })
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::lines;
    use proptest::prelude::*;

    #[test]
    fn comments_and_long_lines() {
        let text = "# iface no inet dhcp\n\n  auto eth0\niface eth0 \\\n   inet \\\n dhcp\n\tup echo # no comment\nlast \\";
        let expected = ["auto eth0", "iface eth0  inet  dhcp", "up echo # no comment", "last "];
        assert_eq!(lines(text), expected);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(\\PC|\n|\\\\|#){0,80}") {
            lines(&text);
        }
    }
}
