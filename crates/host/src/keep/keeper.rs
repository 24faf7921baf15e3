//! The one who makes changes, keeps them, and takes them back.

use std::collections::{BTreeMap, BTreeSet};

use super::lock::Lock;
use super::pending::{Beginning, new_id};
use super::{
    Change, Entry, Fate, History, Launcher, Machinery, Outcome, Pending, Places, Process, Stage, clock,
    durable, restored,
};
use crate::files::Replaced;
use crate::{Error, Network, Result, Wanted};

/// What happens while one opens the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Another process is at work, and is waited for.
    Busy {
        /// Its number, when it has one here.
        pid: Option<i32>,
    },
    /// A change was found that had not come to its end.
    Recovered(Recovered),
}

/// What was done with a change that was found unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// It was taken back.
    RolledBack {
        /// The change.
        what: String,
        /// Why.
        why: String,
    },
    /// It had been confirmed, and has been written down now.
    Finished {
        /// The change.
        what: String,
    },
    /// The host has been started anew since, and the network with it.
    Dropped {
        /// The change.
        what: String,
    },
    /// Its record is unreadable, and has been put aside.
    Unreadable {
        /// What is wrong with it.
        reason: String,
        /// Where it is now.
        aside: std::path::PathBuf,
    },
}

/// Holds the lock on the records of a host.
#[derive(Debug)]
pub struct Keeper<M> {
    pub(super) places: Places,
    pub(super) machinery: M,
    _lock: Lock,
}

impl<M: Machinery> Keeper<M> {
    /// Takes the lock, waiting for who has it, and brings an unfinished change to its end.
    ///
    /// # Errors
    /// When the records cannot be read, or the unfinished change cannot be taken back.
    pub fn open(places: Places, machinery: M, told: &mut dyn FnMut(Told)) -> Result<Self> {
        let lock = match Lock::try_take(&places.lock())? {
            Ok(lock) => lock,
            Err(holder) => {
                told(Told::Busy { pid: holder.map(|holder| holder.pid) });
                Lock::take(&places.lock())?
            }
        };
        let mut keeper = Self { places, machinery, _lock: lock };
        keeper.recover(told)?;
        Ok(keeper)
    }

    /// As [`Keeper::open`], without waiting: `None` when another process is at work.
    ///
    /// # Errors
    /// As [`Keeper::open`].
    pub fn try_open(places: Places, machinery: M, told: &mut dyn FnMut(Told)) -> Result<Option<Self>> {
        Self::open_or_holder(places, machinery, told).map(std::result::Result::ok)
    }

    /// As [`Keeper::try_open`]; who is at work, when somebody is and has said so.
    pub(super) fn open_or_holder(
        places: Places,
        machinery: M,
        told: &mut dyn FnMut(Told),
    ) -> Result<std::result::Result<Self, Option<Process>>> {
        let lock = match Lock::try_take(&places.lock())? {
            Ok(lock) => lock,
            Err(holder) => return Ok(Err(holder)),
        };
        let mut keeper = Self { places, machinery, _lock: lock };
        keeper.recover(told)?;
        Ok(Ok(keeper))
    }

    /// The network now.
    ///
    /// # Errors
    /// When the kernel refuses a dump.
    pub fn read(&mut self) -> Result<Network> {
        self.machinery.read()
    }

    /// Where the records are.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// `host.yaml`, the last confirmed declared state.
    ///
    /// # Errors
    /// When it cannot be read or is no text.
    pub fn declared(&self) -> Result<Option<String>> {
        declared(&self.places)
    }

