//! What every link-making plugin type shares: find the parent, make the link inside the pod's namespace,
//! take it away again.

use std::path::Path;

use cni::{CniResult, Env, Interface, Request};
use kernel::{Change, Link, LinkKind, MacAddr, NetNs, Netlink, NewLink, SetLink, sysctl};

use crate::{Error, Result};

/// Finds the parent by its name, or by the default route when `master` is empty.
///
/// # Errors
/// [`Error::NoParent`], [`Error::NoDefaultRoute`], or what netlink said.
pub fn find_parent(socket: &mut Netlink, master: &str) -> Result<Link> {
    if master.is_empty() {
        let index = socket.default_route_parent()?.ok_or(Error::NoDefaultRoute)?;
        return socket.link_by_index(index)?.ok_or(Error::NoDefaultRoute);
    }
    socket.link_by_name(master)?.ok_or_else(|| Error::NoParent { parent: master.to_owned() })
}

/// An MTU that the parent can carry, in bytes; `None` and 0 leave it to the kernel, which takes the parent's.
///
/// # Errors
/// [`Error::Mtu`] below 0 or above the parent's.
pub fn check_mtu(mtu: Option<i64>, parent: &Link) -> Result<Option<u32>> {
    match mtu {
        None | Some(0) => Ok(None),
        Some(wanted) => match u32::try_from(wanted) {
            Ok(mtu) if mtu <= parent.mtu => Ok(Some(mtu)),
            _ => Err(Error::Mtu { mtu: wanted, parent_mtu: parent.mtu }),
        },
    }
}

/// Opens the pod's namespace for ADD and CHECK, where it must exist.
///
/// # Errors
/// [`Error::Netns`] when it is absent or not a namespace.
pub fn open_netns(env: &Env) -> Result<NetNs> {
    let path = env.netns.as_deref().unwrap_or_else(|| Path::new(""));
    NetNs::open(path).map_err(|error| Error::Netns { path: path.to_owned(), reason: error.to_string() })
}

/// Opens the pod's namespace for DEL, where a path that is empty or gone means that there is nothing left to do.
///
/// # Errors
/// [`Error::Netns`] when something else is there.
pub fn open_netns_if_present(env: &Env) -> Result<Option<NetNs>> {
    let Some(path) = env.netns.as_deref().filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(None);
    };
    match NetNs::open(path) {
        Ok(netns) => Ok(Some(netns)),
        Err(error) if matches!(error.errno(), Some(kernel::Errno::NOENT | kernel::Errno::NOTDIR)) => Ok(None),
        Err(error) => Err(Error::Netns { path: path.to_owned(), reason: error.to_string() }),
    }
}

/// The name a link has between its creation and its renaming: the same at every try for one attachment,
/// so that a DEL or the next ADD finds what a killed ADD left. 15 characters, the kernel's limit.
pub fn temporary_name(env: &Env) -> String {
    let hash = fnv1a(&[env.container_id.as_bytes(), env.ifname.as_bytes()]);
    format!("ll{:013x}", hash & 0xf_ffff_ffff_ffff)
}

/// FNV-1a over the parts with a zero byte after each: short, stable over versions, not secret.
pub fn fnv1a(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.iter().copied().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash
}

/// What the kernel is told about a fresh link before it goes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkPolicy {
    /// Take addresses and routes from router advertisements. Off: no unrequested SLAAC address.
    pub accept_ra: bool,
    /// Let the kernel announce the addresses when the link comes up.
    pub notify: bool,
}

/// A link of ours inside a pod's namespace.
#[derive(Debug)]
pub struct PodLink {
    /// The namespace.
    pub netns: NetNs,
    /// A socket that speaks to that namespace from wherever the thread is.
    pub socket: Netlink,
    /// The link's index there.
    pub index: u32,
    /// Its name there: `CNI_IFNAME`.
    pub name: String,
    /// Its hardware address.
    pub mac: MacAddr,
    /// Its MTU in bytes.
    pub mtu: u32,
}

