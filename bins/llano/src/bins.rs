//! Where the two programs are.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// The plugin: in LLANO_BIN_DIR when that is set, else beside this program.
pub(crate) fn llano_cni() -> anyhow::Result<PathBuf> {
    let dir = match std::env::var_os("LLANO_BIN_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default(),
    };
    let file = dir.join("llano-cni");
    if !file.is_file() {
        bail!(
            "no llano-cni in {}: put it beside llano, or name its directory in LLANO_BIN_DIR \
             (`cargo xtask dist` builds both)",
            dir.display()
        );
    }
    Ok(std::path::absolute(file)?)
}
