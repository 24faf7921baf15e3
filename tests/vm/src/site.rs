//! The guest's side: a small lab with what a lab's description does not have, VLANs, bonds, dummies, and pods on them.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use ipnet::IpNet;
use kernel::{Address, Bond, Change, Link, LinkKind, NetNs, Netlink, NewLink, Route, SetLink, Vlan};
use lab::{Answer, Call, Container, Ephemeral, Host, Lab, LabSpec, Ping, Plugins};
use serde_json::{Value, json};

/// A host and a trunk with one cable between their `eth0`.
pub const CABLE: &str = "
hosts: { host: { interfaces: { eth0: {} } }, trunk: { interfaces: { eth0: {} } } }
links: [ { between: [host.eth0, trunk.eth0] } ]
";

/// A host with two cables to a switch, and a trunk on the same switch.
pub const TWO_CABLES: &str = "
switches: { lan: {} }
hosts:
  host: { interfaces: { eth0: { switch: lan }, eth1: { switch: lan } } }
  trunk: { interfaces: { eth0: { switch: lan } } }
";

/// Where the plugins are. Not in /opt/cni, of which every host of a lab has its own.
const PLUGINS: &str = "/plugins";

/// A lab with a host named `host`, and our plugins.
#[derive(Debug)]
pub struct Site {
    lab: Ephemeral,
    plugins: Plugins,
}

impl Site {
    /// Brings up the lab of this description.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(yaml: &str) -> Result<Self> {
        let plugins = Plugins::install("/bin/llano-cni".as_ref(), PLUGINS.as_ref())?;
        Ok(Self { lab: Lab::ephemeral(&LabSpec::parse(yaml)?)?, plugins })
    }

    /// The host that has the pods.
    ///
    /// # Errors
    /// When the description has none of that name.
    pub fn host(&self) -> Result<&Host> {
        Ok(self.lab.host("host")?)
    }

    /// The node at the other end of the cable.
    ///
    /// # Errors
    /// When the description has none of that name.
    pub fn trunk(&self) -> Result<&Host> {
        Ok(self.lab.host("trunk")?)
    }

    /// An empty pod on the host.
    ///
    /// # Errors
    /// When its namespace cannot be made.
    pub fn pod<'a>(&'a self, name: &str) -> Result<Pod<'a>> {
        Ok(Pod { container: self.host()?.container(name)?, plugins: &self.plugins })
    }

    /// The addresses that host-local holds for a network, sorted as text.
    ///
    /// # Errors
    /// When the host cannot be entered.
    pub fn leases(&self, network: &str) -> Result<Vec<String>> {
        let directory = format!("/var/lib/cni/networks/{network}");
        let names = self.host()?.run_in(|| {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
        })?;
        let mut leases: Vec<_> = names.into_iter().filter(|name| name.parse::<IpAddr>().is_ok()).collect();
        leases.sort();
        Ok(leases)
    }
}

/// A pod: a network namespace and the calls a runtime makes for it.
#[derive(Debug)]
pub struct Pod<'a> {
    container: Container<'a>,
    plugins: &'a Plugins,
}

impl Pod<'_> {
    fn call<'a>(&'a self, ifname: &'a str) -> Call<'a> {
        Call { container: &self.container, ifname, id: self.container.name(), args: "" }
    }

    /// Its namespace.
    #[must_use]
    pub fn net(&self) -> &NetNs {
        self.container.net()
    }

    /// ADD of `config` as `eth0`.
    ///
    /// # Errors
    /// The plugin's.
    pub fn add(&self, config: &Value) -> Result<Answer> {
        self.plugins.add(config, &self.call("eth0")).context("ADD")
    }

    /// CHECK of `config` as `eth0`.
    ///
    /// # Errors
    /// The plugin's.
    pub fn check(&self, config: &Value, answer: &Answer) -> Result<()> {
        self.plugins.check(config, &self.call("eth0"), &answer.json).context("CHECK")
    }

    /// DEL of `config` as `eth0`, with the ADD's result.
    ///
    /// # Errors
    /// The plugin's.
    pub fn del(&self, config: &Value, answer: &Answer) -> Result<()> {
        self.plugins.del(config, &self.call("eth0"), &answer.json).context("DEL")
    }

    /// ADD must fail with this code and these words, and leave no interface.
    ///
    /// # Errors
    /// When it does not.
    pub fn add_is_refused(&self, config: &Value, words: &[&str]) -> Result<()> {
        let message = match self.plugins.add(config, &self.call("eth0")) {
            Ok(answer) => bail!("ADD was to fail, and gave {}", answer.json),
            Err(lab::Error::Plugin { msg, details, .. }) => format!("{msg} {}", details.unwrap_or_default()),
            Err(other) => return Err(other.into()),
        };
        for word in words {
            ensure!(message.contains(word), "the error does not say {word:?}: {message}");
        }
        let links = Netlink::open_in(self.net())?.links()?;
        ensure!(links.iter().all(Link::is_loopback), "the failed ADD left a link: {links:?}");
        Ok(())
    }

    /// Its interface `eth0`.
    ///
    /// # Errors
    /// When it has none.
    pub fn eth0(&self) -> Result<Link> {
        link(self.net(), "eth0")
    }

    /// At least one of several pings must be answered.
    ///
    /// # Errors
    /// When none is.
    pub fn reaches(&self, to: &str) -> Result<()> {
        Ping::new(to.parse()?)
            .count(5)
            .run(self.net())
            .map(drop)
            .with_context(|| format!("{} pings {to}", self.container.name()))
    }

    /// No ping may be answered.
    ///
    /// # Errors
    /// When one is.
    pub fn does_not_reach(&self, to: &str) -> Result<()> {
        match Ping::new(to.parse()?).run(self.net()) {
            Ok(_) => bail!("{} reaches {to}, which it must not", self.container.name()),
            Err(_) => Ok(()),
        }
    }
}

