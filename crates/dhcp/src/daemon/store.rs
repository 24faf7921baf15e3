//! The leases on disk: one record per attachment in redb, each write durable before it returns.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::{Error, Result, v4, v6};

const LEASES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("leases");

/// All that is needed to go on with an attachment's leases after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The body of the ADD that made it: names, namespace, arguments, configuration.
    pub call: String,
    /// The link's Ethernet address.
    pub mac: [u8; 6],
    /// Device and inode of the namespace: its path may come to name another.
    pub netns: (u64, u64),
    /// The IPv4 lease; nothing while none is held.
    pub v4: Option<v4::Held>,
    /// The IPv6 lease.
    pub v6: Option<v6::Held>,
    /// Addresses that were held last, to ask for again.
    pub last_v4: Option<std::net::Ipv4Addr>,
    /// The boot in which `written` was read.
    pub boot: String,
    /// `CLOCK_BOOTTIME` when it was written. The times in the leases are of the same clock.
    pub written: Millis,
    /// Wall clock then, milliseconds since 1970: the only clock that goes on over a reboot.
    pub wall: Millis,
}

impl Record {
    /// Moves the leases' times onto the clock of this boot.
    pub fn rebase(&mut self, boot: &str, now: Millis, wall: Millis) {
        if self.boot == boot && self.written <= now {
            return;
        }
        // What passed since, by the wall clock; a clock that went back counts as no time.
        let passed = wall.saturating_sub(self.wall);
        let (written, age) = (self.written, now.saturating_sub(passed));
        let shift = |since: &mut Millis| {
            let before = written.saturating_sub(*since);
            *since = age.saturating_sub(before);
        };
        if let Some(held) = &mut self.v4 {
            shift(&mut held.since);
        }
        if let Some(held) = &mut self.v6 {
            shift(&mut held.since);
        }
        (self.boot, self.written, self.wall) = (boot.to_owned(), now, wall);
    }
}

/// The database, open and locked.
#[derive(Debug)]
pub struct Store {
    database: Database,
    path: PathBuf,
}

