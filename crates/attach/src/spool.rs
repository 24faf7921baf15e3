//! DELs that no daemon or agent could take: one file each, which the next one reads at its start.
//!
//! Who serves listens first and reads the files then; who leaves a file knocks afterwards. So none is left between the two.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::Request;
use cni::forward::{encode_request_body, forward};

use crate::{Error, Result};

/// Leaves the call to whoever listens next. One that came while the file was written has read the directory without it, and is
/// asked: the file goes when it has answered.
pub(crate) fn leave(dir: &Path, request: &Request, socket: &Path, limit: Duration) -> Result<()> {
    let file = keep(dir, request)?;
    if forward(socket, request, limit).is_ok() {
        // One that stays is done twice, which does no harm.
        let _ = fs::remove_file(file);
    }
    Ok(())
}

/// Writes the call to the directory, on disk when this returns. The same attachment has one file, whose name holds nothing
/// of what the runtime said but its hash.
pub(crate) fn keep(dir: &Path, request: &Request) -> Result<PathBuf> {
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
    match written {
        Ok(()) => Ok(path),
        Err(source) => Err(Error::State { op: "write", path, source }),
    }
}

/// FNV-1a of 64 bits in hex: a file name of fixed length for keys of any.
fn fnv(key: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", key.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    use cni::forward::{RequestParser, encode_response, parse_call};

    use super::*;

    fn del() -> Request {
        let variables =
            [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "c"), ("CNI_IFNAME", "eth0"), ("CNI_PATH", "/n")];
        Request::from_texts(&variables, r#"{"cniVersion":"1.1.0","name":"n","type":"llano"}"#).unwrap()
    }

    fn left(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn who_came_while_the_file_was_written_takes_the_call() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, spool) = (dir.path().join("s"), dir.path().join("spool"));
        let limit = Duration::from_secs(60);
        leave(&spool, &del(), &socket, limit).unwrap();
        assert_eq!(left(&spool), 1, "nobody listens");

        let listener = UnixListener::bind(&socket).unwrap();
        let read = spool.clone();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let found = left(&read);
            let (mut parser, mut buffer) = (RequestParser::default(), [0; 4096]);
            let asked = loop {
                let count = stream.read(&mut buffer).unwrap();
                if let Some(asked) = parser.feed(&buffer[..count]).unwrap() {
                    break parse_call(&asked.body).unwrap();
                }
            };
            stream.write_all(&encode_response(&Ok(None), asked.version, false)).unwrap();
            (found, asked.env.container_id)
        });
        leave(&spool, &del(), &socket, limit).unwrap();
        assert_eq!(server.join().unwrap(), (1, "c".to_owned()), "the file was there before it was asked");
        assert_eq!(left(&spool), 0);
    }
}
