//! DHCP clients that run on their own. Leases alone do not say that anybody renews them.

use std::path::PathBuf;

use super::{Owner, Subject, Tool, View};

const CLIENTS: [&str; 3] = ["dhclient", "dhcpcd", "udhcpc"];

pub(super) fn owners(view: &View, subjects: &[&Subject]) -> Vec<Owner> {
    let mut owners = Vec::new();
    for process in view.running.iter().filter(|process| CLIENTS.contains(&process.name.as_str())) {
        for subject in subjects {
            let named = process.arguments.iter().skip(1).any(|word| *word == subject.name);
            // dhcpcd writes over its command line: `dhcpcd: eth0 [ip4]`.
            let title = process.arguments.first().and_then(|word| word.strip_prefix("dhcpcd: "));
            let titled = title.is_some_and(|title| title.split(' ').next() == Some(&subject.name));
            if (named || titled) && !owners.iter().any(|owner: &Owner| owner.interface == subject.name) {
                owners.push(Owner {
                    interface: subject.name.clone(),
                    tool: Tool::DhcpClient,
                    evidence: PathBuf::from(format!("/proc/{}", process.pid)),
                    says: format!("{} asks for its addresses", process.name),
                    running: true,
                });
            }
        }
    }
    owners
}
