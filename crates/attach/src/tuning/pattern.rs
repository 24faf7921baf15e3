//! The patterns of the sysctl allow-list, matched in time linear in pattern × key, with no backtracking.
//!
//! The reference plugin takes Go's whole regular expression language here. Patterns really in use (those of the
//! plugin's own documentation and of OpenShift's default list) need little of it, and the plugin may not carry a
//! regex engine, so this is the part of RE2's language whose meaning is beyond doubt:
//! literals, `.`, `[a-z]`, `[^a-z]`, `\.` and other escaped punctuation, `\d`, `\w`, `\s`, `*`, `+`, `?`, `|`, `(…)`,
//! `(?:…)`, `^` and `$`. As in the reference a pattern is not anchored: `net.core` also allows
//! `net.core.somaxconn`, and only `^…$` allows one name alone. Everything else is an error, never a guess.

mod read;
#[cfg(test)]
mod tests;

use self::read::{Node, Reader};

/// Why a line of the allow-list is not a pattern: the column (from 1) and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatternError {
    pub(crate) column: usize,
    pub(crate) reason: &'static str,
}

/// One compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    program: Vec<Step>,
}

/// A step of the machine that runs a pattern: either it looks at one character, or it moves without one.
#[derive(Debug, Clone)]
enum Step {
    Char(char),
    Any,
    Class(Class),
    Start,
    End,
    Split(usize, usize),
    Jump(usize),
    Match,
}

#[derive(Debug, Clone, Default)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    fn has(&self, c: char) -> bool {
        self.ranges.iter().any(|&(low, high)| low <= c && c <= high) != self.negated
    }
}

/// A pattern longer than this is refused: with nested groups its program stays small, and a line of an allow-list
/// never needs more.
const LONGEST: usize = 1024;
impl Pattern {
    /// Reads one line of the allow-list.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        if text.chars().count() > LONGEST {
            return Err(PatternError {
                column: LONGEST + 1,
                reason: "the pattern is longer than 1024 characters",
            });
        }
        let node = Reader::new(text).whole()?;
        let mut program = Vec::new();
        compile(&node, &mut program);
        program.push(Step::Match);
        Ok(Self { program })
    }

    /// Whether the pattern occurs anywhere in `text`.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut current = Threads::new(self.program.len());
        let mut next = Threads::new(self.program.len());
        let length = text.chars().count();
        for (position, c) in text.chars().map(Some).chain([None]).enumerate() {
            // Unanchored: a new attempt may start at every position.
            if self.follow(0, position == 0, position == length, &mut current) {
                return true;
            }
            let Some(c) = c else { break };
            next.clear();
            for &step in &current.list {
                let passes = match &self.program[step] {
                    Step::Char(wanted) => *wanted == c,
                    Step::Any => c != '\n',
                    Step::Class(class) => class.has(c),
                    _ => false,
                };
                if passes && self.follow(step + 1, false, position + 1 == length, &mut next) {
                    return true;
                }
            }
            std::mem::swap(&mut current, &mut next);
        }
        false
    }

    /// Adds `step` and all steps reachable from it without a character; true when the match is reached.
    fn follow(&self, step: usize, at_start: bool, at_end: bool, threads: &mut Threads) -> bool {
        let mut todo = vec![step];
        while let Some(step) = todo.pop() {
            if std::mem::replace(&mut threads.seen[step], true) {
                continue;
            }
            match self.program[step] {
                Step::Match => return true,
                Step::Jump(to) => todo.push(to),
                Step::Split(one, other) => todo.extend([one, other]),
                Step::Start if at_start => todo.push(step + 1),
                Step::End if at_end => todo.push(step + 1),
                Step::Start | Step::End => {}
                _ => threads.list.push(step),
            }
        }
        false
    }
}

/// The set of steps at which attempts stand.
struct Threads {
    list: Vec<usize>,
    seen: Vec<bool>,
}

impl Threads {
    fn new(size: usize) -> Self {
        Self { list: Vec::new(), seen: vec![false; size] }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.seen.fill(false);
    }
}

fn compile(node: &Node, program: &mut Vec<Step>) {
    match node {
        Node::Empty => {}
        Node::Step(step) => program.push(step.clone()),
        Node::Sequence(nodes) => nodes.iter().for_each(|node| compile(node, program)),
        Node::Either(nodes) => {
            let mut ends = Vec::new();
            for (index, node) in nodes.iter().enumerate() {
                let split = program.len();
                if index + 1 < nodes.len() {
                    program.push(Step::Split(split + 1, 0));
                }
                compile(node, program);
                if index + 1 < nodes.len() {
                    ends.push(program.len());
                    program.push(Step::Jump(0));
                    program[split] = Step::Split(split + 1, program.len());
                }
            }
            let end = program.len();
            ends.into_iter().for_each(|at| program[at] = Step::Jump(end));
        }
        Node::Repeat { what, least, many } => {
            let start = program.len();
            if *least == 0 {
                program.push(Step::Split(0, 0));
            }
            let body = program.len();
            compile(what, program);
            if *many {
                let split = program.len();
                program.push(Step::Split(body, split + 1));
            }
            if *least == 0 {
                program[start] = Step::Split(body, program.len());
            }
        }
    }
}
