//! What hangs on what: links and their parents across every namespace of a machine, and whose they are.
//!
//! [`namespaces`] finds every network namespace that this process can see, once each: bind mounts (also those of other
//! mount namespaces), processes and threads. Who owns one is pieced together from what container runtimes leave on the
//! disk and in the process table; no runtime is asked anything. [`Topology::read`] reads the links of all of them and
//! finds each link's parent, port and peer, wherever it is. [`select`] finds one namespace by what a person types.
//!
//! Namespaces, processes and files come and go while they are read: what is gone is left out, never an error. Names,
//! files and processes may be anybody's: sizes are bounded, and [`visible`] makes a text safe to print.

mod attachment;
mod bundle;
mod discover;
pub mod draw;
mod error;
mod file;
mod lease;
mod mounts;
mod namespace;
mod owner;
mod process;
pub mod record;
mod resolve;
mod select;
mod topology;
mod visible;

pub use attachment::Attachment;
pub use discover::namespaces;
pub use error::{Error, Result};
pub use namespace::{Namespace, NamespaceId, Place};
pub use owner::{Container, Owner, Pod};
pub use process::Process;
pub use select::{locate, select};
pub use topology::{LinkId, Node, Topology};
pub use visible::visible;
