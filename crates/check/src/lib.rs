//! Why it does not work: a preflight of a host, its connectivity and its overlay.
//!
//! A [`Check`] is one row of [`CHECKS`]: what it looks at, and a function from the [`Context`] (the host as it was read
//! once) to [`Finding`]s. [`run`] runs them side by side. What a finding can repair by itself it carries as a [`Fix`].
//! [`connectivity`] pings everyone from everyone and says where a frame was lost; [`overlay`] looks at VXLANs.

mod conf;
pub mod connectivity;
mod context;
mod declared;
mod error;
mod finding;
mod fix;
mod interfaces;
mod kernel_group;
mod kubernetes;
mod lan;
mod overlay;
mod run;
mod runtime;
mod switch;
mod table;

pub use context::Context;
pub use error::{Error, Result};
pub use finding::{Finding, Group, Status};
pub use fix::{Action, Fix, MODULES_FILE, SYSCTL_FILE};
pub use overlay::{OVERLAY_IDS, overlay};
pub use run::run;
pub use table::{CHECKS, Check};