impl Store {
    /// Opens or makes `leases.redb`. A file that redb cannot read is moved aside: the leases in it run out on the
    /// servers by themselves, but the node gets new ones.
    ///
    /// # Errors
    /// Another process has it open, or the directory cannot be written.
    pub fn open(dir: &Path) -> Result<Store> {
        std::fs::create_dir_all(dir).map_err(Error::file("make", dir))?;
        let path = dir.join("leases.redb");
        let failed = |e: &dyn std::fmt::Display| Error::Store { path: path.clone(), reason: e.to_string() };
        let database = match Database::create(&path) {
            Ok(database) => database,
            Err(e @ (redb::DatabaseError::DatabaseAlreadyOpen | redb::DatabaseError::UpgradeRequired(_))) => {
                return Err(failed(&e));
            }
            Err(redb::DatabaseError::Storage(redb::StorageError::Io(e)))
                if e.kind() != std::io::ErrorKind::InvalidData
                    && e.kind() != std::io::ErrorKind::UnexpectedEof =>
            {
                return Err(failed(&e));
            }
            Err(e) => {
                let aside = dir.join("leases.redb.damaged");
                tracing::error!(path = %path.display(), aside = %aside.display(), error = %e, "lease store cannot be read, starting anew");
                std::fs::rename(&path, &aside).map_err(Error::file("move", &path))?;
                Database::create(&path).map_err(|e| failed(&e))?
            }
        };
        let store = Store { database, path };
        // So that reading never meets a missing table.
        let write = store.database.begin_write().map_err(|e| store.failed(&e))?;
        write.open_table(LEASES).map_err(|e| store.failed(&e))?;
        write.commit().map_err(|e| store.failed(&e))?;
        Ok(store)
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Error {
        Error::Store { path: self.path.clone(), reason: error.to_string() }
    }

    /// Every record that can be read, by its key. One that cannot is left out and logged.
    pub fn all(&self) -> Result<Vec<(String, Record)>> {
        let read = self.database.begin_read().map_err(|e| self.failed(&e))?;
        let table = read.open_table(LEASES).map_err(|e| self.failed(&e))?;
        let mut out = Vec::new();
        for entry in table.iter().map_err(|e| self.failed(&e))? {
            let (key, value) = entry.map_err(|e| self.failed(&e))?;
            match serde_json::from_slice(value.value()) {
                Ok(record) => out.push((key.value().to_owned(), record)),
                Err(e) => tracing::warn!(key = key.value(), error = %e, "record cannot be read, left alone"),
            }
        }
        Ok(out)
    }

    /// Writes a record; on disk when this returns.
    pub fn put(&self, key: &str, record: &Record) -> Result<()> {
        let bytes = serde_json::to_vec(record).map_err(|e| self.failed(&e))?;
        let write = self.database.begin_write().map_err(|e| self.failed(&e))?;
        write
            .open_table(LEASES)
            .map_err(|e| self.failed(&e))?
            .insert(key, bytes.as_slice())
            .map_err(|e| self.failed(&e))?;
        write.commit().map_err(|e| self.failed(&e))
    }

    /// Forgets a record; from disk when this returns.
    pub fn remove(&self, key: &str) -> Result<()> {
        let write = self.database.begin_write().map_err(|e| self.failed(&e))?;
        write.open_table(LEASES).map_err(|e| self.failed(&e))?.remove(key).map_err(|e| self.failed(&e))?;
        write.commit().map_err(|e| self.failed(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let lease = v4::Lease {
            address: [10, 0, 0, 9].into(),
            prefix: 24,
            server: [10, 0, 0, 1].into(),
            server_mac: None,
            seconds: Some(100),
            t1: 50,
            t2: 80,
            routers: vec![],
            routes: vec![],
            dns: vec![],
            domain: None,
            search: vec![],
            mtu: None,
        };
        Record {
            call: "{}".into(),
            mac: [2; 6],
            netns: (4, 5),
            v4: Some(v4::Held { lease, since: 900_000 }),
            v6: None,
            last_v4: None,
            boot: "one".into(),
            written: 910_000,
            wall: 5_000_000,
        }
    }

    #[test]
    fn records_survive_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.put("c/n/eth0", &record()).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(Error::Store { .. })), "one daemon per store");
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.all().unwrap(), [("c/n/eth0".to_owned(), record())]);
        store.remove("c/n/eth0").unwrap();
        assert!(store.all().unwrap().is_empty());
    }

    #[test]
    fn a_damaged_store_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("leases.redb"), b"not a database at all".repeat(500)).unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(store.all().unwrap().is_empty());
        assert!(dir.path().join("leases.redb.damaged").exists());
    }

    #[test]
    fn a_store_cut_short_by_a_power_loss_is_opened_or_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leases.redb");
        let store = Store::open(dir.path()).unwrap();
        store.put("c/n/eth0", &record()).unwrap();
        drop(store);
        let whole = std::fs::read(&path).unwrap();
        for len in [0, 1, 9, 64, 320, 4095, 4096, 8192, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..len]).unwrap();
            let store = Store::open(dir.path()).unwrap_or_else(|e| panic!("{len}: {e}"));
            store.put("d/n/eth0", &record()).unwrap();
        }
    }

    #[test]
    fn times_move_with_the_wall_clock_over_a_reboot() {
        let mut r = record();
        r.rebase("one", 950_000, 5_040_000);
        assert_eq!(r.v4.as_ref().unwrap().since, 900_000, "the same boot: the clock ran on");
        r.rebase("two", 30_000, 5_025_000);
        // 10 s old when written, 25 s passed: 35 s old at 30 s after boot: the best a clock from zero can say is 0.
        assert_eq!(r.v4.as_ref().unwrap().since, 0);
        let mut r = record();
        r.rebase("two", 90_000, 5_025_000);
        assert_eq!(r.v4.as_ref().unwrap().since, 55_000);
    }
}
