//! `cargo xtask cluster`: builds what a cluster runs, then hands over to `llano lab cluster`.

use crate::need::{self, Job};
use crate::{dist, run};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// The programs, one directory of the cache a line; `crates/cluster` finds them by the same list.
const PROGRAMS: &str = include_str!("../../crates/cluster/programs.txt");

#[derive(clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Examples:
  cargo xtask cluster up                    two nodes; the first time it builds Kubernetes, for minutes
  cargo xtask cluster up --nodes 3 --containerd 2
  cargo xtask cluster kubectl get pods -A
  cargo xtask cluster logs node1/kubelet
  cargo xtask cluster down
  cargo xtask cluster build                 only build what is missing"
)]
pub(crate) struct Args {
    /// up, down, kubectl, status, logs, import, kill, stop, start, reboot: handed to `llano lab cluster`; or build
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let task = args.args.first().map(String::as_str);
    if matches!(task, Some("up" | "build")) {
        let two = args.args.iter().any(|arg| arg == "--containerd=2")
            || args.args.windows(2).any(|pair| pair[0] == "--containerd" && pair[1] == "2");
        install(two)?;
    }
    if task == Some("build") {
        return Ok(());
    }
    let dist = run::target_dir()?.join("dist");
    // `up` has a new program; the others need not wait for a build.
    let dist = if task == Some("up") || !dist.join("llano").is_file() { dist::run()? } else { dist };
    let mut words = vec!["lab", "cluster"];
    words.extend(args.args.iter().map(String::as_str));
    let mut command = need::root_command(dist.join("llano"), &words, &["LLANO_CACHE_DIR"])?;
    command.env("LLANO_CACHE_DIR", run::cache_dir()?);
    let status = command.status().context("cannot start llano")?;
    if !status.success() {
        bail!("`{}` failed: {status}", run::shown(&command));
    }
    Ok(())
}

/// Makes everything present that a cluster runs; containerd 2 only when asked.
pub(crate) fn install(containerd_2: bool) -> Result<()> {
    need::apt(&[Job::Cluster])?;
    for row in rows() {
        if !row.directory.starts_with("containerd-") || containerd_2 {
            row.build()?;
        }
    }
    Ok(())
}

/// One line of the list.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    directory: &'static str,
    source: &'static str,
    programs: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    let lines = PROGRAMS.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            Some(Row { directory: words.next()?, source: words.next()?, programs: words.collect() })
        })
        .collect()
}

impl Row {
    /// Builds into a directory beside the final one, which is renamed when all is there: a build that was interrupted is not taken
    /// for a whole one.
    fn build(&self) -> Result<()> {
        let cache = run::cache_dir()?;
        let dir = cache.join(self.directory);
        if self.is_complete(&dir) {
            return Ok(());
        }
        let go = need::go()?;
        let _lock = need::lock(&dir)?;
        if self.is_complete(&dir) {
            return Ok(());
        }
        let part = cache.join(format!("{}.part", self.directory));
        eprintln!(
            "missing: {} ({}); building into {}{}",
            self.directory,
            self.programs.join(", "),
            dir.display(),
            if self.directory.starts_with("kubernetes-") {
                "; on two cores this takes some ten minutes"
            } else {
                ""
            }
        );
        let _ = fs::remove_dir_all(&part);
        fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
        self.compile(&go, &part)?;
        let _ = fs::remove_dir_all(&dir);
        fs::rename(&part, &dir).with_context(|| format!("cannot create {}", dir.display()))?;
        if !self.is_complete(&dir) {
            bail!("{} was built, yet not all of {} are there", self.directory, self.programs.join(", "));
        }
        Ok(())
    }

    fn is_complete(&self, dir: &Path) -> bool {
        self.programs.iter().all(|program| dir.join(program.rsplit('/').next().unwrap_or(program)).is_file())
    }

    fn compile(&self, go: &Path, into: &Path) -> Result<()> {
        // Nobody wants to wait for it with a machine that does not answer.
        let nice = |words: &[&str]| -> Result<std::process::Command> {
            let mut command = run::command("nice", &["-n", "19"])?;
            command.arg(go).args(words).env("CGO_ENABLED", "0");
            Ok(command)
        };
        if let Some(module) = self.source.strip_prefix('@') {
            let (path, version) = module.split_once('@').context("a module without a version")?;
            let mut command = nice(&["install", "-trimpath", "-ldflags=-s -w"])?;
            command.args(self.programs.iter().map(|program| format!("{path}/{program}@{version}")));
            return run::step(command.env("GOBIN", into));
        }
        let mut flags = "-ldflags=-s -w".to_owned();
        let packages: Vec<String> = match self.directory.strip_prefix("kubernetes-") {
            None => vec![".".to_owned()],
            Some(version) => {
                let part = |at: usize| version.split('.').nth(at).unwrap_or_default();
                for (key, value) in [
                    ("gitVersion", format!("v{version}")),
                    ("gitMajor", part(0).into()),
                    ("gitMinor", part(1).into()),
                ] {
                    flags.push_str(&format!(" -X k8s.io/component-base/version.{key}={value}"));
                }
                self.programs.iter().map(|program| format!("k8s.io/kubernetes/cmd/{program}")).collect()
            }
        };
        let source = run::checkout()?.join("crates/cluster/go").join(self.source);
        let target = match self.programs.as_slice() {
            [one] => into.join(one),
            _ => into.join(""),
        };
        let mut command = nice(&["build", "-trimpath", "-mod=readonly", &flags, "-o"])?;
        run::step(command.arg(target).args(packages).current_dir(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_a_source_that_is_there() {
        let rows = rows();
        assert!(
            rows.iter().any(|row| row.directory == "kubernetes-1.35.4" && row.programs.contains(&"kubelet"))
        );
        for row in rows {
            let go = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/cluster/go").join(row.source);
            let module = row.source.strip_prefix('@').is_some_and(|module| module.contains('@'));
            assert!(module || go.join("go.mod").is_file(), "{row:?}");
            assert!(!row.programs.is_empty(), "{row:?}");
        }
    }
}
