//! The hardware address of an interface.

use std::fmt;
use std::str::FromStr;

use crate::selection::hardware;

/// A MAC that an interface can have: unicast, not all zeros. [`FromStr`] reads it as objects have it, [`Mac::parse`] as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// `None` for a group's address and for all zeros.
    pub fn new(bytes: [u8; 6]) -> Option<Mac> {
        hardware::is_usable(&bytes).then_some(Mac(bytes))
    }

    /// `02:00:5e:10:00:01`, `02-00-5e-10-00-01` or `0200.5e10.0001`, in either case. `None` as in [`Self::new`].
    pub fn parse(text: &str) -> Option<Mac> {
        Mac::new(hardware::parse(text)?.try_into().ok()?)
    }

    /// The six bytes, in the order in which they are sent.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

/// With colons, in lower case.
impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Why a text is no [`Mac`] of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a MAC address of six pairs of lower-case digits, such as 02:00:5e:10:00:01, not a group's and not all zeros"
)]
pub struct NoMac;

/// One MAC has one form in objects, the one it is printed in: who compares texts compares MACs.
impl FromStr for Mac {
    type Err = NoMac;

    fn from_str(text: &str) -> Result<Mac, NoMac> {
        Mac::parse(text).filter(|mac| mac.to_string() == text).ok_or(NoMac)
    }
}
