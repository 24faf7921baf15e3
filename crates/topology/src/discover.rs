//! Finding every network namespace, and whose it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kernel::NetNs;

use crate::namespace::name_of;
use crate::process::{self, Table};
use crate::{Container, Namespace, NamespaceId, Place, Process, Result, attachment, bundle, mounts};

/// Every network namespace that this process can see, once each: the caller's own first, then that of process 1, pods,
/// containers, names, others. Those that only a descriptor of some process holds are left out, since looking for them
/// costs more than all else; a [`crate::Topology`] has them.
///
/// # Errors
/// When the caller's own namespace cannot be opened.
pub fn namespaces() -> Result<Vec<Namespace>> {
    Ok(Search::begin()?.finish())
}

/// A search under way.
pub(crate) struct Search {
    device: u64,
    table: Table,
    found: BTreeMap<u64, Namespace>,
}

impl Search {
    /// Looks at mounts and processes.
    pub(crate) fn begin() -> Result<Self> {
        let (device, current) = NetNs::current()?.id()?;
        let mut search = Self { device, table: process::table(), found: BTreeMap::new() };
        search.at(current).is_current = true;
        search.bound(None);
        for pid in search.table.other_mounts.clone() {
            search.bound(Some(pid));
        }
        search.processes();
        search.owners();
        search.attachments();
        Ok(search)
    }

    fn at(&mut self, inode: u64) -> &mut Namespace {
        let id = NamespaceId { device: self.device, inode };
        self.found.entry(inode).or_insert_with(|| Namespace::new(id))
    }

    fn bound(&mut self, through: Option<u32>) {
        let table = match through {
            None => PathBuf::from("/proc/thread-self/mountinfo"),
            Some(pid) => PathBuf::from(format!("/proc/{pid}/mountinfo")),
        };
        for bound in mounts::read(&table) {
            let places = &mut self.at(bound.inode).places;
            // A mount that is propagated is seen by many; one of them is enough.
            if !places.iter().any(|place| place.path == bound.path) {
                places.push(Place { through, path: bound.path });
            }
        }
    }

    fn processes(&mut self) {
        let table = std::mem::take(&mut self.table);
        for (&pid, &inode) in &table.net {
            let namespace = self.at(inode);
            namespace.processes += 1;
            // Process 1 may hide itself; threads of the kernel are where it began.
            namespace.is_init |=
                pid == 1 || pid == 2 && process::name(2).is_some_and(|name| name == "kthreadd");
            if namespace.process.is_none() && !namespace.is_current {
                // One that ended meanwhile names nothing.
                namespace.process = process::name(pid).map(|name| Process { pid, name });
            }
        }
        for &(pid, tid, inode) in &table.threads {
            let namespace = self.at(inode);
            if namespace.handle.is_none() {
                namespace.handle = Some(format!("/proc/{pid}/task/{tid}/ns/net").into());
            }
            if namespace.process.is_none() && !namespace.is_current {
                namespace.process = process::name(pid).map(|name| Process { pid, name });
            }
        }
        self.table = table;
    }

    /// Containers and pods, from the process table and from the runtimes' files.
    fn owners(&mut self) {
        let table = &self.table;
        let foreign = |namespace: &Namespace| !namespace.is_current && !namespace.is_init;
        for namespace in self.found.values_mut().filter(|namespace| foreign(namespace)) {
            let Some(process) = &namespace.process else { continue };
            let parent = process::parent_and_start(process.pid).map(|(parent, _)| parent);
            // A child of the same namespace is what its parent is.
            if parent.and_then(|parent| table.net.get(&parent)) != Some(&namespace.id.inode) {
                (namespace.container, namespace.pod) = bundle::of_process(process.pid);
            }
        }
        let inode_of = |pid: u32| table.net.get(&pid).copied();
        let unclear = |namespace: &Namespace| {
            let named = |container: &Container| !container.name.is_empty();
            let pod = namespace.pod.as_ref().map(|pod| pod.name.is_empty());
            foreign(namespace) && pod.unwrap_or_else(|| !namespace.container.as_ref().is_some_and(named))
        };
        let wanted = |pid| inode_of(pid).and_then(|inode| self.found.get(&inode)).is_some_and(unclear);
        for found in bundle::read(&wanted) {
            let Some(namespace) = inode_of(found.pid).and_then(|inode| self.found.get_mut(&inode)) else {
                continue;
            };
            namespace.pod = found.pod.or(namespace.pod.take());
            namespace.container = Some(merge(namespace.container.take(), found.container));
        }
    }

