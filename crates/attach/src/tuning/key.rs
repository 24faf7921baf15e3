//! Names of sysctls: as written in a configuration, and as files below `/proc/sys`.

/// What a sysctl's name must be; for messages.
pub(crate) const ALLOWED: &str =
    "a sysctl below net, such as net.ipv4.conf.IFNAME.arp_notify or net/core/somaxconn";

const PLACEHOLDER: &str = "IFNAME";

/// A sysctl of the network subsystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// As written: what the allow-list looks at.
    pub(crate) text: String,
    /// Below `/proc/sys`, `IFNAME` not yet replaced.
    path: String,
}

impl Key {
    /// Reads a name as sysctl(8) does: the first separator decides. After a dot, dots separate and slashes stand for
    /// dots; after a slash, slashes separate and dots stay. So an interface `eth0.100` can be named in both ways.
    /// `None` when the name does not stay below `net/`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return None;
        }
        let path: String = if text.chars().find(|&c| c == '.' || c == '/') == Some('.') {
            text.chars()
                .map(|c| match c {
                    '.' => '/',
                    '/' => '.',
                    c => c,
                })
                .collect()
        } else {
            text.to_owned()
        };
        let mut parts = path.split('/');
        let below_net = parts.next() == Some("net");
        let rest: Vec<&str> = parts.collect();
        if !below_net || rest.is_empty() || rest.iter().any(|part| matches!(*part, "" | "." | "..")) {
            return None;
        }
        Some(Self { text: text.to_owned(), path })
    }

    /// The file below `/proc/sys`, with the first `IFNAME` replaced by the interface's name, dots and all.
    pub(crate) fn path(&self, ifname: &str) -> String {
        self.path.replacen(PLACEHOLDER, ifname, 1)
    }

    /// Whether both are one file, however they are written.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Option<String> {
        Key::parse(text).map(|key| key.path("eth0.100"))
    }

    #[test]
    fn names_become_files() {
        for (text, expected) in [
            ("net.core.somaxconn", "net/core/somaxconn"),
            ("net/core/somaxconn", "net/core/somaxconn"),
            ("net.ipv4.conf.IFNAME.arp_notify", "net/ipv4/conf/eth0.100/arp_notify"),
            ("net/ipv4/conf/IFNAME/arp_notify", "net/ipv4/conf/eth0.100/arp_notify"),
            ("net.ipv4.conf.eth0/7.arp_notify", "net/ipv4/conf/eth0.7/arp_notify"),
            ("net/ipv4/conf/eth0.7/arp_notify", "net/ipv4/conf/eth0.7/arp_notify"),
            ("net.ipv4.conf.IFNAME.IFNAME", "net/ipv4/conf/eth0.100/IFNAME"),
        ] {
            assert_eq!(path(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn nothing_outside_net_can_be_named() {
        for text in [
            "",
            "net",
            "net.",
            "kernel.hostname",
            "/net/core/somaxconn",
            ".net.core.somaxconn",
            "net/../kernel/hostname",
            "net/core/../../kernel/hostname",
            "net/./core",
            "net..core",
            "net.//.kernel",
            "network.core",
            "net/core/x\n",
            "net core",
            "net/core/",
            "net\0/core",
        ] {
            assert_eq!(path(text), None, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_accepted_name_stays_below_net(text in "(net)?[./a-z]{0,30}") {
            if let Some(path) = path(&text) {
                proptest::prop_assert!(path.starts_with("net/"));
                proptest::prop_assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
        }
    }
}
