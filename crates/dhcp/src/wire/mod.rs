//! The wire formats: DHCPv4 and DHCPv6 messages, and the frames that carry DHCPv4.
//!
//! A codec of our own, with dhcproto as its oracle in tests. dhcproto's decoder loses step after an option whose
//! length is wrong, does not join split options (RFC 3396), and panics on some bytes (a DHCPv6 status code shorter
//! than two octets, a hardware address length above 16). The daemon serves a whole node and everything that comes
//! from the LAN is hostile: no packet may stop it.

pub mod frame;
pub mod names;
pub mod v4;
pub mod v6;

/// Why bytes from the wire are not a message for us. The packet is dropped and counted, the exchange goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Fewer octets than the fixed part needs.
    #[error("{what} is {len} octets, the fixed part alone is {need}")]
    Short {
        /// What was parsed.
        what: &'static str,
        /// Octets there.
        len: usize,
        /// Octets needed.
        need: usize,
    },
    /// A field that must have one value has another.
    #[error("{what} is {got:#x}, not {want:#x}")]
    Field {
        /// The field.
        what: &'static str,
        /// Its value.
        got: u32,
        /// The value it must have.
        want: u32,
    },
    /// An option or label runs past the end.
    #[error("{0} runs past the end")]
    Overrun(&'static str),
}

/// Reads `N` octets at `at`, or nothing when they are not all there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Reads a big-endian `u16`.
pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    array::<2>(bytes, at).map(u16::from_be_bytes)
}

/// Reads a big-endian `u32`.
pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    array::<4>(bytes, at).map(u32::from_be_bytes)
}
