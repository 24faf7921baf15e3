//! What was changed, and what became of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Pending, Places, clock, durable};
use crate::{Error, Network, Result, Wanted};

/// Version of the files' format.
const VERSION: u32 = 1;
/// Older ones are removed.
const KEPT: usize = 100;

/// A past change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    version: u32,
    /// As [`Pending::id`].
    pub id: String,
    /// In a person's words.
    pub what: String,
    /// Seconds since 1970 at its end.
    pub time: u64,
    /// What became of it.
    pub fate: Fate,
    /// The boot that it was made in.
    pub boot: String,
    /// Time since boot at which `before` was read.
    pub read_at: Duration,
    /// The network as it was.
    pub before: Network,
    /// The network as it was wanted, and what of it could be touched.
    pub wanted: Wanted,
    /// `host.yaml` as it was.
    pub declared_before: Option<String>,
    /// `host.yaml` as it became.
    pub declared_after: Option<String>,
    /// Files of other tools that it wrote, as they were.
    #[serde(default)]
    pub files: Vec<crate::files::Replaced>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It holds, or held until a later one.
    Confirmed,
    /// It was taken back before it was confirmed.
    RolledBack {
        /// Why.
        why: String,
    },
    /// It was taken back later.
    Undone,
}

/// An entry with its number, or why it cannot be read.
#[derive(Debug)]
pub struct Numbered {
    /// From 1.
    pub number: u32,
    /// What the file holds.
    pub entry: Result<Entry>,
}

/// The directory of past changes.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    places: &'a Places,
}

impl Entry {
    pub(crate) fn of(pending: &Pending, fate: Fate) -> Self {
        let pending = pending.clone();
        Self {
            version: VERSION,
            id: pending.id,
            what: pending.what,
            time: clock::unix(),
            fate,
            boot: pending.boot,
            read_at: pending.read_at,
            before: pending.before,
            wanted: pending.wanted,
            declared_before: pending.declared_before,
            declared_after: pending.declared_after,
            files: pending.files,
        }
    }

    /// Time since `before` was read: by the clock of the boot, or the wall's when that boot is over.
    pub(crate) fn passed(&self) -> Duration {
        if self.boot == clock::boot_id() {
            clock::since_boot().saturating_sub(self.read_at)
        } else {
            Duration::from_secs(clock::unix().saturating_sub(self.time))
        }
    }
}

impl<'a> History<'a> {
    /// Of these places.
    pub fn of(places: &'a Places) -> Self {
        Self { places }
    }

    /// All entries, oldest first. One that cannot be read does not hide the others.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn entries(&self) -> Result<Vec<Numbered>> {
        let read = |number| Numbered { number, entry: self.entry(number) };
        Ok(self.numbers()?.into_iter().map(read).collect())
    }

    /// One entry.
    ///
    /// # Errors
    /// [`Error::NoSuchChange`], [`Error::Record`].
    pub fn entry(&self, number: u32) -> Result<Entry> {
        let path = self.path(number);
        let content = durable::read(&path)?;
        let Some(content) = content else {
            return Err(Error::NoSuchChange { number, newest: self.numbers()?.last().copied() });
        };
        let entry: Entry = serde_json::from_slice(&content).map_err(|error| Error::record(&path, &error))?;
        if entry.version == VERSION {
            Ok(entry)
        } else {
            let reason = format!("version {}, and this program knows {VERSION}", entry.version);
            Err(Error::record(&path, &reason))
        }
    }

    /// Appends an entry, once for each change; its number.
    pub(crate) fn add(&self, entry: &Entry) -> Result<u32> {
        let numbers = self.numbers()?;
        if let Some(last) = numbers.last()
            && self.entry(*last).is_ok_and(|there| there.id == entry.id)
        {
            return Ok(*last);
        }
        let number = numbers.last().copied().unwrap_or_default().saturating_add(1);
        self.write(number, entry)?;
        let surplus = (numbers.len() + 1).saturating_sub(KEPT);
        numbers.iter().take(surplus).try_for_each(|old| durable::remove(&self.path(*old)))?;
        Ok(number)
    }

    /// Marks this confirmed entry and all later ones as undone.
    pub(crate) fn undone_from(&self, number: u32) -> Result<()> {
        for number in self.numbers()?.into_iter().filter(|other| *other >= number) {
            // One that cannot be read has nothing to be marked.
            let Ok(mut entry) = self.entry(number) else { continue };
            if entry.fate == Fate::Confirmed {
                entry.fate = Fate::Undone;
                self.write(number, &entry)?;
            }
        }
        Ok(())
    }

    fn write(&self, number: u32, entry: &Entry) -> Result<()> {
        let path = self.path(number);
        let text = serde_json::to_vec(entry).map_err(|error| Error::record(&path, &error))?;
        durable::write(&path, &text)
    }

    fn path(&self, number: u32) -> std::path::PathBuf {
        self.places.history().join(format!("{number:04}.json"))
    }

    fn numbers(&self) -> Result<Vec<u32>> {
        let dir = self.places.history();
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file("read", &dir, error)),
        };
        let number = |name: std::ffi::OsString| name.to_str()?.strip_suffix(".json")?.parse().ok();
        let mut numbers: Vec<u32> =
            entries.flatten().filter_map(|entry| number(entry.file_name())).filter(|n| *n > 0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }
}
