//! The CNI contract: environment, configuration, results of every version, error codes, delegation and
//! the runtime's result cache.
//!
//! A plugin implements [`Plugin`] and its `main` calls [`serve`]. Everything a plugin reads from the outside
//! (environment, standard input, another plugin's answer) passes through here and leaves as a type whose
//! invariants hold. The reference is `containernetworking/cni` (`pkg/skel`, `pkg/types`, `pkg/invoke`);
//! a comment starting with "Differs:" marks each place where we depart from it on purpose.

pub mod args;
pub mod cache;
pub mod delegate;
mod env;
mod error;
pub mod forward;
pub mod json;
mod netns;
mod request;
mod result;
mod serve;
mod version;

pub use args::Args;
pub use env::{Env, RawEnv, Verb};
pub use error::{Error, Result, code};
pub use request::{Request, ValidAttachment};
pub use result::{CniResult, Dns, Interface, IpConfig, Route};
pub use serve::{Io, Plugin, serve, serve_with};
pub use version::Version;
