//! Bringing a cluster up, and taking it down.

use std::path::Path;

use lab::{Lab, LabSpec};

use crate::cluster::{Cluster, PATIENCE, finish};
use crate::component::Component;
use crate::directory::{Directory, Lock, State};
use crate::error::{Error, Result};
use crate::pki::Authority;
use crate::programs::Programs;
use crate::spec::ClusterSpec;
use crate::{addons, control, image, node};

impl Cluster {
    /// Brings a cluster up, and returns when every node is ready and DNS answers. When that fails, what was made is taken away.
    /// `progress` is told what is being waited for. What a start that was killed has left is cleared away first.
    ///
    /// # Errors
    /// [`Error::Missing`] with every program that is not there, [`Error::Exists`]; what failed otherwise, with the end of its log.
    pub fn up(spec: ClusterSpec, name: &str, progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let directory = Directory::of(name)?;
        if !rustix::process::geteuid().is_root() {
            return Err(lab::Error::NeedsRoot.into());
        }
        let programs = Programs::find(spec.containerd())?;
        let lock = claim(&directory)?;
        let built = build(spec, &directory, programs, progress);
        if built.is_err() {
            // The first error is the one to tell.
            let _ = clear(&directory);
        }
        drop(lock);
        built
    }

    /// Takes a cluster down, also one whose building or taking down was cut short: processes, namespaces, mounts, cgroups, files.
    ///
    /// # Errors
    /// [`Error::NoSuchCluster`]; what could not be ended or removed otherwise.
    pub fn down(name: &str) -> Result<()> {
        let directory = Directory::of(name)?;
        if !rustix::process::geteuid().is_root() {
            return Err(lab::Error::NeedsRoot.into());
        }
        if !directory.exists() {
            return Err(Error::NoSuchCluster { cluster: name.to_owned() });
        }
        let _lock = directory.lock()?;
        clear(&directory)
    }
}

fn build(
    spec: ClusterSpec,
    directory: &Directory,
    programs: Programs,
    progress: &mut dyn FnMut(&str),
) -> Result<Cluster> {
    directory.write(&State::new(spec, false))?;
    progress("certificates, configuration, images");
    let authority = Authority::new()?;
    control::write(directory, &authority)?;
    for number in spec.numbers() {
        node::write(directory, &authority, &programs, spec.containerd(), number)?;
    }
    image::write(directory, &programs)?;
    progress("the LAN: switches, gateway, nodes");
    let lab = Lab::up(&LabSpec::parse(&spec.lab(&directory.disks()))?, &directory.cluster)?;
    let cluster = Cluster { directory: directory.clone(), spec, programs, lab };
    start(&cluster, progress)?;
    directory.write(&State::new(spec, true))?;
    Ok(cluster)
}

fn start(cluster: &Cluster, progress: &mut dyn FnMut(&str)) -> Result<()> {
    let nodes = cluster.spec.nodes();
    progress("etcd, API server, containerd");
    cluster.start(&Component::Etcd)?;
    cluster.start(&Component::ApiServer)?;
    for node in &nodes {
        node::boot(cluster.host(node)?)?;
        cluster.start(&Component::Containerd(node.clone()))?;
    }
    for node in &nodes {
        let containerd = Component::Containerd(node.clone());
        let socket = || Ok(cluster.host(node)?.run_in(|| Path::new(node::SOCKET).exists())?);
        cluster.wait_for(&containerd, &format!("containerd on {node}"), socket)?;
    }
    progress("images into containerd");
    let archive = cluster.directory.images();
    std::thread::scope(|scope| {
        let imports: Vec<_> =
            nodes.iter().map(|node| scope.spawn(|| cluster.import_on(node, &archive))).collect();
        imports.into_iter().try_for_each(|import| {
            import.join().unwrap_or_else(|_| Err(Error::program("ctr images import", "broke off")))
        })
    })?;
    progress("the API server to be ready");
    let ready = || Ok(cluster.kubectl_output(["get", "--raw=/readyz", "--request-timeout=2s"])? == "ok");
    cluster.wait_for(&Component::ApiServer, "API server", ready)?;
    cluster.start(&Component::ControllerManager)?;
    cluster.start(&Component::Scheduler)?;
    progress("nodes and add-ons");
    let addons = addons::all(&cluster.spec).to_string();
    finish(cluster.kubectl()?.args(["create", "--validate=false", "-f", "-"]), addons.as_bytes())?;
    for node in &nodes {
        for component in &Component::of_node(node)[1..] {
            cluster.start(component)?;
        }
    }
    progress("the nodes to be ready");
    for node in &nodes {
        let ready = || Ok(cluster.ready_nodes()?.contains(node));
        cluster.wait_for(&Component::Kubelet(node.clone()), &format!("{node} ready"), ready)?;
    }
    if nodes.is_empty() {
        // Nothing can run its DNS.
        return Ok(());
    }
    progress("DNS to answer");
    const AVAILABLE: &str = "jsonpath={.status.availableReplicas}";
    let dns = ["-n", "kube-system", "get", "deployment/coredns", "--request-timeout=5s", "-o", AVAILABLE];
    let result = Cluster::wait("an answer of the cluster's DNS", PATIENCE, || {
        // Whichever died: nothing would come any more.
        for component in cluster.components() {
            if !component.is_running(&cluster.lab)? {
                return Ok(Some(Err(component)));
            }
        }
        Ok((cluster.kubectl_output(dns)? == "1").then_some(Ok(())))
    });
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(component)) => {
            let reason = format!("ended: {}", component.tail(&cluster.directory));
            Err(Error::program(component.to_string(), reason))
        }
        Err(Error::Late { what, seconds, .. }) => {
            let events = ["-n", "kube-system", "get", "events", "--request-timeout=5s", "-o"];
            let last = cluster.kubectl_output(events.into_iter().chain(["jsonpath={.items[-1:].message}"]));
            Err(Error::Late { what, seconds, last: last.ok() })
        }
        Err(error) => Err(error),
    }
}

/// The directory for a new cluster, and the lock on it.
fn claim(directory: &Directory) -> Result<Lock> {
    let exists = || Error::Exists { cluster: directory.cluster.clone() };
    match directory.create() {
        Err(Error::Exists { .. }) => {}
        other => return other,
    }
    // A builder that was killed holds no lock, and has not written that it was done.
    let lock = directory.try_lock()?.ok_or_else(exists)?;
    if directory.read()?.is_some_and(|state| state.complete) {
        return Err(exists());
    }
    clear(directory)?;
    drop(lock);
    directory.create()
}

fn clear(directory: &Directory) -> Result<()> {
    match Lab::down(&directory.cluster) {
        Ok(()) | Err(lab::Error::NoSuchLab { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    directory.remove()
}
