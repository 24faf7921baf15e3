//! `cargo xtask lint`: what must hold for every commit and needs no test to be run.

use crate::{need, run};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const CARGO_DENY: &str = "0.20.2";

/// A file longer than this has more than one concept in it, or is listed with its reason.
const LONGEST_FILE: usize = 500;

#[derive(clap::Args)]
#[command(after_help = "\
Checks: fmt, clippy, deny, plugin-deps, files, docs. Without names: all.

The list of crates that llano-cni links is xtask/plugin-deps.txt; a file of more than 500 lines is listed with
its reason in xtask/long-files.txt.")]
pub(crate) struct Args {
    /// Only these checks
    #[arg(value_parser = CHECKS.map(|(name, _)| name))]
    checks: Vec<String>,
}

type Check = fn() -> Result<()>;

const CHECKS: [(&str, Check); 6] = [
    ("fmt", format),
    ("clippy", clippy),
    ("deny", deny),
    ("plugin-deps", plugin_dependencies),
    ("files", files),
    ("docs", docs),
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        if !args.checks.is_empty() && !args.checks.iter().any(|chosen| chosen == name) {
            continue;
        }
        eprintln!("== {name}");
        if let Err(error) = check() {
            eprintln!("error: {name}: {error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("lint failed: {}", failed.join(", "));
    }
    println!("lint: all well");
    Ok(())
}

fn format() -> Result<()> {
    need::rust_component("rustfmt", "rustfmt")?;
    let workspace = run::step(&mut run::cargo(&["fmt", "--all", "--check"])?);
    if !run::checkout()?.join("fuzz/Cargo.toml").exists() {
        return workspace;
    }
    workspace.and(run::step(&mut run::cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])?))
}

fn clippy() -> Result<()> {
    need::rust_component("clippy", "cargo-clippy")?;
    run::step(&mut run::cargo(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--keep-going",
        "--",
        "-D",
        "warnings",
    ])?)
}

fn deny() -> Result<()> {
    let deny =
        need::cargo_tool("cargo-deny", CARGO_DENY, "licences, sources and known holes of every dependency")?;
    // What only other platforms link was not fetched by a build; it is judged all the same.
    run::step(&mut run::cargo(&["fetch", "--quiet", "--locked"])?)?;
    // Offline: everything is here now, and the answer must not depend on the day.
    let words = [
        "--offline",
        "--log-level",
        "error",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ];
    run::step(&mut run::command(&deny, &words)?)?;
    let fetched = run::output(&mut run::command(&deny, &["--log-level", "error", "fetch", "db"])?);
    if let Err(error) = fetched {
        eprintln!(
            "WARNING: known security holes (RustSec advisories) were NOT checked, the database is out of reach:"
        );
        eprintln!("WARNING: {}", format!("{error:#}").lines().next().unwrap_or_default());
        return Ok(());
    }
    run::step(&mut run::command(&deny, &["--offline", "--log-level", "warn", "check", "advisories"])?)
}

/// The crates that `llano-cni` links are exactly those of `xtask/plugin-deps.txt`.
pub(crate) fn plugin_dependencies() -> Result<()> {
    let target = crate::dist::TARGET;
    let tree = run::output(&mut run::cargo(&[
        "tree",
        "--package",
        "llano-cni",
        "--edges",
        "normal",
        "--target",
        target,
        "--prefix",
        "none",
        "--format",
        "{p}",
    ])?)?;
    let linked = names(&tree);
    let file = run::checkout()?.join("xtask/plugin-deps.txt");
    let listed = names(&read(&file)?);
    let entered: Vec<&str> = linked.difference(&listed).map(String::as_str).collect();
    let left: Vec<&str> = listed.difference(&linked).map(String::as_str).collect();
    if !entered.is_empty() || !left.is_empty() {
        bail!(
            "llano-cni's dependencies are a closed list (xtask/plugin-deps.txt): entered: {}; left: {}",
            some_or_none(&entered),
            some_or_none(&left)
        );
    }
    println!("llano-cni links {} crates, all listed", linked.len());
    Ok(())
}

fn some_or_none(names: &[&str]) -> String {
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}

