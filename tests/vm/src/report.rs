//! What a guest said: `ok NAME`, `not ok NAME: REASON`, and anything else for the person who reads a failure.

/// The lines of one run of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    lines: Vec<String>,
}

impl Report {
    /// Of these lines.
    #[must_use]
    pub fn new(lines: Vec<String>) -> Self {
        Self { lines }
    }

    /// What is wrong with the named checks: each must be ok exactly once. Empty when nothing is.
    #[must_use]
    pub fn faults<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        names.into_iter().filter_map(|name| self.fault(name)).collect()
    }

    fn fault(&self, name: &str) -> Option<String> {
        let outcomes: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| match line.strip_prefix("not ok ") {
                Some(rest) => {
                    let reason = rest.strip_prefix(name)?.strip_prefix(": ")?;
                    Some(Err(reason))
                }
                None => (line.strip_prefix("ok ")? == name).then_some(Ok(())),
            })
            .collect();
        match outcomes.as_slice() {
            [Ok(())] => None,
            [] => Some(format!("{name}: the guest said nothing of it")),
            [Err(reason)] => Some(format!("{name}: {reason}")),
            many => Some(format!("{name}: reported {} times", many.len())),
        }
    }

    /// Everything the guest said.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_must_be_ok_exactly_once() {
        let lines = ["noise", "ok a", "not ok b: no answer", "ok c", "ok c", "ok ab"];
        let report = Report::new(lines.map(str::to_owned).to_vec());
        assert_eq!(report.faults(["a", "ab"]), [""; 0]);
        assert_eq!(
            report.faults(["b", "c", "d", "a"]),
            ["b: no answer", "c: reported 2 times", "d: the guest said nothing of it"]
        );
    }
}
