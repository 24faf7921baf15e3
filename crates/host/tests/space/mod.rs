//! A namespace of a test's own.

use std::path::PathBuf;

use kernel::{Change, LinkKind, NetNs, Netlink, NewLink, SetLink, VethPeer};

pub(crate) struct Space {
    ns: NetNs,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Space {
    /// With `eth0` up, whose other end `peer` is here too.
    pub(crate) fn with_veth() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ns");
        let space = Self { ns: NetNs::create_at(&path).unwrap(), path, _dir: dir };
        space.run(|netlink| {
            let peer = VethPeer { name: Some("peer".to_owned()), ..VethPeer::default() };
            netlink.apply(&Change::AddLink(NewLink::new("eth0", LinkKind::Veth(peer)))).unwrap();
            for name in ["lo", "peer", "eth0"] {
                let index = netlink.link_by_name(name).unwrap().unwrap().index;
                netlink.apply(&Change::SetLink { index, set: SetLink::up() }).unwrap();
            }
        });
        space
    }

    pub(crate) fn run<T>(&self, f: impl FnOnce(&mut Netlink) -> T) -> T {
        self.ns.run(|| f(&mut Netlink::open().unwrap())).unwrap()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = NetNs::delete(&self.path);
    }
}
