//! Tests that need a virtual machine. One table of [`checks`] serves both sides: the guest (`vm-guest`) runs them and
//! prints a line for each, the host (`tests/`) boots the machine and asserts that each was ok exactly once.

pub mod bench;
pub mod caller;
pub mod checks;
pub mod declare;
pub mod guest;
pub mod machine;
pub mod partner;
pub mod preflight;
pub mod random;
pub mod report;
pub mod reseed;
pub mod site;
pub mod states;
pub mod storm;
mod sys;

/// A test's size: the short one, or the whole one of `cargo xtask test --full`, which says so in the environment.
#[must_use]
pub fn size<T>(short: T, full: T) -> T {
    if std::env::var_os("LLANO_FULL").is_some() { full } else { short }
}
