//! Who is measured, and how each is called.

use super::process::Prepared;
use super::site::PARENT;
use anyhow::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The network's name in every configuration here; the leases are in a directory of this name.
pub(super) const NETWORK: &str = "bench";
/// The pod's interface.
const IFNAME: &str = "eth0";

/// One who does the work.
pub(super) struct Peer {
    /// As it stands in tables and in JSON.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    /// A directory with CNI plugins.
    Plugins(PathBuf),
    /// The program of `benches/floor`: the same kernel calls and nothing else.
    Floor(PathBuf),
}

impl Peer {
    /// True for those we are compared with.
    pub(super) fn is_reference(&self) -> bool {
        matches!(self.kind, Kind::Plugins(_)) && self.name != LLANO
    }
}

pub(super) const LLANO: &str = "llano";
pub(super) const FLOOR: &str = "floor";

/// One attachment.
pub(super) struct Attachment<'a> {
    /// Counts up over a benchmark: makes the container's ID and, for the floor, its address.
    pub(super) number: u32,
    pub(super) pod: &'a Path,
    /// `ipam.dataDir`
    pub(super) data_dir: &'a Path,
    pub(super) dual: bool,
}

impl Attachment<'_> {
    /// 64 hexadecimal digits, as runtimes make them.
    pub(super) fn container_id(&self) -> String {
        container_id(self.number)
    }

    /// 10.64.0.0/16 from its tenth address on.
    fn address(&self) -> std::net::Ipv4Addr {
        let [_, _, third, fourth] = (self.number % 65_000 + 10).to_be_bytes();
        [10, 64, third, fourth].into()
    }

    fn config(&self) -> Value {
        let mut ranges = vec![json!([{"subnet": "10.64.0.0/16", "gateway": "10.64.0.1"}])];
        let mut routes = vec![json!({"dst": "0.0.0.0/0"})];
        if self.dual {
            ranges.push(json!([{"subnet": "fd00:10:64::/64", "gateway": "fd00:10:64::1"}]));
            routes.push(json!({"dst": "::/0"}));
        }
        json!({
            "cniVersion": "1.0.0", "name": NETWORK, "type": "macvlan", "master": PARENT, "mode": "bridge",
            "ipam": {"type": "host-local", "dataDir": self.data_dir, "ranges": ranges, "routes": routes},
        })
    }

    fn environment(&self, verb: &str, plugins: &Path) -> Vec<(&'static str, String)> {
        vec![
            ("CNI_COMMAND", verb.to_string()),
            ("CNI_CONTAINERID", self.container_id()),
            ("CNI_NETNS", self.pod.display().to_string()),
            ("CNI_IFNAME", IFNAME.to_string()),
            ("CNI_PATH", plugins.display().to_string()),
        ]
    }
}

pub(super) fn container_id(number: u32) -> String {
    format!("{:064x}", u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) | 1)
}

impl Peer {
    /// ADD or DEL of an attachment.
    pub(super) fn call(&self, verb: &str, attachment: &Attachment<'_>) -> Result<Prepared> {
        match &self.kind {
            Kind::Plugins(dir) => Prepared::new(
                &dir.join("macvlan"),
                &[],
                &attachment.environment(verb, dir),
                &attachment.config().to_string(),
            ),
            Kind::Floor(program) => {
                let mut args = vec![
                    verb.to_lowercase(),
                    attachment.pod.display().to_string(),
                    IFNAME.to_string(),
                    attachment.container_id(),
                    attachment.data_dir.join(NETWORK).display().to_string(),
                    PARENT.to_string(),
                    attachment.address().to_string(),
                ];
                if attachment.dual {
                    args.push(format!("fd00:10:64::{:x}", attachment.number % 65_000 + 10));
                }
                // The same bytes on standard input as the plugins get.
                Prepared::new(program, &args, &[], &attachment.config().to_string())
            }
        }
    }

    /// The call that does nothing: start, look at the environment, print a constant.
    pub(super) fn version(&self) -> Result<Prepared> {
        match &self.kind {
            Kind::Plugins(dir) => Prepared::new(
                &dir.join("macvlan"),
                &[],
                &[("CNI_COMMAND", "VERSION".to_string())],
                r#"{"cniVersion":"1.0.0"}"#,
            ),
            Kind::Floor(program) => Prepared::new(program, &["empty".to_string()], &[], ""),
        }
    }

    /// A call of ours as `floor rss` starts it: it prints the most memory the plugin had, in KiB.
    pub(super) fn memory(
        &self,
        floor: &Path,
        verb: &str,
        attachment: &Attachment<'_>,
    ) -> Result<Option<Prepared>> {
        let Kind::Plugins(dir) = &self.kind else { return Ok(None) };
        let args = ["rss".to_string(), dir.join("macvlan").display().to_string()];
        Prepared::new(floor, &args, &attachment.environment(verb, dir), &attachment.config().to_string())
            .map(Some)
    }
}
