//! A lab that goes away under running containers, as after a test that failed, takes everything of theirs with it.

use conformance_tests::{Caller, Whose, assert_no_cgroup, prepare};
use lab::SEED_002_CONF;
use netns_tests::LeakCheck;

#[test]
fn a_lab_takes_the_containers_of_containerd_and_podman_with_it() {
    let leaks = LeakCheck::begin();
    let lab = netns_tests::silent_gateway();
    let name = lab.name().to_owned();
    for (host, caller) in [("host1", Caller::Containerd), ("host2", Caller::Podman)] {
        let host = lab.host(host).unwrap();
        prepare(host, Whose::Llano, SEED_002_CONF, None);
        let running = caller.on(host, SEED_002_CONF).run("a").unwrap();
        assert_eq!(running.name(), "a");
    }
    drop(lab);
    assert_eq!(processes_of(&name), Vec::<String>::new());
    assert_no_cgroup(&name);
    leaks.assert_clean();
}

/// Processes with the lab's name in their environment: every runtime and, through it, every helper of one. A zombie
/// has no environment any more.
fn processes_of(lab: &str) -> Vec<String> {
    let ours = format!("LLANO_LAB={lab}");
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let environment = |path: &std::path::Path| std::fs::read(path.join("environ")).unwrap_or_default();
    let has =
        |path: &std::path::Path| environment(path).split(|byte| *byte == 0).any(|one| one == ours.as_bytes());
    let found = entries.map(|entry| entry.path()).filter(|path| has(path));
    found.map(|path| std::fs::read_to_string(path.join("cmdline")).unwrap_or_default()).collect()
}
