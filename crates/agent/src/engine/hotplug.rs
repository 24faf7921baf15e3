//! A running pod whose annotation changed: interfaces come and go, everything else stays untouched.

use std::time::Instant;

use api::status::Statuses;
use api::{Delegate, DelegateCall, Event, default_routes, hotplug, sequence};
use cni::CniResult;

use super::asking::Asking;
use super::claimed::Claimant;
use super::delegate::World;
use super::locks::lock;
use super::{Arc, Config, Engine};
use crate::{PodKey, PodView, Record};

impl Engine {
    /// The pod's annotation changed: follows it, in all sandboxes that it has. What fails is told by an event and tried
    /// again at the next change.
    pub fn annotation_changed(self: &Arc<Engine>, pod: &PodView) {
        for id in self.containers_of(&pod.key) {
            lock(&self.refused).remove(&id);
            self.follow(&id, pod);
        }
    }

    /// The pod is gone from the API server. Its DEL comes from the runtime; should none come, a look at the runtime shows it.
    pub fn pod_gone(&self, pod: &PodKey) {
        if !self.containers_of(pod).is_empty() {
            self.later.look_after(self.setup.limits.missing);
        }
    }

    /// The pod has a new sandbox. A runtime that was killed while it made one knows nothing of it when it is back, and never
    /// calls DEL: when there is another, the runtime is asked which it has.
    pub(super) fn pod_added(&self, pod: &PodKey) {
        if self.containers_of(pod).len() > 1 {
            self.later.look_after(self.setup.limits.retry);
        }
    }

    fn containers_of(&self, pod: &PodKey) -> Vec<String> {
        self.store.containers_of(pod).unwrap_or_else(|error| {
            tracing::error!(error = %error, "store not read");
            Vec::new()
        })
    }

    /// Brings one container to its pod's annotation.
    pub(super) fn follow(self: &Arc<Engine>, id: &str, pod: &PodView) {
        let annotation = pod.networks.clone().unwrap_or_default();
        if lock(&self.refused).get(id) == Some(&annotation) {
            return;
        }
        // An ADD reads the annotation itself; what changes after that comes here again.
        let until = Instant::now() + self.setup.limits.cluster;
        let Some(_turn) = self.locks.take(id, until) else {
            return self.later.look_after(self.setup.limits.cluster);
        };
        let Ok(Some(record)) = self.read(id) else { return };
        if record.doomed.is_some() || record.attachments.first().is_none_or(|first| first.result.is_none()) {
            return;
        }
        // Whether a pod may name a network is not guessed. With the first call the settings come, and with the next change this.
        let Some(config) = self.known_config() else { return };
        match self.change(&record, pod, &config) {
            Ok(change) if change.is_empty() => {
                lock(&self.refused).remove(id);
                // An agent that was killed, or an API server that was away, between the change and its status.
                let mut world = self.world(id, record.pod.netns.clone(), &record.pod.path);
                if pod.status.as_ref() != Some(&statuses(&record, &mut world).to_annotation()) {
                    self.write_statuses(id, pod, &mut world);
                }
            }
            Ok(change) => {
                if self.plug(&record, change, pod) {
                    lock(&self.refused).remove(id);
                } else {
                    lock(&self.refused).insert(id.to_owned(), annotation);
                }
            }
            Err(error) => {
                tracing::warn!(container = id, error = %error, "annotation not followed");
                self.cluster.event(&pod.key, error.event());
                lock(&self.refused).insert(id.to_owned(), annotation);
            }
        }
    }

    /// What is to be done; places in `remove` become places among the pod's networks.
    fn change(&self, record: &Record, pod: &PodView, config: &Config) -> api::Result<hotplug::Change> {
        let options = config.options()?;
        let held: Vec<DelegateCall> = record
            .attachments
            .iter()
            .filter(|attachment| attachment.doomed.is_none() && attachment.result.is_some())
            .map(|attachment| attachment.call.clone())
            .collect();
        let asking = Asking::running(&record.pod.container_id, &record.pod.ifname, &pod.key, pod);
        let mut change = asking.change(&held, &options, &self.definitions(config, asking.key()))?;
        change.remove =
            change.remove.iter().filter_map(|at| held.get(*at)).map(|call| call.position).collect();
        // A place that waits for its deletion is not free.
        let highest = |calls: &mut dyn Iterator<Item = usize>| calls.max().unwrap_or(0);
        let known = highest(&mut record.attachments.iter().map(|attachment| attachment.call.position));
        let shift = known - highest(&mut held.iter().map(|call| call.position));
        change.add.iter_mut().for_each(|call| call.position += shift);
        Ok(change)
    }

