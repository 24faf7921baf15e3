//! A namespace of a test's own, deleted when the test ends, also when it fails.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::needless_pass_by_value)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kernel::{Change, Link, LinkKind, NetNs, Netlink, NewLink, OperState, SetLink, VethPeer};

pub struct TestNs {
    pub ns: NetNs,
    pub nl: Netlink,
    path: PathBuf,
}

impl TestNs {
    /// Fails, not skips, without root: a test that did not run must not look like one that passed.
    pub fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests make network namespaces and need root");
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("llano-kernel-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let ns = NetNs::create_at(&path).unwrap();
        let nl = Netlink::open_in(&ns).unwrap();
        Self { ns, nl, path }
    }

    /// A veth pair `a` and `b` here, both up.
    pub fn with_veth() -> (Self, u32, u32) {
        let mut t = Self::new();
        let a = t.veth("a", "b");
        let b = t.index("b");
        (t, a, b)
    }

    pub fn veth(&mut self, name: &str, peer: &str) -> u32 {
        let peer_name = VethPeer { name: Some(peer.into()), ..VethPeer::default() };
        self.ok(Change::AddLink(NewLink::new(name, LinkKind::Veth(peer_name))));
        self.up(name);
        self.up(peer);
        // Until the kernel has noticed the carrier, which takes up to a second, it drops what is sent.
        let end = Instant::now() + Duration::from_secs(10);
        while [name, peer].iter().any(|end| self.link(end).oper_state != OperState::Up) {
            assert!(Instant::now() < end, "{name} has no carrier");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.index(name)
    }

    pub fn up(&mut self, name: &str) {
        let index = self.index(name);
        self.ok(Change::SetLink { index, set: SetLink::up() });
    }

    pub fn index(&self, name: &str) -> u32 {
        self.nl.index_of(name).unwrap().unwrap_or_else(|| panic!("no link {name}"))
    }

    pub fn link(&mut self, name: &str) -> Link {
        self.nl.link_by_name(name).unwrap().unwrap_or_else(|| panic!("no link {name}"))
    }

    #[track_caller]
    pub fn ok(&mut self, change: Change) {
        if let Err(error) = self.nl.apply(&change) {
            panic!("{error}\nof {change:?}");
        }
    }

    #[track_caller]
    pub fn refused(&mut self, change: Change) -> kernel::Error {
        match self.nl.apply(&change) {
            Ok(()) => panic!("must be refused: {change:?}"),
            Err(error) => error,
        }
    }

    /// Makes a link of a kind that cannot exist without `parent`.
    pub fn child(&mut self, name: &str, parent: u32, kind: LinkKind) -> Link {
        self.ok(Change::AddLink(NewLink { parent: Some(parent), ..NewLink::new(name, kind) }));
        self.link(name)
    }
}

impl Drop for TestNs {
    fn drop(&mut self) {
        let _ = NetNs::delete(&self.path);
    }
}