    fn attachments(&mut self) {
        for cached in attachment::read(Path::new(cni::cache::DEFAULT_DIR)) {
            let by_path = self.inode_of(&cached.netns, cached.written);
            let by_container = || self.of_container(&cached.attachment.container_id);
            let Some(inode) = by_path.or_else(|| by_container().filter(|_| cached.netns.is_empty())) else {
                continue;
            };
            let Some(namespace) = self.found.get_mut(&inode) else { continue };
            let attachment = cached.attachment;
            if let Some(pod) = &attachment.pod
                && namespace.pod.as_ref().is_none_or(|pod| pod.name.is_empty())
            {
                namespace.pod = Some(pod.clone());
            }
            // A name that a person gave says more than an ID.
            let given = namespace.places.iter().filter_map(|place| name_of(&place.path));
            if namespace.container.is_none() && given.into_iter().all(|name| is_made_up(&name)) {
                let id = attachment.container_id.clone();
                namespace.container = Some(Container { id, name: String::new(), runtime: "cni".to_owned() });
            }
            namespace.attachments.push(attachment);
        }
    }

    /// Namespaces that a process holds by nothing but a descriptor.
    pub(crate) fn descriptors(&mut self) {
        for (path, pid, inode) in process::descriptors(&self.table, self.device) {
            if !self.found.contains_key(&inode) {
                let namespace = self.at(inode);
                namespace.handle = Some(path);
                namespace.process = process::name(pid).map(|name| Process { pid, name });
            }
        }
    }

    /// The namespace of a container that is known already; `ctr` writes `NAMESPACE-ID`.
    fn of_container(&self, id: &str) -> Option<u64> {
        let is = |known: &Container| {
            id.strip_suffix(known.id.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('-'))
        };
        let of = |namespace: &&Namespace| namespace.container.as_ref().is_some_and(is);
        self.found.values().find(of).map(|namespace| namespace.id.inode)
    }

    /// The namespace that a cache's path means now.
    fn inode_of(&self, path: &str, written: Option<std::time::SystemTime>) -> Option<u64> {
        let process = path.strip_prefix("/proc/").and_then(|rest| rest.strip_suffix("/ns/net"));
        if let Some(pid) = process {
            let pid = pid.parse().ok()?;
            return self.table.net.get(&pid).copied().filter(|_| process::is_older_than(pid, written));
        }
        let path = match path.strip_prefix("/var/run/") {
            Some(below) => Path::new("/run").join(below),
            None => PathBuf::from(path),
        };
        let here = |namespace: &&Namespace| {
            namespace.places.iter().any(|place| place.through.is_none() && place.path == path)
        };
        self.found.values().find(here).map(|namespace| namespace.id.inode)
    }

    /// All of them in order.
    pub(crate) fn finish(&mut self) -> Vec<Namespace> {
        let mut all: Vec<Namespace> = std::mem::take(&mut self.found).into_values().collect();
        let rank = |namespace: &Namespace| match namespace.owner().kind() {
            "host" => 0,
            "init" => 1,
            "pod" => 2,
            "container" => 3,
            "netns" => 4,
            "bound" => 5,
            _ => 6,
        };
        all.sort_by_cached_key(|namespace| {
            (rank(namespace), namespace.owner().to_string(), namespace.id.inode)
        });
        all
    }
}

/// Names that runtimes choose.
fn is_made_up(name: &str) -> bool {
    name.starts_with("cni-") || name.starts_with("netns-")
}

/// What is known from the process table, completed by the runtime's files.
fn merge(known: Option<Container>, found: Container) -> Container {
    match known {
        Some(mut known) if known.id == found.id => {
            if known.name.is_empty() {
                known.name = found.name;
            }
            if known.runtime == "runc" {
                known.runtime = found.runtime;
            }
            known
        }
        Some(known) if !known.name.is_empty() => known,
        _ => found,
    }
}
