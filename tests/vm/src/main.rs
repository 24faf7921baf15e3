//! The program that runs inside the machine.
fn main() {}
