//! Starting other programs, and the places of this checkout.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The checkout: where cargo says this package is, one directory up; else the nearest `Cargo.lock` above.
pub(crate) fn checkout() -> Result<PathBuf> {
    if let Some(parent) = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).and_then(|dir| {
        let parent = dir.parent()?.to_path_buf();
        parent.join("Cargo.lock").exists().then_some(parent)
    }) {
        return Ok(parent);
    }
    let here = std::env::current_dir().context("cannot read the current directory")?;
    here.ancestors()
        .find(|dir| dir.join("Cargo.lock").exists() && dir.join("xtask").exists())
        .map(PathBuf::from)
        .with_context(|| format!("{} is not inside a checkout of llano", here.display()))
}

/// Cargo's target directory, `CARGO_TARGET_DIR` obeyed.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let checkout = checkout()?;
    Ok(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout.join("target"), |dir| checkout.join(dir)))
}

/// Where downloaded and built tools live between checkouts: `~/.cache/llano`.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    Ok(base.context("neither HOME nor XDG_CACHE_HOME is set")?.join("llano"))
}

/// A command that runs in the checkout.
pub(crate) fn command(program: impl AsRef<OsStr>, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(program);
    command.args(args).current_dir(checkout()?);
    Ok(command)
}

/// `cargo` of the checkout's toolchain.
pub(crate) fn cargo(args: &[&str]) -> Result<Command> {
    command("cargo", args)
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| {
        let arg = arg.to_string_lossy();
        if arg.is_empty() || arg.contains(|c: char| c.is_whitespace() || "*\"'$".contains(c)) {
            format!("'{arg}'")
        } else {
            arg.into_owned()
        }
    }));
    words.join(" ")
}

/// Shows the command, runs it, fails if it fails.
pub(crate) fn step(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", shown(command));
    let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs the command quietly and returns its standard output; its standard error is in the message if it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}: {}", shown(command), output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed other than UTF-8", shown(command)))
}

/// Finds a program as a shell would, in `PATH` and in the system directories an ordinary user's `PATH` lacks.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/go/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}
