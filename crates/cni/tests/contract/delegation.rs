//! Other plugins as processes. They are shell scripts here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cni::{Request, Verb, delegate};
use tempfile::TempDir;

fn script(directory: &Path, name: &str, body: &str) -> PathBuf {
    let file = directory.join(name);
    fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

fn request(path: &str) -> Request {
    let variables = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/a"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "A=1"),
        ("CNI_PATH", path),
    ];
    Request::from_texts(&variables, r#"{"cniVersion":"1.0.0","name":"lan","type":"macvlan"}"#).unwrap()
}

#[test]
fn a_plugin_is_found_in_the_first_directory_that_has_it() {
    let (a, b) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::create_dir(a.path().join("ipam")).unwrap();
    let second = script(b.path(), "ipam", "");
    let path = [a.path().to_owned(), b.path().to_owned()];
    assert_eq!(delegate::find("ipam", &path).unwrap(), second);
    let rows = [
        ("", "no plugin name provided"),
        ("../ipam", "invalid plugin name: ../ipam"),
        ("/bin/sh", "invalid plugin name: /bin/sh"),
        ("a\0b", "invalid plugin name"),
        ("..", "failed to find plugin \"..\" in path ["),
        ("none", "failed to find plugin \"none\" in path ["),
    ];
    for (name, words) in rows {
        let error = delegate::find(name, &path).unwrap_err();
        assert!(error.code() == 7 && error.to_string().contains(words), "{name}: {error}");
    }
    assert_eq!(delegate::find("ipam", &[]).unwrap_err().to_string(), "no paths provided");
}

#[test]
fn the_child_gets_environment_and_configuration() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let body = format!(
        "{{ echo $CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS $CNI_PATH \
         ${{CNI_NETNS_OVERRIDE-unset}}; cat; }} > {}; echo null",
        out.display()
    );
    let plugin = script(directory.path(), "p", &body);
    let request = request("/a:/b");
    assert_eq!(delegate::exec(&plugin, &request, Verb::Del).unwrap(), None);
    let expected = "DEL c1 /run/netns/a eth0 A=1 /a:/b unset\n\
                    {\"cniVersion\":\"1.0.0\",\"name\":\"lan\",\"type\":\"macvlan\"}";
    assert_eq!(fs::read_to_string(&out).unwrap(), expected);
    delegate::exec_with(&plugin, &request, Verb::Add, b"other").unwrap();
    assert!(fs::read_to_string(&out).unwrap().ends_with("unset\nother"));
}

#[test]
fn answers_and_failures() {
    let directory = TempDir::new().unwrap();
    let run = |body: &str, verb| {
        let plugin = script(directory.path(), "p", body);
        delegate::exec(&plugin, &request("/a"), verb)
    };
    let result = run(r#"echo '{"ips":[{"address":"10.0.0.2/8"}]}'"#, Verb::Add).unwrap().unwrap();
    assert_eq!(result.ips[0].address.to_string(), "10.0.0.2/8");
    assert_eq!(run("echo null", Verb::Add).unwrap(), Some(cni::CniResult::default()));
    // Only ADD has a result; what another verb prints does not matter.
    assert_eq!(run("echo noise", Verb::Check).unwrap(), None);

    let rows = [
        (r#"echo '{"code":11,"msg":"busy","details":"d"}'; exit 1"#, 11, "busy; d"),
        ("echo oh no >&2; exit 3", 999, "netplugin failed: \"oh no\": exit status 3"),
        ("exit 1", 999, "netplugin failed with no error message: exit status 1"),
        ("kill -9 $$", 999, "netplugin failed with no error message: signal: 9"),
        ("echo panic; exit 2", 999, "netplugin failed but error parsing its diagnostic message \"panic\\n\""),
        ("true", 6, "failed to unmarshal raw result"),
        ("echo '{'", 6, "failed to unmarshal raw result"),
    ];
    for (body, code, words) in rows {
        let error = run(body, Verb::Add).unwrap_err();
        assert!(
            error.code() == code && error.to_string().contains(words),
            "{body}: {} {error}",
            error.code()
        );
    }
    let error = delegate::exec(Path::new("/nonexistent/p"), &request("/a"), Verb::Add).unwrap_err();
    assert!(error.code() == 5 && error.to_string().contains("cannot run /nonexistent/p"), "{error}");
}

#[test]
fn neither_much_output_nor_a_daemon_left_behind_blocks() {
    let directory = TempDir::new().unwrap();
    // More than a pipe holds on both, and the input not read.
    let noise =
        "head -c 70000 /dev/zero >&2; printf '\"%s\"' $(head -c 300000 /dev/zero | tr '\\0' y); exit 1";
    let plugin = script(directory.path(), "noisy", noise);
    let error = delegate::exec(&plugin, &request("/a"), Verb::Add).unwrap_err();
    assert!(error.to_string().starts_with("netplugin failed but error parsing"), "{error}");

    let pid = directory.path().join("pid");
    let body = format!("sleep 300 & echo $! > {}; echo null", pid.display());
    let plugin = script(directory.path(), "daemon", &body);
    let start = Instant::now();
    let answer = delegate::exec(&plugin, &request("/a"), Verb::Add);
    let daemon: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(daemon).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(answer.unwrap(), Some(cni::CniResult::default()));
    // The daemon holds the pipes for 300 s; not to have waited for it is what is shown.
    assert!(start.elapsed() < Duration::from_secs(200));
}

#[test]
fn a_file_being_replaced_is_tried_again() {
    let directory = TempDir::new().unwrap();
    let plugin = directory.path().join("p");
    fs::copy("/bin/true", &plugin).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&plugin).unwrap();
    let closer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(writer);
    });
    assert_eq!(delegate::exec(&plugin, &request("/a"), Verb::Del).unwrap(), None);
    closer.join().unwrap();
}

#[test]
fn a_chain_hands_its_result_on() {
    let result = crate::plugin::dual_stack();
    let config = delegate::config_with_prev_result(&request("/a"), &result).unwrap();
    let next = Request::from_texts(
        &[("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "c"), ("CNI_IFNAME", "e"), ("CNI_PATH", "/")],
        &config,
    );
    assert_eq!(next.unwrap().prev_result().unwrap(), Some(result));
}
