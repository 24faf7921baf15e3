//! Variables that are missing, malformed or hostile: code, words, and nothing done.

use crate::plugin::{Reader, call, set, variables};

const CONFIG: &[u8] = br#"{"cniVersion":"1.1.0","name":"lan","type":"reader"}"#;

/// Verb, variable, its value, the code and what the error says.
type Row<'a> = (&'a str, &'a str, &'a [u8], u32, &'a str);

#[test]
fn each_bad_variable_is_named() {
    let long_id = [b"a".repeat(4096), b"/".to_vec()].concat();
    let too_long_id = b"a".repeat(256);
    let long_name = b"e".repeat(100_000);
    let rows: &[Row<'_>] = &[
        ("ADD", "CNI_CONTAINERID", b"", 4, "required env variables [CNI_CONTAINERID] missing"),
        ("ADD", "CNI_NETNS", b"", 4, "required env variables [CNI_NETNS] missing"),
        ("ADD", "CNI_IFNAME", b"", 4, "required env variables [CNI_IFNAME] missing"),
        ("ADD", "CNI_PATH", b"", 4, "required env variables [CNI_PATH] missing"),
        ("CHECK", "CNI_CONTAINERID", b"", 4, "required env variables [CNI_CONTAINERID] missing"),
        ("CHECK", "CNI_NETNS", b"", 4, "required env variables [CNI_NETNS] missing"),
        ("CHECK", "CNI_IFNAME", b"", 4, "required env variables [CNI_IFNAME] missing"),
        ("CHECK", "CNI_PATH", b"", 4, "required env variables [CNI_PATH] missing"),
        ("DEL", "CNI_CONTAINERID", b"", 4, "required env variables [CNI_CONTAINERID] missing"),
        ("DEL", "CNI_IFNAME", b"", 4, "required env variables [CNI_IFNAME] missing"),
        ("DEL", "CNI_PATH", b"", 4, "required env variables [CNI_PATH] missing"),
        ("GC", "CNI_PATH", b"", 4, "required env variables [CNI_PATH] missing"),
        ("STATUS", "CNI_PATH", b"", 4, "required env variables [CNI_PATH] missing"),
        (
            "ADD",
            "CNI_CONTAINERID",
            b"../../etc/passwd",
            4,
            "invalid characters in containerID; ../../etc/passwd",
        ),
        ("ADD", "CNI_CONTAINERID", b"a/b", 4, "invalid characters in containerID; a/b"),
        ("ADD", "CNI_CONTAINERID", b".", 4, "invalid characters in containerID; ."),
        ("ADD", "CNI_CONTAINERID", b"..", 4, "invalid characters in containerID; .."),
        ("ADD", "CNI_CONTAINERID", b"-rf", 4, "invalid characters in containerID; -rf"),
        ("ADD", "CNI_CONTAINERID", b"_a", 4, "invalid characters in containerID"),
        ("ADD", "CNI_CONTAINERID", b"a b", 4, "invalid characters in containerID"),
        ("ADD", "CNI_CONTAINERID", b"a\n", 4, "invalid characters in containerID"),
        ("ADD", "CNI_CONTAINERID", b"a\r\neth1", 4, "invalid characters in containerID"),
        ("ADD", "CNI_CONTAINERID", b"a;reboot", 4, "invalid characters in containerID"),
        ("ADD", "CNI_CONTAINERID", "contaïner".as_bytes(), 4, "invalid characters in containerID"),
        ("ADD", "CNI_CONTAINERID", b"a\xff", 4, "invalid characters in containerID"),
        ("ADD", "CNI_CONTAINERID", &long_id, 4, "invalid characters in containerID"),
        ("DEL", "CNI_CONTAINERID", b"a/b", 4, "invalid characters in containerID"),
        ("CHECK", "CNI_CONTAINERID", b"a/b", 4, "invalid characters in containerID"),
        (
            "ADD",
            "CNI_IFNAME",
            b"sixteen-letters-",
            4,
            "interface name is too long; interface name should be less than 16",
        ),
        ("ADD", "CNI_IFNAME", &long_name, 4, "interface name is too long"),
        ("ADD", "CNI_IFNAME", b".", 4, "interface name is . or .."),
        ("ADD", "CNI_IFNAME", b"..", 4, "interface name is . or .."),
        ("ADD", "CNI_IFNAME", b"a/b", 4, "interface name contains / or : or whitespace characters"),
        ("ADD", "CNI_IFNAME", b"eth0:1", 4, "interface name contains / or : or whitespace characters"),
        ("ADD", "CNI_IFNAME", b"eth 0", 4, "interface name contains / or : or whitespace characters"),
        ("ADD", "CNI_IFNAME", b"eth0\n", 4, "interface name contains / or : or whitespace characters"),
        (
            "ADD",
            "CNI_IFNAME",
            "eth\u{a0}0".as_bytes(),
            4,
            "interface name contains / or : or whitespace characters",
        ),
        ("ADD", "CNI_IFNAME", b"eth%d", 4, "interface name contains %"),
        ("ADD", "CNI_IFNAME", b"eth\xff", 4, "interface name is not UTF-8"),
        ("DEL", "CNI_IFNAME", b"../lo", 4, "interface name contains / or : or whitespace characters"),
        ("CHECK", "CNI_IFNAME", b"..", 4, "interface name is . or .."),
        ("ADD", "CNI_ARGS", b"\xff=1", 4, "CNI_ARGS is not UTF-8"),
        ("ADD", "CNI_ARGS", b"FOO=bar", 4, "ARGS: unknown args [\"FOO=bar\"]"),
        ("ADD", "CNI_ARGS", b"mac=02:00:00:00:00:01", 4, "ARGS: unknown args [\"mac=02:00:00:00:00:01\"]"),
        ("ADD", "CNI_ARGS", b"A=1;MAC=x;B=2", 4, "ARGS: unknown args [\"A=1\" \"B=2\"]"),
        ("ADD", "CNI_ARGS", b"MAC", 4, "ARGS: invalid pair \"MAC\""),
        ("ADD", "CNI_ARGS", b"MAC=a=b", 4, "ARGS: invalid pair \"MAC=a=b\""),
        ("ADD", "CNI_ARGS", b"IgnoreUnknown=1;", 4, "ARGS: invalid pair \"\""),
        (
            "ADD",
            "CNI_ARGS",
            b"IgnoreUnknown=yes;FOO=1",
            4,
            "ARGS: error parsing value of pair \"IgnoreUnknown=yes\"",
        ),
        ("ADD", "CNI_ARGS", b"IgnoreUnknown=0;FOO=1", 4, "ARGS: unknown args"),
        ("ADD", "CNI_COMMAND", b"add", 4, "unknown CNI_COMMAND: add"),
        ("ADD", "CNI_COMMAND", b"ADD ", 4, "unknown CNI_COMMAND: ADD "),
        ("ADD", "CNI_COMMAND", b"UPDATE", 4, "unknown CNI_COMMAND: UPDATE"),
        ("ADD", "CNI_COMMAND", b"\xff\xfe", 4, "unknown CNI_COMMAND"),
        ("ADD", "CNI_COMMAND", &long_name, 4, "unknown CNI_COMMAND: eee"),
        (
            "ADD",
            "CNI_NETNS",
            b"/proc/self/ns/net",
            8,
            "plugin's netns and netns from CNI_NETNS should not be the same",
        ),
        ("DEL", "CNI_CONTAINERID", &too_long_id, 4, "containerID is longer than 255 bytes"),
    ];
    for (verb, variable, value, code, words) in rows {
        let plugin = Reader::default();
        let mut env = variables(verb);
        set(&mut env, variable, value);
        let outcome = call(&plugin, &env, CONFIG);
        let row = format!("{verb} {variable}={:.40}", String::from_utf8_lossy(value));
        let (found, msg, details) = outcome.error();
        let text = if details.is_empty() { msg } else { format!("{msg}; {details}") };
        assert_eq!(found, *code, "{row}: {text}");
        assert!(text.contains(words), "{row}: {text}");
        assert!(text.len() < 1500, "{row}: an error of {} bytes", text.len());
        assert_eq!(outcome.exit, 1, "{row}");
        assert_eq!(plugin.effects.get(), 0, "{row}");
    }
}

