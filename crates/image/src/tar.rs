//! A tar archive (POSIX ustar) of files, directories and links. No times, no names of users: the same input gives the same bytes.

/// An archive in memory.
#[derive(Debug, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

const BLOCK: usize = 512;

impl Tar {
    /// A file with that mode.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.header(path, b'0', mode, content.len(), "");
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    /// A directory.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.header(&format!("{path}/"), b'5', mode, 0, "");
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, to: &str) {
        self.header(path, b'2', 0o777, 0, to);
    }

    /// The archive with its end.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    fn header(&mut self, path: &str, kind: u8, mode: u32, size: usize, link: &str) {
        let mut block = [0u8; BLOCK];
        let mut put = |at: usize, text: &str, width: usize| {
            let bytes = text.as_bytes();
            let length = bytes.len().min(width);
            block[at..at + length].copy_from_slice(&bytes[..length]);
        };
        debug_assert!(path.len() <= 100 && link.len() <= 100);
        put(0, path, 100);
        put(100, &format!("{mode:07o}"), 8);
        put(108, "0000000", 8);
        put(116, "0000000", 8);
        put(124, &format!("{size:011o}"), 12);
        put(136, "00000000000", 12);
        // The checksum is taken with its own field blank.
        put(148, "        ", 8);
        put(157, link, 100);
        put(257, "ustar", 6);
        put(263, "00", 2);
        block[156] = kind;
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn tar_lists_what_was_put_in() {
        let mut tar = Tar::default();
        tar.directory("bin", 0o755);
        tar.file("bin/busybox", 0o755, &[7; 700]);
        tar.link("bin/sh", "busybox");
        tar.file("empty", 0o600, b"");
        let bytes = tar.finish();
        assert_eq!(bytes.len() % BLOCK, 0);
        let mut child = Command::new("tar")
            .args(["-tv", "--numeric-owner"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
        assert_eq!(lines[0][0], "drwxr-xr-x");
        assert_eq!((lines[1][0], lines[1][1], lines[1][2]), ("-rwxr-xr-x", "0/0", "700"));
        assert_eq!(lines[2][5..], ["bin/sh", "->", "busybox"]);
        assert_eq!(lines[3][0], "-rw-------");
    }
}
