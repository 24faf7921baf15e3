//! Files of sections with keys, as systemd and NetworkManager write them.

/// The lines of a file, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Ini {
    entries: Vec<(String, String, String)>,
}

impl Ini {
    /// Reads any text; lines that are neither section nor key are left out.
    pub(super) fn parse(text: &str) -> Self {
        let mut ini = Self::default();
        let mut section = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut line = line.trim().to_owned();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            // systemd joins lines that end in a backslash.
            while let Some(begun) = line.strip_suffix('\\') {
                let Some(next) = lines.next() else {
                    line = begun.to_owned();
                    break;
                };
                let next = next.trim();
                line = if next.starts_with(['#', ';']) { line } else { format!("{begun} {next}") };
            }
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = name.to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                ini.entries.push((section.clone(), key.trim().to_owned(), value.trim().to_owned()));
            }
        }
        ini
    }

    /// Every value of a key, in order.
    pub(super) fn all<'a>(&'a self, section: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
        let of = move |(s, k, _): &&(String, String, String)| s == section && k == key;
        self.entries.iter().filter(of).map(|(_, _, value)| value.as_str())
    }

    /// The last value of a key, which is the one that counts.
    pub(super) fn last(&self, section: &str, key: &str) -> Option<&str> {
        self.entries
            .iter()
            .rev()
            .find(|(s, k, _)| s == section && k == key)
            .map(|(_, _, value)| value.as_str())
    }

    /// Keys and values of a section.
    pub(super) fn section<'a>(&'a self, section: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let of = move |(s, _, _): &&(String, String, String)| s == section;
        self.entries.iter().filter(of).map(|(_, key, value)| (key.as_str(), value.as_str()))
    }

    /// Names of sections, each once.
    pub(super) fn sections(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.entries.iter().map(|(section, _, _)| section.as_str()).collect();
        names.dedup();
        names
    }
}

/// As systemd and GLib read a switch.
pub(super) fn is_on(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"].iter().any(|on| value.eq_ignore_ascii_case(on))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sections_comments_and_long_lines() {
        let ini = Ini::parse(
            "a=0\n# c=1\n[Match]\nName = eth0 \\\n  eth1\n; x\nName=en*\n[Link]\nUnmanaged=yes\njunk",
        );
        assert_eq!(ini.all("Match", "Name").collect::<Vec<_>>(), ["eth0  eth1", "en*"]);
        assert_eq!(ini.last("Link", "Unmanaged"), Some("yes"));
        assert_eq!(ini.last("", "a"), Some("0"));
        assert_eq!(ini.sections(), ["", "Match", "Link"]);
        assert_eq!(ini.section("Link").count(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(\\PC|\n|\\\\|=|\\[){0,80}") {
            Ini::parse(&text);
        }

        #[test]
        fn what_is_written_is_read(values in proptest::collection::vec("[a-z0-9*!:.]{1,12}", 0..6)) {
            let text = values.iter().fold("[S]\n".to_owned(), |text, value| format!("{text}key={value}\n"));
            let ini = Ini::parse(&text);
            prop_assert_eq!(ini.all("S", "key").collect::<Vec<_>>(), values);
        }
    }
}
