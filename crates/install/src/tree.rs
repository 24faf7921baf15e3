//! Files of the node that are written with a way back.
//!
//! A path is noted in the manifest before it is touched; what was there is kept under a second name before it is replaced. So at any
//! moment: nothing kept means nothing replaced yet, or all given back.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::content::{Content, There};
use crate::lock::Lock;
use crate::manifest::{Before, Entry, Manifest};
use crate::{Error, Places, Result, durable};

/// The node's files, held against other installers.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) places: Places,
    pub(crate) manifest: Manifest,
    _lock: Lock,
}

/// What giving back a path has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// Ours is gone, and what was there is there again.
    Restored,
    /// Ours is gone; there was nothing.
    Removed,
    /// Somebody else has written there since, or we never came to it: left alone.
    LeftAlone,
}

impl Tree {
    pub(crate) fn open(places: Places) -> Result<Tree> {
        let lock = Lock::take(&places)?;
        let manifest = Manifest::read(&places)?;
        Ok(Tree { places, manifest, _lock: lock })
    }

    /// Puts content at a path of the node. False when it was there already.
    pub(crate) fn put(&mut self, path: &Path, content: &Content) -> Result<bool> {
        let here = self.places.here(path);
        let there = There::look(&here)?;
        let noted = self.manifest.entry(path);
        let ours = noted.is_some_and(|entry| is_ours(entry, &there));
        if ours && content.is(&there) {
            return Ok(false);
        }
        let foreign = !ours && there != There::Nothing;
        let before = match noted {
            _ if foreign => Before::Kept,
            Some(entry) => entry.before,
            None => Before::Nothing,
        };
        if let Some(dir) = path.parent() {
            self.make_dir(dir)?;
        }
        self.manifest.note(path, before, content.mark());
        self.manifest.save(&self.places)?;
        if foreign && let Some(entry) = self.manifest.entry(path) {
            keep(&here, &self.places.here(&entry.kept()))?;
        }
        content.write(&here)?;
        Ok(true)
    }

    /// Takes our content from a path and puts nothing in its place, whatever was there before. It stays noted.
    pub(crate) fn take_away(&mut self, path: &Path) -> Result<bool> {
        let here = self.places.here(path);
        let there = There::look(&here)?;
        let ours = self.manifest.entry(path).is_some_and(|entry| is_ours(entry, &there));
        if ours {
            durable::remove(&here)?;
        }
        Ok(ours)
    }

    /// Gives a path back and forgets it.
    pub(crate) fn give_back(&mut self, path: &Path) -> Result<Back> {
        let Some(entry) = self.manifest.entry(path) else { return Ok(Back::LeftAlone) };
        let here = self.places.here(path);
        let kept = self.places.here(&entry.kept());
        let there = There::look(&here)?;
        let is_kept = entry.before == Before::Kept && kept.symlink_metadata().is_ok();
        let ours = is_ours(entry, &there);
        let back = if is_kept && (ours || there == There::Nothing) {
            durable::restore(&here, &kept)?;
            // Renaming one name of a file to another of the same file leaves both.
            durable::remove(&kept)?;
            Back::Restored
        } else if ours && entry.before == Before::Nothing {
            durable::remove(&here)?;
            Back::Removed
        } else {
            durable::remove(&kept)?;
            Back::LeftAlone
        };
        let _ = fs::remove_file(durable::beside(&here));
        if let Some(dir) = kept.parent() {
            remove_empty(dir)?;
        }
        self.manifest.entries.retain(|entry| entry.path != path);
        self.manifest.save(&self.places)?;
        Ok(back)
    }

    /// Removes the directories that we made, as far as they are empty, and our own record.
    pub(crate) fn close(mut self) -> Result<()> {
        while let Some(dir) = self.manifest.made.last() {
            remove_empty(&self.places.here(dir))?;
            self.manifest.made.pop();
            self.manifest.save(&self.places)?;
        }
        durable::remove(&self.places.manifest())?;
        // The lock's file goes last: who comes now makes a new one.
        let lock = self.places.lock();
        durable::remove(&lock)?;
        let state = self.places.here(Places::state());
        let _ = fs::remove_file(durable::beside(&self.places.manifest()));
        remove_empty(&state)?;
        state.parent().map_or(Ok(()), remove_empty)
    }

    /// Makes a directory of the node with its parents, each noted before.
    pub(crate) fn make_dir(&mut self, dir: &Path) -> Result<()> {
        let mut missing: Vec<PathBuf> = Vec::new();
        let mut at = Some(dir);
        while let Some(path) = at.filter(|path| !self.places.here(path).is_dir()) {
            missing.push(path.to_owned());
            at = path.parent();
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.reverse();
        for path in &missing {
            if !self.manifest.made.contains(path) {
                self.manifest.made.push(path.clone());
            }
        }
        self.manifest.save(&self.places)?;
        for path in &missing {
            durable::make_dir(&self.places.here(path))?;
        }
        Ok(())
    }
}

fn is_ours(entry: &Entry, there: &There) -> bool {
    matches!(there, There::Something { what, .. } if entry.wrote.contains(what))
}

/// Gives what is at a path a second name. By a hard link it stays the same file: bytes, times, owner, attributes.
fn keep(path: &Path, kept: &Path) -> Result<()> {
    if let Some(dir) = kept.parent()
        && !dir.is_dir()
    {
        durable::make_dir(dir)?;
    }
    let same = |a: &Path, b: &Path| match (a.symlink_metadata(), b.symlink_metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    };
    if same(path, kept) {
        return Ok(());
    }
    durable::keep(kept, |next| match fs::hard_link(path, next) {
        // File systems without hard links, and links on those that have none for them.
        Err(error) if error.kind() != ErrorKind::NotFound => copy(path, next),
        other => other,
    })
}

/// A copy with everything that can be copied by name.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let meta = from.symlink_metadata()?;
    if meta.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
    } else {
        fs::copy(from, to)?;
        let file = fs::File::options().write(true).open(to)?;
        file.set_times(fs::FileTimes::new().set_accessed(meta.accessed()?).set_modified(meta.modified()?))?;
        file.sync_all()?;
    }
    std::os::unix::fs::lchown(to, Some(meta.uid()), Some(meta.gid()))
}

/// Removes a directory unless it has something in it.
fn remove_empty(dir: &Path) -> Result<()> {
    match fs::remove_dir(dir) {
        Err(error) if ![ErrorKind::NotFound, ErrorKind::DirectoryNotEmpty].contains(&error.kind()) => {
            // A mount point, as in a container, stays.
            if error.kind() == ErrorKind::ResourceBusy {
                Ok(())
            } else {
                Err(Error::file("remove", dir)(error))
            }
        }
        _ => Ok(()),
    }
}
