//! ADD and DEL by several callers at once, in the guest, told line by line so that the host knows what was promised
//! when it cuts the power; and the collection after the next boot.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use kernel::NetNs;
use serde_json::{Value, json};

use crate::caller::{namespace, plugin};
use crate::random::Random;

/// Where the leases are, on the disk.
pub const LEASES: &str = "/disk/leases";
const NETWORK: &str = "lan";
const CALLERS: u64 = 4;
/// Containers that one caller has at most.
const CONTAINERS: usize = 5;

/// What the guest tells. Each line ends with a full stop, so that half a line is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// ADD of this container was answered with this address.
    Added(String, IpAddr),
    /// DEL of this container is about to be called.
    Deleting(String),
    /// DEL of this container was answered.
    Deleted(String),
}

impl Told {
    /// Reads a line; `None` when it is something else or half of one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["added", id, address, "."] => Some(Self::Added((*id).to_owned(), address.parse().ok()?)),
            ["deleting", id, "."] => Some(Self::Deleting((*id).to_owned())),
            ["deleted", id, "."] => Some(Self::Deleted((*id).to_owned())),
            _ => None,
        }
    }

    fn say(&self) {
        let line = match self {
            Self::Added(id, address) => format!("added {id} {address} .\n"),
            Self::Deleting(id) => format!("deleting {id} .\n"),
            Self::Deleted(id) => format!("deleted {id} .\n"),
        };
        // One write, so that lines of several callers do not mix.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }
}

/// `storm ROUND SEED [ID…]`: the callers run until the power is cut. The named containers are of an earlier life: their
/// namespaces are gone, and DEL is called for each of them first.
///
/// # Errors
/// When a call fails.
pub fn run(words: &[String]) -> Result<()> {
    let [round, seed, old @ ..] = words else { bail!("storm ROUND SEED [ID...]") };
    let seed: u64 = seed.parse()?;
    fs::create_dir_all("/run/netns")?;
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let old: Vec<&String> =
                    old.iter().skip(usize::try_from(caller).unwrap_or(0)).step_by(4).collect();
                scope.spawn(move || call(round, caller, Random::new(seed ^ (caller << 32)), &old))
            })
            .collect();
        callers.into_iter().try_for_each(|caller| match caller.join() {
            Ok(result) => result,
            Err(_) => bail!("a caller panicked"),
        })
    })
}

fn call(round: &str, caller: u64, mut random: Random, old: &[&String]) -> Result<()> {
    for id in old {
        Told::Deleting((*id).clone()).say();
        plugin("DEL", id, &config())?;
        Told::Deleted((*id).clone()).say();
    }
    let mut alive: Vec<String> = Vec::new();
    for number in 0.. {
        if alive.len() < CONTAINERS && (alive.is_empty() || random.below(5) < 3) {
            let id = format!("r{round}c{caller}n{number}");
            NetNs::create_at(&namespace(&id))?;
            let answer = plugin("ADD", &id, &config())?;
            let address = answer["ips"][0]["address"].as_str().context("no address")?;
            let address: ipnet::IpNet = address.parse()?;
            Told::Added(id.clone(), address.addr()).say();
            alive.push(id);
        } else {
            let id = alive.swap_remove(usize::try_from(random.below(alive.len() as u64))?);
            Told::Deleting(id.clone()).say();
            plugin("DEL", &id, &config())?;
            Told::Deleted(id.clone()).say();
            NetNs::delete(&namespace(&id))?;
        }
    }
    Ok(())
}

/// `collect [ID…]`: GC with these containers valid, as a runtime calls it when it starts; then prints the leases, one
/// `ADDRESS ID` a line.
///
/// # Errors
/// When a file in the leases' directory is empty or odd, before or after, or GC fails.
pub fn collect(words: &[String]) -> Result<()> {
    leases().context("after the boot")?;
    let valid: Vec<Value> = words.iter().map(|id| json!({"containerID": id, "ifname": "eth0"})).collect();
    let mut config = config();
    config["cni.dev/valid-attachments"] = valid.into();
    plugin("GC", "", &config)?;
    for (address, id) in leases().context("after the collection")? {
        println(&format!("{address} {id}"));
    }
    Ok(())
}

/// The leases: every file in the directory is one, or one that is known.
fn leases() -> Result<BTreeMap<IpAddr, String>> {
    let directory = Path::new(LEASES).join(NETWORK);
    let mut leases = BTreeMap::new();
    for entry in fs::read_dir(&directory).into_iter().flatten() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "lock" {
            continue;
        }
        let content = fs::read_to_string(entry.path()).with_context(|| format!("read {name}"))?;
        ensure!(!content.is_empty(), "{name} is empty");
        if let Ok(address) = name.parse::<IpAddr>() {
            let id = content.lines().next().unwrap_or_default().to_owned();
            ensure!(content.lines().count() == 2, "{name} has {content:?}");
            leases.insert(address, id);
        } else {
            ensure!(name.starts_with("last_reserved_ip.") || name.starts_with(".llano-"), "what is {name}?");
        }
    }
    Ok(leases)
}

fn config() -> Value {
    let range = json!({ "subnet": "10.9.0.0/24", "rangeStart": "10.9.0.10", "rangeEnd": "10.9.0.60" });
    json!({
        "cniVersion": "1.1.0", "name": NETWORK, "type": "macvlan", "master": "eth0",
        "ipam": { "type": "host-local", "dataDir": LEASES, "ranges": [[range]] }
    })
}

fn println(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_none() {
        let whole = "added r1c0n2 10.9.0.11 .";
        assert_eq!(Told::parse(whole), Some(Told::Added("r1c0n2".into(), "10.9.0.11".parse().unwrap())));
        for end in 0..whole.len() {
            assert_eq!(Told::parse(&whole[..end]), None, "{}", &whole[..end]);
        }
        assert_eq!(Told::parse("deleted x ."), Some(Told::Deleted("x".into())));
    }
}
