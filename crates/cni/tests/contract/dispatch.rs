//! What each verb prints and returns when all is well, and the rest of the dispatcher.

use std::io;

use cni::{CniResult, Error, Io, Plugin, Request, Result, Version, serve_with};

use crate::plugin::{Reader, call, dual_stack, set, variables};

const CONFIG: &[u8] = br#"{"cniVersion":"1.1.0","name":"lan","type":"reader"}"#;

#[test]
fn version_is_our_own_whatever_stands_in_the_input() {
    let env = vec![("CNI_COMMAND".to_owned(), b"VERSION".to_vec())];
    for input in [&b"{\"cniVersion\":\"0.4.0\"}"[..], b"", b"not json"] {
        let outcome = call(&Reader::default(), &env, input);
        assert_eq!(outcome.exit, 0);
        assert_eq!(
            outcome.stdout,
            "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n"
        );
    }
    let late = Reader { versions: Some(&Version::ALL[2..]), ..Reader::default() };
    assert!(call(&late, &env, b"").stdout.contains("\"supportedVersions\":[\"0.3.0\",\"0.3.1\""));
    let outcome = call(&late, &variables("ADD"), br#"{"cniVersion":"0.2.0","name":"lan"}"#);
    assert_eq!(
        outcome.error().2,
        r#"config is "0.2.0", plugin supports ["0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]"#
    );
}

#[test]
fn without_a_verb_it_says_what_it_is() {
    for env in [vec![], vec![("CNI_COMMAND".to_owned(), vec![])]] {
        let outcome = call(&Reader::default(), &env, b"");
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (0, ""));
        assert_eq!(
            outcome.stderr,
            "CNI reader plugin llano-cni 0.1.0\n\
             CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"
        );
    }
}