    /// The change that waits to be confirmed.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn waiting(&self) -> Result<Option<Pending>> {
        Ok(Pending::read(&self.places)?.filter(|pending| pending.waits().is_some()))
    }

    /// Makes a change: writes it down, starts the watchdog, applies, verifies; takes it back when that fails.
    ///
    /// # Errors
    /// [`Error::Waits`] when another is not confirmed yet, [`Error::RolledBack`] with the reason.
    pub fn make(&mut self, change: Change, watchdog: Option<&Launcher>) -> Result<Outcome> {
        self.refuse_while_waiting()?;
        let declared = [self.declared()?, change.declared];
        let files = change.files.iter().filter(|file| !file.is_there());
        let replaced = files.clone().map(crate::files::File::look).collect::<Result<Vec<_>>>()?;
        let beginning = Beginning {
            id: new_id(),
            namespace: self.machinery.namespace()?,
            what: change.what,
            undoes: None,
            confirm: change.confirm,
            before: change.before,
            read_at: clock::since_boot(),
            wanted: change.wanted,
            declared,
            files: replaced,
            gives_back: Vec::new(),
        };
        let written: Vec<_> = files.cloned().collect();
        self.carry_out(beginning, &written, watchdog)
    }

    /// Keeps the change that waits.
    ///
    /// # Errors
    /// [`Error::NothingWaits`] with what became of the last one.
    pub fn confirm(&mut self) -> Result<(String, u32)> {
        let Some(mut pending) = self.waiting()? else {
            let newest = History::of(&self.places).entries()?.pop().and_then(|newest| newest.entry.ok());
            let last = newest.map(|entry| match entry.fate {
                Fate::RolledBack { why } => format!("{} was rolled back, {why}", entry.what),
                Fate::Confirmed => format!("{} holds", entry.what),
                Fate::Undone => format!("{} was undone", entry.what),
            });
            return Err(Error::NothingWaits { last });
        };
        let number = self.keep(&mut pending)?;
        Ok((pending.what, number))
    }

    /// Takes back the change that waits, if one does; what it was.
    ///
    /// # Errors
    /// When the network refuses.
    pub fn take_back(&mut self, why: &str) -> Result<Option<String>> {
        let Some(mut pending) = self.waiting()? else { return Ok(None) };
        // When this is cut short, what is half taken back must not be confirmed. A full disk does not keep it from
        // being taken back.
        let _ = pending.begin_again(&self.places, why);
        self.roll_back(&pending, why)?;
        Ok(Some(pending.what))
    }

    /// Gives the change that waits a watchdog again, when it has none.
    ///
    /// # Errors
    /// [`Error::Watchdog`].
    pub fn watch_again(&mut self, watchdog: &Launcher) -> Result<()> {
        match self.waiting()? {
            Some(pending) if !watchdog.is_alive(&self.places, &pending.id) => {
                watchdog.start(&self.places, &pending.id)
            }
            _ => Ok(()),
        }
    }

    /// What changes the network without a record, as long as nothing waits: what is confirmed already, at boot.
    pub(super) fn lend(&mut self) -> Result<&mut M> {
        self.refuse_while_waiting()?;
        Ok(&mut self.machinery)
    }

    /// Refuses as long as another change waits to be confirmed.
    ///
    /// # Errors
    /// [`Error::Waits`].
    pub fn refuse_while_waiting(&self) -> Result<()> {
        match self.waiting()? {
            Some(pending) => {
                Err(Error::Waits { seconds: pending.waits().unwrap_or_default(), what: pending.what })
            }
            None => Ok(()),
        }
    }

    pub(super) fn carry_out(
        &mut self,
        beginning: Beginning,
        files: &[crate::files::File],
        watchdog: Option<&Launcher>,
    ) -> Result<Outcome> {
        // The watchdog is there before the record is: from then on somebody takes back what is written down.
        if let Some(launcher) = watchdog {
            launcher.start(&self.places, &beginning.id)?;
        }
        let mut pending = Pending::begin(Beginning { undoes: beginning.undoes, ..beginning });
        pending.write(&self.places)?;
        let applied = self.apply(&pending, files).and_then(|()| {
            pending.stage = match pending.confirm {
                Some(confirm) => Stage::Waiting { until: clock::since_boot().saturating_add(confirm) },
                None => Stage::Confirmed,
            };
            pending.write(&self.places)
        });
        if let Err(why) = applied {
            return Err(match self.roll_back(&pending, &why.to_string()) {
                Ok(()) => Error::RolledBack { why: Box::new(why) },
                Err(left) => Error::NotRolledBack { why: Box::new(why), left: Box::new(left) },
            });
        }
        let Some(confirm) = pending.confirm else { return self.finish(&pending).map(Outcome::Confirmed) };
        // Somebody may have ended it meanwhile.
        if let Some(launcher) = watchdog
            && !launcher.is_alive(&self.places, &pending.id)
        {
            launcher.start(&self.places, &pending.id)?;
        }
        Ok(Outcome::Waiting(confirm.as_secs()))
    }

    fn apply(&mut self, pending: &Pending, files: &[crate::files::File]) -> Result<()> {
        files.iter().try_for_each(crate::files::File::write)?;
        if !files.is_empty() {
            self.machinery.reload(&files.iter().map(|file| file.path.clone()).collect::<Vec<_>>());
        }
        self.machinery.converge(&pending.wanted)
    }

    /// From the first write on it is for good: whoever finds it finishes it.
    fn keep(&mut self, pending: &mut Pending) -> Result<u32> {
        pending.stage = Stage::Confirmed;
        pending.write(&self.places)?;
        self.finish(pending)
    }

    fn finish(&mut self, pending: &Pending) -> Result<u32> {
        match &pending.declared_after {
            Some(text) => durable::write(&self.places.declared(), text.as_bytes())?,
            None => durable::remove(&self.places.declared())?,
        }
        let history = History::of(&self.places);
        let number = match pending.undoes {
            Some(number) => {
                // The oldest last: what was there before all of them.
                pending.gives_back.iter().rev().try_for_each(Replaced::put_back)?;
                history.undone_from(number)?;
                number
            }
            None => history.add(&Entry::of(pending, Fate::Confirmed))?,
        };
        durable::remove(&self.places.pending())?;
        if !pending.gives_back.is_empty() {
            self.machinery.reload(&paths(&pending.gives_back));
        }
        Ok(number)
    }

    fn roll_back(&mut self, pending: &Pending, why: &str) -> Result<()> {
        self.network_before(pending, &pending.wanted).or_else(|error| self.piece_by_piece(pending, error))?;
        // The other tool may have its own again only when the network is as it was.
        pending.files.iter().try_for_each(Replaced::put_back)?;
        if !pending.files.is_empty() {
            self.machinery.reload(&paths(&pending.files));
        }
        self.forget(pending, why)
    }

    /// Makes what this part of a change could touch as it was before.
    fn network_before(&mut self, pending: &Pending, part: &Wanted) -> Result<()> {
        let current = self.machinery.read()?;
        let passed = clock::since_boot().saturating_sub(pending.read_at);
        self.machinery.converge(&restored(&current, &pending.before, part, passed))
    }

    /// One step that is refused must not leave everything after it as it is: every link for itself, again and again as long
    /// as another succeeds, then the rest. Done only when in the end the whole is as it was.
    fn piece_by_piece(&mut self, pending: &Pending, error: Error) -> Result<()> {
        let change = &pending.wanted;
        let part = |affected: BTreeSet<String>| Wanted {
            affected,
            rules: false,
            host_access: BTreeMap::new(),
            ..change.clone()
        };
        let mut left = change.affected.clone();
        loop {
            let before = left.len();
            left.retain(|name| self.network_before(pending, &part([name.clone()].into())).is_err());
            if left.is_empty() || left.len() == before {
                break;
            }
        }
        let rest =
            Wanted { rules: change.rules, host_access: change.host_access.clone(), ..part(BTreeSet::new()) };
        let rest = self.network_before(pending, &rest);
        if !left.is_empty() || rest.is_err() {
            return Err(error);
        }
        self.network_before(pending, change)
    }

    /// What has been taken back is over, also where a full disk has no room to tell of it.
    fn forget(&self, pending: &Pending, why: &str) -> Result<()> {
        let fate = Fate::RolledBack { why: why.to_owned() };
        let _ = History::of(&self.places).add(&Entry::of(pending, fate));
        durable::remove(&self.places.pending())
    }

    /// We have the lock, so the author of what is found is dead or done.
    fn recover(&mut self, told: &mut dyn FnMut(Told)) -> Result<()> {
        let mut pending = match Pending::read(&self.places) {
            Ok(None) => return Ok(()),
            Ok(Some(pending)) => pending,
            Err(Error::Record { path, reason }) => {
                // Nothing can be taken back from it; what the network has now stays, reachable or not as it is.
                let aside = path.with_extension("json.broken");
                durable::rename(&path, &aside)?;
                told(Told::Recovered(Recovered::Unreadable { reason, aside }));
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let what = pending.what.clone();
        let recovered = match pending.stage {
            Stage::Confirmed => {
                self.finish(&pending)?;
                Recovered::Finished { what }
            }
            _ if !pending.is_of_this_boot() => {
                pending.files.iter().try_for_each(Replaced::put_back)?;
                self.forget(&pending, "the host was started anew")?;
                Recovered::Dropped { what }
            }
            Stage::Waiting { until } if clock::since_boot() < until => return Ok(()),
            stage => {
                if self.machinery.namespace()? != pending.namespace {
                    return Err(Error::OtherNamespace { what, path: self.places.pending() });
                }
                let why = match (&pending.taken_back, stage, pending.confirm) {
                    (Some(why), ..) => why.clone(),
                    (None, Stage::Waiting { .. }, Some(time)) => {
                        format!("not confirmed in {} s", time.as_secs())
                    }
                    _ => "the program that made it was ended before it was done".to_owned(),
                };
                // From now on this process has the time that it takes, also by the watchdog's clock.
                let _ = pending.begin_again(&self.places, &why);
                self.roll_back(&pending, &why)?;
                Recovered::RolledBack { what, why }
            }
        };
        told(Told::Recovered(recovered));
        Ok(())
    }
}

fn paths(replaced: &[Replaced]) -> Vec<std::path::PathBuf> {
    replaced.iter().map(|replaced| replaced.path.clone()).collect()
}

/// `host.yaml`, read without the lock: it is whole at any moment.
pub(crate) fn declared(places: &Places) -> Result<Option<String>> {
    let path = places.declared();
    let text = durable::read(&path)?.map(String::from_utf8).transpose();
    let text = text.map_err(|_| Error::record(&path, &"it is no UTF-8 text"))?;
    match text {
        // We never write it so; a file system that lost its content leaves it so.
        Some(text) if text.trim().is_empty() => {
            Err(Error::record(&path, &"it is empty; remove it when nothing is declared"))
        }
        text => Ok(text),
    }
}
