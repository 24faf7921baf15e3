//! Typed reading of [`Value`] with the full path of the key in every error.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::{Number, Value};
use crate::{Error, Result};

/// A value and where it stands: `ipam.ranges[0][1].subnet`.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    /// Full path of the value.
    pub path: String,
    /// The value; never `null` when it comes from [`Object::get`].
    pub value: &'a Value,
}

/// An object and where it stands. The root's path is empty.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    /// Full path of the object.
    pub path: String,
    members: &'a [(String, Value)],
}

impl<'a> Node<'a> {
    /// The error (code 7) that this value is not `allowed`.
    pub fn refuse(&self, allowed: &str) -> Error {
        Error::config(&self.path, self.value, allowed)
    }

    /// A string.
    pub fn string(&self) -> Result<&'a str> {
        match self.value {
            Value::String(text) => Ok(text),
            _ => Err(self.refuse("a string")),
        }
    }

    /// `true` or `false`.
    pub fn bool(&self) -> Result<bool> {
        match self.value {
            Value::Bool(bool) => Ok(*bool),
            _ => Err(self.refuse("true or false")),
        }
    }

    /// An integer in `range`. As in Go, `1500.0`, `1e3` and `"1500"` are not integers.
    pub fn integer(&self, range: RangeInclusive<i64>) -> Result<i64> {
        let value = match self.value {
            Value::Number(Number::Unsigned(value)) => i64::try_from(*value).ok(),
            Value::Number(Number::Signed(value)) => Some(*value),
            _ => None,
        };
        match value {
            Some(value) if range.contains(&value) => Ok(value),
            _ => Err(self.refuse(&format!("an integer from {} to {}", range.start(), range.end()))),
        }
    }

    /// An integer from 0 to 2^64 - 1 (rates in bits per second).
    pub fn u64(&self) -> Result<u64> {
        match self.value {
            Value::Number(Number::Unsigned(value)) => Ok(*value),
            _ => Err(self.refuse("an integer from 0 to 18446744073709551615")),
        }
    }

    /// An IP address; an IPv4 address mapped into IPv6 is taken as IPv4, as Go does.
    pub fn address(&self) -> Result<IpAddr> {
        self.string()?.parse::<IpAddr>().map(|ip| ip.to_canonical()).map_err(|_| self.refuse("an IP address"))
    }

    /// An address with prefix length, host bits kept: `10.1.2.3/24`.
    pub fn net(&self) -> Result<IpNet> {
        parse_net(self.string()?)
            .ok_or_else(|| self.refuse("an address with prefix length, such as 10.1.2.3/24"))
    }

    /// An object.
    pub fn object(&self) -> Result<Object<'a>> {
        match self.value {
            Value::Object(members) => Ok(Object { path: self.path.clone(), members }),
            _ => Err(self.refuse("an object")),
        }
    }

    /// An array's items, `null` ones included, each with its index in its path.
    pub fn items(&self) -> Result<Vec<Node<'a>>> {
        match self.value {
            Value::Array(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(at, value)| Node { path: format!("{}[{at}]", self.path), value })
                .collect()),
            _ => Err(self.refuse("an array")),
        }
    }
}

impl<'a> Object<'a> {
    /// The outermost object. `null` is an object without members, as in Go. Errors with code 6.
    pub fn root(value: &'a Value) -> Result<Object<'a>> {
        match value {
            Value::Object(members) => Ok(Object { path: String::new(), members }),
            Value::Null => Ok(Object::empty()),
            other => {
                Err(Error::decode(format!("the outermost value is {}, expected an object", other.kind())))
            }
        }
    }

    /// An object without members.
    pub fn empty() -> Object<'static> {
        Object { path: String::new(), members: &[] }
    }