#[test]
fn missing_variables_are_listed_together_in_order() {
    let env = vec![("CNI_COMMAND".to_owned(), b"ADD".to_vec())];
    let outcome = call(&Reader::default(), &env, CONFIG);
    // Byte for byte what the reference prints.
    assert_eq!(
        outcome.stdout,
        "{\n    \"code\": 4,\n    \"msg\": \"required env variables \
         [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing\"\n}"
    );
}

#[test]
fn a_malformed_variable_comes_before_a_missing_one_and_both_before_the_configuration() {
    let mut env = variables("ADD");
    set(&mut env, "CNI_CONTAINERID", b"a/b");
    set(&mut env, "CNI_NETNS", b"");
    assert_eq!(call(&Reader::default(), &env, b"{").error().1, "invalid characters in containerID");
    set(&mut env, "CNI_CONTAINERID", b"a");
    assert_eq!(call(&Reader::default(), &env, b"{").error().1, "required env variables [CNI_NETNS] missing");
}

#[test]
fn gc_and_status_do_not_look_at_an_attachment() {
    for verb in ["GC", "STATUS"] {
        let plugin = Reader::default();
        let mut env = variables(verb);
        for (variable, value) in [("CNI_CONTAINERID", "../x"), ("CNI_IFNAME", "a/b"), ("CNI_NETNS", "")] {
            set(&mut env, variable, value.as_bytes());
        }
        let outcome = call(&plugin, &env, CONFIG);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (0, ""), "{verb}");
        assert_eq!(plugin.effects.get(), 1);
    }
}

#[test]
fn the_override_allows_the_own_namespace() {
    for (value, exit) in [("1", 0), ("true", 0), ("TRUE", 0), ("0", 1), ("yes", 1), ("false", 1), (" 1", 1)] {
        let plugin = Reader { answer: crate::plugin::dual_stack(), ..Reader::default() };
        let mut env = variables("ADD");
        set(&mut env, "CNI_NETNS", b"/proc/self/ns/net");
        set(&mut env, "CNI_NETNS_OVERRIDE", value.as_bytes());
        let outcome = call(&plugin, &env, CONFIG);
        assert_eq!(outcome.exit, exit, "{value}: {}", outcome.stdout);
        assert_eq!(plugin.effects.get() == 1, exit == 0);
    }
}

#[test]
fn del_of_a_recycled_namespace_gives_back_what_is_elsewhere_and_still_says_so() {
    let plugin = Reader::default();
    let mut env = variables("DEL");
    set(&mut env, "CNI_NETNS", b"/proc/self/ns/net");
    let outcome = call(&plugin, &env, CONFIG);
    assert_eq!(outcome.error().0, 8);
    assert_eq!(plugin.effects.get(), 1, "addresses and host routes are released");
    assert!(
        plugin.netns.take().is_none(),
        "and no namespace is named to it, so no link of the host is touched"
    );
}
