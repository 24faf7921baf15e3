//! What a configuration asks `tuning` for.

use std::path::PathBuf;

use cni::json::Object;
use cni::{Args, Error, Request, Result};
use kernel::{MacAddr, SetLink};

use super::key::{self, Key};

const DATA_DIR: &str = "/run/cni/tuning";
/// The kernel keeps an MTU as a signed integer.
const LARGEST_MTU: u32 = i32::MAX.unsigned_abs();

/// The settings, each from the source that wins: `args.cni` over `runtimeConfig.mac` over `CNI_ARGS` over the
/// configuration's own keys.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Names and values, in the configuration's order.
    pub(crate) sysctls: Vec<(Key, String)>,
    pub(crate) mac: Option<MacAddr>,
    /// `false` and absent are the same, as in the reference: nothing is changed.
    pub(crate) promisc: bool,
    pub(crate) mtu: Option<u32>,
    pub(crate) allmulti: Option<bool>,
    pub(crate) tx_queue_len: Option<u32>,
}

impl Wanted {
    /// # Errors
    /// Code 7 naming the key, code 4 for `CNI_ARGS`.
    pub(crate) fn read(request: &Request) -> Result<Self> {
        let root = request.root();
        let mut wanted = Self::default();
        wanted.merge(&root)?;
        if !request.env.args.is_empty() {
            let args = Args::strict(&request.env.args, &["MAC"])?;
            if let Some(text) = args.get("MAC").filter(|text| !text.is_empty()) {
                wanted.mac = Some(
                    mac(text).map_err(|allowed| Error::env(format!("CNI_ARGS: MAC={text}: {allowed}")))?,
                );
            }
        }
        if let Some(runtime) = request.runtime_config()? {
            wanted.mac = read_mac(&runtime)?.or(wanted.mac);
        }
        if let Some(args) = request.args_cni()? {
            wanted.merge(&args)?;
        }
        Ok(wanted)
    }

    /// Takes over what `object` has. An empty MAC or an MTU of 0 takes an earlier one away.
    fn merge(&mut self, object: &Object<'_>) -> Result<()> {
        if object.string("mac")?.is_some() {
            self.mac = read_mac(object)?;
        }
        if let Some(promisc) = object.bool("promisc")? {
            self.promisc = promisc;
        }
        if let Some(mtu) = object.u32_in("mtu", 0..=LARGEST_MTU)? {
            self.mtu = Some(mtu).filter(|mtu| *mtu != 0);
        }
        self.allmulti = object.bool("allmulti")?.or(self.allmulti);
        self.tx_queue_len = object.u32("txQLen")?.or(self.tx_queue_len);
        let sysctls = read_sysctls(object)?;
        self.sysctls.retain(|(key, _)| !sysctls.iter().any(|(other, _)| key.is_same(other)));
        self.sysctls.extend(sysctls);
        Ok(())
    }

    /// The changes to the link, each with the key that asked for it.
    pub(crate) fn changes(&self) -> Vec<(&'static str, SetLink)> {
        let none = SetLink::default;
        let mut changes = Vec::new();
        if self.mac.is_some() {
            changes.push(("mac", SetLink { mac: self.mac, ..none() }));
        }
        if self.promisc {
            changes.push(("promisc", SetLink { promisc: Some(true), ..none() }));
        }
        if self.mtu.is_some() {
            changes.push(("mtu", SetLink { mtu: self.mtu, ..none() }));
        }
        if self.allmulti.is_some() {
            changes.push(("allmulti", SetLink { allmulti: self.allmulti, ..none() }));
        }
        if self.tx_queue_len.is_some() {
            changes.push(("txQLen", SetLink { tx_queue_len: self.tx_queue_len, ..none() }));
        }
        changes
    }
}

/// Where the values that DEL puts back are kept. It needs nothing else of the configuration to be right.
pub(crate) fn data_dir(request: &Request) -> PathBuf {
    request.root().text("dataDir").ok().flatten().unwrap_or(DATA_DIR).into()
}

fn read_mac(object: &Object<'_>) -> Result<Option<MacAddr>> {
    let Some(text) = object.text("mac")? else { return Ok(None) };
    mac(text).map(Some).map_err(|allowed| Error::config(&object.path_of("mac"), format!("{text:?}"), allowed))
}

fn mac(text: &str) -> std::result::Result<MacAddr, &'static str> {
    const ALLOWED: &str = "a unicast MAC address of 6 bytes, such as 02:00:00:00:00:01";
    match text.parse::<MacAddr>() {
        Ok(mac) if !mac.is_multicast() && !mac.is_zero() => Ok(mac),
        _ => Err(ALLOWED),
    }
}

