//! Subnets by name, with wildcards as Spiderpool has them.

use std::fmt;

use super::Family;
use crate::name;

/// Most bytes of a pattern.
const LONGEST: usize = 253;

/// What a subnet may be asked for by, for messages.
pub(super) const PATTERN: &str = "a subnet's name (lower case letters, digits and -, at most 63), or one with the wildcards *, ? and [a-z]";

/// The name of a subnet, or a pattern of names. Only names that a subnet can have, and patterns that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    text: String,
    /// Of a pattern; none for a plain name.
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This byte.
    Byte(u8),
    /// `?`.
    One,
    /// `*`.
    Many,
    /// `[a-z05]`, or `[^a-z05]` and `[!a-z05]`: first and last byte of each range.
    Class { negated: bool, ranges: Vec<(u8, u8)> },
}

impl Part {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Part::Byte(own) => *own == byte,
            Part::One | Part::Many => true,
            Part::Class { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&byte)) != *negated
            }
        }
    }
}

impl NamePattern {
    /// A name without wildcards.
    pub fn name(text: &str) -> Option<NamePattern> {
        name::is_label(text).then(|| NamePattern { text: text.to_owned(), parts: Vec::new() })
    }

    /// A name or a pattern: `*` for any text, `?` for one character, `[a-z05]` for one of these, `[^a-z05]` for none of
    /// these, as in Go's `filepath.Match` without its `\`.
    pub fn parse(text: &str) -> Option<NamePattern> {
        if !text.contains(['*', '?', '[']) {
            return NamePattern::name(text);
        }
        (text.len() <= LONGEST).then_some(())?;
        let parts = parts(text)?;
        Some(NamePattern { text: text.to_owned(), parts })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names one subnet, without wildcards.
    pub fn is_name(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether a subnet of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        if self.is_name() {
            return self.text == name;
        }
        let name = name.as_bytes();
        let (mut part, mut byte) = (0, 0);
        // Where to go on when what follows the last * does not fit: one more byte is the star's.
        let mut retry: Option<(usize, usize)> = None;
        while byte < name.len() {
            match self.parts.get(part) {
                Some(Part::Many) => {
                    retry = Some((part + 1, byte));
                    part += 1;
                }
                Some(own) if own.takes(name[byte]) => (part, byte) = (part + 1, byte + 1),
                _ => match retry {
                    Some((after, from)) => {
                        retry = Some((after, from + 1));
                        (part, byte) = (after, from + 1);
                    }
                    None => return false,
                },
            }
        }
        self.parts[part..].iter().all(|part| *part == Part::Many)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parts(text: &str) -> Option<Vec<Part>> {
    let mut bytes = text.bytes().peekable();
    let mut parts = Vec::new();
    while let Some(byte) = bytes.next() {
        parts.push(match byte {
            b'*' => Part::Many,
            b'?' => Part::One,
            b'[' => {
                let negated = bytes.next_if(|byte| matches!(byte, b'^' | b'!')).is_some();
                let mut ranges = Vec::new();
                loop {
                    let first = match bytes.next()? {
                        b']' if !ranges.is_empty() => break,
                        byte => letter(byte)?,
                    };
                    let last = match bytes.next_if_eq(&b'-') {
                        Some(_) => letter(bytes.next()?)?,
                        None => first,
                    };
                    (first <= last).then_some(())?;
                    ranges.push((first, last));
                }
                Part::Class { negated, ranges }
            }
            b'-' => Part::Byte(byte),
            byte => Part::Byte(letter(byte)?),
        });
    }
    Some(parts)
}

fn letter(byte: u8) -> Option<u8> {
    (byte.is_ascii_lowercase() || byte.is_ascii_digit()).then_some(byte)
}

/// The subnets that a pod asks for by name, in the order in which they are to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubnetNames {
    /// Subnets of either family: the pod gets an address of each family that is among them, and a subnet's pair comes
    /// with it. Empty: none is asked for.
    Any(Vec<NamePattern>),
    /// Subnets by family, at least one: the pod gets an address of each family that is named, and of no other.
    ByFamily {
        /// Subnets of IPv4 addresses.
        v4: Vec<NamePattern>,
        /// Subnets of IPv6 addresses.
        v6: Vec<NamePattern>,
    },
}

impl Default for SubnetNames {
    fn default() -> SubnetNames {
        SubnetNames::Any(Vec::new())
    }
}

impl SubnetNames {
    /// Whether none is asked for.
    pub fn is_empty(&self) -> bool {
        Family::BOTH.into_iter().all(|family| self.of(family).is_empty())
    }

    /// The names among which the subnet of this family is.
    pub fn of(&self, family: Family) -> &[NamePattern] {
        match (self, family) {
            (SubnetNames::Any(names), _) => names,
            (SubnetNames::ByFamily { v4, .. }, Family::V4) => v4,
            (SubnetNames::ByFamily { v6, .. }, Family::V6) => v6,
        }
    }
}
