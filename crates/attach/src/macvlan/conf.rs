//! The configuration of `type: macvlan`: the reference's keys and ours, parsed once, invariants held.

use std::time::Duration;

use cni::json::Object;
use cni::{Args, Dns, Error, Request, Result};
use ipnet::IpNet;
use kernel::{MacAddr, Macvlan, MacvlanMode};

use crate::host_access::HostAccess;
use crate::probe::Probe;

/// A macvlan network as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Conf {
    /// The parent's name; empty means the default route's interface.
    pub master: String,
    /// Mode, flags and lists that fit together.
    pub macvlan: Macvlan,
    /// As written, in bytes; checked against the parent later.
    pub mtu: Option<i64>,
    /// From `runtimeConfig.mac`, else `CNI_ARGS`' `MAC`, else `mac`.
    pub mac: Option<MacAddr>,
    /// The parent is in the pod's namespace.
    pub link_in_container: bool,
    /// Let host and pod talk.
    pub host_access: Option<HostAccess>,
    /// How the addresses are announced.
    pub announce: Announce,
    /// Take addresses and routes from router advertisements.
    pub accept_ra: bool,
    /// Ask the LAN before an address is used.
    pub probe: Option<Probe>,
    /// `dns`, for the result.
    pub dns: Dns,
}

/// Telling the LAN where an address now is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// Not at all.
    Off,
    /// Once, by the kernel, when the link comes up (`arp_notify`, `ndisc_notify`).
    Kernel,
    /// By the kernel, and so many times more by us.
    Repeat {
        /// 1 to 10.
        count: u32,
        /// Between two.
        interval: Duration,
    },
}

impl Conf {
    /// Parses what ADD, CHECK and STATUS need.
    ///
    /// # Errors
    /// Code 7 naming the key, the value and what is allowed; code 4 for `CNI_ARGS`.
    pub fn parse(request: &Request) -> Result<Self> {
        let root = request.root();
        let macvlan = parse_macvlan(&root)?;
        let mode = macvlan.mode;
        let link_in_container = root.bool("linkInContainer")?.unwrap_or(false);
        let host_access = parse_host_access(&root, mode, link_in_container)?;
        let accept_ra = match root.object("ipv6")? {
            Some(ipv6) => ipv6.bool("acceptRA")?.unwrap_or(false),
            None => false,
        };
        Ok(Self {
            master: root.string("master")?.unwrap_or_default().to_owned(),
            macvlan,
            mtu: root.i64("mtu")?,
            mac: parse_mac(request, &root)?,
            link_in_container,
            host_access,
            announce: parse_announce(&root)?,
            accept_ra,
            probe: parse_probe(&root)?,
            dns: request.dns()?,
        })
    }
}

fn parse_macvlan(root: &Object<'_>) -> Result<Macvlan> {
    let mode = match root.text("mode")? {
        None => MacvlanMode::Bridge,
        Some(text) => text.parse().map_err(|_| {
            // The reference's words, and what is allowed.
            Error::invalid_config(format!(
                "unknown macvlan mode: {text:?} (key mode), expected bridge, private, vepa, passthru or source"
            ))
        })?,
    };
    let flag = |key: &str, only: MacvlanMode| match root.bool(key)?.unwrap_or(false) {
        true if mode != only => {
            Err(Error::config(key, "true", &format!("only with mode {only}, and mode is {mode}")))
        }
        on => Ok(on),
    };
    let nopromisc = flag("nopromisc", MacvlanMode::Passthru)?;
    let nodst = flag("nodst", MacvlanMode::Source)?;
    let mut source_macs = Vec::new();
    for item in root.items("sourceMacs")? {
        let mac = parse_unicast(item.string()?).ok_or_else(|| item.refuse("a unicast MAC address"))?;
        if !source_macs.contains(&mac) {
            source_macs.push(mac);
        }
    }
    match (mode, source_macs.is_empty()) {
        (MacvlanMode::Source, true) => {
            Err(root.missing("sourceMacs", "a list of MAC addresses: in mode source no other frame passes"))
        }
        (MacvlanMode::Source, false) | (_, true) => Ok(Macvlan {
            mode,
            nopromisc,
            nodst,
            source_macs,
            bc_queue_len: root.u32("bcqueuelen")?.filter(|len| *len != 0),
        }),
        (_, false) => {
            Err(Error::config("sourceMacs", "a list", &format!("only with mode source, and mode is {mode}")))
        }
    }
}

/// A MAC that an interface can have.
fn parse_unicast(text: &str) -> Option<MacAddr> {
    text.parse().ok().filter(|mac: &MacAddr| !mac.is_multicast() && !mac.is_zero())
}

