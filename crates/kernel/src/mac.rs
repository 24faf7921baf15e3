//! Hardware addresses.

use std::fmt;
use std::str::FromStr;

use rustix::rand::GetRandomFlags;

/// An Ethernet address (EUI-48).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// 00:00:00:00:00:00.
    pub const ZERO: Self = Self([0; 6]);

    /// A random unicast address of the locally administered kind. Fails only when the kernel has no randomness yet.
    pub fn random() -> crate::Result<Self> {
        let mut bytes = [0u8; 6];
        rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())
            .map_err(|errno| crate::Error::new("read", "random bytes", errno))?;
        bytes[0] = (bytes[0] & 0xfe) | 0x02;
        Ok(Self(bytes))
    }

    /// Whether the group bit is set; the broadcast address is also multicast.
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether all bits are zero.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for MacAddr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for MacAddr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is no Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid MAC address: allowed are aa:bb:cc:dd:ee:ff, aa-bb-cc-dd-ee-ff and aabb.ccdd.eeff")]
pub struct ParseMacError;

impl FromStr for MacAddr {
    type Err = ParseMacError;

    /// Accepts what Go's `net.ParseMAC` accepts for six bytes, in either case of letters.
    fn from_str(s: &str) -> Result<Self, ParseMacError> {
        let s = s.as_bytes();
        let (separator, group) = match s.len() {
            17 => (s[2], 2),
            14 => (b'.', 4),
            _ => return Err(ParseMacError),
        };
        if group == 2 && separator != b':' && separator != b'-' {
            return Err(ParseMacError);
        }
        let mut mac = [0u8; 6];
        let mut nibbles = 0;
        for (at, &c) in s.iter().enumerate() {
            if at % (group + 1) == group {
                if c != separator {
                    return Err(ParseMacError);
                }
                continue;
            }
            let digit = match c {
                b'0'..=b'9' => c - b'0',
                b'a'..=b'f' => c - b'a' + 10,
                b'A'..=b'F' => c - b'A' + 10,
                _ => return Err(ParseMacError),
            };
            mac[nibbles / 2] = mac[nibbles / 2] << 4 | digit;
            nibbles += 1;
        }
        Ok(Self(mac))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_forms_are_accepted() {
        let mac = MacAddr([0xaa, 0xbb, 0xcc, 0x0d, 0xee, 0xff]);
        for text in ["aa:bb:cc:0d:ee:ff", "AA-BB-CC-0D-EE-FF", "aabb.cc0d.eeff"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        assert_eq!(mac.to_string(), "aa:bb:cc:0d:ee:ff");
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "aabbcc0deeff",
            "aa:bb:cc:0d:ee",
            "aa:bb-cc:0d:ee:ff",
            "aa:bb:cc:0d:ee:fg",
            "a:bb:cc:0d:ee:ff0",
            "aa:bb:cc:dd:ee:ff:00:11",
            "aabb:cc0d:eeff",
            "aa.bb.cc.dd.ee.ff",
            "+a:bb:cc:0d:ee:ff",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(ParseMacError), "{text}");
        }
    }

    #[test]
    fn random_is_local_and_unicast() {
        let (a, b) = (MacAddr::random().unwrap(), MacAddr::random().unwrap());
        assert!(!a.is_multicast() && a.0[0] & 2 == 2);
        assert_ne!(a, b);
    }

    proptest::proptest! {
        #[test]
        fn text_round_trip(bytes: [u8; 6]) {
            proptest::prop_assert_eq!(MacAddr(bytes).to_string().parse(), Ok(MacAddr(bytes)));
        }

        #[test]
        fn any_text_is_safe(text: String) {
            let _ = text.parse::<MacAddr>();
        }
    }
}
