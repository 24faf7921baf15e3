//! Taking back what was confirmed.

use std::time::Duration;

use super::pending::{Beginning, new_id};
use super::restore::Past;
use super::{Entry, Fate, History, Keeper, Launcher, Machinery, Outcome, clock, durable};
use crate::carried::Carried;
use crate::files::Replaced;
use crate::{Error, Network, Plan, Result, State, Wanted};

/// What it takes to undo a change and all later ones.
#[derive(Clone, Debug)]
pub struct Undoing {
    /// The change's number.
    pub number: u32,
    /// The change, in a person's words.
    pub what: String,
    /// What would be done.
    pub plan: Plan,
    before: Network,
    read_at: Duration,
    wanted: Wanted,
    declared_before: Option<String>,
    gives_back: Vec<Replaced>,
    /// What is in `host.yaml` and was not written by a change.
    by_hand: Option<String>,
}

impl Undoing {
    /// Whether `host.yaml` was edited since the newest change: the undo keeps a copy of it.
    pub fn was_edited(&self) -> bool {
        self.by_hand.is_some()
    }

    /// What containers would lose.
    ///
    /// # Errors
    /// When the host's namespaces cannot be read.
    pub fn carried(&self) -> Result<Vec<Carried>> {
        self.plan.carried_here()
    }
}

impl<M: Machinery> Keeper<M> {
    /// What it takes to take back the change of that number and all later ones; the newest that holds without a number.
    ///
    /// # Errors
    /// [`Error::Waits`], [`Error::NothingToUndo`], [`Error::NoSuchChange`], [`Error::NotHeld`]; when it cannot be planned.
    pub fn plan_undo(&mut self, number: Option<u32>) -> Result<Undoing> {
        self.refuse_while_waiting()?;
        let (number, entry) = self.held(number)?;
        let before = self.machinery.read()?;
        // Every change since then is taken back too: what any of them touched.
        let mut gives_back = entry.files.clone();
        let mut newest = entry.declared_after.clone();
        let mut later = Vec::new();
        for numbered in History::of(&self.places).entries()? {
            let Ok(mut change) = numbered.entry else { continue };
            if numbered.number > number && change.fate == Fate::Confirmed {
                gives_back.append(&mut change.files);
                newest.clone_from(&change.declared_after);
                later.push(change);
            }
        }
        let changes = std::iter::once(&entry).chain(&later).map(|change| (&change.before, &change.wanted));
        let past =
            Past { current: &before, changes: changes.collect(), passed: entry.passed(), is_half: false };
        let wanted = past.wanted();
        let mut plan = Plan::new(&before, &wanted)?;
        plan.host_access(&before, &wanted, &State::default());
        let (what, declared_before) = (entry.what, entry.declared_before);
        let read_at = clock::since_boot();
        let by_hand = self.declared()?.filter(|text| newest.as_ref() != Some(text));
        Ok(Undoing { number, what, plan, before, read_at, wanted, declared_before, gives_back, by_hand })
    }

    /// Takes back what was planned.
    ///
    /// # Errors
    /// As [`Keeper::make`].
    pub fn undo(
        &mut self,
        undoing: Undoing,
        confirm: Option<Duration>,
        watchdog: Option<&Launcher>,
    ) -> Result<Outcome> {
        self.refuse_while_waiting()?;
        if let Some(text) = &undoing.by_hand {
            durable::write(&self.places.edited(), text.as_bytes())?;
        }
        let beginning = Beginning {
            id: new_id(),
            namespace: self.machinery.namespace()?,
            what: format!("undo of {}, {}", undoing.number, undoing.what),
            undoes: Some(undoing.number),
            confirm,
            before: undoing.before,
            read_at: undoing.read_at,
            wanted: undoing.wanted,
            declared: [self.declared()?, undoing.declared_before],
            files: Vec::new(),
            gives_back: undoing.gives_back,
        };
        self.carry_out(beginning, &[], watchdog)
    }

    /// The newest change that holds, or the one of that number if it holds.
    ///
    /// # Errors
    /// As [`Keeper::undo`].
    pub fn held(&self, number: Option<u32>) -> Result<(u32, Entry)> {
        let history = History::of(&self.places);
        if let Some(number) = number {
            let entry = history.entry(number)?;
            return match &entry.fate {
                Fate::Confirmed => Ok((number, entry)),
                Fate::RolledBack { why } => {
                    Err(Error::NotHeld { number, fate: format!("rolled back, {why}") })
                }
                Fate::Undone => Err(Error::NotHeld { number, fate: "undone".to_owned() }),
            };
        }
        let entries = history.entries()?.into_iter().rev();
        let mut readable = entries.filter_map(|numbered| Some((numbered.number, numbered.entry.ok()?)));
        readable.find(|(_, entry)| entry.fate == Fate::Confirmed).ok_or(Error::NothingToUndo)
    }
}