/// The reference's precedence: the runtime's capability, then `CNI_ARGS`, then the file.
fn parse_mac(request: &Request, root: &Object<'_>) -> Result<Option<MacAddr>> {
    let allowed = "a unicast MAC address such as 02:00:5e:10:00:01";
    let refuse = |path: &str, text: &str| {
        Error::invalid_config(format!(
            "invalid args {text} for MAC addr: {path} is {text:?}, expected {allowed}"
        ))
    };
    // IP and GATEWAY are for the IPAM that reads the same variable.
    let args = Args::strict(&request.env.args, &["MAC", "IP", "GATEWAY"])?;
    let mut mac = None;
    let from_conf = root.text("mac")?.map(|text| ("mac", text));
    let from_args = args.get("MAC").filter(|text| !text.is_empty()).map(|text| ("CNI_ARGS MAC", text));
    let runtime = request.runtime_config()?;
    let from_runtime = match &runtime {
        Some(runtime) => runtime.text("mac")?.map(|text| ("runtimeConfig.mac", text)),
        None => None,
    };
    for (path, text) in [from_conf, from_args, from_runtime].into_iter().flatten() {
        mac = Some(parse_unicast(text).ok_or_else(|| refuse(path, text))?);
    }
    Ok(mac)
}

/// `true`, `false`, or an object that means true and says more.
enum Switch<'a> {
    Off,
    On,
    With(Object<'a>),
}

fn parse_switch<'a>(root: &Object<'a>, key: &str, default: bool) -> Result<Switch<'a>> {
    let Some(node) = root.get(key) else { return Ok(if default { Switch::On } else { Switch::Off }) };
    match (node.bool(), node.object()) {
        (Ok(true), _) => Ok(Switch::On),
        (Ok(false), _) => Ok(Switch::Off),
        (_, Ok(object)) => Ok(Switch::With(object)),
        _ => Err(node.refuse("true, false or an object")),
    }
}

fn parse_host_access(
    root: &Object<'_>,
    mode: MacvlanMode,
    link_in_container: bool,
) -> Result<Option<HostAccess>> {
    let access = match parse_switch(root, "hostAccess", false)? {
        Switch::Off => return Ok(None),
        Switch::On => HostAccess::default(),
        Switch::With(object) => {
            let mut exclude = Vec::new();
            for item in object.items("exclude")? {
                let text = item.string()?;
                let net =
                    text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
                exclude.push(net.map_err(|_| item.refuse("an IP address or a subnet in CIDR notation"))?);
            }
            HostAccess { exclude }
        }
    };
    let why = match mode {
        MacvlanMode::Bridge if link_in_container => "not with linkInContainer: the parent is not on the host",
        MacvlanMode::Bridge => return Ok(Some(access)),
        MacvlanMode::Private => "only with mode bridge: mode private isolates the pod from the host's shim",
        MacvlanMode::Vepa => {
            "only with mode bridge: in mode vepa every frame goes to the switch; where that reflects frames \
             (hairpin), host and pod talk without hostAccess, where it does not, they cannot"
        }
        MacvlanMode::Passthru => "only with mode bridge: mode passthru leaves no room for the host's shim",
        MacvlanMode::Source => "only with mode bridge: mode source lets only frames of sourceMacs pass",
    };
    Err(Error::config("hostAccess", "on", &format!("{why} (mode is {mode})")))
}

fn parse_announce(root: &Object<'_>) -> Result<Announce> {
    Ok(match parse_switch(root, "announce", true)? {
        Switch::Off => Announce::Off,
        Switch::On => Announce::Kernel,
        Switch::With(object) => Announce::Repeat {
            count: object.u32_in("count", 1..=10)?.unwrap_or(3),
            interval: milliseconds(&object, "interval", 10..=1000)?.unwrap_or(Duration::from_millis(100)),
        },
    })
}

fn parse_probe(root: &Object<'_>) -> Result<Option<Probe>> {
    let default = Probe::default();
    Ok(match parse_switch(root, "probe", false)? {
        Switch::Off => None,
        Switch::On => Some(default),
        Switch::With(object) => Some(Probe {
            count: object.u32_in("count", 1..=10)?.unwrap_or(default.count),
            interval: milliseconds(&object, "interval", 10..=2000)?.unwrap_or(default.interval),
            quarantine: object
                .u32_in("quarantine", 1..=86_400)?
                .map_or(default.quarantine, |seconds| Duration::from_secs(u64::from(seconds))),
            temporary_mac: object.bool("temporaryMac")?.unwrap_or(default.temporary_mac),
        }),
    })
}

fn milliseconds(
    object: &Object<'_>,
    key: &str,
    range: std::ops::RangeInclusive<u32>,
) -> Result<Option<Duration>> {
    Ok(object.u32_in(key, range)?.map(|count| Duration::from_millis(u64::from(count))))
}
