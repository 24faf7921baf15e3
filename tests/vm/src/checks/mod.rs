//! What the machine is asked: each check makes its own lab and leaves nothing.

mod bond;
mod dummy;
mod kernel;
mod macvlan;
mod vlan;

/// One check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name in the report, `GROUP/what holds`.
    pub name: &'static str,
    /// Does it, inside the machine.
    pub run: fn() -> anyhow::Result<()>,
}

/// All checks, by group.
pub const GROUPS: [(&str, &[Check]); 5] = [
    ("vlan", vlan::CHECKS),
    ("bond", bond::CHECKS),
    ("dummy", dummy::CHECKS),
    ("kernel", kernel::CHECKS),
    ("macvlan", macvlan::CHECKS),
];

/// Names of a group's checks.
#[must_use]
pub fn names(group: &str) -> Vec<&'static str> {
    let checks = GROUPS.iter().filter(|(name, _)| *name == group);
    checks.flat_map(|(_, checks)| checks.iter().map(|check| check.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_tell_their_group() {
        let mut seen = BTreeSet::new();
        for (group, checks) in GROUPS {
            for check in checks {
                assert!(check.name.starts_with(&format!("{group}/")), "{}", check.name);
                assert!(seen.insert(check.name), "{} twice", check.name);
            }
        }
    }
}
