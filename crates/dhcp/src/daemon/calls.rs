//! The verbs, the list, and what was left behind by an earlier daemon.

use std::collections::BTreeMap;

use cni::forward::{CNI_PATH, HttpRequest, encode_response, parse_call};
use cni::{CniResult, Request, Verb, Version};

use super::Daemon;
use super::attachment::{Attachment, Waiting};
use super::connection::json_answer;
use super::place::Place;
use super::world::World;
use crate::clock::SECOND;
use crate::{identity, settings};

/// What a call is answered.
type Answer = cni::Result<Option<CniResult>>;

fn key_of(request: &Request) -> String {
    identity::key(&request.env.container_id, &request.name, &request.env.ifname)
}

impl Daemon {
    /// A whole request came in.
    pub(super) fn call(&mut self, id: u64, request: &HttpRequest) {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", CNI_PATH) => {
                let parsed = parse_call(&request.body);
                match parsed {
                    Err(error) => self.answer(id, &Err(error)),
                    Ok(call) => self.dispatch(id, call, String::from_utf8_lossy(&request.body).into_owned()),
                }
            }
            ("GET" | "POST", "/leases") => {
                let now = self.world.now();
                let rows: Vec<_> = self.attachments.values().flat_map(|a| a.list(now)).collect();
                let body = serde_json::Value::Array(rows).to_string();
                self.say(id, json_answer("200 OK", &body));
            }
            _ => {
                let body = format!(
                    r#"{{"error":{{"code":6,"msg":"no such path; known are POST {CNI_PATH} and GET /leases"}}}}"#
                );
                self.say(id, json_answer("404 Not Found", &body));
            }
        }
    }

    fn say(&mut self, id: u64, bytes: Vec<u8>) {
        let now = self.world.now();
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.answer(bytes, now);
        }
    }

    /// Answers a call. Results are sent in the newest version: the plugin converts.
    pub(super) fn answer(&mut self, id: u64, answer: &Answer) {
        self.say(id, encode_response(answer, Version::V110, false));
    }

    fn dispatch(&mut self, id: u64, call: Request, body: String) {
        tracing::debug!(verb = call.env.verb.as_str(), key = key_of(&call), "call");
        let answer = match call.env.verb {
            Verb::Add => match self.add(id, call, body) {
                Ok(answer) => answer.map(Some).map(Ok),
                Err(error) => Some(Err(error)),
            },
            Verb::Del => self.del(Some(id), &call).then_some(Ok(None)),
            Verb::Check => Some(self.check(&call).map(|()| None)),
            // It answers: that is the status.
            Verb::Status | Verb::Version => Some(Ok(None)),
            Verb::Gc => Some(self.gc(&call).map(|()| None)),
        };
        if let Some(answer) = answer {
            self.answer(id, &answer);
        }
    }

    /// Starts an ADD. A result at once when the lease is there already, as with the reference plugin.
    fn add(&mut self, id: u64, call: Request, body: String) -> cni::Result<Option<CniResult>> {
        let key = key_of(&call);
        let mut before = None;
        if let Some(attachment) = self.attachments.get(&key) {
            if attachment.waiting.is_some() {
                return Err(cni::Error::try_again(format!("an ADD of {key} is in progress")));
            }
            if attachment.releasing.is_some() {
                self.forget(&key);
            } else {
                let netns = call.env.netns.as_deref().unwrap_or_else(|| std::path::Path::new(""));
                let place = Place::find(&self.world.host_path(netns), &call.env.ifname)?;
                if let (true, Some(result)) = (attachment.is_at(&place), attachment.result()) {
                    return Ok(Some(result));
                }
                // The link was made anew: the old one's addresses are asked for again.
                before = Some(attachment.record(&self.world));
                self.attachments.remove(&key);
            }
        }
        let own = settings::Settings::parse(&call)?.timeout.map(|s| u64::from(s) * SECOND);
        let until = self.world.now() + own.unwrap_or(self.world.options.limit);
        let waiting = Waiting { connection: id, until };
        let attachment = match Attachment::start(call, body, waiting, before.as_ref(), &self.world) {
            Ok(attachment) => attachment,
            Err(error) => {
                let _ = self.world.store.remove(&key);
                return Err(error.into());
            }
        };
        self.attachments.insert(key.clone(), attachment);
        self.step(&key);
        Ok(None)
    }

    /// Gives an attachment's leases back. True when that is done.
    fn del(&mut self, id: Option<u64>, call: &Request) -> bool {
        let key = key_of(call);
        let Some(attachment) = self.attachments.get_mut(&key) else {
            // A record that could not be resumed, or nothing: DEL of what is not there succeeds.
            if let Err(error) = self.world.store.remove(&key) {
                tracing::error!(key, error = %error, "record not removed");
            }
            return true;
        };
        if let Some(waiting) = attachment.waiting.take() {
            let error = cni::Error::try_again(format!("DEL of {key} came while ADD waited for a lease"));
            self.answer(waiting.connection, &Err(error));
        }
        self.release(&key, id.into_iter().collect())
    }

    /// True when nothing is awaited any more.
    fn release(&mut self, key: &str, callers: Vec<u64>) -> bool {
        let Some(attachment) = self.attachments.get_mut(key) else { return true };
        if let Some((waiting, _)) = &mut attachment.releasing {
            waiting.extend(callers);
            return false;
        }
        if attachment.release(callers.clone(), &self.world) {
            return false;
        }
        if let Some((waiting, _)) = &mut attachment.releasing {
            // They are answered by who called us.
            waiting.retain(|id| !callers.contains(id));
        }
        self.forget(key);
        true
    }

    /// Drops an attachment and its record, and answers the DELs that wait for that.
    pub(super) fn forget(&mut self, key: &str) {
        if let Err(error) = self.world.store.remove(key) {
            tracing::error!(key, error = %error, "record not removed");
        }
        let Some(attachment) = self.attachments.remove(key) else { return };
        for id in attachment.releasing.map(|(ids, _)| ids).unwrap_or_default() {
            self.answer(id, &Ok(None));
        }
    }

    /// An attachment that cannot go on: what it has is given back, its caller gets the error.
    pub(super) fn fail(&mut self, key: &str, error: cni::Error) {
        let Some(attachment) = self.attachments.get_mut(key) else { return };
        if let Some(waiting) = attachment.waiting.take() {
            self.answer(waiting.connection, &Err(error));
        }
        self.release(key, Vec::new());
    }

    /// The client of a call went away before its answer: nobody will use what it asked for.
    pub(super) fn abandon(&mut self, id: u64) {
        let waits = |a: &Attachment| a.waiting.is_some_and(|w| w.connection == id);
        let key = self.attachments.iter().find(|(_, a)| waits(a)).map(|(key, _)| key.clone());
        if let Some(key) = key {
            tracing::info!(key, "caller went away");
            self.fail(&key, cni::Error::try_again("the caller went away"));
        }
    }

    fn check(&self, call: &Request) -> cni::Result<()> {
        let key = key_of(call);
        let missing = |why: String| cni::Error::internal(format!("dhcp: no lease for {key}: {why}"));
        let attachment = self.attachments.get(&key).filter(|a| a.releasing.is_none());
        let attachment = attachment.ok_or_else(|| missing("the daemon does not know it".to_owned()))?;
        attachment.place.check()?;
        attachment.result().map(|_| ()).ok_or_else(|| missing(attachment.complaint()))
    }

    fn gc(&mut self, call: &Request) -> cni::Result<()> {
        let Some(valid) = call.valid_attachments()? else { return Ok(()) };
        let stays = |a: &Attachment| {
            let (env, name) = (&a.request.env, &a.request.name);
            *name != call.name
                || valid.iter().any(|v| v.container_id == env.container_id && v.ifname == env.ifname)
        };
        let go: Vec<String> =
            self.attachments.iter().filter(|(_, a)| !stays(a)).map(|(key, _)| key.clone()).collect();
        for key in go {
            self.fail(&key, cni::Error::try_again("GC came while ADD waited for a lease"));
        }
        Ok(())
    }
}

