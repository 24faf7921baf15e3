//! A definition's `spec.config`: any text is read or refused; what is read has plugins that are no paths, survives its own text,
//! and gives each plugin an object with the network's name.
#![no_main]

use api::{Nad, NadSource, NetConfig};
use cni::json::{self, Object};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = NadSource { namespace: "ns", name: "nad", config: Some(text), ..NadSource::default() };
    let config = match Nad::new(source) {
        Ok(Nad { config: Some(config), .. }) => config,
        Ok(_) => return,
        Err(error) => {
            assert!(error.to_string().contains("ns/nad: spec.config: "));
            return;
        }
    };
    let again = NetConfig::parse(&config.to_text(), None).expect("its own text is read");
    for (index, plugin) in config.plugins().iter().enumerate() {
        assert!(!plugin.kind().contains('/') && !plugin.kind().starts_with('.'));
        let runtime = [("ips".to_owned(), "x".into())];
        let stdin =
            config.stdin(index, None, &runtime).expect("no result to convert").expect("there is a plugin");
        assert_eq!(again.stdin(index, None, &runtime), Ok(Some(stdin.clone())));
        let value = json::parse(stdin.as_bytes()).expect("JSON");
        let root = Object::root(&value).expect("an object");
        assert_eq!(root.string("name"), Ok(Some(config.name())));
        assert_eq!(root.string("type"), Ok(Some(plugin.kind())));
    }
});