    /// The members as they stand, duplicates and nulls included.
    pub fn raw(&self) -> &'a [(String, Value)] {
        self.members
    }

    /// The path of a member with this key.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of `key`. As Go fills a struct: of all members whose name is `key` without regard to ASCII
    /// case, the last one; `null` is absent.
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        let (name, value) = self.members.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        match value {
            Value::Null => None,
            _ => Some(Node { path: self.path_of(name), value }),
        }
    }

    /// Whether a member with this name is there, `null` included.
    pub fn has(&self, key: &str) -> bool {
        self.members.iter().any(|(name, _)| name.eq_ignore_ascii_case(key))
    }

    /// A string.
    pub fn string(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key).map(|node| node.string()).transpose()
    }

    /// A string where the empty one is the same as none (Go's zero value).
    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        Ok(self.string(key)?.filter(|text| !text.is_empty()))
    }

    /// A boolean.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.get(key).map(|node| node.bool()).transpose()
    }

    /// An integer in a range.
    pub fn integer(&self, key: &str, range: RangeInclusive<i64>) -> Result<Option<i64>> {
        self.get(key).map(|node| node.integer(range)).transpose()
    }

    /// An integer from 0 to 2^32 - 1.
    pub fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.u32_in(key, 0..=u32::MAX)
    }

    /// An integer of 32 bits in a range.
    pub fn u32_in(&self, key: &str, range: RangeInclusive<u32>) -> Result<Option<u32>> {
        let wide = i64::from(*range.start())..=i64::from(*range.end());
        Ok(self.integer(key, wide)?.and_then(|value| u32::try_from(value).ok()))
    }

    /// An integer from 0 to 65535.
    pub fn u16(&self, key: &str) -> Result<Option<u16>> {
        Ok(self.integer(key, 0..=i64::from(u16::MAX))?.and_then(|value| u16::try_from(value).ok()))
    }

    /// Any integer of 64 bits.
    pub fn i64(&self, key: &str) -> Result<Option<i64>> {
        self.integer(key, i64::MIN..=i64::MAX)
    }

    /// An integer from 0 to 2^64 - 1.
    pub fn u64(&self, key: &str) -> Result<Option<u64>> {
        self.get(key).map(|node| node.u64()).transpose()
    }

    /// An IP address; the empty string is none.
    pub fn address(&self, key: &str) -> Result<Option<IpAddr>> {
        match self.get(key) {
            Some(node) if !node.string()?.is_empty() => node.address().map(Some),
            _ => Ok(None),
        }
    }

    /// An address with prefix length, host bits kept; the empty string is none.
    pub fn net(&self, key: &str) -> Result<Option<IpNet>> {
        match self.get(key) {
            Some(node) if !node.string()?.is_empty() => node.net().map(Some),
            _ => Ok(None),
        }
    }

    /// An object.
    pub fn object(&self, key: &str) -> Result<Option<Object<'a>>> {
        self.get(key).map(|node| node.object()).transpose()
    }

    /// The items of an array; none when absent.
    pub fn items(&self, key: &str) -> Result<Vec<Node<'a>>> {
        self.get(key).map_or(Ok(Vec::new()), |node| node.items())
    }

    /// The objects of an array; none when absent.
    pub fn objects(&self, key: &str) -> Result<Vec<Object<'a>>> {
        self.items(key)?.iter().map(Node::object).collect()
    }

    /// The strings of an array; none when absent.
    pub fn strings(&self, key: &str) -> Result<Vec<&'a str>> {
        self.items(key)?.iter().map(Node::string).collect()
    }

    /// The error that a key which must be there is not.
    pub fn missing(&self, key: &str, allowed: &str) -> Error {
        Error::config(&self.path_of(key), "nothing", allowed)
    }
}

/// `address/prefix` with host bits kept. IPv4 mapped into IPv6 becomes IPv4 when the prefix allows it.
pub(crate) fn parse_net(text: &str) -> Option<IpNet> {
    let (address, prefix) = text.split_once('/')?;
    if prefix.is_empty() || prefix.len() > 3 || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (address, prefix) = (address.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?);
    let (address, prefix) = match address.to_canonical() {
        ip @ IpAddr::V4(_) if address.is_ipv6() && (96..=128).contains(&prefix) => (ip, prefix - 96),
        _ => (address, prefix),
    };
    IpNet::new(address, prefix).ok()
}
