//! The plugin types by their names.

use cni::Plugin;

use crate::paths::Paths;

/// The types that make or change an attachment by themselves, in the order they are listed to a user.
pub const TYPES: [&str; 9] =
    ["macvlan", "vlan", "loopback", "host-local", "static", "dhcp", "tuning", "sbr", "bandwidth"];

/// The plugin of one of [`TYPES`].
pub fn plugin(name: &str, paths: &Paths) -> Option<Box<dyn Plugin>> {
    let paths = || paths.clone();
    Some(match name {
        "macvlan" => Box::new(crate::macvlan::MacvlanPlugin { paths: paths() }),
        "vlan" => Box::new(crate::vlan::VlanPlugin { paths: paths() }),
        "host-local" => Box::new(crate::ipam::HostLocalPlugin { paths: paths() }),
        "static" => Box::new(crate::ipam::StaticPlugin),
        "dhcp" => Box::new(crate::ipam::DhcpPlugin { paths: paths() }),
        "loopback" => Box::new(crate::loopback::Loopback),
        "tuning" => Box::new(crate::tuning::Tuning),
        "sbr" => Box::new(crate::sbr::Sbr),
        "bandwidth" => Box::new(crate::bandwidth::Bandwidth),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_type_is_there_and_no_other() {
        for name in TYPES {
            assert!(plugin(name, &Paths::default()).is_some(), "{name}");
        }
        for name in ["llano", "", "Macvlan", "../macvlan", "flannel"] {
            assert!(plugin(name, &Paths::default()).is_none(), "{name}");
        }
    }
}
