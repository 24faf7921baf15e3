//! The installation of a node.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cni::Version;
use serde::Serialize;

use crate::choose::{Choice, Found, choose, is_configuration};
use crate::conflist::{CONFLIST, ClusterNetwork, Conflist};
use crate::content::{Content, There};
use crate::manifest::{Before, Manifest};
use crate::service::Service;
use crate::tree::{Back, Tree};
use crate::{Error, Places, Result, durable};

/// The plugin types that can be linked beside `llano`.
pub const LINKS: [&str; 9] =
    ["macvlan", "host-local", "static", "dhcp", "tuning", "sbr", "bandwidth", "vlan", "loopback"];

/// The plugin's file.
const PLUGIN: &str = "llano-cni";
/// The link that the configuration calls.
const OWN_TYPE: &str = "llano";

/// The plugin's program.
#[derive(Debug, Clone)]
pub enum Plugin {
    /// Its file, from here.
    Path(PathBuf),
    /// Opened already: for who has another root by the time it is installed.
    Open(Arc<File>),
}

/// What is to be installed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where.
    pub places: Places,
    /// The plugin's program.
    pub plugin: Plugin,
    /// Names of [`LINKS`] that are to be ours as well, for configurations that name these types.
    pub links: Vec<String>,
    /// The newest version of CNI that the node's runtime speaks ([`crate::cni_version`]).
    pub version: Version,
    /// A definition `NAMESPACE/NAME` as the pods' first network, in place of a primary plugin.
    pub cluster_network: Option<String>,
    /// What an agent without a cluster around it needs.
    pub service: Option<Service>,
}

/// One file of a plan, or of what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The path on the node.
    pub path: PathBuf,
    /// `write` or `link`.
    pub what: &'static str,
    /// Whether something else is there, which is kept.
    pub keeps: bool,
    /// Whether it is there already.
    pub same: bool,
}

/// A path that was given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Given {
    /// The path on the node.
    pub path: PathBuf,
    /// `restored`, `removed`, or `left alone` because somebody else has written there since.
    pub how: &'static str,
}

/// A node's installation, held against other installers as long as this lives.
#[derive(Debug)]
pub struct Installation {
    pub(crate) tree: Tree,
    pub(crate) options: Options,
}

impl Installation {
    /// Takes the node's lock and reads what was done so far.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Manifest`], [`Error::Link`].
    pub fn open(options: Options) -> Result<Installation> {
        check_links(&options.links)?;
        Ok(Installation { tree: Tree::open(options.places.clone())?, options })
    }

    /// What [`Self::install`] would do. Writes nothing.
    ///
    /// # Errors
    /// The plugin's program is none; something is in the way.
    pub fn plan(options: &Options) -> Result<Vec<Step>> {
        check_links(&options.links)?;
        let manifest = Manifest::read(&options.places)?;
        let mut all = contents(options)?;
        all.extend(wrapping(options).map(|list| (conflist_path(&options.places), conflist_content(&list))));
        all.iter().map(|(path, content)| step(&options.places, &manifest, path, content)).collect()
    }

    /// Puts the plugin's files in their places, and says which were. Doing it again does nothing.
    ///
    /// # Errors
    /// What the file system refuses; done again, it goes on.
    pub fn install(&mut self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for (path, content) in contents(&self.options)? {
            let mut step = step(&self.options.places, &self.tree.manifest, &path, &content)?;
            step.same = !self.tree.put(&path, &content)?;
            steps.push(step);
        }
        Ok(steps)
    }

    /// Puts our configuration in place.
    pub(crate) fn wrap(&mut self, list: &Conflist) -> Result<bool> {
        self.tree.put(&conflist_path(&self.options.places), &conflist_content(list))
    }

    /// Takes our configuration away.
    pub(crate) fn unwrap_primary(&mut self) -> Result<bool> {
        self.tree.take_away(&conflist_path(&self.options.places))
    }

    /// What [`Self::uninstall`] would give back. Writes nothing.
    ///
    /// # Errors
    /// [`Error::Manifest`].
    pub fn plan_uninstall(places: &Places) -> Result<Vec<Given>> {
        let manifest = Manifest::read(places)?;
        let given = order(&manifest).into_iter().map(|path| {
            let kept = manifest.entry(&path).is_some_and(|entry| entry.before == Before::Kept);
            Given { path, how: if kept { "restored" } else { "removed" } }
        });
        Ok(given.collect())
    }

    /// Gives back what was there. First the configuration: from then on the runtime calls the primary plugin; last the programs.
    ///
    /// # Errors
    /// [`Error::Busy`]; what the file system refuses: done again, it goes on.
    pub fn uninstall(places: &Places) -> Result<Vec<Given>> {
        let mut tree = Tree::open(places.clone())?;
        let mut given = Vec::new();
        for path in order(&tree.manifest) {
            if path.file_name().is_some_and(|name| name == CONFLIST) {
                take_renamed(&tree, &path)?;
            }
            let how = match tree.give_back(&path)? {
                Back::Restored => "restored",
                Back::Removed => "removed",
                Back::LeftAlone => "left alone",
            };
            given.push(Given { path, how });
        }
        tree.close()?;
        Ok(given)
    }
}

