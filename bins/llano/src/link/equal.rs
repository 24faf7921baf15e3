//! The `ip` command that does the same: for dry runs, and for people who want to learn or to copy.

use kernel::{LinkKind, MacvlanMode, NewLink, VlanProtocol};

use super::place::Place;

/// The words of a command, quoted for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ip(Vec<String>);

impl Ip {
    /// `ip`, in a namespace.
    pub(crate) fn at(place: &Place) -> Self {
        let ip = Self(vec!["ip".to_owned()]);
        match &place.path {
            Some(path) => ip.words(["-n".to_owned(), name(path)]),
            None => ip,
        }
    }

    /// `netns …`: where the link is to be. `ip -n` is in another place when it reads a path such as `/proc/self`; the shell that
    /// the line is copied to is where we are.
    pub(crate) fn into_netns(mut self, place: &Place) -> Self {
        match &place.path {
            Some(path) => self.words(["netns".to_owned(), name(path)]),
            None => {
                self.0.extend(["netns".to_owned(), "$$".to_owned()]);
                self
            }
        }
    }

    /// With these words too.
    pub(crate) fn words<T: Into<String>>(mut self, words: impl IntoIterator<Item = T>) -> Self {
        self.0.extend(words.into_iter().map(|word| quote(&word.into())));
        self
    }

    /// With a key and a value, when there is one.
    pub(crate) fn maybe(self, key: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.words([key.to_owned(), value.to_string()]),
            None => self,
        }
    }

    /// For a shell.
    pub(crate) fn line(&self) -> String {
        self.0.join(" ")
    }
}

/// What `ip -n` takes: a name, or a path.
pub(crate) fn name(path: &std::path::Path) -> String {
    let text = path.to_string_lossy();
    let named = text.strip_prefix("/run/netns/").filter(|name| !name.contains('/'));
    named.unwrap_or(&text).to_owned()
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if word.chars().any(char::is_control) {
        // Bytes, so that nothing reaches a terminal as it is.
        let bytes = word.bytes().map(|byte| match byte {
            b'\'' | b'\\' => format!("\\{}", char::from(byte)),
            0x20..=0x7e => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        });
        return format!("$'{}'", bytes.collect::<String>());
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// `type KIND …` of a new link.
pub(crate) fn kind(new: &NewLink, dev: Option<&str>) -> Vec<String> {
    let mut words = vec!["type".to_owned(), new.kind.name().unwrap_or_default().to_owned()];
    let mut add = |key: &str, value: String| words.extend([key.to_owned(), value]);
    match &new.kind {
        LinkKind::Macvlan(macvlan) | LinkKind::Macvtap(macvlan) => {
            add("mode", macvlan.mode.to_string());
            if let Some(len) = macvlan.bc_queue_len {
                add("bcqueuelen", len.to_string());
            }
            if macvlan.nopromisc {
                words.push("nopromisc".to_owned());
            }
            if macvlan.mode == MacvlanMode::Source && !macvlan.source_macs.is_empty() {
                words.extend(["macaddr".to_owned(), "set".to_owned()]);
                words.extend(macvlan.source_macs.iter().map(ToString::to_string));
            }
        }
        LinkKind::Vlan(vlan) => {
            if vlan.protocol == VlanProtocol::Ieee8021Ad {
                add("protocol", "802.1ad".to_owned());
            }
            add("id", vlan.id.to_string());
        }
        LinkKind::Bond(bond) => add("mode", bond.mode().to_string()),
        LinkKind::Vxlan(vxlan) => {
            add("id", vxlan.id.to_string());
            let texts = [
                ("remote", vxlan.remote.filter(|ip| !ip.is_multicast()).map(|ip| ip.to_string())),
                ("group", vxlan.remote.filter(std::net::IpAddr::is_multicast).map(|ip| ip.to_string())),
                ("local", vxlan.local.map(|ip| ip.to_string())),
                ("dev", dev.map(str::to_owned)),
                ("dstport", vxlan.port.map(|port| port.to_string())),
            ];
            texts.into_iter().for_each(|(key, value)| value.into_iter().for_each(|value| add(key, value)));
        }
        LinkKind::Veth(peer) => {
            words.push("peer".to_owned());
            if let Some(name) = &peer.name {
                words.extend(["name".to_owned(), name.clone()]);
            }
        }
        _ => {}
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quote("eth0.100"), "eth0.100");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), "'it'\\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a\nb'"), "$'a\\x0ab\\''");
    }
}
