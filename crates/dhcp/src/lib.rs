//! DHCP for attachments.
//!
//! - [`wire`]: messages and frames.
//! - [`v4`], [`v6`]: the clients as state machines without I/O.

pub mod clock;
pub mod v4;
pub mod wire;
