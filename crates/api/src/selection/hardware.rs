//! Hardware addresses as Go's `net.ParseMAC` reads them.

/// The bytes of a hardware address: 6, 8 or 20, in `aa:bb:..`, `aa-bb-..` or `aabb.ccdd...`.
pub(crate) fn parse(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let (separator, width) = match (bytes.get(2)?, bytes.get(4)) {
        (b':', _) => (':', 2),
        (b'-', _) => ('-', 2),
        (_, Some(b'.')) => ('.', 4),
        _ => return None,
    };
    let mut out = Vec::with_capacity(20);
    for group in text.split(separator) {
        if group.len() != width || !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for pair in [group.get(..2), group.get(2..)].into_iter().flatten().filter(|pair| !pair.is_empty()) {
            out.push(u8::from_str_radix(pair, 16).ok()?);
        }
    }
    matches!(out.len(), 6 | 8 | 20).then_some(out)
}

/// Whether an interface can have this address: of six bytes, neither group nor all zero; longer ones are the
/// plugin's affair.
pub(crate) fn is_usable(address: &[u8]) -> bool {
    address.len() != 6 || (address[0] & 1 == 0 && address.iter().any(|byte| *byte != 0))
}

/// Whether two texts are one address.
pub(crate) fn same_hardware_address(a: &str, b: &str) -> bool {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
