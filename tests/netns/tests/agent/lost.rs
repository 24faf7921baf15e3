//! A store that is lost: what lives stays usable and is deleted at its DEL, what is dead is collected.

use std::fs;
use std::path::Path;

use netns_tests::{AgentNode, llano_plugins};

use crate::{lab, networks, node_with};

/// The store's file, while no agent has it.
fn damage(node: &AgentNode<'_>, how: &dyn Fn(&Path)) {
    how(&node.dir().join("store/agent.redb"));
}

fn settings(node: &AgentNode<'_>) -> String {
    fs::read_to_string(node.dir().join("settings.json")).unwrap()
}

#[test]
fn what_lives_is_recorded_again_and_what_is_dead_is_collected() {
    let (lab, plugins) = (lab(), llano_plugins());
    let node = node_with(&lab, 2);
    let garbled = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[4096..].fill(0x5a);
        fs::write(path, bytes).unwrap();
    };
    let ways: [&dyn Fn(&Path); 4] = [
        &garbled,
        &|path| fs::write(path, "").unwrap(),
        &|path| fs::File::options().write(true).open(path).unwrap().set_len(4096).unwrap(),
        &|path| fs::write(path, vec![7; 100_000]).unwrap(),
    ];
    for (round, way) in ways.into_iter().enumerate() {
        let [runs, ended, other] = ["runs", "ended", "other"].map(|name| format!("{name}{round}"));
        let agent = node.serve();
        for name in [&runs, &ended, &other] {
            node.pod(name, name, "extra1,extra2");
            node.plugin(&plugins, "ADD", name, name).unwrap();
        }
        agent.kill();
        assert!(settings(&node).contains("shop/lan"), "the settings of the call are kept");
        damage(&node, way);
        // This one's namespace went with its sandbox, and no DEL comes any more.
        node.host.open_container(&ended).unwrap().delete().unwrap();
        node.host.container(&ended).unwrap();
        node.files.put_sandboxes(Some(&[&format!("{runs} {runs}"), &format!("{other} {other}")]));
        let agent = node.serve();
        assert!(node.dir().join("store/agent.redb.damaged").exists());
        // They are known again: compared, and deleted without their definitions.
        for name in [&runs, &other] {
            node.plugin(&plugins, "CHECK", name, name).unwrap();
        }
        node.files.remove_definition("extra1");
        for name in [&runs, &other] {
            node.plugin(&plugins, "DEL", name, name).unwrap();
        }
        agent.stop();
        networks(&node, 2);
        let names = [runs.as_str(), &ended, &other];
        assert_eq!(node.leftovers(&names), Vec::<String>::new(), "round {round}");
        for name in names {
            node.host.open_container(name).unwrap().delete().unwrap();
        }
    }
}
