//! Where programs are.

use std::path::{Path, PathBuf};

use lab::Plugins;

/// Ends the test when it does not run as root: a tier that cannot run fails, it is not skipped silently.
///
/// # Panics
/// Without root.
pub fn require_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs root: it makes network and mount namespaces. Run it with sudo, or leave the tier out by name"
    );
}

/// The directory of `llano-cni` and `llano`: LLANO_BIN_DIR, else target/dist of this workspace.
///
/// # Panics
/// When `llano-cni` is not there.
pub fn bin_dir() -> PathBuf {
    let dir = match std::env::var_os("LLANO_BIN_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/dist"),
    };
    let found = dir.join("llano-cni").is_file();
    assert!(
        found,
        "no llano-cni in {}: build it with `cargo xtask dist`, or set LLANO_BIN_DIR",
        dir.display()
    );
    dir.canonicalize().unwrap_or(dir)
}

/// Our plugins by their names.
///
/// # Panics
/// When they cannot be linked.
pub fn llano_plugins() -> Plugins {
    let dir = bin_dir();
    Plugins::install(&dir.join("llano-cni"), &dir.join("cni")).unwrap_or_else(|error| panic!("{error}"))
}

/// Debian's reference plugins (package containernetworking-plugins).
///
/// # Panics
/// When they are not installed.
pub fn reference_plugins() -> Plugins {
    let dir = "/usr/lib/cni";
    let found = Path::new(dir).join("macvlan").is_file();
    assert!(found, "no reference plugins in {dir}: apt-get install containernetworking-plugins");
    Plugins::at(dir)
}
