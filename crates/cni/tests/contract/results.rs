//! Results of every version, against what the reference library prints (`tests/golden`).

use cni::json;
use cni::{CniResult, Version};

const GOLDEN: &str = include_str!("../golden/results.txt");

/// Header (after `== `) and text of each section.
fn sections() -> Vec<(&'static str, &'static str)> {
    GOLDEN
        .split("== ")
        .filter_map(|section| section.split_once('\n'))
        .map(|(head, text)| (head, text.trim_end_matches('\n')))
        .collect()
}

#[test]
fn every_version_prints_as_the_reference() {
    let mut compared = 0;
    let mut input = CniResult::default();
    let mut printed = String::new();
    for (head, text) in sections() {
        let words: Vec<&str> = head.split(' ').collect();
        match words[..] {
            ["input", _] => {
                input = CniResult::parse(&json::parse(text.as_bytes()).unwrap(), Version::V110).unwrap()
            }
            ["down", _, version] => {
                let answer = input.to_json(Version::from_text(version).unwrap());
                printed = match answer {
                    Ok(value) => value.to_pretty(),
                    Err(error) => {
                        assert_eq!(error.code(), 999);
                        format!("error: {error}")
                    }
                };
                assert_eq!(printed, text, "{head}");
                compared += 1;
            }
            ["up", _, version] => {
                // The version stands in the text; a wrong default must not matter.
                let value = json::parse(printed.as_bytes()).unwrap();
                let up = CniResult::parse(&value, Version::V020).unwrap();
                assert_eq!(up.to_json(Version::V110).unwrap().to_pretty(), text, "{head} {version}");
                compared += 1;
            }
            _ => panic!("{head}"),
        }
    }
    assert_eq!(compared, 80);
}

#[test]
fn the_result_without_addresses_has_no_old_form() {
    for version in [Version::V010, Version::V020] {
        let error = CniResult::default().to_json(version).unwrap_err();
        assert_eq!((error.code(), error.msg().as_str()), (999, "cannot convert: no valid IP addresses"));
    }
}

#[test]
fn keys_are_folded_and_nulls_are_absent() {
    let text = br#"{"CNIVERSION":"1.0.0","Interfaces":[{"Name":"eth0","MAC":"x","Sandbox":null}],
        "IPs":[{"Address":"10.0.0.1/8","Gateway":"","Interface":0}],"ROUTES":null,"Dns":null,"extra":[1]}"#;
    let result = CniResult::parse(&json::parse(text).unwrap(), Version::V110).unwrap();
    assert_eq!(result.interfaces[0].name, "eth0");
    assert_eq!(result.interfaces[0].mac, "x");
    assert_eq!((result.ips[0].gateway, result.ips[0].interface), (None, Some(0)));
    assert!(result.routes.is_empty() && result.dns.is_empty());
}
