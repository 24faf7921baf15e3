//! llano-cni
fn main() {}
