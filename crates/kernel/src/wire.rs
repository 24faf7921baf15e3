//! Netlink's wire format: messages of attributes, all numbers in the host's order and all lengths padded to four.
//! The reader takes any bytes: what does not fit is the end of the list.

use crate::uapi::{NLA_F_NESTED, NLA_TYPE_MASK};
use crate::{Error, Result};

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;

/// Writes messages one after the other.
pub(crate) struct Writer {
    buf: Vec<u8>,
    /// Where the message under work starts.
    start: usize,
    seq: u32,
    overflow: bool,
}

impl Writer {
    /// A writer whose first message has the number `seq`.
    pub(crate) fn new(seq: u32) -> Self {
        Self { buf: Vec::with_capacity(512), start: 0, seq, overflow: false }
    }

    /// Begins a message of a type, with flags beside `NLM_F_REQUEST`. It is ended by [`Writer::end`].
    pub(crate) fn begin(&mut self, kind: u16, flags: u16) {
        self.start = self.buf.len();
        self.u32(0);
        self.u16(kind);
        self.u16(flags | crate::uapi::NLM_F_REQUEST);
        self.u32(self.seq);
        self.u32(0);
    }

    /// Ends the message. Fails when one of its attributes is longer than 65535 bytes.
    pub(crate) fn end(&mut self) -> Result<()> {
        let len = u32::try_from(self.buf.len() - self.start).unwrap_or(u32::MAX);
        self.buf[self.start..self.start + 4].copy_from_slice(&len.to_ne_bytes());
        self.seq = self.seq.wrapping_add(1);
        if self.overflow {
            return Err(Error::Invalid {
                object: "netlink attribute",
                value: "too long".to_owned(),
                allowed: "65535 bytes",
            });
        }
        Ok(())
    }

    /// The number that the next message gets.
    pub(crate) fn seq(&self) -> u32 {
        self.seq
    }

    pub(crate) fn len(&self) -> usize {
        self.buf.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buf
    }

    pub(crate) fn clear(&mut self) {
        self.buf.clear();
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.raw(&value.to_ne_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_ne_bytes());
    }

    pub(crate) fn attr(&mut self, kind: u16, value: &[u8]) {
        let at = self.open(kind);
        self.raw(value);
        self.close(at);
    }

    pub(crate) fn attr_u8(&mut self, kind: u16, value: u8) {
        self.attr(kind, &[value]);
    }

    pub(crate) fn attr_u16(&mut self, kind: u16, value: u16) {
        self.attr(kind, &value.to_ne_bytes());
    }

    pub(crate) fn attr_u32(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_ne_bytes());
    }

    /// A string with its final NUL.
    pub(crate) fn attr_str(&mut self, kind: u16, value: &str) {
        let at = self.open(kind);
        self.raw(value.as_bytes());
        self.raw(&[0]);
        self.close(at);
    }

    pub(crate) fn attr_ip(&mut self, kind: u16, ip: std::net::IpAddr) {
        match ip {
            std::net::IpAddr::V4(ip) => self.attr(kind, &ip.octets()),
            std::net::IpAddr::V6(ip) => self.attr(kind, &ip.octets()),
        }
    }

    /// Opens an attribute whose value follows; to be closed with what it returns.
    pub(crate) fn open(&mut self, kind: u16) -> usize {
        let at = self.buf.len();
        self.u16(0);
        self.u16(kind);
        at
    }

    /// Opens an attribute of attributes.
    pub(crate) fn nest(&mut self, kind: u16) -> usize {
        self.open(kind | NLA_F_NESTED)
    }

    /// Closes an attribute: writes its length and pads.
    pub(crate) fn close(&mut self, at: usize) {
        let len = u16::try_from(self.buf.len() - at).unwrap_or_else(|_| {
            self.overflow = true;
            u16::MAX
        });
        self.buf[at..at + 2].copy_from_slice(&len.to_ne_bytes());
        while !self.buf.len().is_multiple_of(4) {
            self.buf.push(0);
        }
    }
}

/// A message as it lies in a datagram.
#[derive(Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    /// Everything after the header.
    pub(crate) body: &'a [u8],
}

/// The messages of a datagram.
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        let bytes = self.0;
        let len = u32_at(bytes, 0)? as usize;
        let body = bytes.get(HEADER..len)?;
        let raw = Raw { kind: u16_at(bytes, 4)?, flags: u16_at(bytes, 6)?, seq: u32_at(bytes, 8)?, body };
        self.0 = bytes.get(align(len)..).unwrap_or_default();
        Some(raw)
    }
}

/// The attributes of a message or of a nest.
#[derive(Clone)]
pub(crate) struct Attrs<'a>(pub(crate) &'a [u8]);

impl<'a> Attrs<'a> {
    /// The attributes after a fixed header.
    pub(crate) fn after(body: &'a [u8], header: usize) -> Self {
        Self(body.get(header..).unwrap_or_default())
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        let bytes = self.0;
        let len = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & NLA_TYPE_MASK;
        let value = bytes.get(4..len)?;
        self.0 = bytes.get(align(len)..).unwrap_or_default();
        Some(Attr { kind, value })
    }
}

/// An attribute.
#[derive(Clone, Copy)]
pub(crate) struct Attr<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

impl<'a> Attr<'a> {
    pub(crate) fn u8(self) -> Option<u8> {
        self.value.first().copied()
    }

    pub(crate) fn u16(self) -> Option<u16> {
        u16_at(self.value, 0)
    }

    pub(crate) fn u32(self) -> Option<u32> {
        u32_at(self.value, 0)
    }

    /// A number that netlink keeps in network order.
    pub(crate) fn be16(self) -> Option<u16> {
        self.value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// A string up to its NUL; what is not UTF-8 is replaced.
    pub(crate) fn string(self) -> String {
        let end = self.value.iter().position(|b| *b == 0).unwrap_or(self.value.len());
        String::from_utf8_lossy(&self.value[..end]).into_owned()
    }

    /// The bytes of a string up to its NUL.
    pub(crate) fn is(self, text: &str) -> bool {
        self.value.strip_suffix(&[0]).unwrap_or(self.value) == text.as_bytes()
    }

    pub(crate) fn ip(self) -> Option<std::net::IpAddr> {
        match self.value.len() {
            4 => self.value.first_chunk::<4>().map(|b| (*b).into()),
            16 => self.value.first_chunk::<16>().map(|b| (*b).into()),
            _ => None,
        }
    }

    pub(crate) fn attrs(self) -> Attrs<'a> {
        Attrs(self.value)
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_ne_bytes(*b))
}

/// The next multiple of four.
fn align(len: usize) -> usize {
    len.saturating_add(3) & !3
}
