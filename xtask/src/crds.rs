//! `cargo xtask crds`: the kinds as Kubernetes takes them, and as people read them.

use crate::run;
use anyhow::{Context, Result};

/// What is made: an example of `api` that prints it, so that this program needs none of what the kinds need, and the file.
const MADE: [(&str, &str); 2] = [("crds", "deploy/crds.yaml"), ("kinds", "docs/kinds.md")];

pub(crate) fn run() -> Result<()> {
    for (example, made) in MADE {
        let text =
            run::output(&mut run::cargo(&["run", "--quiet", "--package", "api", "--example", example])?)?;
        let file = run::checkout()?.join(made);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        println!("{made} is current");
    }
    Ok(())
}
