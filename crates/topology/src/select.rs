//! Finding the namespace that a person means.

use std::path::{Path, PathBuf};

use kernel::NetNs;

use crate::namespace::{NAMED, name_of};
use crate::{Container, Error, Namespace, NamespaceId, Pod, Result, discover, visible};

/// The namespace of a name of `ip netns`, a path, a process number, a container's ID (as much of it as is clear) or
/// name, or `POD_NAMESPACE/POD`, in this order.
///
/// # Errors
/// [`Error::NoSuchNamespace`], [`Error::Ambiguous`], or what the kernel said of a path.
pub fn select(text: &str) -> Result<NetNs> {
    locate(text).map(|(net, _)| net)
}

/// As [`select`], also with a path that other programs can open it by.
///
/// # Errors
/// As [`select`].
pub fn locate(text: &str) -> Result<(NetNs, PathBuf)> {
    if text.starts_with('/') || text.starts_with("./") || text.starts_with("../") {
        return Ok((NetNs::open(Path::new(text))?, text.into()));
    }
    let unknown = || Error::NoSuchNamespace { text: visible(text).into_owned() };
    if text.is_empty() || text.len() > 512 || text == "." || text == ".." {
        return Err(unknown());
    }
    let quick: Option<PathBuf> = match text.parse::<u32>() {
        _ if !text.contains('/') && Path::new(NAMED).join(text).exists() => Some(Path::new(NAMED).join(text)),
        Ok(pid) => Some(format!("/proc/{pid}/ns/net").into()),
        Err(_) => None,
    };
    if let Some(path) = quick {
        return match NetNs::open(&path) {
            Ok(net) => Ok((net, path)),
            Err(error) if error.is_not_found() => Err(unknown()),
            Err(error) => Err(error.into()),
        };
    }
    let all = discover::namespaces()?;
    let found = matching(&all, text);
    match found.as_slice() {
        [] => Err(unknown()),
        [one] => Ok((one.open()?, one.path().ok_or_else(unknown)?)),
        several => Err(Error::Ambiguous {
            text: visible(text).into_owned(),
            candidates: several.iter().map(|namespace| describe(namespace)).collect(),
        }),
    }
}

/// What an owner is called, with the ID that makes it clear.
fn describe(namespace: &Namespace) -> String {
    let owner = namespace.owner();
    match &namespace.container {
        Some(container) => format!("{owner} (ID {})", visible(&container.id)),
        None => owner.to_string(),
    }
}

/// The namespaces that a text may mean: whoever has it as a whole ID or name, else whose ID begins with it.
fn matching<'a>(all: &'a [Namespace], text: &str) -> Vec<&'a Namespace> {
    let whole: Vec<&Namespace> = all.iter().filter(|namespace| is(namespace, text)).collect();
    if !whole.is_empty() {
        return whole;
    }
    // Runtimes print twelve digits; less than four are a slip more often than an ID.
    let begins = |id: &str| text.len() >= 4 && id.starts_with(text);
    all.iter().filter(|namespace| ids(namespace).any(begins)).collect()
}

fn ids(namespace: &Namespace) -> impl Iterator<Item = &str> {
    let container = namespace.container.iter().map(|container| container.id.as_str());
    container.chain(namespace.attachments.iter().map(|attachment| attachment.container_id.as_str()))
}

fn is(namespace: &Namespace, text: &str) -> bool {
    let named = |container: &Container| !container.name.is_empty() && container.name == text;
    let pod = |pod: &Pod| {
        let parts = text.split_once('/');
        parts.is_some_and(|(space, name)| pod.namespace == space && pod.name == name)
            || (!pod.uid.is_empty() && pod.uid == text)
    };
    ids(namespace).any(|id| id == text)
        || namespace.container.as_ref().is_some_and(named)
        || namespace.pod.as_ref().is_some_and(pod)
        || namespace.places.iter().any(|place| name_of(&place.path).is_some_and(|name| name == text))
}

impl Namespace {
    /// The namespace of a topology or list that an open one is.
    pub fn find<'a>(all: &'a [Namespace], net: &NetNs) -> Option<&'a Namespace> {
        let (device, inode) = net.id().ok()?;
        all.iter().find(|namespace| namespace.id == NamespaceId { device, inode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(inode: u64, id: &str, name: &str) -> Namespace {
        let mut namespace = Namespace::new(NamespaceId { device: 4, inode });
        namespace.container = Some(Container { id: id.into(), name: name.into(), runtime: "podman".into() });
        namespace
    }

    #[test]
    fn whole_names_come_before_beginnings() {
        let mut pod = container(3, "cafe01", "");
        pod.pod = Some(Pod { namespace: "shop".into(), name: "web-0".into(), uid: "u-1".into() });
        let all = [container(1, "abcdef01", "web"), container(2, "abcdef02", "abcd"), pod];
        let found = |text| matching(&all, text).iter().map(|found| found.id.inode).collect::<Vec<_>>();
        assert_eq!(found("web"), [1]);
        assert_eq!(found("abcd"), [2], "a name before the beginning of two IDs");
        assert_eq!(found("abcdef"), [1, 2]);
        assert_eq!(found("abc"), [] as [u64; 0], "too short");
        assert_eq!(found("abcdef02"), [2]);
        assert_eq!(found("shop/web-0"), [3]);
        assert_eq!(found("u-1"), [3]);
        assert_eq!(found("shop/web"), [] as [u64; 0]);
    }

    #[test]
    fn nonsense_is_refused_with_what_is_allowed() {
        for text in ["", ".", "..", "no-such-thing", "a/b/c", "99999999", "-1"] {
            let error = select(text).unwrap_err();
            assert!(matches!(error, Error::NoSuchNamespace { .. }), "{text}: {error}");
        }
        assert!(matches!(select("/etc/hostname"), Err(Error::Kernel(_))));
        let own = select(&std::process::id().to_string()).unwrap();
        assert_eq!(own, NetNs::current().unwrap());
    }
}
