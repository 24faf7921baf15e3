//! Prints `docs/kinds.md`; `cargo xtask crds` writes it.

#![allow(clippy::print_stdout)]

mod page;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", page::page(&api::kinds::definitions()?));
    Ok(())
}
