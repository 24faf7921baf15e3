use proptest::prelude::*;

use super::ip;
use crate::{Owner, Record, parse_cursor, parse_quarantined, parse_record};

#[test]
fn tells_records_apart() {
    let owned = |id: &str, ifname: &str| Record::Owned(Owner::new(id, ifname));
    let cases: [(&[u8], Record); 16] = [
        (b"abc\r\neth0", owned("abc", "eth0")),
        (b"abc\r\neth0\n", owned("abc", "eth0")),
        (b" abc\r\neth0 ", owned("abc", "eth0")),
        (b"abc", Record::Legacy("abc".into())),
        (b"abc\n", Record::Legacy("abc".into())),
        (b"", Record::Torn),
        (b"\r\n", Record::Torn),
        (b"abc\r", Record::Torn),
        (b"abc\r\n", Record::Torn),
        (b"\0\0\0\0", Record::Torn),
        (b"abc\r\n\0\0\0\0", Record::Torn),
        (b"abc\neth0", Record::Foreign),
        (b"abc\r\neth0\r\nmore", Record::Foreign),
        (b"abc def", Record::Foreign),
        (b"\xff\xfe", Record::Foreign),
        (&[b'a'; 1025], Record::Foreign),
    ];
    for (content, record) in cases {
        assert_eq!(parse_record(content), record, "{:?}", String::from_utf8_lossy(content));
    }
}

#[test]
fn takes_the_cursors_host_local_takes() {
    assert_eq!(parse_cursor(b"10.1.2.3"), Some(ip("10.1.2.3")));
    assert_eq!(parse_cursor(b"2001:db8::5"), Some(ip("2001:db8::5")));
    assert_eq!(parse_cursor(b"::ffff:10.1.2.3"), Some(ip("10.1.2.3")));
    for content in [b"10.1.2.3\n".as_slice(), b"", b"10.1.2", b"10.1.2.3.", b"\xff", b"fe80::1%eth0"] {
        assert_eq!(parse_cursor(content), None, "{content:?}");
    }
}

proptest! {
    #[test]
    fn reads_what_it_writes(id in "[a-zA-Z0-9][a-zA-Z0-9_.\\-]{0,80}", ifname in "[a-z][a-z0-9@.]{0,14}") {
        let owner = Owner::new(&id, &ifname);
        prop_assert_eq!(parse_record(owner.record_text().as_bytes()), Record::Owned(owner));
    }

    #[test]
    fn takes_any_bytes(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (parse_record(&content), parse_cursor(&content), parse_quarantined(&content));
    }
}
