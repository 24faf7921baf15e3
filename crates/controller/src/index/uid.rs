//! UIDs in few bytes: a cluster has tens of thousands.

use std::fmt;

/// A UID as the API server writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Uid {
    /// 8-4-4-4-12 lower-case hexadecimal digits, as the API server makes them.
    Uuid([u8; 16]),
    /// Any other text, such as the hash that kubelet gives a static pod; empty for nobody.
    Text(Box<str>),
}

/// Where the dashes are.
const DASHES: [usize; 4] = [8, 13, 18, 23];

impl Uid {
    pub(crate) fn new(text: &str) -> Uid {
        read(text).map_or_else(|| Uid::Text(text.into()), Uid::Uuid)
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Uid::Text(text) if text.is_empty())
    }
}

/// The same text that [`Uid::new`] got.
impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uid::Text(text) => f.write_str(text),
            Uid::Uuid(bytes) => {
                for (n, byte) in bytes.iter().enumerate() {
                    let dash = if matches!(n, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{dash}{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

fn read(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    if text.len() != 36 || DASHES.iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let mut digits = text.iter().enumerate().filter(|(at, _)| !DASHES.contains(at)).map(|(_, digit)| *digit);
    let mut digit = || match digits.next()? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        *byte = digit()? << 4 | digit()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_it_was() {
        let uuid = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9fa";
        assert!(matches!(Uid::new(uuid), Uid::Uuid(_)));
        for text in [
            uuid,
            "",
            "0B1C2D3E-4f50-6172-8394-a5b6c7d8e9fa",
            "0b1c2d3e4f5061728394a5b6c7d8e9fa",
            "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f-",
            "u1",
        ] {
            assert_eq!(Uid::new(text).to_string(), text);
            assert_eq!(matches!(Uid::new(text), Uid::Uuid(_)), text == uuid, "{text}");
        }
    }
}
