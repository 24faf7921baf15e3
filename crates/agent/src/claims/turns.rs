//! Who may create a claim next: few creates at once in a network, first come, first served.

use std::collections::VecDeque;

use claims::CREATES_AT_ONCE;

/// The creates of one network.
#[derive(Debug, Default)]
pub(super) struct Turns {
    under_way: usize,
    waiting: VecDeque<Turn>,
    last: u64,
}

/// The place of one call among those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn(u64);

impl Turns {
    /// Whether one that waits need not any more.
    pub(super) fn has_come(&self, turn: Turn) -> bool {
        let ahead = self.waiting.iter().take_while(|waiting| **waiting != turn).count();
        self.under_way + ahead < CREATES_AT_ONCE
    }

    /// Begins a create, to be ended with [`Turns::end`]. When others are first it waits, from now on with this turn.
    pub(super) fn begin(&mut self, turn: &mut Option<Turn>) -> bool {
        let own = *turn.get_or_insert_with(|| {
            self.last += 1;
            self.waiting.push_back(Turn(self.last));
            Turn(self.last)
        });
        if !self.has_come(own) {
            return false;
        }
        self.leave(own);
        *turn = None;
        self.under_way += 1;
        true
    }

    /// One that waited does not want to create any more. Those behind it are to look.
    pub(super) fn leave(&mut self, turn: Turn) {
        self.waiting.retain(|waiting| *waiting != turn);
    }

    /// A create has its answer, or is given up. Those who wait are to look.
    pub(super) fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_first_come_first_served() {
        let mut turns = Turns::default();
        let mut begun: Vec<Option<Turn>> = vec![None; CREATES_AT_ONCE];
        assert!(begun.iter_mut().all(|turn| turns.begin(turn)));
        let (mut first, mut second, mut third) = (None, None, None);
        assert!(!turns.begin(&mut first) && !turns.begin(&mut second) && !turns.begin(&mut third));
        turns.end();
        // The last to come does not get ahead.
        assert!(!turns.begin(&mut third) && !turns.begin(&mut second));
        assert!(turns.begin(&mut first) && first.is_none());
        // One that goes away makes room for those behind it.
        turns.leave(second.unwrap());
        turns.end();
        assert!(turns.has_come(third.unwrap()) && turns.begin(&mut third));
        assert!(!turns.begin(&mut None));
    }
}
