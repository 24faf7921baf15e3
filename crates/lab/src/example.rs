//! Labs that come with the program, and the example's plugin configuration.

use crate::error::Result;
use crate::spec::LabSpec;

/// A built-in lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// Its name.
    pub name: &'static str,
    /// Its description in YAML; the comment on top says what it is.
    pub yaml: &'static str,
}

/// Every built-in lab.
pub const EXAMPLES: [Example; 5] = [
    Example { name: "two-hosts", yaml: include_str!("../examples/two-hosts.yaml") },
    Example { name: "seed-002", yaml: include_str!("../examples/seed-002.yaml") },
    Example { name: "silent-gateway", yaml: include_str!("../examples/silent-gateway.yaml") },
    Example { name: "two-lans", yaml: include_str!("../examples/two-lans.yaml") },
    Example { name: "hairpin", yaml: include_str!("../examples/hairpin.yaml") },
];

/// The configuration that the `seed-002` lab is for, byte for byte as published.
pub const SEED_002_CONF: &str = include_str!("../examples/seed-002/macvlan.conf");

impl Example {
    /// The built-in lab of that name.
    pub fn find(name: &str) -> Option<Self> {
        EXAMPLES.into_iter().find(|example| example.name == name)
    }

    /// Its description.
    ///
    /// # Errors
    /// None, as a test shows.
    pub fn spec(&self) -> Result<LabSpec> {
        LabSpec::parse(self.yaml)
    }

    /// What it is: the comment on top of it.
    pub fn about(&self) -> String {
        let lines = self.yaml.lines().map_while(|line| line.strip_prefix("# "));
        lines.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_a_valid_lab_and_says_what_it_is() {
        for example in EXAMPLES {
            example.spec().unwrap_or_else(|error| panic!("{}: {error}", example.name));
            assert!(example.about().ends_with('.'), "{}", example.name);
            assert_eq!(Example::find(example.name), Some(example));
        }
    }
}
