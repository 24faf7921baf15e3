//! Which configuration of the node is the primary plugin's: what the runtime would take if we were not there.

use api::NetConfig;
use cni::json::{self, Object};

use crate::CONFLIST;

/// Extensions of files that runtimes read, as libcni has them.
const EXTENSIONS: [&str; 3] = [".conf", ".conflist", ".json"];

/// A file of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its content; else why there is none.
    pub text: Result<String, String>,
}

/// What came of looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Primary {
        /// The file's name.
        file: String,
        /// The network's name.
        network: String,
        /// What its plugins declare, together.
        capabilities: Vec<String>,
    },
    /// This would be it, but it cannot be read: it is being written, or broken.
    Unusable {
        /// The file's name.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// There is none.
    None,
}

/// Whether a runtime reads a file of this name.
pub(crate) fn is_configuration(name: &str) -> bool {
    EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

/// Chooses among the directory's files: the first by its name that is neither ours nor Multus's. Multus's own would call us, or be
/// called by us, around the same primary; who comes from Multus has both for a while.
pub fn choose(files: &[Found]) -> Choice {
    let mut files: Vec<&Found> = files.iter().filter(|file| is_configuration(&file.name)).collect();
    files.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    for file in files {
        if file.name == CONFLIST {
            continue;
        }
        let config = match &file.text {
            Ok(text) if wraps(text) => continue,
            Ok(text) => NetConfig::parse(text, None),
            Err(reason) => Err(reason.clone()),
        };
        return match config {
            Err(reason) => Choice::Unusable { file: file.name.clone(), reason },
            Ok(config) => Choice::Primary {
                file: file.name.clone(),
                network: config.name().to_owned(),
                capabilities: union(&config),
            },
        };
    }
    Choice::None
}

/// Whether it is the configuration of a plugin that wraps the primary one: Multus, or a copy of ours under another name.
fn wraps(text: &str) -> bool {
    let Ok(value) = json::parse(text.as_bytes()) else { return false };
    let Ok(root) = Object::root(&value) else { return false };
    let is =
        |object: &Object<'_>| matches!(object.text("type"), Ok(Some("multus" | "multus-shim" | "llano")));
    let first =
        root.items("plugins").ok().and_then(|plugins| plugins.first().and_then(|node| node.object().ok()));
    is(&root) || first.as_ref().is_some_and(is)
}

/// What the plugins of a chain declare, each once, in their order.
fn union(config: &NetConfig) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in config.plugins().iter().flat_map(api::PluginConfig::capabilities) {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(name: &str, text: &str) -> Found {
        Found { name: name.to_owned(), text: Ok(text.to_owned()) }
    }

    const FLANNEL: &str = r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[
        {"type":"flannel","delegate":{"isDefaultGateway":true}},
        {"type":"portmap","capabilities":{"portMappings":true}},
        {"type":"bandwidth","capabilities":{"bandwidth":true,"portMappings":true,"dns":false}}]}"#;

    fn chosen(files: &[Found]) -> String {
        match choose(files) {
            Choice::Primary { file, .. } => file,
            Choice::Unusable { file, .. } => format!("not {file}"),
            Choice::None => "none".to_owned(),
        }
    }

    #[test]
    fn the_first_by_name_with_the_capabilities_of_all_its_plugins() {
        let files = [
            file("20-other.conf", r#"{"name":"other","type":"bridge"}"#),
            file("10-flannel.conflist", FLANNEL),
            file(CONFLIST, "{}"),
            file("05-cilium.conflist.cilium_bak", "{}"),
            file("README", "read me"),
        ];
        assert_eq!(
            choose(&files),
            Choice::Primary {
                file: "10-flannel.conflist".to_owned(),
                network: "cbr0".to_owned(),
                capabilities: vec!["portMappings".to_owned(), "bandwidth".to_owned()],
            }
        );
    }

    #[test]
    fn names_are_compared_as_bytes_as_go_does() {
        let conf = r#"{"name":"n","type":"bridge"}"#;
        assert_eq!(chosen(&[file("b.conf", conf), file("B.conf", conf)]), "B.conf");
        assert_eq!(chosen(&[file("9-a.conf", conf), file("10-a.conf", conf)]), "10-a.conf");
    }

    #[test]
    fn multus_and_copies_of_ours_are_passed_over() {
        let multus =
            file("00-multus.conf", r#"{"name":"multus-cni-network","type":"multus","delegates":[]}"#);
        let shim = file("01-multus.conflist", r#"{"name":"m","plugins":[{"type":"multus-shim"}]}"#);
        let copy = file("02-llano.conflist", r#"{"name":"m","plugins":[{"type":"llano"}]}"#);
        assert_eq!(chosen(&[multus.clone(), shim.clone(), copy.clone()]), "none");
        assert_eq!(
            chosen(&[multus, shim, copy, file("10-flannel.conflist", FLANNEL)]),
            "10-flannel.conflist"
        );
    }

    #[test]
    fn what_is_half_written_hides_what_comes_after_it() {
        let good = file("20-good.conflist", FLANNEL);
        for text in ["", "{", "{}", r#"{"name":"x","plugins":[]}"#, r#"{"name":"../x","type":"bridge"}"#] {
            assert_eq!(chosen(&[good.clone(), file("10-bad.conf", text)]), "not 10-bad.conf", "{text}");
        }
        let unread = Found { name: "10-bad.conf".to_owned(), text: Err("permission denied".to_owned()) };
        assert_eq!(chosen(&[good, unread]), "not 10-bad.conf");
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,200}") {
            let _ = choose(&[file("10-any.conf", &text)]);
        }

        #[test]
        fn the_order_of_the_directory_does_not_matter(mut names in proptest::collection::vec("[a-c0-9]{1,3}\\.conf", 1..6), seed in 0usize..6) {
            let conf = r#"{"name":"n","type":"bridge"}"#;
            let before = chosen(&names.iter().map(|name| file(name, conf)).collect::<Vec<_>>());
            let middle = seed % names.len();
            names.rotate_left(middle);
            prop_assert_eq!(chosen(&names.iter().map(|name| file(name, conf)).collect::<Vec<_>>()), before);
        }
    }
}