impl PodLink {
    /// Makes `new` inside `netns` with the name that the runtime asked for. `creator` speaks to the namespace of the
    /// parent. Nothing is left behind on failure.
    ///
    /// # Errors
    /// [`Error::InterfaceExists`], or what the kernel said.
    pub fn create(
        netns: &NetNs,
        creator: &mut Netlink,
        mut new: NewLink,
        kind: &'static str,
        env: &Env,
        policy: LinkPolicy,
    ) -> Result<Self> {
        let mac = match new.mac {
            Some(mac) => mac,
            // Chosen here and not by the kernel: it need not be read back.
            None => MacAddr::random()?,
        };
        let mtu = new.mtu.unwrap_or_default();
        new.name.clone_from(&env.ifname);
        new.mac = Some(mac);
        new.netns = Some(netns.clone());
        let (socket, index) = netns.run(|| -> Result<(Netlink, u32)> {
            let mut socket = Netlink::open()?;
            if socket.index_of(&env.ifname)?.is_some() {
                return Err(Error::InterfaceExists {
                    kind,
                    ifname: env.ifname.clone(),
                    netns: env.netns.as_deref().unwrap_or_else(|| Path::new("")).display().to_string(),
                });
            }
            let mut create = Change::AddLink(new);
            match creator.apply(&create) {
                Err(error) if error.is_exists() => {
                    if let Change::AddLink(new) = &mut create {
                        new.name = temporary_name(env);
                    }
                    create_and_rename(creator, &mut socket, &create, env)?;
                }
                other => other?,
            }
            let index = socket.index_of(&env.ifname)?.ok_or_else(|| {
                Error::Mismatch(format!("interface {} vanished as it was made", env.ifname))
            })?;
            let prepared = prepare(&env.ifname, policy);
            if prepared.is_err() {
                // The first error counts; this one could only hide it.
                let _ = socket.apply(&Change::DeleteLink { index });
            }
            prepared.map(|()| (socket, index))
        })??;
        Ok(Self { netns: netns.clone(), socket, index, name: env.ifname.clone(), mac, mtu })
    }

    /// Removes the link; one that is gone already is fine.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn delete(&mut self) -> Result<()> {
        match self.socket.apply(&Change::DeleteLink { index: self.index }) {
            Err(error) if error.errno() == Some(kernel::Errno::NODEV) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Sets the link up.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn up(&mut self) -> Result<()> {
        Ok(self.socket.apply(&self.up_change())?)
    }

    /// Sets the link down and gives it this MAC. What the kernel had made of the other one goes: the link-local address, the
    /// groups' membership. No frame leaves from the new one before the link is up again.
    ///
    /// # Errors
    /// What the kernel said.
    pub(crate) fn change_mac(&mut self, mac: MacAddr) -> Result<()> {
        let set = |set: SetLink| Change::SetLink { index: self.index, set };
        let down = set(SetLink { up: Some(false), ..SetLink::default() });
        let change = set(SetLink { mac: Some(mac), ..SetLink::default() });
        self.socket.apply_all(&[down, change]).map_err(|(_, error)| error)?;
        self.mac = mac;
        Ok(())
    }

    /// The change that sets the link up, for a batch.
    pub(crate) fn up_change(&self) -> Change {
        Change::SetLink { index: self.index, set: SetLink { up: Some(true), ..SetLink::default() } }
    }

    /// The interface as a CNI result shows it.
    pub fn interface(&self, env: &Env) -> Interface {
        Interface {
            name: self.name.clone(),
            mac: self.mac.to_string(),
            mtu: (self.mtu != 0).then_some(self.mtu),
            sandbox: env.netns.as_deref().unwrap_or_else(|| Path::new("")).display().to_string(),
            ..Interface::default()
        }
    }
}

/// Makes the link under [`temporary_name`] and renames it: older kernels (6.1, not 6.18) look for a clash of names in
/// the namespace of the parent too, where `eth0` is usually taken. A rename costs a grace period under the kernel's one lock,
/// so this is the second try.
fn create_and_rename(creator: &mut Netlink, socket: &mut Netlink, create: &Change, env: &Env) -> Result<()> {
    let temporary = temporary_name(env);
    match creator.apply(create) {
        Err(error) if error.is_exists() => {
            // A killed ADD of this very attachment left it; if it did not, the first error says what is wrong.
            match socket.apply(&Change::DeleteLinkByName(temporary.clone())) {
                Ok(()) => creator.apply(create)?,
                Err(_) => return Err(error.into()),
            }
        }
        other => other?,
    }
    let index = socket.index_of(&temporary)?.ok_or_else(|| Error::NoParent { parent: temporary.clone() })?;
    let set = SetLink { name: Some(env.ifname.clone()), ..SetLink::default() };
    let renamed = socket.apply(&Change::SetLink { index, set });
    if renamed.is_err() {
        let _ = socket.apply(&Change::DeleteLink { index });
    }
    Ok(renamed?)
}

/// Sets what must be set before the link is up. The thread is in the pod's namespace.
fn prepare(ifname: &str, policy: LinkPolicy) -> Result<()> {
    if !policy.accept_ra {
        unless_absent(sysctl::write(&format!("net/ipv6/conf/{ifname}/accept_ra"), "0"))?;
    }
    if policy.notify {
        // As with the reference, a kernel or a container that does not let us costs the announcement only.
        let _ = sysctl::write(&format!("net/ipv4/conf/{ifname}/arp_notify"), "1");
        let _ = sysctl::write(&format!("net/ipv6/conf/{ifname}/ndisc_notify"), "1");
    }
    Ok(())
}

/// A setting that this kernel does not have (no IPv6, say) needs no change.
///
/// # Errors
/// Any other refusal.
pub fn unless_absent(written: kernel::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.errno() == Some(kernel::Errno::NOENT) => Ok(()),
        other => Ok(other?),
    }
}