#[test]
fn add_prints_the_version_of_the_configuration() {
    for version in Version::ALL {
        let plugin = Reader { answer: dual_stack(), ..Reader::default() };
        let config = format!(r#"{{"cniVersion":"{version}","name":"lan"}}"#);
        let outcome = call(&plugin, &variables("ADD"), config.as_bytes());
        assert_eq!(outcome.exit, 0);
        assert_eq!(outcome.stdout, dual_stack().to_json(*version).unwrap().to_pretty());
    }
    // No version is the first one.
    let plugin = Reader { answer: dual_stack(), ..Reader::default() };
    let outcome = call(&plugin, &variables("ADD"), br#"{"name":"lan"}"#);
    assert!(
        outcome.stdout.starts_with("{\n    \"cniVersion\": \"0.1.0\",\n    \"ip4\": {\n"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_layer_two_add_of_an_old_version_fails_after_its_effects() {
    for version in ["0.1.0", "0.2.0"] {
        let plugin = Reader::default();
        let config = format!(r#"{{"cniVersion":"{version}","name":"lan"}}"#);
        let outcome = call(&plugin, &variables("ADD"), config.as_bytes());
        assert_eq!(
            outcome.stdout,
            "{\n    \"code\": 999,\n    \"msg\": \"cannot convert: no valid IP addresses\"\n}"
        );
        assert_eq!((outcome.exit, plugin.effects.get()), (1, 1));
    }
}

#[test]
fn the_other_verbs_print_nothing() {
    for verb in ["DEL", "CHECK", "STATUS", "GC"] {
        let plugin = Reader::default();
        let outcome = call(&plugin, &variables(verb), CONFIG);
        assert_eq!((outcome.exit, outcome.stdout.as_str(), plugin.effects.get()), (0, "", 1), "{verb}");
    }
    // DEL without a namespace: it is gone already.
    let mut env = variables("DEL");
    set(&mut env, "CNI_NETNS", b"");
    assert_eq!(call(&Reader::default(), &env, CONFIG).exit, 0);
}

struct Failing(Error);

impl Plugin for Failing {
    fn about(&self) -> String {
        String::new()
    }

    fn add(&self, _request: &Request) -> Result<CniResult> {
        Err(self.0.clone())
    }

    fn del(&self, _request: &Request) -> Result<()> {
        Err(self.0.clone())
    }
}

#[test]
fn errors_keep_their_code_and_escape_html() {
    let rows = [
        (Error::try_again("later"), 11, "later"),
        (Error::unavailable("parent is down"), 50, "parent is down"),
        (Error::plugin(100, "own"), 100, "own"),
        (Error::internal("Link not found"), 999, "Link not found"),
        (Error::io("disk"), 5, "disk"),
        (Error::netns("x").context("y"), 8, "y: x"),
        (
            Error::config("ipam.ranges[0][0].subnet", "\"x\"", "a subnet"),
            7,
            "invalid ipam.ranges[0][0].subnet: \"x\", expected a subnet",
        ),
    ];
    for (error, code, msg) in rows {
        let outcome = call(&Failing(error), &variables("ADD"), CONFIG);
        assert_eq!(outcome.error(), (code, msg.to_owned(), String::new()));
    }
    let error = Error::internal("a<b>&c").with_details("d");
    assert_eq!(
        call(&Failing(error), &variables("DEL"), CONFIG).stdout,
        "{\n    \"code\": 999,\n    \"msg\": \"a\\u003cb\\u003e\\u0026c\",\n    \"details\": \"d\"\n}"
    );
    // Verbs a plugin has no code for succeed.
    for verb in ["CHECK", "STATUS", "GC"] {
        assert_eq!(call(&Failing(Error::io("x")), &variables(verb), CONFIG).exit, 0);
    }
}

struct Broken;

impl io::Read for Broken {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("wire cut"))
    }
}

impl io::Write for Broken {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn broken_pipes_are_no_panic() {
    let env = variables("ADD");
    let get = |name: &str| {
        let value = env.iter().find(|(key, _)| key == name)?;
        Some(String::from_utf8(value.1.clone()).unwrap().into())
    };
    let plugin = Reader { answer: dual_stack(), ..Reader::default() };
    let mut stdout = Vec::new();
    let io = Io { env: &get, stdin: &mut Broken, stdout: &mut stdout, stderr: &mut Broken };
    assert_eq!(serve_with(&plugin, io), 1);
    let text = String::from_utf8(stdout).unwrap();
    assert!(text.contains("\"code\": 5") && text.contains("error reading from stdin: wire cut"), "{text}");

    let io = Io { env: &get, stdin: &mut &CONFIG[..], stdout: &mut Broken, stderr: &mut Broken };
    assert_eq!(serve_with(&plugin, io), 1);
    let io = Io { env: &|_| None, stdin: &mut Broken, stdout: &mut Broken, stderr: &mut Broken };
    assert_eq!(serve_with(&plugin, io), 0);
}

#[test]
fn requests_read_their_parts() {
    let config = r#"{"cniVersion":"1.1.0","name":"lan","DNS":{"domain":"x"},"ipam":{"type":"static"},
        "runtimeConfig":{"mac":"a"},"args":{"cni":{"mac":"b"}},
        "cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"}],"cni.dev/attachments":[]}"#;
    let request = Request::from_texts(&[("CNI_COMMAND", "GC"), ("CNI_PATH", "/a::/b")], config).unwrap();
    assert_eq!(request.env.path, ["/a", "/b"].map(std::path::PathBuf::from));
    assert_eq!(request.dns().unwrap().domain, "x");
    assert_eq!(request.ipam_type().unwrap(), Some("static"));
    assert_eq!(request.runtime_config().unwrap().unwrap().string("mac").unwrap(), Some("a"));
    assert_eq!(request.args_cni().unwrap().unwrap().string("MAC").unwrap(), Some("b"));
    let valid = request.valid_attachments().unwrap().unwrap();
    assert_eq!((valid[0].container_id.as_str(), valid[0].ifname.as_str()), ("c1", "eth0"));
    for (member, expected) in [
        ("", None),
        (r#","cni.dev/attachments":[]"#, Some(0)),
        (r#","cni.dev/valid-attachments":null"#, Some(0)),
        (r#","cni.dev/attachments":[{"containerID":"a","ifname":"b"}]"#, Some(1)),
    ] {
        let config = format!(r#"{{"cniVersion":"1.1.0","name":"lan"{member}}}"#);
        let request = Request::from_texts(&[("CNI_COMMAND", "GC"), ("CNI_PATH", "/a")], &config).unwrap();
        assert_eq!(request.valid_attachments().unwrap().map(|list| list.len()), expected, "{member}");
    }
}

#[test]
fn the_runtimes_dns_takes_the_place_of_the_configurations() {
    let env = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c"),
        ("CNI_NETNS", "/n"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/x"),
    ];
    let dns = |keys: &str| {
        let config = format!(
            r#"{{"cniVersion":"1.0.0","name":"n","dns":{{"domain":"a.example","search":["b"]}}{keys}}}"#
        );
        Request::from_texts(&env, &config).unwrap().dns().unwrap()
    };
    assert_eq!(dns("").search, ["b"]);
    let given = dns(r#","runtimeConfig":{"dns":{"servers":["10.0.0.1"],"searches":["c.example"]}}"#);
    assert_eq!(given.nameservers, ["10.0.0.1"]);
    assert_eq!(given.search, ["c.example"]);
    assert_eq!(given.domain, "a.example", "what the runtime does not say stays");
}
