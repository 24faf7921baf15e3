//! Network namespaces that are bound to a file (proc(5), mountinfo).

use std::path::{Path, PathBuf};

use crate::file;

/// Most bytes of a table of mounts: some 100,000 of them.
const LIMIT: u64 = 32 << 20;

/// A network namespace's inode and where it is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) inode: u64,
    pub(crate) path: PathBuf,
}

/// The network namespaces in a process's table of mounts.
pub(crate) fn read(table: &Path) -> Vec<Bound> {
    // The later of two mounts on one path hides the earlier.
    let text = file::text(table, LIMIT).unwrap_or_default();
    let mut all: Vec<Bound> = Vec::new();
    for bound in text.lines().filter_map(parse) {
        match all.iter_mut().find(|known| known.path == bound.path) {
            Some(known) => *known = bound,
            None => all.push(bound),
        }
    }
    all
}

/// `36 35 0:4 net:[4026532281] /run/netns/blue rw shared:1 - nsfs nsfs rw`
fn parse(line: &str) -> Option<Bound> {
    let (mount, kind) = line.split_once(" - ")?;
    if kind.split(' ').next() != Some("nsfs") {
        return None;
    }
    let mut fields = mount.split(' ').skip(3);
    let inode = inode_of(fields.next()?)?;
    Some(Bound { inode, path: PathBuf::from(unescape(fields.next()?)) })
}

/// The number in `net:[4026532281]`, as roots of mounts and links of proc have it.
pub(crate) fn inode_of(text: &str) -> Option<u64> {
    text.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// mountinfo writes space, tab, newline and backslash as `\ooo`.
fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(*first));
        rest = &tail[if octal.is_some() { 3 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = r"36 35 0:4 net:[4026532281] /run/netns/a\040b\134 rw shared:1 - nsfs nsfs rw";
        assert_eq!(
            parse(line),
            Some(Bound { inode: 4_026_532_281, path: PathBuf::from("/run/netns/a b\\") })
        );
        assert_eq!(parse(r"36 35 0:4 mnt:[4026532281] /run/x rw - nsfs nsfs rw"), None);
        assert_eq!(parse(r"36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_safe(line in "[ -~\\\\0-9é]{0,80}( - nsfs )?.{0,20}") {
            let _ = parse(&line);
        }

        #[test]
        fn paths_come_back(path in "[ \\t\\n\\\\a-z0-9/]{0,40}") {
            let mut escaped = String::new();
            for c in path.chars() {
                match c {
                    ' ' | '\t' | '\n' | '\\' => escaped.push_str(&format!("\\{:03o}", u32::from(c))),
                    c => escaped.push(c),
                }
            }
            proptest::prop_assert_eq!(unescape(&escaped), path);
        }
    }
}
