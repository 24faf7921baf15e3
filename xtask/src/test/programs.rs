//! The test programs of the workspace: built together, each run by itself.
//!
//! `cargo test -p ONE` would compile what they depend on anew for each package, as each asks for other features of it. Built for the
//! whole workspace, everything is compiled once; cargo then says where the programs are.

use crate::run;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

/// One built test program.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Program {
    pub(super) package: String,
    pub(super) target: String,
    /// A file under the package's `tests/`; else the tests inside its library or program.
    pub(super) apart: bool,
    file: PathBuf,
    /// The package's: where `cargo test` runs its programs.
    directory: PathBuf,
}

impl Program {
    /// `netns-tests modes`
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.package, self.target)
    }

    /// The words that start it, and where.
    pub(super) fn start(&self) -> (&PathBuf, &PathBuf) {
        (&self.file, &self.directory)
    }
}

/// A package as `cargo metadata` tells of it.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Package {
    pub(super) name: String,
    manifest: PathBuf,
    /// The names of its test programs under `tests/`.
    pub(super) tests: Vec<String>,
}

/// The packages of the workspace.
pub(super) fn packages() -> Result<Vec<Package>> {
    let text = run::output(&mut run::cargo(&["metadata", "--no-deps", "--format-version", "1"])?)?;
    parse_packages(&serde_json::from_str(&text).context("cargo metadata printed other than JSON")?)
}

pub(super) fn parse_packages(metadata: &Value) -> Result<Vec<Package>> {
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let parse = |package: &Value| {
        let targets = package["targets"].as_array().into_iter().flatten();
        Ok(Package {
            name: package["name"].as_str().context("a package has no name")?.to_owned(),
            manifest: package["manifest_path"].as_str().unwrap_or_default().into(),
            tests: targets
                .filter(|target| is_test(target))
                .filter_map(|target| Some(target["name"].as_str()?.to_owned()))
                .collect(),
        })
    };
    packages.iter().map(parse).collect()
}

fn is_test(target: &Value) -> bool {
    target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"))
}

/// Builds the selected targets of all packages (`--lib`, `--test NAME`) and answers their test programs in the order of their
/// packages and names.
pub(super) fn build(packages: &[Package], selection: &[String]) -> Result<Vec<Program>> {
    let mut command = run::cargo(&["test", "--workspace", "--no-run", "--message-format"])?;
    command.arg("json-render-diagnostics").args(selection);
    eprintln!("$ {}", run::shown(&command));
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let mut programs = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read what cargo prints")?;
        let message =
            serde_json::from_str(&line).with_context(|| format!("cargo printed other than JSON: {line}"))?;
        programs.extend(built(packages, &message));
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!("`{}` failed: {status}", run::shown(&command));
    }
    programs.sort_by(|a, b| (&a.package, &a.target).cmp(&(&b.package, &b.target)));
    Ok(programs)
}

/// The test program of a message, when it tells of one.
pub(super) fn built(packages: &[Package], message: &Value) -> Option<Program> {
    let file = message["executable"].as_str().filter(|_| message["profile"]["test"] == true)?;
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    let package = packages.iter().find(|package| package.manifest == manifest)?;
    Some(Program {
        package: package.name.clone(),
        target: message["target"]["name"].as_str()?.to_owned(),
        apart: is_test(&message["target"]),
        file: file.into(),
        directory: manifest.parent()?.to_owned(),
    })
}