/// The interface that a macvlan on `parent` really sits on: the kernel goes from a macvlan to that one's parent.
pub(crate) fn lower_index(parent: &Link) -> Option<u32> {
    match parent.kind {
        LinkKind::Macvlan(_) | LinkKind::Macvtap(_) => parent.parent,
        _ => Some(parent.index),
    }
}

/// CHECK: the MTU that was configured, unless a later plugin of the chain has promised another.
///
/// # Errors
/// [`Error::Mismatch`], or [`Error::Mtu`].
pub(crate) fn check_promised_mtu(
    configured: Option<i64>,
    parent: &Link,
    promised: &Interface,
    link: &Link,
) -> Result<()> {
    let Some(configured) = check_mtu(configured, parent)? else { return Ok(()) };
    // Results before 1.0.0 have no MTU, so they cannot tell whether it was changed.
    match promised.mtu.filter(|mtu| *mtu != link.mtu) {
        Some(mtu) => Err(Error::Mismatch(format!(
            "interface {} has MTU {}, expected {mtu} (configured {configured})",
            link.name, link.mtu
        ))),
        None => Ok(()),
    }
}

/// Deletes the attachment's link in the pod's namespace, under its name or the temporary one, when it is of a kind
/// that `is_ours` accepts: a foreign interface of the same name stays. Nothing there is success.
///
/// # Errors
/// What the kernel said.
pub fn delete_in(netns: &NetNs, env: &Env, is_ours: fn(&Link) -> bool) -> Result<()> {
    let mut socket = Netlink::open_in(netns)?;
    let mut delete = |name: &str| -> Result<bool> {
        let Some(link) = socket.link_by_name(name)?.filter(is_ours) else { return Ok(false) };
        match socket.apply(&Change::DeleteLink { index: link.index }) {
            Err(error) if error.errno() == Some(kernel::Errno::NODEV) => Ok(true),
            other => Ok(other.map(|()| true)?),
        }
    };
    // Both can only be there when an ADD was killed and the next one succeeded over it.
    delete(&env.ifname)?;
    delete(&temporary_name(env))?;
    Ok(())
}

/// The previous result of a CHECK, and the interface in it that is this attachment's.
///
/// # Errors
/// `required prevResult missing`, or [`Error::Mismatch`] when the result speaks of another interface or namespace.
pub fn promised(request: &Request) -> Result<(CniResult, Interface)> {
    let result = request.required_prev_result("required prevResult missing")?;
    let env = &request.env;
    let sandbox = env.netns.as_deref().unwrap_or_else(|| Path::new("")).display().to_string();
    let named = result
        .interfaces
        .iter()
        .find(|interface| interface.name == env.ifname && !interface.sandbox.is_empty());
    match named.cloned() {
        Some(interface) if interface.sandbox == sandbox => Ok((result, interface)),
        Some(interface) => Err(Error::Mismatch(format!(
            "sandbox in prevResult {} doesn't match configured netns: {sandbox}",
            interface.sandbox
        ))),
        None => Err(Error::Mismatch(format!("prevResult has no interface {} in {sandbox}", env.ifname))),
    }
}

/// CHECK: the link is there with the promised hardware address, and up.
///
/// # Errors
/// [`Error::Mismatch`], or what the kernel said.
pub fn check_present(socket: &mut Netlink, env: &Env, promised: &Interface) -> Result<Link> {
    let link = socket.link_by_name(&env.ifname)?.ok_or_else(|| {
        Error::Mismatch(format!("interface {} is gone from the pod's namespace", env.ifname))
    })?;
    let mac = link.mac.map(|mac| mac.to_string()).unwrap_or_default();
    if !promised.mac.is_empty() && !promised.mac.eq_ignore_ascii_case(&mac) {
        return Err(Error::Mismatch(format!(
            "interface {} Mac {mac} doesn't match container Mac: {}",
            env.ifname, promised.mac
        )));
    }
    if !link.is_up() {
        return Err(Error::Mismatch(format!("interface {} is down", env.ifname)));
    }
    Ok(link)
}
