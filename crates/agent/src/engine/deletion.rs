//! Deletion from the record alone. It never holds up a pod's end: what cannot be done now is written down and done later.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use api::sequence;
use cni::Request;

use super::delegate::{World, is_ours};
use super::locks::Turn;
use super::{Arc, Engine};
use crate::{Attachment, Record};

/// Why a deletion is written down before it is tried.
const LATE: &str = "the deletion takes longer than its caller waits";

impl Engine {
    pub(super) fn del(self: &Arc<Engine>, request: &Request) -> cni::Result<()> {
        let env = &request.env;
        let id = env.container_id.as_str();
        let until = Instant::now() + self.setup.limits.del;
        let later = |reason: &str| -> cni::Result<()> {
            // Whoever has the turn undoes its work, or the record says it; never neither.
            if self.store.doom(id, None, reason).map_err(|error| error.to_cni())? {
                self.later.push(id, self.setup.limits);
            }
            Ok(())
        };
        let Some(turn) = self.locks.take_over(id, until) else {
            return later("another call of this container is not done yet");
        };
        let record = match self.read(id).map_err(|error| error.to_cni())? {
            Some(record) => record,
            None => match self.adopt(request) {
                Some(record) => record,
                None => return Ok(()),
            },
        };
        let netns = env.netns.clone().or_else(|| record.pod.netns.clone());
        let world = self.world(id, netns, &env.path);
        if record.attachments.iter().all(|attachment| is_ours(&attachment.call.config)) {
            self.delete_all(&record, world, &turn);
            return Ok(());
        }
        // A foreign plugin takes as long as it likes: it gets a thread, and the caller its answer.
        let (done, finished) = mpsc::channel();
        let engine = Arc::clone(self);
        let work = move || {
            engine.delete_all(&record, world, &turn);
            drop((turn, engine));
            let _ = done.send(());
        };
        let thread = std::thread::Builder::new().name("delete".to_owned()).spawn(work);
        if let Err(error) = thread {
            return later(&format!("no thread for it: {error}"));
        }
        match finished.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(()) => Ok(()),
            Err(_) => later(LATE),
        }
    }

    /// The record; one that cannot be read is given up, and nothing can be done from it. The caller has the turn.
    pub(super) fn read(&self, id: &str) -> crate::Result<Option<Record>> {
        match self.store.get(id)? {
            Some(Ok(record)) => Ok(Some(record)),
            Some(Err(unreadable)) => {
                self.lose(id, &unreadable.reason);
                self.later.look_after(self.setup.limits.retry);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// What an ADD that was killed left, before the next ADD of the same container.
    pub(super) fn delete_remains(self: &Arc<Engine>, id: &str, path: &[PathBuf]) -> cni::Result<()> {
        let record = self.read(id).map_err(|error| error.to_cni())?;
        let Some(record) = record else {
            // Its attachments are lost, but not this pod.
            return self.store.forget(id).map(|_| ()).map_err(|error| error.to_cni());
        };
        tracing::info!(container = id, "an earlier ADD is undone");
        let mut world = self.world(id, record.pod.netns.clone(), path);
        let left = delete(record.attachments.iter().rev(), &mut world);
        match left.into_iter().next() {
            None => self.store.forget(id).map(|_| ()).map_err(|error| error.to_cni()),
            Some((_, error)) => Err(error.context("undoing an earlier ADD")),
        }
    }

    /// Deletes the whole pod. The turn shows that nobody else is at it.
    pub(super) fn delete_all(self: &Arc<Engine>, record: &Record, mut world: World, _turn: &Turn) -> bool {
        let left = delete(record.attachments.iter().rev(), &mut world);
        let name = super::add::Name(&record.pod);
        let id = record.pod.container_id.as_str();
        match left.first() {
            None => tracing::info!(pod = %name, container = id, "deleted"),
            Some((_, error)) => {
                tracing::warn!(pod = %name, container = id, error = %error, "not deleted yet");
            }
        }
        let done = self.settle(id, left.first().map(|(_, error)| error.to_string()).as_deref());
        self.lans_changed();
        done
    }

    /// Writes down how a deletion of a whole pod ended: it is forgotten, or to be repeated. True when it is done.
    pub(super) fn settle(&self, id: &str, left: Option<&str>) -> bool {
        let written = match left {
            None => self.store.forget(id),
            Some(reason) => self.store.doom(id, None, reason),
        };
        if let Err(error) = &written {
            tracing::error!(container = id, error = %error, "end of a deletion not written");
        }
        let done = left.is_none() && written.is_ok();
        if done {
            self.later.done(id);
            self.remember(id);
            super::lock(&self.refused).remove(id);
        } else {
            self.later.push(id, self.setup.limits);
        }
        done
    }

    /// Deletes what a record says is to be deleted: the whole pod, or some of its attachments. True when it is done.
    pub(super) fn delete_doomed(self: &Arc<Engine>, record: &Record, turn: &Turn) -> bool {
        let id = record.pod.container_id.as_str();
        let mut world = self.world(id, record.pod.netns.clone(), &record.pod.path);
        if record.doomed.is_some() {
            return self.delete_all(record, world, turn);
        }
        let doomed: Vec<&Attachment> = record.to_delete().collect();
        let left = delete(doomed.iter().copied(), &mut world);
        let gone: Vec<usize> = doomed
            .iter()
            .map(|attachment| attachment.call.position)
            .filter(|position| !left.iter().any(|(other, _)| other == position))
            .collect();
        let written = self.store.gone(id, &gone).and_then(|_| {
            for (position, error) in &left {
                self.store.doom(id, Some(&[*position]), &error.to_string())?;
            }
            Ok(())
        });
        if let Err(error) = &written {
            tracing::error!(container = id, error = %error, "end of a deletion not written");
        }
        self.lans_changed();
        left.is_empty() && written.is_ok()
    }
}

/// Deletes these, to the end whatever fails. What is left, by place among the pod's networks.
fn delete<'a>(
    attachments: impl Iterator<Item = &'a Attachment>,
    world: &mut World,
) -> Vec<(usize, cni::Error)> {
    world.forget_dead_netns();
    let mut left = Vec::new();
    for Attachment { call, result, .. } in attachments {
        world.unmade = result.is_none();
        match sequence::del_one(call, result.as_ref(), world) {
            Ok(()) => remove_device_file(call),
            Err(error) => left.push((call.position, error)),
        }
    }
    left
}

/// The file in which a plugin told of its device; the plugins leave it to who asked for it.
fn remove_device_file(call: &api::DelegateCall) {
    if let Some(device) = &call.device
        && Path::new(&device.info_file).is_absolute()
    {
        let _ = std::fs::remove_file(&device.info_file);
    }
}
