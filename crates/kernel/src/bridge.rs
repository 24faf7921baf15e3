//! Settings of a bridge's port.

/// A bridge port's settings. When set, only what is `Some` is sent; when read, what the kernel told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BridgePort {
    /// Whether frames may go back out of the port they came in by (a VEPA switch).
    pub hairpin: Option<bool>,
    /// Whether it talks only to ports that are not isolated.
    pub isolated: Option<bool>,
    /// Whether the bridge learns senders from it.
    pub learning: Option<bool>,
    /// Whether frames to unknown receivers are sent out of it.
    pub unicast_flood: Option<bool>,
}
