//! The host-local directory: whose an address is, when no cache tells.

use std::net::IpAddr;
use std::path::Path;

use crate::{Attachment, file};

/// Where `host-local` keeps leases unless told otherwise.
const DEFAULT: &str = "/var/lib/cni/networks";
/// Most networks that are looked into for one address.
const NETWORKS: usize = 256;

/// The networks with leases.
pub(crate) struct Leases {
    networks: Vec<std::path::PathBuf>,
}

impl Leases {
    pub(crate) fn open() -> Self {
        let mut networks = file::entries(Path::new(DEFAULT));
        networks.truncate(NETWORKS);
        Self { networks }
    }

    /// The attachment that an address was given to, on an interface of that name; `None` where several networks have given it
    /// away, and nobody can tell whose it is.
    pub(crate) fn of(&self, address: IpAddr, ifname: &str) -> Option<Attachment> {
        let mut found = self.networks.iter().filter_map(|network| {
            let text = file::text(&network.join(address.to_string()), 4096)?;
            let (container_id, lease_ifname) = parse(&text)?;
            let attachment = || Attachment {
                network: file::name(network),
                container_id: container_id.to_owned(),
                ifname: ifname.to_owned(),
                pod: None,
            };
            (lease_ifname == ifname).then(attachment)
        });
        found.next().filter(|_| found.next().is_none())
    }
}

/// Two lines, the second of which old plugins did not write.
fn parse(text: &str) -> Option<(&str, &str)> {
    let mut lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    let id = lines.next()?.trim();
    Some((id, lines.next().unwrap_or("eth0").trim())).filter(|(id, _)| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_two_networks_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let networks = ["blue", "red"].map(|name| dir.path().join(name));
        for (network, lease) in networks.iter().zip(["aaa\r\neth0", "bbb\r\neth0"]) {
            std::fs::create_dir(network).unwrap();
            std::fs::write(network.join("192.0.2.1"), lease).unwrap();
        }
        std::fs::write(networks[0].join("192.0.2.2"), "aaa\r\neth0").unwrap();
        let leases = Leases { networks: networks.to_vec() };
        let of = |address: &str, ifname| {
            leases.of(address.parse().unwrap(), ifname).map(|found| found.container_id)
        };
        assert_eq!(of("192.0.2.2", "eth0").as_deref(), Some("aaa"));
        assert_eq!(of("192.0.2.2", "net1"), None);
        assert_eq!(of("192.0.2.1", "eth0"), None, "either may be meant");
    }

    #[test]
    fn a_lease_is_read() {
        assert_eq!(parse("c1\r\nnet1"), Some(("c1", "net1")));
        assert_eq!(parse("c1"), Some(("c1", "eth0")));
        assert_eq!(parse(""), None);
        assert_eq!(parse("\r\n"), None);
    }
}
