//! Container images without a container engine: an OCI layout in one archive, as `ctr images import` and others take it.
//! The same input gives the same bytes.

mod layout;
mod llano;
mod tar;

pub use layout::{Config, Layer, Layout};
pub use llano::llano;
pub use tar::Tar;
