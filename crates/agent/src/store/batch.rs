//! Changes, and their way to the disk together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Database, ReadableTable, TableDefinition, WriteTransaction};

pub(super) type Pods = TableDefinition<'static, &'static str, &'static str>;
pub(super) type Rows = TableDefinition<'static, (&'static str, u64), &'static str>;

/// Container ID to pod.
pub(super) const PODS: Pods = TableDefinition::new("pods");
/// Container ID and place to call.
pub(super) const CALLS: Rows = TableDefinition::new("calls");
/// The same to result: the attachment is made.
pub(super) const RESULTS: Rows = TableDefinition::new("results");
/// The same to reason: the attachment is to be deleted. Place [`WHOLE`] is the pod.
pub(super) const DOOMED: Rows = TableDefinition::new("doomed");

/// What is known of the store itself.
pub(super) const META: Pods = TableDefinition::new("meta");
/// Its key for records that were lost.
pub(super) const LOST: &str = "lost";

/// The place that stands for the pod with all its attachments.
pub(super) const WHOLE: u64 = u64::MAX;

#[derive(Debug)]
pub(super) enum Change {
    Nothing,
    Lost(bool),
    Begin { id: String, pod: String, calls: Vec<(u64, String)>, results: Vec<(u64, String)> },
    Made { id: String, results: Vec<(u64, String)> },
    Attach { id: String, calls: Vec<(u64, String)> },
    Doom { id: String, positions: Option<Vec<u64>>, reason: String },
    Gone { id: String, positions: Vec<u64> },
    Forget { id: String },
}

/// The answer to one change, once it is on disk.
type Slot = Arc<Mutex<Option<Result<bool, String>>>>;

/// Changes that wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Batch {
    queue: Mutex<Vec<(Change, Slot)>>,
    writer: Mutex<()>,
}

impl Batch {
    /// Puts the change on disk, with all others that wait.
    pub(super) fn commit(&self, database: &Database, change: Change) -> Result<bool, String> {
        let slot = Slot::default();
        lock(&self.queue).push((change, Arc::clone(&slot)));
        let writer = lock(&self.writer);
        // While this one waited, another may have taken it along.
        if let Some(done) = lock(&slot).take() {
            return done;
        }
        let waiting = std::mem::take(&mut *lock(&self.queue));
        let (changes, slots): (Vec<Change>, Vec<Slot>) = waiting.into_iter().unzip();
        let done = write(database, &changes).map_err(|error| error.to_string());
        for (at, slot) in slots.iter().enumerate() {
            let answer = match &done {
                Ok(answers) => Ok(answers.get(at).copied().unwrap_or(false)),
                Err(error) => Err(error.clone()),
            };
            *lock(slot) = Some(answer);
        }
        drop(writer);
        lock(&slot).take().unwrap_or_else(|| Err("the change was lost".to_owned()))
    }
}

/// No thread panics while it holds one of these; and if one does, what is behind the lock is whole all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(database: &Database, changes: &[Change]) -> Result<Vec<bool>, redb::Error> {
    let transaction = database.begin_write()?;
    let answers = changes.iter().map(|change| apply(&transaction, change)).collect::<Result<_, _>>()?;
    transaction.commit()?;
    Ok(answers)
}

fn apply(transaction: &WriteTransaction, change: &Change) -> Result<bool, redb::Error> {
    let mut pods = transaction.open_table(PODS)?;
    let mut calls = transaction.open_table(CALLS)?;
    let mut results = transaction.open_table(RESULTS)?;
    let mut doomed = transaction.open_table(DOOMED)?;
    let mut meta = transaction.open_table(META)?;
    let known = |id: &str| -> Result<bool, redb::Error> { Ok(pods.get(id)?.is_some()) };
    match change {
        Change::Nothing => {}
        Change::Lost(true) => drop(meta.insert(LOST, "")?),
        Change::Lost(false) => drop(meta.remove(LOST)?),
        Change::Begin { id, pod, calls: new, results: made } => {
            if known(id)? {
                return Ok(false);
            }
            pods.insert(id.as_str(), pod.as_str())?;
            for (position, call) in new {
                calls.insert((id.as_str(), *position), call.as_str())?;
            }
            for (position, result) in made {
                results.insert((id.as_str(), *position), result.as_str())?;
            }
        }
        Change::Made { id, results: new } => {
            for (position, result) in new {
                // What is gone meanwhile does not come back by its result.
                if calls.get((id.as_str(), *position))?.is_some() {
                    results.insert((id.as_str(), *position), result.as_str())?;
                }
            }
            return known(id);
        }
        Change::Attach { id, calls: new } => {
            if !known(id)? {
                return Ok(false);
            }
            for (position, call) in new {
                calls.insert((id.as_str(), *position), call.as_str())?;
            }
        }
        Change::Doom { id, positions, reason } => {
            if !known(id)? {
                return Ok(false);
            }
            for position in positions.as_deref().unwrap_or(&[WHOLE]) {
                doomed.insert((id.as_str(), *position), reason.as_str())?;
            }
        }
        Change::Gone { id, positions } => {
            for position in positions {
                calls.remove((id.as_str(), *position))?;
                results.remove((id.as_str(), *position))?;
                doomed.remove((id.as_str(), *position))?;
            }
            return known(id);
        }
        Change::Forget { id } => {
            for table in [&mut calls, &mut results, &mut doomed] {
                table.retain_in((id.as_str(), 0)..=(id.as_str(), WHOLE), |_, _| false)?;
            }
            return Ok(pods.remove(id.as_str())?.is_some());
        }
    }
    Ok(true)
}
