//! How single values are written.

use std::str::FromStr;

use kernel::MacAddr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::interface::{HostAccess, HostAccessWay, Interface, Lifetime, MacVlanMode};

/// A number, which templates often put between quotes.
pub(super) fn number<'de, D: Deserializer<'de>, T: TryFrom<i64> + FromStr>(
    from: D,
) -> Result<Option<T>, D::Error> {
    let number = match Option::<Scalar>::deserialize(from)? {
        None => return Ok(None),
        Some(Scalar::Number(number)) => T::try_from(number).ok(),
        Some(Scalar::Text(text)) => text.trim().parse().ok(),
        Some(Scalar::Bool(_)) => None,
    };
    number.map(Some).ok_or_else(|| serde::de::Error::custom("is no number that can be here"))
}

pub(super) fn length<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    number(from)?.ok_or_else(|| serde::de::Error::custom("prefix-length is missing"))
}

/// true or false, as YAML or as a template has them.
pub(super) fn switch<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    let on = match Option::<Scalar>::deserialize(from)? {
        None => return Ok(None),
        Some(Scalar::Bool(on)) => Some(on),
        Some(Scalar::Number(number)) => [0, 1].contains(&number).then_some(number == 1),
        Some(Scalar::Text(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
    };
    on.map(Some).ok_or_else(|| serde::de::Error::custom("is neither true nor false"))
}

/// `interfaces:` may be empty in a file.
pub(super) fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Interface>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Serialize for MacVlanMode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for MacVlanMode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        word.parse().map(Self).map_err(|error| serde::de::Error::custom(format!("{word:?}: {error}")))
    }
}

impl Serialize for Lifetime {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(seconds) => to.serialize_str(&format!("{seconds}sec")),
            None => to.serialize_str("forever"),
        }
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (text, seconds) = match Scalar::deserialize(from)? {
            Scalar::Text(text) if text == "forever" => return Ok(Self(None)),
            Scalar::Text(text) => (text.clone(), text.trim_end_matches("sec").trim().parse().ok()),
            Scalar::Number(number) => (number.to_string(), u32::try_from(number).ok()),
            Scalar::Bool(word) => (word.to_string(), None),
        };
        // u32::MAX is the kernel's word for ever.
        match seconds {
            Some(u32::MAX) => Ok(Self(None)),
            Some(seconds) => Ok(Self(Some(seconds))),
            None => Err(serde::de::Error::custom(format!(
                "{text:?} is no lifetime: say forever, or seconds as 300sec"
            ))),
        }
    }
}

/// A word, a number or true and false, as YAML has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    /// true, false.
    Bool(bool),
    /// A number.
    Number(i64),
    /// Any other.
    Text(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct HostAccessMap {
    way: HostAccessWay,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, alias = "keepMac")]
    keep_mac: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum HostAccessText {
    Off(bool),
    Way(HostAccessWay),
    Map(HostAccessMap),
}

impl Serialize for HostAccess {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let text = match self.way {
            None => HostAccessText::Off(false),
            Some(way) if self.name.is_none() && !self.keep_mac => HostAccessText::Way(way),
            Some(way) => {
                HostAccessText::Map(HostAccessMap { way, name: self.name.clone(), keep_mac: self.keep_mac })
            }
        };
        text.serialize(to)
    }
}

impl<'de> Deserialize<'de> for HostAccess {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = || serde::de::Error::custom("allowed are false, shim, move, or {way, name, keep-mac}");
        let plain = |way| Self { way, name: None, keep_mac: false };
        match HostAccessText::deserialize(from).map_err(|_| wrong())? {
            HostAccessText::Off(on) => Ok(plain(on.then_some(HostAccessWay::Shim))),
            HostAccessText::Way(way) => Ok(plain(Some(way))),
            HostAccessText::Map(map) => {
                Ok(Self { way: Some(map.way), name: map.name, keep_mac: map.keep_mac })
            }
        }
    }
}

/// nmstate prints MACs in capitals.
pub(super) mod upper {
    use super::{Deserialize, Deserializer, MacAddr, Serializer};

    pub(crate) fn serialize<S: Serializer>(mac: &Option<MacAddr>, to: S) -> Result<S::Ok, S::Error> {
        match mac {
            Some(mac) => to.serialize_str(&mac.to_string().to_uppercase()),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<MacAddr>, D::Error> {
        Option::deserialize(from)
    }
}