fn read_sysctls(object: &Object<'_>) -> Result<Vec<(Key, String)>> {
    let Some(members) = object.object("sysctl")? else { return Ok(Vec::new()) };
    let mut found: Vec<(Key, String)> = Vec::with_capacity(members.raw().len());
    for (name, value) in members.raw() {
        let path = members.path_of(name);
        let Some(key) = Key::parse(name) else {
            return Err(Error::config(&members.path, format!("the key {name:?}"), key::ALLOWED));
        };
        let cni::json::Value::String(text) = value else {
            return Err(Error::config(&path, value, "a string, such as \"1\""));
        };
        if found.iter().any(|(other, _)| key.is_same(other)) {
            return Err(Error::config(&path, value, "duplicated sysctl keys are not allowed"));
        }
        found.push((key, text.clone()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &str, conf: &str) -> Result<Wanted> {
        let conf = format!(r#"{{"cniVersion":"1.0.0","name":"n","type":"tuning"{conf}}}"#);
        let env = [
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "c"),
            ("CNI_NETNS", "/run/netns/x"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/x"),
            ("CNI_ARGS", args),
        ];
        Wanted::read(&Request::from_texts(&env, &conf)?)
    }

    fn sysctls(wanted: &Wanted) -> Vec<(String, &str)> {
        wanted.sysctls.iter().map(|(key, value)| (key.path("eth0"), value.as_str())).collect()
    }

    #[test]
    fn nothing_is_asked_for() {
        let wanted = read("", "").unwrap();
        assert!(wanted.changes().is_empty() && wanted.sysctls.is_empty());
        let wanted = read("", r#","promisc":false,"mtu":0,"mac":"","sysctl":{},"txQLen":null"#).unwrap();
        assert!(wanted.changes().is_empty() && wanted.sysctls.is_empty());
    }

    #[test]
    fn later_sources_win() {
        let mac = |wanted: Wanted| wanted.mac.unwrap().0[5];
        let conf = r#","mac":"02:00:00:00:00:01""#;
        let runtime = r#","runtimeConfig":{"mac":"02:00:00:00:00:03"}"#;
        let cni_args = r#","args":{"cni":{"mac":"02-00-00-00-00-04"}}"#;
        assert_eq!(mac(read("", conf).unwrap()), 1);
        assert_eq!(mac(read("MAC=02:00:00:00:00:02", conf).unwrap()), 2);
        assert_eq!(mac(read("MAC=02:00:00:00:00:02", &format!("{conf}{runtime}")).unwrap()), 3);
        assert_eq!(mac(read("MAC=02:00:00:00:00:02", &format!("{conf}{runtime}{cni_args}")).unwrap()), 4);
        assert_eq!(read("", &format!(r#"{conf},"args":{{"cni":{{"mac":""}}}}"#)).unwrap().mac, None);
        let both = r#","promisc":true,"mtu":1400,"allmulti":true,"txQLen":5,
            "args":{"cni":{"promisc":false,"mtu":1300,"allmulti":false,"txQLen":0}}"#;
        let wanted = read("", both).unwrap();
        assert!(!wanted.promisc);
        assert_eq!((wanted.mtu, wanted.allmulti, wanted.tx_queue_len), (Some(1300), Some(false), Some(0)));
    }

    #[test]
    fn sysctls_of_args_stand_alone_and_override() {
        // The reference panics at the first of these.
        let wanted = read("", r#","args":{"cni":{"sysctl":{"net.core.somaxconn":"5"}}}"#).unwrap();
        assert_eq!(sysctls(&wanted), [("net/core/somaxconn".to_owned(), "5")]);
        let wanted = read(
            "",
            r#","sysctl":{"net.core.somaxconn":"1","net.ipv4.conf.IFNAME.arp_notify":"1"},
               "args":{"cni":{"sysctl":{"net/core/somaxconn":"5"}}}"#,
        )
        .unwrap();
        assert_eq!(
            sysctls(&wanted),
            [("net/ipv4/conf/eth0/arp_notify".to_owned(), "1"), ("net/core/somaxconn".to_owned(), "5")]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (args, conf, code, words) in [
            ("", r#","sysctl":{"net.core.x":"1","net.core.x":"1"}"#, 7, "duplicated sysctl keys"),
            ("", r#","sysctl":{"net.core.x":"1","net/core/x":"1"}"#, 7, "sysctl.net/core/x"),
            ("", r#","sysctl":{"kernel.hostname":"x"}"#, 7, "kernel.hostname"),
            ("", r#","sysctl":{"net.core.x":1}"#, 7, "sysctl.net.core.x"),
            ("", r#","sysctl":["net.core.x"]"#, 7, "sysctl"),
            ("", r#","mac":"zz""#, 7, "mac"),
            ("", r#","mac":"01:00:00:00:00:01""#, 7, "unicast"),
            ("", r#","mac":"00:00:00:00:00:00""#, 7, "unicast"),
            ("", r#","mtu":-1"#, 7, "mtu"),
            ("", r#","mtu":"1500""#, 7, "mtu"),
            ("", r#","mtu":4294967295"#, 7, "mtu"),
            ("", r#","txQLen":-1"#, 7, "txQLen"),
            ("", r#","promisc":"yes""#, 7, "promisc"),
            ("", r#","allmulti":1"#, 7, "allmulti"),
            ("", r#","runtimeConfig":{"mac":"x"}"#, 7, "runtimeConfig.mac"),
            ("", r#","args":{"cni":{"mtu":"x"}}"#, 7, "args.cni.mtu"),
            ("MAC=zz", "", 4, "MAC=zz"),
            ("FOO=bar", "", 4, "FOO=bar"),
        ] {
            let error = read(args, conf).err().unwrap_or_else(|| panic!("{args} {conf} was accepted"));
            assert_eq!(error.code(), code, "{conf}: {error}");
            assert!(error.to_string().contains(words), "{conf}: {error}");
        }
    }
}
