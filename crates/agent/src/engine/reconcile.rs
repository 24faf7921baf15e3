//! The store against the runtime and the spool: at the start, and when the caller hears of something.

use std::collections::BTreeMap;
use std::time::Instant;

use super::locks::lock;
use super::{Arc, Engine};
use crate::{PodKey, PodView, Record, Sandbox, Unreadable, spool};

impl Engine {
    /// Takes the spool in, undoes what was begun and not finished, repeats what is to be deleted, deletes what has no
    /// sandbox any more, follows annotations that changed meanwhile, and lets go of claims that nothing stands behind. Safe at any
    /// moment and beside any call; it asks the runtime once, the API server only to write.
    pub fn reconcile(self: &Arc<Engine>) {
        self.take_spool();
        let Some((_, unreadable)) = self.records() else { return };
        for record in unreadable {
            // Somebody is at it.
            let Some(_turn) = self.locks.try_take(&record.container_id) else { continue };
            self.lose(&record.container_id, &record.reason);
        }
        self.find_lost();
        let Some((whole, _)) = self.records() else { return };
        for record in &whole {
            self.finish_deletion(record);
        }
        self.compare_with_runtime(&whole);
        self.follow_annotations(&whole);
        self.claims_changed();
        self.lans_changed();
    }

    /// Every record: those that can be read, and the others.
    fn records(&self) -> Option<(Vec<Record>, Vec<Unreadable>)> {
        let records = match self.store.all() {
            Ok(records) => records,
            Err(error) => {
                tracing::error!(error = %error, "store not read, nothing reconciled");
                return None;
            }
        };
        let (mut whole, mut unreadable) = (Vec::new(), Vec::new());
        for record in records {
            match record {
                Ok(record) => whole.push(record),
                Err(other) => unreadable.push(other),
            }
        }
        Some((whole, unreadable))
    }

    fn take_spool(self: &Arc<Engine>) {
        let spooled = match spool::read(&self.setup.spool) {
            Ok(spooled) => spooled,
            Err(error) => {
                tracing::error!(error = %error, "spool not read");
                return self.later.look_after(self.setup.limits.slowest);
            }
        };
        for call in spooled {
            let container = call.request.env.container_id.clone();
            tracing::info!(container, "DEL from the spool");
            if let Err(error) = self.del(&call.request) {
                tracing::error!(container, error = %error, "spooled DEL stays");
                self.later.look_after(self.setup.limits.slowest);
                continue;
            }
            if let Err(error) = call.done() {
                tracing::warn!(container, error = %error, "spooled DEL stays, it will be done again");
            }
        }
    }

    /// One record without its calls: what was begun is undone, what is doomed is deleted.
    fn finish_deletion(self: &Arc<Engine>, record: &Record) {
        let id = record.pod.container_id.as_str();
        let begun = record.unfinished().next().is_some();
        if !begun && record.to_delete().next().is_none() && record.doomed.is_none() {
            return;
        }
        // Somebody is at it.
        let Some(turn) = self.locks.try_take(id) else { return };
        let Ok(Some(record)) = self.read(id) else { return };
        let unfinished: Vec<usize> = record.unfinished().map(|attachment| attachment.call.position).collect();
        let first = record.attachments.first().is_some_and(|attachment| attachment.result.is_some());
        let why = "it was begun, and the agent ended before it was made";
        // Without its first interface the pod was never answered for; with it, only what was plugged in later is half made.
        let doomed = match (unfinished.is_empty(), first) {
            (true, _) => Ok(true),
            (false, true) => self.store.doom(id, Some(&unfinished), why),
            (false, false) => self.store.doom(id, None, why),
        };
        if let Err(error) = doomed {
            return tracing::error!(container = id, error = %error, "deletion not written, left for the next time");
        }
        if let Ok(Some(record)) = self.read(id)
            && !self.delete_doomed(&record, &turn)
            && record.doomed.is_none()
        {
            self.later.push(id, self.setup.limits);
        }
    }

    /// Deletes records without sandbox. Only when the runtime has answered, and only once that is sure: the namespace is
    /// gone too, or the sandbox has been missing for long enough.
    fn compare_with_runtime(self: &Arc<Engine>, records: &[Record]) {
        if records.is_empty() {
            lock(&self.missing).clear();
            return;
        }
        let sandboxes = match self.runtime.sandboxes() {
            Ok(sandboxes) => sandboxes,
            Err(error) => {
                tracing::warn!(error = %error, "runtime not asked, no record is deleted for want of a sandbox");
                return self.later.look_after(self.setup.limits.slowest);
            }
        };
        let now = Instant::now();
        let patience = self.setup.limits.missing;
        let mut missing = BTreeMap::new();
        for record in records {
            let id = record.pod.container_id.as_str();
            // One that has ended stays listed for a while; its namespace goes when the runtime's own DEL, whoever took it, is done.
            let ended = record.pod.netns.as_deref().is_some_and(|path| !path.exists());
            let lives = |sandbox: &Sandbox| sandbox.id == id && (sandbox.ready || !ended);
            if sandboxes.iter().any(lives) || record.doomed.is_some() {
                continue;
            }
            let Some(turn) = self.locks.try_take(id) else {
                // Somebody is at it; what becomes of it is seen then.
                missing.insert(id.to_owned(), now);
                continue;
            };
            let since = lock(&self.missing).get(id).copied().unwrap_or(now);
            let gone = record.pod.netns.as_deref().is_none_or(|path| !path.exists());
            if !gone && now.duration_since(since) < patience {
                missing.insert(id.to_owned(), since);
                continue;
            }
            // It may have been deleted, and made anew, since the list was read.
            let Ok(Some(record)) = self.read(id) else { continue };
            tracing::info!(container = id, "deleted: the runtime has no such sandbox");
            if let Err(error) = self.store.doom(id, None, "the runtime has no such sandbox") {
                tracing::error!(container = id, error = %error, "deletion not written, left for the next time");
                continue;
            }
            let world = self.world(id, record.pod.netns.clone(), &record.pod.path);
            self.delete_all(&record, world, &turn);
        }
        if !missing.is_empty() {
            self.later.look_after(patience);
        }
        *lock(&self.missing) = missing;
    }

    /// Annotations that changed while nobody looked.
    fn follow_annotations(self: &Arc<Engine>, records: &[Record]) {
        let views = self.cluster.pods().unwrap_or_default();
        let views: BTreeMap<&PodKey, &Arc<PodView>> = views.iter().map(|view| (&view.key, view)).collect();
        for record in records.iter().filter(|record| record.doomed.is_none()) {
            let key = PodKey {
                namespace: record.pod.namespace.clone(),
                name: record.pod.name.clone(),
                uid: record.pod.uid.clone(),
            };
            if let Some(view) = views.get(&key) {
                self.follow(&record.pod.container_id, view);
            }
        }
    }
}
