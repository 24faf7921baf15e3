//! The administrator's list of sysctls that a configuration may set.

use std::path::Path;

use super::key::Key;
use super::pattern::Pattern;

/// Where the reference plugin looks, too.
pub(crate) const PATH: &str = "/etc/cni/tuning/allowlist.conf";

/// The patterns of the file, or the absence of a file, which allows everything.
#[derive(Debug)]
pub(crate) struct AllowList {
    patterns: Option<Vec<(String, Pattern)>>,
}

impl AllowList {
    /// Reads the list.
    ///
    /// # Errors
    /// Code 5 when the file is there and cannot be read, code 7 when a line is not a pattern that we support: then
    /// no sysctl may be set, because we cannot know what the line was to allow.
    pub(crate) fn read(path: &Path) -> cni::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self { patterns: None }),
            Err(error) => {
                Err(cni::Error::io(format!("cannot read the allow-list {}: {error}", path.display())))
            }
        }
    }

    fn parse(text: &str, path: &Path) -> cni::Result<Self> {
        let mut patterns = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pattern = Pattern::parse(line).map_err(|error| {
                cni::Error::invalid_config(format!(
                    "{} line {}: {line:?} at column {}: {}",
                    path.display(),
                    number + 1,
                    error.column,
                    error.reason
                ))
            })?;
            patterns.push((line.to_owned(), pattern));
        }
        Ok(Self { patterns: Some(patterns) })
    }

    /// Whether a configuration may set this sysctl. The name is looked at as written, as the reference does.
    ///
    /// # Errors
    /// Code 7 with the list.
    pub(crate) fn check(&self, key: &Key) -> cni::Result<()> {
        let Some(patterns) = &self.patterns else { return Ok(()) };
        if patterns.iter().any(|(_, pattern)| pattern.matches(&key.text)) {
            return Ok(());
        }
        let lines: Vec<&str> = patterns.iter().map(|(line, _)| line.as_str()).collect();
        Err(cni::Error::invalid_config(format!(
            "Sysctl {} is not allowed. Only the following sysctls are allowed: [{}]",
            key.text,
            lines.join(" ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> cni::Result<AllowList> {
        AllowList::parse(text, Path::new("allowlist.conf"))
    }

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    #[test]
    fn no_file_allows_everything_and_an_empty_one_nothing() {
        let absent = AllowList::read(Path::new("/nonexistent/allowlist.conf")).unwrap();
        assert!(absent.check(&key("net.core.somaxconn")).is_ok());
        let error = list("\n\n").unwrap().check(&key("net.core.somaxconn")).unwrap_err();
        assert_eq!(error.code(), 7);
        assert!(error.to_string().contains("net.core.somaxconn is not allowed"), "{error}");
    }

    #[test]
    fn lines_are_patterns_and_comments() {
        let list = list("# ours\n ^net.ipv4.conf.IFNAME.[a-z_]+$ \nnet\\.core\\.\n").unwrap();
        assert!(list.check(&key("net.ipv4.conf.IFNAME.arp_notify")).is_ok());
        assert!(list.check(&key("net.core.somaxconn")).is_ok());
        assert!(list.check(&key("net/core/somaxconn")).is_err(), "the text counts, not the file");
        assert!(list.check(&key("net.ipv4.ip_forward")).is_err());
    }

    #[test]
    fn a_line_that_is_not_understood_stops_everything() {
        let error = list("net.core\nnet{2}\n").unwrap_err();
        assert_eq!(error.code(), 7);
        assert!(error.to_string().contains("allowlist.conf line 2"), "{error}");
        assert!(error.to_string().contains("column 4"), "{error}");
    }
}
