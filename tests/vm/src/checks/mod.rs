//! What the machine is asked: each check makes its own lab and leaves nothing.

mod bond;
mod bond_options;
mod declared_files;
mod dummy;
mod kernel;
mod link_options;
mod macvlan;
mod pod_vlan;
mod random_states;
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
pub const GROUPS: [(&str, &[Check]); 10] = [
    ("vlan", vlan::CHECKS),
    ("bond", bond::CHECKS),
    ("dummy", dummy::CHECKS),
    ("kernel", kernel::CHECKS),
    ("macvlan", macvlan::CHECKS),
    ("pod-vlan", pod_vlan::CHECKS),
    ("bond-options", bond_options::CHECKS),
    ("link-options", link_options::CHECKS),
    ("declared-files", declared_files::CHECKS),
    ("random-states", random_states::CHECKS),
];

/// The groups of the plugin, the kernel crate and the agent's VLAN links; the others declare a host's network.
pub const PLUGIN: [&str; 6] = ["vlan", "bond", "dummy", "kernel", "macvlan", "pod-vlan"];

/// The groups that declare a host's network.
pub const DECLARED: [&str; 4] = ["bond-options", "link-options", "declared-files", "random-states"];

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
        let groups: BTreeSet<&str> = GROUPS.iter().map(|(group, _)| *group).collect();
        assert_eq!(groups, PLUGIN.into_iter().chain(DECLARED).collect());
        let mut seen = BTreeSet::new();
        for (group, checks) in GROUPS {
            for check in checks {
                assert!(check.name.starts_with(&format!("{group}/")), "{}", check.name);
                assert!(seen.insert(check.name), "{} twice", check.name);
            }
        }
    }
}