/// At the start: goes on with the leases on disk. What has no link any more is forgotten.
pub(super) fn resume(world: &World) -> BTreeMap<String, Attachment> {
    let mut attachments = BTreeMap::new();
    let records = match world.store.all() {
        Ok(records) => records,
        Err(error) => {
            tracing::error!(error = %error, "leases not read");
            return attachments;
        }
    };
    let (now, wall) = (world.now(), World::wall());
    for (key, mut record) in records {
        record.rebase(&world.boot, now, wall);
        let request = parse_call(record.call.as_bytes()).map_err(crate::Error::from);
        match request.and_then(|request| Attachment::resume(request, &record, world)) {
            Ok(attachment) => {
                tracing::info!(key, "lease resumed");
                attachments.insert(key, attachment);
            }
            Err(error) => {
                tracing::info!(key, error = %error, "lease forgotten");
                let _ = world.store.remove(&key);
            }
        }
    }
    attachments
}

/// At the start: DELs that plugins left on disk while there was no daemon. Their leases are given back at once; a
/// DHCPv6 server's acknowledgement is awaited later, in the loop.
pub(super) fn take_spool(world: &World, attachments: &mut BTreeMap<String, Attachment>) {
    let dir = world.options.state_dir.join("spool");
    let Ok(entries) = std::fs::read_dir(&dir) else { return };
    for path in entries.filter_map(|e| Some(e.ok()?.path())) {
        // A file with another end is being written by a plugin, or was by one that was killed.
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let call = std::fs::read(&path).ok().and_then(|body| parse_call(&body).ok());
        match call {
            Some(call) if call.env.verb == Verb::Del => {
                let key = key_of(&call);
                tracing::info!(key, "DEL from the spool");
                let waits = attachments.get_mut(&key).is_some_and(|a| a.release(Vec::new(), world));
                if !waits {
                    attachments.remove(&key);
                    let _ = world.store.remove(&key);
                }
            }
            _ => tracing::warn!(path = %path.display(), "spooled call cannot be read, dropped"),
        }
        let _ = std::fs::remove_file(&path);
    }
}
