//! `prevResult` and answers of other plugins that are not what they should be.

use cni::json;
use cni::{CniResult, Version};

use crate::plugin::{Reader, call, variables};

#[test]
fn a_bad_prev_result_is_named() {
    let rows: &[(&str, u32, &str)] = &[
        ("[]", 7, "could not parse prevResult: invalid prevResult: [], expected an object"),
        ("7", 7, "invalid prevResult: 7, expected an object"),
        (
            r#"{"cniVersion":"9.9.9"}"#,
            6,
            r#"could not parse prevResult: unsupported CNI result version "9.9.9""#,
        ),
        (r#"{"cniVersion":7}"#, 7, "invalid prevResult.cniVersion: 7, expected a string"),
        (r#"{"interfaces":{}}"#, 7, "invalid prevResult.interfaces: {}, expected an array"),
        (r#"{"interfaces":[7]}"#, 7, "invalid prevResult.interfaces[0]: 7, expected an object"),
        (r#"{"interfaces":[{"name":7}]}"#, 7, "invalid prevResult.interfaces[0].name: 7, expected a string"),
        (r#"{"interfaces":[{"mtu":-5}]}"#, 7, "invalid prevResult.interfaces[0].mtu: -5"),
        (r#"{"ips":[{}]}"#, 7, "invalid prevResult.ips[0].address: nothing"),
        (r#"{"ips":[{"address":"10.0.0.1"}]}"#, 7, r#"invalid prevResult.ips[0].address: "10.0.0.1""#),
        (
            r#"{"ips":[{"address":"10.0.0.1/8","gateway":"x"}]}"#,
            7,
            r#"invalid prevResult.ips[0].gateway: "x""#,
        ),
        (
            r#"{"ips":[{"address":"10.0.0.1/8","interface":-1}]}"#,
            7,
            "invalid prevResult.ips[0].interface: -1",
        ),
        (r#"{"ips":[{"address":"10.0.0.1/8","interface":"0"}]}"#, 7, "invalid prevResult.ips[0].interface"),
        (r#"{"routes":[{"dst":"10.0.0.0/8","mtu":"big"}]}"#, 7, r#"invalid prevResult.routes[0].mtu: "big""#),
        (r#"{"dns":"10.0.0.1"}"#, 7, r#"invalid prevResult.dns: "10.0.0.1", expected an object"#),
        (r#"{"cniVersion":"0.2.0","ip4":{}}"#, 7, "invalid prevResult.ip4.ip: nothing"),
        (r#"{"cniVersion":"0.2.0","ip6":{"ip":"::1/200"}}"#, 7, r#"invalid prevResult.ip6.ip: "::1/200""#),
        (
            r#"{"cniVersion":"0.1.0","ip4":{"ip":"10.0.0.1/8","routes":[{}]}}"#,
            7,
            "invalid prevResult.ip4.routes[0].dst",
        ),
    ];
    for (result, code, words) in rows {
        for verb in ["ADD", "CHECK", "DEL"] {
            let plugin = Reader::default();
            let config = format!(r#"{{"cniVersion":"1.0.0","name":"lan","prevResult":{result}}}"#);
            let outcome = call(&plugin, &variables(verb), config.as_bytes());
            let (found, msg, _) = outcome.error();
            assert_eq!(found, *code, "{verb} {result}: {msg}");
            assert!(msg.contains(words), "{verb} {result}: {msg}");
            assert_eq!(plugin.effects.get(), 0);
        }
    }
}

#[test]
fn a_prev_result_may_be_missing_null_or_empty() {
    for (member, chained) in
        [("", 7), (r#","prevResult":null"#, 7), (r#","prevResult":{}"#, 0), (r#","PrevResult":{}"#, 0)]
    {
        let config = format!(r#"{{"cniVersion":"0.4.0","name":"lan"{member}}}"#);
        let outcome = call(&Reader::default(), &variables("DEL"), config.as_bytes());
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (0, ""), "{member}");
        let plugin = Reader { chained: true, ..Reader::default() };
        let outcome = call(&plugin, &variables("DEL"), config.as_bytes());
        if chained == 0 {
            assert_eq!(outcome.exit, 0, "{member}");
        } else {
            assert_eq!(outcome.error(), (7, "Required prevResult missing".to_owned(), String::new()));
        }
    }
}

#[test]
fn answers_of_other_plugins() {
    let rows: &[(&str, &str)] = &[
        ("", "failed to unmarshal raw result: EOF while parsing a value"),
        ("not json", "failed to unmarshal raw result: expected"),
        ("{}{}", "failed to unmarshal raw result: trailing characters"),
        ("[]", "the outermost value is an array, expected an object"),
        (r#"{"cniVersion":"7.0.0"}"#, r#"unsupported CNI result version "7.0.0""#),
        (r#"{"ips":[{"address":7}]}"#, "invalid ips[0].address: 7, expected a string"),
        (r#"{"routes":7}"#, "invalid routes: 7, expected an array"),
    ];
    for (answer, words) in rows {
        let error = cni::delegate::parse_answer(answer.as_bytes(), Version::V100).unwrap_err();
        assert!(error.to_string().contains(words), "{answer}: {error}");
    }
    // Go's nil result, and one that leaves its version out: of the configuration's version.
    let null = cni::delegate::parse_answer(b"null", Version::V100).unwrap();
    assert_eq!(null, CniResult::default());
    let old = cni::delegate::parse_answer(br#"{"ip4":{"ip":"10.0.0.2/8"}}"#, Version::V020).unwrap();
    assert_eq!(old.ips[0].address.to_string(), "10.0.0.2/8");
    let new =
        cni::delegate::parse_answer(br#"{"CNIVersion":"","ips":[{"address":"10.0.0.2/8"}]}"#, Version::V040);
    assert_eq!(new.unwrap().ips.len(), 1);
}

#[test]
fn errors_of_other_plugins_keep_their_code() {
    let rows: &[(&str, u32, &str)] = &[
        (r#"{"code":11,"msg":"try again","details":"later"}"#, 11, "try again; later"),
        (r#"{"cniVersion":"1.0.0","CODE":100,"Msg":"own"}"#, 100, "own"),
        (r#"{"msg":"no code"}"#, 999, "no code"),
        (r#"{"code":0,"msg":"zero"}"#, 999, "zero"),
        ("{}", 999, ""),
    ];
    for (text, code, words) in rows {
        let error = cni::Error::from_json(&json::parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!((error.code(), error.to_string().as_str()), (*code, *words), "{text}");
    }
    for text in ["[]", r#"{"code":"11"}"#, r#"{"code":-1}"#, r#"{"msg":7}"#] {
        assert!(cni::Error::from_json(&json::parse(text.as_bytes()).unwrap()).is_err(), "{text}");
    }
}
