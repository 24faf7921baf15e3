//! A configuration on standard input: any bytes are answered, by exit code 0 or by an error with a code.
#![no_main]

use std::ffi::OsString;

use cni::json::{self, Number, Object, Value};
use cni::{Args, CniResult, Io, Plugin, Request, Result, Version, serve_with};
use libfuzzer_sys::fuzz_target;

struct Reader;

impl Reader {
    fn read(request: &Request) -> Result<()> {
        let (prev, dns) = (request.prev_result(), request.dns());
        let (valid, ipam) = (request.valid_attachments(), request.ipam_type());
        let root = request.root();
        for (key, _) in root.raw() {
            // Every reader on every key: whatever it refuses must name the key.
            let errors = [
                root.string(key).err(),
                root.u32(key).err(),
                root.i64(key).err(),
                root.bool(key).err(),
                root.net(key).err(),
                root.address(key).err(),
                root.object(key).err(),
                root.objects(key).err(),
                root.strings(key).err(),
            ];
            for error in errors.into_iter().flatten() {
                let text = error.to_string();
                assert!(text.starts_with("invalid ") && text.len() < 2 * key.len() + 400, "{text}");
            }
        }
        request.args_cni()?;
        request.runtime_config()?;
        (prev?, dns?, valid?, ipam?);
        Ok(())
    }
}

impl Plugin for Reader {
    fn about(&self) -> String {
        "fuzz".to_owned()
    }

    fn add(&self, request: &Request) -> Result<CniResult> {
        Reader::read(request)?;
        Ok(request.prev_result()?.unwrap_or_default())
    }

    fn del(&self, request: &Request) -> Result<()> {
        Reader::read(request)
    }

    fn gc(&self, request: &Request) -> Result<()> {
        Reader::read(request)
    }
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(Number::Float(_)) => true,
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(members) => members.iter().any(|(_, value)| has_float(value)),
        _ => false,
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = json::parse(bytes) {
        // The last digit of a long float is read only roughly.
        if !has_float(&value) {
            assert_eq!(json::parse(value.to_pretty().as_bytes()).as_ref(), Ok(&value));
            assert_eq!(json::parse(value.to_compact().as_bytes()).as_ref(), Ok(&value));
        }
        let _ = cni::cache::parse(bytes);
    }
    for verb in ["ADD", "DEL", "GC"] {
        let env = |name: &str| match name {
            "CNI_COMMAND" => Some(OsString::from(verb)),
            "CNI_CONTAINERID" | "CNI_IFNAME" => Some("c0".into()),
            "CNI_NETNS" | "CNI_PATH" => Some("/nonexistent".into()),
            _ => None,
        };
        let (mut stdin, mut stdout, mut stderr) = (bytes, Vec::new(), Vec::new());
        let io = Io { env: &env, stdin: &mut stdin, stdout: &mut stdout, stderr: &mut stderr };
        let exit = serve_with(&Reader, io);
        if exit == 0 && verb != "ADD" {
            assert!(stdout.is_empty());
            continue;
        }
        let answer = json::parse(&stdout).expect("the answer is JSON");
        if exit == 0 {
            CniResult::parse(&answer, Version::CURRENT).expect("the answer is a result");
        } else {
            assert!(Object::root(&answer).expect("an object").u32("code").expect("a number") > Some(0));
        }
    }
    let _ = Args::lenient(&String::from_utf8_lossy(bytes));
});
