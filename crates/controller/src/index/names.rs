//! Names that many objects have, each in memory once.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The names that are in use.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: BTreeSet<Arc<str>>,
    /// After so many, those that nobody uses any more are dropped.
    sweep_at: usize,
}

impl Names {
    /// The one copy of a name.
    pub(crate) fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|name| Arc::strong_count(name) > 1);
            self.sweep_at = (2 * self.known.len()).max(64);
        }
        let name: Arc<str> = name.into();
        self.known.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_there_once_and_goes_when_nobody_has_it() {
        let mut names = Names::default();
        let first = names.get("node1");
        assert!(Arc::ptr_eq(&first, &names.get("node1")));
        for n in 0..10_000 {
            names.get(&format!("gone-{n}"));
        }
        assert!(names.known.len() <= 128, "{}", names.known.len());
        assert!(Arc::ptr_eq(&first, &names.get("node1")));
    }
}
