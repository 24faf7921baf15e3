//! Settings and callers: for every input, what is accepted holds what its type promises.

use std::path::Path;

use api::Caller;
use api::settings::Config;
use cni::json::{self, Object, Value};
use proptest::prelude::*;

fn parse(value: &Value) -> cni::Result<Config> {
    Config::parse(&Object::root(value)?)
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![
            Just(String::new()),
            Just("..".to_owned()),
            "/?[a-z./]{0,12}",
            "[a-z]{1,5}/[a-z]{1,5}",
            "\\PC{0,12}"
        ]
        .prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec(("(type|name|cniVersion|x)", inner), 0..4).prop_map(Value::Object),
        ]
    })
}

fn root() -> impl Strategy<Value = Value> {
    let key = "(clusterNetwork|delegates|defaultNetworks|systemNamespaces|multusNamespace|namespaceIsolation|globalNamespaces|confDir|binDir|name)";
    proptest::collection::vec((key, value()), 0..6).prop_map(|members| {
        let mut seen = std::collections::BTreeSet::new();
        Value::Object(members.into_iter().filter(|(key, _)| seen.insert(key.clone())).collect())
    })
}

proptest! {
    /// Directories are absolute, a network is named by what `options` then takes or refuses in words, and what one source says is not
    /// changed by another.
    #[test]
    fn settings_hold_what_they_promise(first in root(), second in root()) {
        let Ok(first) = parse(&first) else { return Ok(()) };
        prop_assert!(first.conf_dir().is_absolute() && first.bin_dir().is_absolute());
        prop_assert_eq!(first.clone().or(Config::default()), first.clone());
        prop_assert_eq!(Config::default().or(first.clone()), first.clone());
        prop_assert_eq!(first.clone().or(first.clone()), first.clone());
        if let Ok(options) = first.options() {
            prop_assert!(first.names_network());
            prop_assert!(!options.system_namespace.is_empty());
        }
        if let Ok(second) = parse(&second) {
            let both = first.clone().or(second.clone());
            prop_assert_eq!(both.names_network(), first.names_network() || second.names_network());
            prop_assert_eq!(both.clone().or(second), both);
        }
    }

    /// What is written as text is read as the same.
    #[test]
    fn settings_survive_their_text(root in root()) {
        let again = json::parse(root.to_compact().as_bytes()).unwrap();
        prop_assert_eq!(parse(&again).map_err(|error| error.to_string()), parse(&root).map_err(|error| error.to_string()));
    }

    /// A path is absolute or refused by its key.
    #[test]
    fn directories_are_absolute(path in "[./a-z]{1,12}") {
        let read = parse(&Value::object([("binDir", path.as_str().into())]));
        match read {
            Ok(config) => prop_assert_eq!(config.bin_dir(), Path::new(&path)),
            Err(error) => prop_assert!(error.to_string().contains("binDir") && !path.starts_with('/')),
        }
    }

    /// A caller's texts are names, whatever the runtime says.
    #[test]
    fn callers_are_names_or_refused(
        pairs in proptest::collection::vec(("(K8S_POD_NAMESPACE|K8S_POD_NAME|K8S_POD_UID|IP|x)", "(\\PC{0,9}|[a-z0-9.-]{0,9}|\\.\\.?|a/b)"), 0..6)
    ) {
        let args: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        match Caller::from_args(&args.join(";")) {
            Err(error) => prop_assert!(error.to_string().contains("CNI_ARGS"), "{}", error),
            Ok(None) => {}
            Ok(Some(Caller { namespace, name, uid })) => {
                prop_assert!(!namespace.is_empty() && !name.is_empty());
                for text in [&namespace, &name, &uid] {
                    prop_assert!(text.len() <= 253 && !matches!(text.as_str(), "." | ".."));
                    prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)));
                }
                let again = format!("K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_UID={uid}");
                prop_assert_eq!(Caller::from_args(&again), Ok(Some(Caller { namespace, name, uid })));
            }
        }
    }
}