/// Where our configuration is on the node.
pub(crate) fn conflist_path(places: &Places) -> PathBuf {
    places.conf().join(CONFLIST)
}

/// The name that Cilium gives to configurations of others.
pub(crate) fn renamed_path(conflist: &Path) -> PathBuf {
    let mut name = conflist.as_os_str().to_owned();
    name.push(".cilium_bak");
    name.into()
}

/// Removes our configuration under the name that Cilium has given it.
pub(crate) fn take_renamed(tree: &Tree, conflist: &Path) -> Result<()> {
    let renamed = tree.places.here(&renamed_path(conflist));
    let ours = match (There::look(&renamed)?, tree.manifest.entry(conflist)) {
        (There::Something { what, .. }, Some(entry)) => entry.wrote.contains(&what),
        _ => false,
    };
    if ours { durable::remove(&renamed) } else { Ok(()) }
}

/// The files of the configurations' directory.
pub(crate) fn configurations(places: &Places) -> Vec<Found> {
    let dir = places.here(places.conf());
    let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
    let read = |path: &Path| match durable::read(path) {
        Ok(Some(bytes)) => String::from_utf8(bytes).map_err(|error| error.to_string()),
        Ok(None) => Err("it is gone again".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_configuration(name) && !dir.join(name).is_dir())
        .map(|name| Found { text: read(&dir.join(&name)), name })
        .collect()
}

/// The configuration that is to be there now; none without a primary.
fn wrapping(options: &Options) -> Option<Conflist> {
    if let Some(name) = &options.cluster_network {
        return Some(Conflist::of_definition(options.version, name));
    }
    match choose(&configurations(&options.places)) {
        Choice::Primary { file, network, capabilities } => {
            Some(around(options, &file, network, capabilities))
        }
        Choice::Unusable { .. } | Choice::None => None,
    }
}

/// The configuration around a primary's file.
pub(crate) fn around(options: &Options, file: &str, network: String, capabilities: Vec<String>) -> Conflist {
    let cluster = ClusterNetwork::File(options.places.conf().join(file));
    Conflist { version: options.version, network, capabilities, cluster }
}

fn conflist_content(list: &Conflist) -> Content {
    Content::File { bytes: list.to_text().into_bytes(), mode: 0o644 }
}

/// Everything but the configuration: it comes last, when what it calls is there.
fn contents(options: &Options) -> Result<Vec<(PathBuf, Content)>> {
    let bin = options.places.bin();
    let mut all = vec![(bin.join(PLUGIN), Content::File { bytes: program(&options.plugin)?, mode: 0o755 })];
    let links = std::iter::once(OWN_TYPE).chain(options.links.iter().map(String::as_str));
    all.extend(links.map(|name| (bin.join(name), Content::Link(PLUGIN.into()))));
    if let Some(service) = &options.service {
        all.extend(service.contents(&options.places)?);
    }
    Ok(all)
}

fn program(plugin: &Plugin) -> Result<Vec<u8>> {
    let (path, bytes) = match plugin {
        Plugin::Path(path) => (path.clone(), durable::read(path)?),
        Plugin::Open(file) => {
            let path = PathBuf::from(PLUGIN);
            let bytes = read_at_start(file).map_err(Error::file("read", &path))?;
            (path, Some(bytes))
        }
    };
    let bad = |reason| Error::Plugin { path: path.clone(), reason };
    let bytes = bytes.ok_or_else(|| bad("there is no such file"))?;
    if bytes.starts_with(b"\x7fELF") { Ok(bytes) } else { Err(bad("it is no ELF program")) }
}

/// A file's content whatever was read of it before: it may be installed more than once.
fn read_at_start(file: &File) -> std::io::Result<Vec<u8>> {
    let length = file.metadata()?.len().min(durable::LONGEST);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn check_links(links: &[String]) -> Result<()> {
    match links.iter().find(|name| !LINKS.contains(&name.as_str())) {
        Some(name) => Err(Error::Link { name: name.clone() }),
        None => Ok(()),
    }
}

fn step(places: &Places, manifest: &Manifest, path: &Path, content: &Content) -> Result<Step> {
    let there = There::look(&places.here(path))?;
    let ours = match (&there, manifest.entry(path)) {
        (There::Something { what, .. }, Some(entry)) => entry.wrote.contains(what),
        _ => false,
    };
    Ok(Step {
        path: path.to_owned(),
        what: if matches!(content, Content::Link(_)) { "link" } else { "write" },
        keeps: !ours && there != There::Nothing,
        same: ours && content.is(&there),
    })
}

/// The order in which paths are given back.
fn order(manifest: &Manifest) -> Vec<PathBuf> {
    let (mut first, rest): (Vec<PathBuf>, Vec<PathBuf>) = manifest
        .entries
        .iter()
        .rev()
        .map(|entry| entry.path.clone())
        .partition(|path| path.file_name().is_some_and(|name| name == CONFLIST));
    first.extend(rest);
    first
}
