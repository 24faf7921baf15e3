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

    /// The attachment that an address was given to, on an interface of that name.
    pub(crate) fn of(&self, address: IpAddr, ifname: &str) -> Option<Attachment> {
        self.networks.iter().find_map(|network| {
            let text = file::text(&network.join(address.to_string()), 4096)?;
            let (container_id, lease_ifname) = parse(&text)?;
            let attachment = || Attachment {
                network: file::name(network),
                container_id: container_id.to_owned(),
                ifname: ifname.to_owned(),
                pod: None,
            };
            (lease_ifname == ifname).then(attachment)
        })
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
    fn a_lease_is_read() {
        assert_eq!(parse("c1\r\nnet1"), Some(("c1", "net1")));
        assert_eq!(parse("c1"), Some(("c1", "eth0")));
        assert_eq!(parse(""), None);
        assert_eq!(parse("\r\n"), None);
    }
}