/// The link of that name.
///
/// # Errors
/// When there is none.
pub fn link(net: &NetNs, name: &str) -> Result<Link> {
    Netlink::open_in(net)?.link_by_name(name)?.with_context(|| format!("there is no {name}"))
}

/// Makes a link and sets it up; its index.
///
/// # Errors
/// The kernel's.
pub fn make(net: &NetNs, new: NewLink) -> Result<u32> {
    let name = new.name.clone();
    Netlink::open_in(net)?.apply(&Change::AddLink(new)).with_context(|| format!("make {name}"))?;
    let index = link(net, &name)?.index;
    set(net, index, SetLink::up())?;
    Ok(index)
}

/// Changes a link.
///
/// # Errors
/// The kernel's.
pub fn set(net: &NetNs, index: u32, set: SetLink) -> Result<()> {
    Ok(Netlink::open_in(net)?.apply(&Change::SetLink { index, set })?)
}

/// Makes the VLAN `id` on `parent`, named PARENT.ID, with this address.
///
/// # Errors
/// The kernel's.
pub fn make_vlan(net: &NetNs, parent: &str, id: u16, address: Option<&str>) -> Result<u32> {
    let kind = LinkKind::Vlan(Vlan::new(id));
    let mut new = NewLink::new(format!("{parent}.{id}"), kind);
    new.parent = Some(link(net, parent)?.index);
    let index = make(net, new)?;
    if let Some(address) = address {
        let address: IpNet = address.parse()?;
        Netlink::open_in(net)?.apply(&Change::AddAddress(Address::new(index, address)))?;
    }
    Ok(index)
}

/// Makes `bond0` in active-backup of the links `eth0` and `eth1`.
///
/// # Errors
/// The kernel's.
pub fn make_bond(net: &NetNs) -> Result<u32> {
    const ACTIVE_BACKUP: u8 = 1;
    let kind = LinkKind::Bond(Bond::new(ACTIVE_BACKUP).with(kernel::uapi::IFLA_BOND_MIIMON, 50u32));
    let bond = make(net, NewLink::new("bond0", kind))?;
    for name in ["eth0", "eth1"] {
        let index = link(net, name)?.index;
        set(net, index, SetLink::down())?;
        set(net, index, SetLink { master: Some(bond), ..SetLink::default() })?;
        set(net, index, SetLink::up())?;
    }
    Ok(bond)
}

/// Adds a default route.
///
/// # Errors
/// The kernel's.
pub fn default_route(net: &NetNs, via: &str) -> Result<()> {
    Ok(Netlink::open_in(net)?.apply(&Change::AddRoute(Route::default_via(via.parse()?)))?)
}

/// A network's configuration: type, name and parent, addresses by host-local from `subnet`.
#[must_use]
pub fn network(kind: &str, name: &str, master: &str, subnet: &str) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": name, "type": kind, "master": master,
        "ipam": { "type": "host-local", "ranges": [[{ "subnet": subnet }]] }
    })
}

/// The same with one key more.
#[must_use]
pub fn with(mut config: Value, key: &str, value: impl Into<Value>) -> Value {
    if let Some(config) = config.as_object_mut() {
        config.insert(key.to_owned(), value.into());
    }
    config
}
