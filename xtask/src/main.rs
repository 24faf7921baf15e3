//! llano
fn main() {}
