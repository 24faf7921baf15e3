//! `/proc/sys`, in the calling thread's network namespace.
//!
//! Paths have slashes (`net/ipv4/conf/eth0.100/arp_notify`), because interface names may have dots.

use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags};

use crate::{Error, Result};

/// Reads a value, without the final newline.
pub fn read(path: &str) -> Result<String> {
    let fd = open(path, OFlags::RDONLY, "read")?;
    let mut buf = [0u8; 4096];
    let len = rustix::io::read(fd.as_fd(), &mut buf[..])
        .map_err(|errno| Error::new("read", object(path), errno))?;
    Ok(String::from_utf8_lossy(&buf[..len]).trim_end_matches('\n').to_owned())
}

/// Writes a value with a single write, as the kernel wants it.
pub fn write(path: &str, value: &str) -> Result<()> {
    let fd = open(path, OFlags::WRONLY, "write")?;
    match rustix::io::write(fd.as_fd(), value.as_bytes()) {
        Ok(len) if len == value.len() => Ok(()),
        Ok(_) => Err(Error::new("write", object(path), rustix::io::Errno::INVAL)),
        Err(errno) => Err(Error::new("write", object(path), errno)),
    }
}

fn open(path: &str, flags: OFlags, op: &'static str) -> Result<rustix::fd::OwnedFd> {
    if path.is_empty() || path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(Error::Invalid {
            object: "sysctl",
            value: path.to_owned(),
            allowed: "names separated by slashes, such as net/ipv4/ip_forward",
        });
    }
    let full = ["/proc/sys/", path].concat();
    rustix::fs::open(full, flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::new(op, object(path), errno))
}

fn object(path: &str) -> String {
    ["sysctl ", path].concat()
}