    /// Makes the change. False when something of it failed.
    fn plug(self: &Arc<Engine>, record: &Record, change: hotplug::Change, pod: &PodView) -> bool {
        let id = record.pod.container_id.clone();
        let mut world = self.world(&id, record.pod.netns.clone(), &record.pod.path);
        let mut events = change.events;
        let removed = self.unplug(record, &change.remove, &mut world, &mut events);
        let held = record.attachments.iter().filter(|held| !change.remove.contains(&held.call.position));
        let calls = held.map(|attachment| &attachment.call).chain(&change.add);
        let until = Instant::now() + self.setup.limits.cluster;
        match Claimant::of(&Arc::new(pod.clone()), calls, until) {
            Ok(claimant) => world.claimant = Some(Arc::new(claimant)),
            // Whatever of the change needs an address is told so.
            Err(error) => events.push(error.event()),
        }
        let mut added = true;
        for mut call in change.add {
            let filled = self.fill(std::iter::once(&mut call), until).map_err(|error| error.to_cni());
            match filled.and_then(|_held| self.plug_one(record, &call, &mut world)) {
                Ok(result) => events.extend(Event::added(&call.ifname, &result, &call.network.to_string())),
                Err(error) => {
                    added = false;
                    let text = format!("interface {} of network {}: {error}", call.ifname, call.network);
                    tracing::warn!(container = id, error = %error, "not plugged in");
                    events.push(Event::warning(api::event::NETWORK_REFUSED, text));
                }
            }
        }
        self.write_statuses(&id, pod, &mut world);
        for event in events {
            self.cluster.event(&pod.key, event);
        }
        removed && added
    }

    fn unplug(
        self: &Arc<Engine>,
        record: &Record,
        positions: &[usize],
        world: &mut World,
        events: &mut Vec<Event>,
    ) -> bool {
        let id = record.pod.container_id.as_str();
        if positions.is_empty() {
            return true;
        }
        if let Err(error) =
            self.store.doom(id, Some(positions), "the annotation does not ask for it any more")
        {
            tracing::error!(container = id, error = %error, "nothing unplugged");
            return false;
        }
        let going = record.attachments.iter().rev();
        let mut all = true;
        for attachment in going.filter(|attachment| positions.contains(&attachment.call.position)) {
            let call = &attachment.call;
            events.push(Event::removed(&call.ifname, &call.network.to_string()));
            let gone = sequence::del_one(call, attachment.result.as_ref(), world);
            let written = match &gone {
                Ok(()) => self.store.gone(id, &[call.position]),
                Err(error) => self.store.doom(id, Some(&[call.position]), &error.to_string()),
            };
            if let (Err(_), _) | (_, Err(_)) = (&gone, &written) {
                all = false;
                self.later.push(id, self.setup.limits);
            }
        }
        self.lans_changed();
        all
    }

    fn plug_one(
        self: &Arc<Engine>,
        record: &Record,
        call: &DelegateCall,
        world: &mut World,
    ) -> cni::Result<CniResult> {
        let id = record.pod.container_id.as_str();
        let stored = |error: crate::Error| error.to_cni();
        if !self.store.attach(id, std::slice::from_ref(call)).map_err(stored)? {
            return Err(cni::Error::try_again("the pod was deleted meanwhile"));
        }
        let made = sequence::add_one(call, world).and_then(|mut result| {
            call.verify(&result).map_err(|error| error.to_cni())?;
            // The default route stays with whoever has it.
            let held: Vec<(&DelegateCall, &CniResult)> = record
                .attachments
                .iter()
                .filter_map(|attachment| Some((&attachment.call, attachment.result.as_ref()?)))
                .chain([(call, &result)])
                .collect();
            let changes = default_routes(&held).map_err(|error| error.to_cni())?;
            for change in changes.iter().filter(|change| change.position == call.position) {
                world.change_default_route(change)?;
                change.amend(&mut result);
            }
            self.store.made(id, &[(call.position, &result)]).map_err(stored)?;
            Ok(result)
        });
        if made.is_err() {
            world.unmade = true;
            let undone = sequence::del_one(call, None, world);
            let written = match &undone {
                Ok(()) => self.store.gone(id, &[call.position]),
                Err(error) => self.store.doom(id, Some(&[call.position]), &error.to_string()),
            };
            world.unmade = false;
            if undone.is_err() || written.is_err() {
                self.later.push(id, self.setup.limits);
            }
        }
        made
    }

    /// The status of everything that is made, from the record: the watch may be behind. When it cannot be written, it is later.
    fn write_statuses(&self, id: &str, pod: &PodView, world: &mut World) {
        let Ok(Some(record)) = self.read(id) else { return };
        let annotation = statuses(&record, world).to_annotation();
        let until = Instant::now() + self.setup.limits.cluster;
        if let Err(error) = self.cluster.write_status(&pod.key, &annotation, until) {
            tracing::warn!(container = id, error = %error, "status not written, it is later");
            self.later.look_after(self.setup.limits.cluster);
        }
    }
}

fn statuses(record: &Record, world: &mut World) -> Statuses {
    let mut statuses = Statuses::default();
    for attachment in record.attachments.iter().filter(|attachment| attachment.doomed.is_none()) {
        let Some(result) = &attachment.result else { continue };
        let call = &attachment.call;
        let device = call.device.as_ref().and_then(|device| world.device_info(device));
        statuses.add(result, &call.network.to_string(), call.position == 0, device.as_ref());
    }
    statuses
}
