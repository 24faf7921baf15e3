//! Domain names as options 119 (RFC 3397) and 24 of DHCPv6 (RFC 3646) carry them.

/// Reads a list of names. Compression pointers (RFC 1035, 4.1.4) may point back inside the option only; the list
/// ends at the first name that is not well formed. Labels with octets that are not letters, digits, `-` or `_` end
/// it too: the names go into resolv.conf, where a newline would be an injection.
pub fn parse_names(data: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let Some((name, next)) = name(data, at) else { break };
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
        at = next;
    }
    names
}

/// A text option that may go into resolv.conf: nothing unless it is a plain domain name. Trailing NULs, which some
/// servers send, are dropped.
pub fn parse_domain(data: &[u8]) -> Option<String> {
    let end = data.iter().rposition(|b| *b != 0).map_or(0, |n| n + 1);
    let text = std::str::from_utf8(&data[..end]).ok()?.trim_end_matches('.');
    let fine = !text.is_empty() && text.len() <= 253 && text.split('.').all(|l| label_is_fine(l.as_bytes()));
    fine.then(|| text.to_owned())
}

fn label_is_fine(label: &[u8]) -> bool {
    (1..=63).contains(&label.len())
        && label.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn name(data: &[u8], start: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut at = start;
    let mut next = None;
    // Each jump goes strictly back, so the walk ends.
    let mut lowest = start;
    loop {
        let len = *data.get(at)?;
        match len {
            0 => return Some((text, next.unwrap_or(at + 1))),
            1..=63 => {
                let label = data.get(at + 1..at + 1 + usize::from(len))?;
                if !label_is_fine(label) || text.len() + label.len() > 253 {
                    return None;
                }
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(std::str::from_utf8(label).ok()?);
                at += 1 + usize::from(len);
            }
            0xc0..=0xff => {
                let target = usize::from(len & 0x3f) << 8 | usize::from(*data.get(at + 1)?);
                if target >= lowest {
                    return None;
                }
                next.get_or_insert(at + 2);
                lowest = target;
                at = target;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_3397() {
        let data = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04";
        assert_eq!(parse_names(data), ["eng.apple.com", "marketing.apple.com"]);
    }

    #[test]
    fn loops_overruns_and_injections_end_the_list() {
        assert_eq!(parse_names(b"\x03lan\x00\xc0\x05"), ["lan"]);
        assert_eq!(parse_names(b"\xc0\x00"), Vec::<String>::new());
        assert_eq!(parse_names(b"\x03lan\x00\x09abc"), ["lan"]);
        assert_eq!(parse_names(b"\x03a\nb\x00"), Vec::<String>::new());
        assert_eq!(parse_domain(b"lan.example\0"), Some("lan.example".into()));
        assert_eq!(parse_domain(b"lan\nnameserver 6.6.6.6"), None);
        assert_eq!(parse_domain(b""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_names(&bytes);
            let _ = parse_domain(&bytes);
        }
    }
}
