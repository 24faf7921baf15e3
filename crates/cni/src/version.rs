//! Versions of the specification.

use std::fmt;

use crate::{Error, Result};

/// A version of the specification that results and configurations can have. Ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 0.1.0, also what an absent or empty `cniVersion` means.
    V010,
    /// 0.2.0.
    V020,
    /// 0.3.0: lists of interfaces and addresses.
    V030,
    /// 0.3.1: chains.
    V031,
    /// 0.4.0: CHECK, and `prevResult` on DEL.
    V040,
    /// 1.0.0: no `version` in `ips`.
    V100,
    /// 1.1.0: GC, STATUS, MTU and more in results.
    V110,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: &'static [Version] = &[
        Version::V010,
        Version::V020,
        Version::V030,
        Version::V031,
        Version::V040,
        Version::V100,
        Version::V110,
    ];

    /// The newest.
    pub const CURRENT: Version = Version::V110;

    /// As it stands in `cniVersion`.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V010 => "0.1.0",
            Version::V020 => "0.2.0",
            Version::V030 => "0.3.0",
            Version::V031 => "0.3.1",
            Version::V040 => "0.4.0",
            Version::V100 => "1.0.0",
            Version::V110 => "1.1.0",
        }
    }

    /// Exactly one of the known texts; the empty text is 0.1.0.
    pub fn from_text(text: &str) -> Option<Version> {
        if text.is_empty() {
            return Some(Version::V010);
        }
        Version::ALL.iter().copied().find(|version| version.as_str() == text)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Major, minor and micro of any version text, as the reference's `ParseVersion`: one to three numbers.
pub(crate) fn parse_triple(text: &str) -> Result<[i64; 3]> {
    let mut triple = [0; 3];
    for (at, part) in text.split('.').enumerate() {
        let Some(slot) = triple.get_mut(at) else {
            return Err(Error::decode(format!("invalid version {text:?}: too many parts")));
        };
        let name = ["major", "minor", "micro"][at];
        *slot = part.parse().map_err(|_| {
            Error::decode(format!("failed to convert {name} version part {part:?} of cniVersion {text:?}"))
        })?;
    }
    Ok(triple)
}
