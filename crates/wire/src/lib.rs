//! What passes a wire: echo requests sent from inside a namespace ([`Ping`]), and frames collected in one ([`capture`]).
//!
//! Used by labs, whose tests assert on both, and by `llano check`, which tells a user where a frame was lost.

mod capture;
mod ping;

pub use capture::{Capture, Frame, capture, capture_only};
pub use ping::{Echo, Ping, PingError};
