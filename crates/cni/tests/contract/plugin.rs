//! A plugin that reads a configuration as a real one does, and a way to call it.

use std::cell::Cell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use cni::json::{self, Object};
use cni::{Args, CniResult, Dns, Interface, Io, Plugin, Request, Result, Route, Version, serve_with};

/// Reads every kind of key, then counts one effect.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) effects: Cell<u32>,
    pub(crate) answer: CniResult,
    pub(crate) versions: Option<&'static [Version]>,
    pub(crate) chained: bool,
    /// The namespace of the last call.
    pub(crate) netns: Cell<Option<std::path::PathBuf>>,
}

impl Reader {
    fn read(&self, request: &Request) -> Result<()> {
        Args::strict(&request.env.args, &["MAC", "IP"])?;
        let root = request.root();
        root.text("master")?;
        root.u32_in("mtu", 0..=65535)?;
        root.bool("linkInContainer")?;
        root.u64("ingressRate")?;
        root.u16("vlanId")?;
        root.i64("priority")?;
        root.strings("sourceMacs")?;
        request.ipam_type()?;
        if let Some(ipam) = request.ipam()? {
            for set in ipam.items("ranges")? {
                for range in set.items()? {
                    let range = range.object()?;
                    let subnet = range.net("subnet")?;
                    subnet.ok_or_else(|| range.missing("subnet", "a subnet such as 10.1.2.0/24"))?;
                    range.address("rangeStart")?;
                    range.address("gateway")?;
                }
            }
            for route in ipam.objects("routes")? {
                Route::parse(&route)?;
            }
        }
        request.dns()?;
        if let Some(runtime) = request.runtime_config()? {
            runtime.string("mac")?;
            runtime.strings("ips")?;
        }
        if let Some(args) = request.args_cni()? {
            args.string("mac")?;
        }
        request.prev_result()?;
        request.valid_attachments()?;
        if self.chained {
            request.required_prev_result("Required prevResult missing")?;
        }
        self.netns.set(request.env.netns.clone());
        self.effects.set(self.effects.get() + 1);
        Ok(())
    }
}

impl Plugin for Reader {
    fn about(&self) -> String {
        "CNI reader plugin llano-cni 0.1.0".to_owned()
    }

    fn versions(&self) -> &'static [Version] {
        self.versions.unwrap_or(Version::ALL)
    }

    fn add(&self, request: &Request) -> Result<CniResult> {
        self.read(request)?;
        Ok(self.answer.clone())
    }

    fn del(&self, request: &Request) -> Result<()> {
        self.read(request)
    }

    fn check(&self, request: &Request) -> Result<()> {
        self.read(request)
    }

    fn status(&self, request: &Request) -> Result<()> {
        self.read(request)
    }

    fn gc(&self, request: &Request) -> Result<()> {
        self.read(request)
    }
}

/// What a call left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: u8,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Code, message and details of the error printed.
    pub(crate) fn error(&self) -> (u32, String, String) {
        let value = json::parse(self.stdout.as_bytes()).unwrap();
        let root = Object::root(&value).unwrap();
        let text = |key| root.string(key).unwrap().unwrap_or_default().to_owned();
        let keys: Vec<&str> = root.raw().iter().map(|(key, _)| key.as_str()).collect();
        assert!(keys == ["code", "msg"] || keys == ["code", "msg", "details"], "{}", self.stdout);
        (root.u32("code").unwrap().unwrap(), text("msg"), text("details"))
    }
}

/// The environment of a good call of `verb`.
pub(crate) fn variables(verb: &str) -> Vec<(String, Vec<u8>)> {
    [
        ("CNI_COMMAND", verb),
        ("CNI_CONTAINERID", "c0ffee"),
        ("CNI_NETNS", "/nonexistent/netns"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/opt/cni/bin"),
    ]
    .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
    .to_vec()
}

/// Sets one variable; the empty value unsets it.
pub(crate) fn set(variables: &mut Vec<(String, Vec<u8>)>, key: &str, value: &[u8]) {
    variables.retain(|(name, _)| name != key);
    variables.push((key.to_owned(), value.to_vec()));
}

/// One call of the plugin.
pub(crate) fn call(plugin: &dyn Plugin, variables: &[(String, Vec<u8>)], config: &[u8]) -> Outcome {
    let env = |name: &str| {
        variables.iter().find(|(key, _)| key == name).map(|(_, value)| OsString::from_vec(value.clone()))
    };
    let (mut stdin, mut stdout, mut stderr) = (config, Vec::new(), Vec::new());
    let io = Io { env: &env, stdin: &mut stdin, stdout: &mut stdout, stderr: &mut stderr };
    let exit = serve_with(plugin, io);
    Outcome { exit, stdout: String::from_utf8(stdout).unwrap(), stderr: String::from_utf8(stderr).unwrap() }
}

/// A result with one interface and one address per family.
pub(crate) fn dual_stack() -> CniResult {
    let ip = |address: &str, gateway: &str| cni::IpConfig {
        address: address.parse().unwrap(),
        gateway: Some(gateway.parse().unwrap()),
        interface: Some(0),
    };
    CniResult {
        interfaces: vec![Interface {
            name: "eth0".to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            sandbox: "/run/netns/a".to_owned(),
            ..Interface::default()
        }],
        ips: vec![ip("10.1.2.3/24", "10.1.2.1"), ip("2001:db8::5/64", "2001:db8::1")],
        routes: vec![Route::new("0.0.0.0/0".parse().unwrap(), None)],
        dns: Dns::default(),
    }
}
