//! DELs that no daemon or agent could take: one file each, which the next one reads at its start.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use cni::Request;
use cni::forward::encode_request_body;

use crate::{Error, Result};

/// Writes the call to the directory, on disk when this returns. The same attachment has one file, whose name holds nothing
/// of what the runtime said but its hash.
pub(crate) fn keep(dir: &Path, request: &Request) -> Result<()> {
    let body = encode_request_body(request)?;
    fs::create_dir_all(dir).map_err(|source| Error::State { op: "make", path: dir.to_owned(), source })?;
    let env = &request.env;
    let name = fnv(&[env.container_id.as_str(), &request.name, &env.ifname].join("/"));
    let path = dir.join([&name, ".json"].concat());
    let draft = dir.join([&name, ".", &std::process::id().to_string()].concat());
    let written = File::create(&draft)
        .and_then(|mut file| {
            file.write_all(body.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&draft, &path))
        .and_then(|()| File::open(dir)?.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written.map_err(|source| Error::State { op: "write", path, source })
}

/// FNV-1a of 64 bits in hex: a file name of fixed length for keys of any.
fn fnv(key: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", key.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}
