//! What the frame parsers share.

/// Why a frame is not what was looked for. Frames come from the wire: nothing in them is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It ends before the field.
    #[error("the frame is too short")]
    Short,
    /// Another EtherType, protocol or message.
    #[error("the frame is of another protocol")]
    Other,
    /// A field has a value that the standard forbids.
    #[error("the frame's {0} is not allowed")]
    Invalid(&'static str),
    /// The checksum is wrong.
    #[error("the frame's checksum is wrong")]
    Checksum,
}
