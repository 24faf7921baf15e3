//! The node's attachments on disk, in redb: every change is durable when its function returns, and whole or not there at all.
//!
//! Callers of several threads share one write to the disk: whoever holds the writer commits what the others have queued
//! meanwhile.

mod batch;
mod opening;
mod record;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use api::DelegateCall;
use cni::{CniResult, Version};
use redb::{Database, ReadableDatabase, ReadableTable};

pub use record::{Attachment, Pod, Record, Unreadable};

use crate::{Error, PodKey, Result};
use batch::{Batch, CALLS, Change, DOOMED, LOST, META, PODS, RESULTS};

/// Most bytes of pages kept in memory: the agent reads a record at a time.
const CACHE: usize = 1 << 20;

/// The store, open and locked against a second agent.
#[derive(Debug)]
pub struct Store {
    database: Database,
    path: PathBuf,
    batch: Batch,
    /// The last write failed.
    broken: AtomicBool,
    /// Records were lost, and what they told of has not been found again.
    lost: AtomicBool,
}

impl Store {
    /// Opens or makes `agent.redb` in the directory. A file that is damaged is moved aside and a new one begun, in which stays
    /// written until [`Store::found`] that there is something to look for ([`Store::is_lost`]).
    ///
    /// # Errors
    /// Another agent has it open, or the directory cannot be written.
    pub fn open(dir: &Path) -> Result<Store> {
        std::fs::create_dir_all(dir).map_err(Error::file("make", dir))?;
        let path = dir.join("agent.redb");
        let aside = dir.join("agent.redb.damaged");
        // One was set aside and none came in its place: a process ended in between.
        let missing = aside.exists() && !path.exists();
        match if missing { Err(opening::lost_file()) } else { opening::whole(&path) } {
            Ok(database) => return Store::on(database, path),
            Err(error) if opening::is_damage(&error) => {
                tracing::error!(path = %path.display(), aside = %aside.display(), error = %error,
                    "store is damaged and set aside; a new one is begun, and the pods' attachments are looked for");
            }
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(failed(&path, &"another agent has it open, and a node runs only one"));
            }
            Err(error) => return Err(failed(&path, &error)),
        }
        // The new one says that records were lost before it has its name: nobody takes it for a node's first.
        let draft = dir.join("agent.redb.new");
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("remove", &draft)(error));
            }
            _ => {}
        }
        let database = Database::builder().set_cache_size(CACHE).create(&draft);
        let store = Store::on(database.map_err(|error| failed(&draft, &error))?, path.clone())?;
        store.lose()?;
        if !missing {
            std::fs::rename(&path, &aside).map_err(Error::file("move", &path))?;
        }
        std::fs::rename(&draft, &path).map_err(Error::file("move", &draft))?;
        Ok(store)
    }

    fn on(database: Database, path: PathBuf) -> Result<Store> {
        let (broken, lost) = (AtomicBool::new(false), AtomicBool::new(false));
        let store = Store { database, path, batch: Batch::default(), broken, lost };
        // So that reading never meets a missing table.
        store.commit(Change::Nothing)?;
        let pending = store.read(META)?.get(LOST).map_err(|error| store.failed(&error))?.is_some();
        store.lost.store(pending, Ordering::SeqCst);
        Ok(store)
    }

    /// Whether records were lost whose attachments have not been looked for.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// Records are lost: what they told of has to be looked for, by this agent or by the next.
    ///
    /// # Errors
    /// It is not on disk.
    pub fn lose(&self) -> Result<()> {
        self.lost.store(true, Ordering::SeqCst);
        self.commit(Change::Lost(true)).map(|_| ())
    }

    /// What was lost is found.
    ///
    /// # Errors
    /// It is not on disk: it will be looked for again, which does no harm.
    pub fn found(&self) -> Result<()> {
        self.commit(Change::Lost(false))?;
        self.lost.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// The intent to make these attachments of a new pod, before the first of them. False when the pod is there already,
    /// and nothing has been written: an ADD that was killed, whose remains come first.
    ///
    /// # Errors
    /// It is not on disk, and nothing may be made.
    pub fn begin(&self, pod: &Pod, calls: &[DelegateCall]) -> Result<bool> {
        self.restore(pod, calls, &[])
    }

    /// A pod that is there, with what was made of it, all at once. False when it has a record.
    ///
    /// # Errors
    /// It is not on disk.
    pub fn restore(
        &self,
        pod: &Pod,
        calls: &[DelegateCall],
        results: &[(usize, &CniResult)],
    ) -> Result<bool> {
        self.commit(Change::Begin {
            id: pod.container_id.clone(),
            pod: pod.to_text(),
            calls: texts(calls),
            results: result_texts(results)?,
        })
    }

    /// What was made of the intent. False when there is no such pod any more.
    ///
    /// # Errors
    /// It is not on disk: what was made must be undone.
    pub fn made(&self, container_id: &str, results: &[(usize, &CniResult)]) -> Result<bool> {
        self.commit(Change::Made { id: container_id.to_owned(), results: result_texts(results)? })
    }

    /// The intent to make more attachments of a pod. False when there is no such pod.
    ///
    /// # Errors
    /// It is not on disk, and nothing may be made.
    pub fn attach(&self, container_id: &str, calls: &[DelegateCall]) -> Result<bool> {
        self.commit(Change::Attach { id: container_id.to_owned(), calls: texts(calls) })
    }

    /// The intent to delete these attachments, or all of the pod and the pod itself. The pod's end is never held up: once this has
    /// returned, DEL can be answered, and what it could not do is done later. False when there is no such pod.
    ///
    /// # Errors
    /// It is not on disk.
    pub fn doom(&self, container_id: &str, positions: Option<&[usize]>, reason: &str) -> Result<bool> {
        self.commit(Change::Doom {
            id: container_id.to_owned(),
            positions: positions.map(numbers),
            reason: reason.to_owned(),
        })
    }

    /// These attachments are gone, every trace of them. False when there is no such pod.
    ///
    /// # Errors
    /// It is not on disk: they will be deleted again, which does no harm.
    pub fn gone(&self, container_id: &str, positions: &[usize]) -> Result<bool> {
        self.commit(Change::Gone { id: container_id.to_owned(), positions: numbers(positions) })
    }

    /// The pod is gone with all its attachments. False when there was none.
    ///
    /// # Errors
    /// It is not on disk: it will be deleted again, which does no harm.
    pub fn forget(&self, container_id: &str) -> Result<bool> {
        self.commit(Change::Forget { id: container_id.to_owned() })
    }

    /// Whether it can be written. Costs nothing but after a write that failed: then one more.
    ///
    /// # Errors
    /// It cannot.
    pub fn probe(&self) -> Result<()> {
        if self.broken.load(Ordering::SeqCst) { self.commit(Change::Nothing).map(|_| ()) } else { Ok(()) }
    }

    /// One pod.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn get(&self, container_id: &str) -> Result<Option<std::result::Result<Record, Unreadable>>> {
        let pods = self.read(PODS)?;
        let entry = pods.get(container_id).map_err(|error| self.failed(&error))?;
        entry.map(|text| self.record(container_id, text.value())).transpose()
    }

    /// Every pod, by container ID. One whose record cannot be read is told, not left out: its attachments are somewhere.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn all(&self) -> Result<Vec<std::result::Result<Record, Unreadable>>> {
        let pods = self.read(PODS)?;
        let mut found = Vec::new();
        for entry in pods.iter().map_err(|error| self.failed(&error))? {
            let (id, text) = entry.map_err(|error| self.failed(&error))?;
            found.push(self.record(id.value(), text.value())?);
        }
        Ok(found)
    }

    /// The container IDs of a pod: more than one when the runtime made it anew, or will forget one of them.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn containers_of(&self, key: &PodKey) -> Result<Vec<String>> {
        let pods = self.read(PODS)?;
        let mut found = Vec::new();
        for entry in pods.iter().map_err(|error| self.failed(&error))? {
            let (id, text) = entry.map_err(|error| self.failed(&error))?;
            let pod = Pod::read(id.value(), text.value());
            if pod.is_ok_and(|pod| pod.is(key)) {
                found.push(id.value().to_owned());
            }
        }
        Ok(found)
    }

    fn record(&self, id: &str, pod: &str) -> Result<std::result::Result<Record, Unreadable>> {
        let (calls, results, doomed) =
            (self.rows(CALLS, id)?, self.rows(RESULTS, id)?, self.rows(DOOMED, id)?);
        Ok(Record::read(id, pod, &calls, &results, &doomed))
    }

    fn rows(&self, table: batch::Rows, id: &str) -> Result<Vec<(u64, String)>> {
        let read = self.database.begin_read().map_err(|error| self.failed(&error))?;
        let table = read.open_table(table).map_err(|error| self.failed(&error))?;
        let mut found = Vec::new();
        for entry in table.range((id, 0)..=(id, u64::MAX)).map_err(|error| self.failed(&error))? {
            let (key, text) = entry.map_err(|error| self.failed(&error))?;
            found.push((key.value().1, text.value().to_owned()));
        }
        Ok(found)
    }

    fn read(&self, table: batch::Pods) -> Result<redb::ReadOnlyTable<&'static str, &'static str>> {
        let read = self.database.begin_read().map_err(|error| self.failed(&error))?;
        read.open_table(table).map_err(|error| self.failed(&error))
    }

    fn commit(&self, change: Change) -> Result<bool> {
        let done = self.batch.commit(&self.database, change);
        self.broken.store(done.is_err(), Ordering::SeqCst);
        done.map_err(|reason| failed(&self.path, &reason))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Error {
        failed(&self.path, error)
    }
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Store { path: path.to_owned(), reason: error.to_string() }
}

fn numbers(positions: &[usize]) -> Vec<u64> {
    positions.iter().map(|position| *position as u64).collect()
}

fn texts(calls: &[DelegateCall]) -> Vec<(u64, String)> {
    calls.iter().map(|call| (call.position as u64, call.to_value().to_compact())).collect()
}

fn result_texts(results: &[(usize, &CniResult)]) -> Result<Vec<(u64, String)>> {
    let text = |(position, result): &(usize, &CniResult)| {
        Ok((*position as u64, result.to_json(Version::CURRENT)?.to_compact()))
    };
    results.iter().map(text).collect()
}
