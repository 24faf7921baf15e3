//! A disk that can lose its power: what is synced stays, of what is not each write may be there, or half of it.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

#[derive(Debug, Clone)]
enum Op {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Default)]
struct State {
    /// What survives whatever happens.
    durable: Vec<u8>,
    /// What has been written since.
    pending: Vec<Op>,
    /// What reading sees.
    current: Vec<u8>,
    /// Changes made so far, and the one before which the power goes.
    steps: usize,
    last: usize,
}

/// The disk; a clone is the same one.
#[derive(Debug, Clone)]
pub(super) struct Disk(Arc<Mutex<State>>);

/// What happens to the writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// All are lost.
    Lost,
    /// All are there: the process died, the kernel did not.
    Kept,
    /// Some are there, in any order, and some of those in half; the number chooses.
    Some(u64),
}

impl Disk {
    /// With this content; the power goes before the change after `last`.
    pub(super) fn new(content: Vec<u8>, last: usize) -> Disk {
        let state = State { durable: content.clone(), current: content, last, ..State::default() };
        Disk(Arc::new(Mutex::new(state)))
    }

    pub(super) fn is_dead(&self) -> bool {
        let state = self.0.lock().unwrap();
        state.steps > state.last
    }

    /// What is on the disk when the power is back.
    pub(super) fn after(&self, fate: Fate) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut content = state.durable.clone();
        let mut random = match fate {
            Fate::Lost => return content,
            Fate::Kept => 0,
            Fate::Some(seed) => seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        };
        for op in &state.pending {
            // xorshift
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            match (fate, random % 3) {
                (Fate::Some(_), 0) => {}
                (Fate::Some(_), 1) => apply(&mut content, &op.clone().half()),
                _ => apply(&mut content, op),
            }
        }
        content
    }

    fn step(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.steps += 1;
        if state.steps > state.last {
            return Err(io::Error::other("no power"));
        }
        change(&mut state);
        Ok(())
    }
}

impl Op {
    /// The first half of a write, at the border of a sector.
    fn half(self) -> Op {
        match self {
            Op::Write(at, mut data) => {
                data.truncate(data.len() / 2 / 512 * 512);
                Op::Write(at, data)
            }
            length => length,
        }
    }
}

fn apply(content: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Length(length) => content.resize(*length, 0),
        Op::Write(at, data) => {
            if content.len() < at + data.len() {
                content.resize(at + data.len(), 0);
            }
            content[*at..at + data.len()].copy_from_slice(data);
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        let found = state.current.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let op = Op::Length(usize::try_from(len).unwrap());
        self.step(|state| {
            apply(&mut state.current, &op);
            state.pending.push(op);
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step(|state| {
            state.durable.clone_from(&state.current);
            state.pending.clear();
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let op = Op::Write(usize::try_from(offset).unwrap(), data.to_vec());
        self.step(|state| {
            apply(&mut state.current, &op);
            state.pending.push(op);
        })
    }
}
