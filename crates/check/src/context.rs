//! The host, read once for all checks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use kernel::{Address, Link, LinkKind, NetNs, Netlink, Route, RouteFilter};

use crate::conf::{self, ConfFile, Network, Plugin};
use crate::declared::{Declared, HOST_YAML};
use crate::error::Result;
use crate::kubernetes::Node;
use crate::switch::MacProbe;

/// The directories of CNI where nothing says otherwise.
pub(crate) const CONF_DIR: &str = "/etc/cni/net.d";
pub(crate) const BIN_DIR: &str = "/opt/cni/bin";

/// The host as it was when the checks began, seen from the caller's namespaces.
#[derive(Debug)]
pub struct Context {
    pub(crate) netns: NetNs,
    pub(crate) links: Vec<Link>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) routes: Vec<Route>,
    pub(crate) declared: Declared,
    /// `None`: the directory cannot be read.
    pub(crate) configs: Option<Vec<ConfFile>>,
    /// `None`: this is no node of Kubernetes.
    pub(crate) kubernetes: Option<Node>,
    /// What two checks of the switch need, asked once.
    pub(crate) mac_probe: OnceLock<Vec<MacProbe>>,
}

/// An interface that containers stand on, or would.
#[derive(Debug)]
pub(crate) struct Parent<'a> {
    pub(crate) link: &'a Link,
    /// Who says so.
    pub(crate) because: String,
    /// It is only the default route's interface, no configuration or child names it.
    pub(crate) guessed: bool,
}

impl Context {
    /// Reads the host.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    pub fn read() -> Result<Self> {
        let netns = NetNs::current()?;
        let mut netlink = Netlink::open()?;
        Ok(Self {
            links: netlink.links()?,
            addresses: netlink.addresses(None)?,
            routes: netlink.routes(&RouteFilter::default())?,
            declared: Declared::read(Path::new(HOST_YAML)),
            configs: conf::read(Path::new(CONF_DIR)),
            kubernetes: Node::find(),
            mac_probe: OnceLock::new(),
            netns,
        })
    }

    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    pub(crate) fn link_at(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// The link below: a VLAN's or macvlan's parent when it is in this namespace.
    pub(crate) fn below(&self, link: &Link) -> Option<&Link> {
        match link.kind {
            LinkKind::Vlan(_) | LinkKind::Macvlan(_) | LinkKind::Macvtap(_) if link.parent_nsid.is_none() => {
                link.parent.and_then(|index| self.link_at(index))
            }
            _ => None,
        }
    }

    /// Every configuration that parses.
    pub(crate) fn networks(&self) -> impl Iterator<Item = (&ConfFile, &Network)> {
        self.configs.iter().flatten().filter_map(|file| Some((file, file.network.as_ref().ok()?)))
    }

    /// Every plugin of every configuration that hangs a link on an interface of the host, with that interface's name.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (&Network, &Plugin, String)> {
        self.networks().flat_map(move |(_, network)| {
            let plugins = network.plugins.iter().filter(|plugin| plugin.stands_on_parent());
            plugins.filter_map(move |plugin| {
                let master = plugin.master.clone().or_else(|| Some(self.default_link()?.name.clone()))?;
                Some((network, plugin, master))
            })
        })
    }

    /// The interface of the default route, IPv4 before IPv6, the lowest metric first.
    pub(crate) fn default_link(&self) -> Option<&Link> {
        let defaults = self.routes.iter().filter(|route| {
            route.dst.is_none_or(|net| net.prefix_len() == 0) && route.table == kernel::uapi::RT_TABLE_MAIN
        });
        let best =
            defaults.min_by_key(|route| (route.family != kernel::Family::V4, route.priority.unwrap_or(0)))?;
        self.link_at(best.oif.or(best.nexthops.first().map(|hop| hop.oif))?)
    }

    /// The interfaces that containers stand on: those that configurations name, those that have children, else the
    /// default route's.
    pub(crate) fn parents(&self) -> Vec<Parent<'_>> {
        let mut why: BTreeMap<u32, String> = BTreeMap::new();
        for (network, _, master) in self.uses() {
            if let Some(link) = self.link(&master) {
                why.entry(link.index).or_insert_with(|| format!("network {} stands on it", network.name));
            }
        }
        for child in &self.links {
            if matches!(child.kind, LinkKind::Macvlan(_) | LinkKind::Macvtap(_))
                && let Some(parent) = self.below(child)
            {
                why.entry(parent.index).or_insert_with(|| format!("{} stands on it", child.name));
            }
        }
        let guessed = why.is_empty();
        if let (true, Some(link)) = (guessed, self.default_link()) {
            why.insert(link.index, "the default route leads over it".to_owned());
        }
        let named = |(index, because)| Some(Parent { link: self.link_at(index)?, because, guessed });
        why.into_iter().filter_map(named).collect()
    }

    /// Addresses of an interface.
    pub(crate) fn addresses_of(&self, index: u32) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(move |address| address.index == index)
    }

    /// Where plugins are looked for: what containerd says, else the usual place.
    pub(crate) fn bin_dirs(&self) -> BTreeSet<PathBuf> {
        let said = self.kubernetes.as_ref().map(|node| node.bin_dirs()).unwrap_or_default();
        if said.is_empty() { BTreeSet::from([PathBuf::from(BIN_DIR)]) } else { said }
    }
}