/// The first word of each line, comments aside.
fn names(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_whitespace().next().map(str::to_string))
        .collect()
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// No file too long, no name that says nothing, nothing left to do in a comment.
fn files() -> Result<()> {
    let checkout = run::checkout()?;
    let long = names(&read(&checkout.join("xtask/long-files.txt"))?);
    let mut complaints = Vec::new();
    let mut seen_long = BTreeSet::new();
    for file in sources(&checkout)? {
        let Ok(text) = std::fs::read_to_string(checkout.join(&file)) else { continue };
        let shown = file.to_string_lossy().into_owned();
        let lines = text.lines().count();
        if lines > LONGEST_FILE && !long.contains(&shown) {
            complaints
                .push(format!("{shown} has {lines} lines: split it by concept, or list it with its reason"));
        }
        if lines > LONGEST_FILE {
            seen_long.insert(shown.clone());
        }
        if file
            .file_stem()
            .is_some_and(|stem| ["utils", "util", "common", "helpers", "misc"].iter().any(|n| stem == *n))
        {
            complaints.push(format!("{shown}: the name says nothing about what is in it"));
        }
        complaints.extend(
            unfinished(&text).map(|line| format!("{shown}:{line}: unfinished work belongs in an issue")),
        );
    }
    complaints.extend(long.difference(&seen_long).map(|file| format!("{file} is listed as long and is not")));
    if !complaints.is_empty() {
        bail!("\n  {}", complaints.join("\n  "));
    }
    Ok(())
}

/// Lines with a marker of unfinished work.
fn unfinished(text: &str) -> impl Iterator<Item = usize> + '_ {
    // Put together here, so that this file does not complain about itself.
    let markers = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    text.lines().enumerate().filter_map(move |(index, line)| {
        let found = markers.iter().any(|marker| {
            line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == marker)
        });
        found.then_some(index + 1)
    })
}

/// The Rust files of this checkout that git knows or would add.
fn sources(checkout: &Path) -> Result<Vec<PathBuf>> {
    let listed = run::output(&mut run::command(
        "git",
        &["ls-files", "--cached", "--others", "--exclude-standard", "--", "*.rs"],
    )?);
    match listed {
        Ok(text) => Ok(text.lines().map(PathBuf::from).collect()),
        // Not a git checkout: an unpacked archive.
        Err(_) => walk(checkout, checkout),
    }
}

fn walk(root: &Path, dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(walk(root, &path)?);
        } else if name.ends_with(".rs") {
            files.extend(path.strip_prefix(root).map(Path::to_path_buf));
        }
    }
    Ok(files)
}

/// Every page is in the book, every link between pages leads somewhere.
fn docs() -> Result<()> {
    let checkout = run::checkout()?;
    let docs = checkout.join("docs");
    let mut complaints = Vec::new();
    let mut pages = vec![checkout.join("README.md"), checkout.join("CONTRIBUTING.md")];
    let summary = read(&docs.join("SUMMARY.md"))?;
    for entry in std::fs::read_dir(&docs).with_context(|| format!("cannot read {}", docs.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name != "SUMMARY.md" && !links(&summary).any(|link| link == name) {
                complaints.push(format!("docs/{name} is not in docs/SUMMARY.md"));
            }
            pages.push(path);
        }
    }
    for page in pages {
        let text = read(&page)?;
        for link in links(&text).filter(|link| !link.contains("://") && !link.starts_with(['#', '<'])) {
            let file = link.split('#').next().unwrap_or_default();
            let target = page.parent().unwrap_or(&checkout).join(file);
            if !target.exists() {
                let page = page.strip_prefix(&checkout).unwrap_or(&page);
                complaints.push(format!("{}: the link to {link} leads nowhere", page.display()));
            }
        }
    }
    if !complaints.is_empty() {
        bail!("\n  {}", complaints.join("\n  "));
    }
    Ok(())
}

/// The targets of Markdown's `[text](target)`, code aside.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines()
        .filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            in_code ^= fence;
            !in_code && !fence
        })
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .filter_map(|target| target.split_whitespace().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_first_words_and_comments_are_not() {
        let tree = "llano-cni v0.1.0 (/src)\nserde v1.0.2\nserde v1.0.2 (*)\n# why\n\n";
        assert_eq!(names(tree).into_iter().collect::<Vec<_>>(), ["llano-cni", "serde"]);
    }

    #[test]
    fn links_are_found_outside_code() {
        let page =
            "see [a](a.md) and [b](b.md#part \"title\")\n```\n[c](c.md)\n```\n[d](https://example.org)";
        assert_eq!(links(page).collect::<Vec<_>>(), ["a.md", "b.md#part", "https://example.org"]);
    }

    #[test]
    fn markers_count_as_words_only() {
        let text = ["// TO", "DO: later\nlet TO", "DOS = 1;\n"].concat();
        assert_eq!(unfinished(&text).collect::<Vec<_>>(), [1]);
    }
}
