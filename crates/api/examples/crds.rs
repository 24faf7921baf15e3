//! Prints `deploy/crds.yaml`; `cargo xtask crds` writes it.

#![allow(clippy::print_stdout)]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "# The kinds of Llano. Made from crates/api/src/kinds by `cargo xtask crds`; a test fails when it is not current."
    );
    for definition in api::kinds::definitions()? {
        print!("---\n{}", serde_yaml_ng::to_string(&definition)?);
    }
    Ok(())
}
