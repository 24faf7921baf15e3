//! Tests that need a virtual machine. One table of [`checks`] serves both sides: the guest (`vm-guest`) runs them and
//! prints a line for each, the host (`tests/`) boots the machine and asserts that each was ok exactly once.

pub mod checks;
pub mod machine;
pub mod report;
pub mod site;
