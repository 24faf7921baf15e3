//! From the text of a pattern to its parts; what is not supported ends here.

use super::{Class, PatternError, Step};

/// Groups within groups; the parser and the compiler recurse once for each.
const DEEPEST: usize = 32;

/// A pattern, taken apart.
pub(super) enum Node {
    Empty,
    Step(Step),
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Repeat { what: Box<Node>, least: usize, many: bool },
}

/// Reads a pattern from left to right.
pub(super) struct Reader {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    pub(super) fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), at: 0, depth: 0 }
    }

    /// The whole pattern.
    pub(super) fn whole(mut self) -> Result<Node, PatternError> {
        let node = self.alternatives()?;
        if self.at < self.chars.len() {
            return Err(self.error("`)` without `(`"));
        }
        Ok(node)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn error(&self, reason: &'static str) -> PatternError {
        PatternError { column: self.at + 1, reason }
    }

    /// The error for the character just read.
    fn error_before(&self, reason: &'static str) -> PatternError {
        PatternError { column: self.at, reason }
    }

    fn alternatives(&mut self) -> Result<Node, PatternError> {
        let mut found = vec![self.sequence()?];
        while self.peek() == Some('|') {
            self.at += 1;
            found.push(self.sequence()?);
        }
        Ok(if found.len() == 1 { found.remove(0) } else { Node::Either(found) })
    }

    fn sequence(&mut self) -> Result<Node, PatternError> {
        let mut found = Vec::new();
        while let Some(c) = self.peek() {
            if c == '|' || c == ')' {
                break;
            }
            let node = self.atom()?;
            found.push(self.repeated(node)?);
        }
        Ok(Node::Sequence(found))
    }

    fn repeated(&mut self, node: Node) -> Result<Node, PatternError> {
        let (least, many) = match self.peek() {
            Some('*') => (0, true),
            Some('+') => (1, true),
            Some('?') => (0, false),
            _ => return Ok(node),
        };
        if matches!(node, Node::Step(Step::Start | Step::End)) {
            return Err(self.error("`*`, `+` and `?` cannot repeat `^` or `$`"));
        }
        self.at += 1;
        if matches!(self.peek(), Some('*' | '+' | '?')) {
            return Err(self.error("`*`, `+` and `?` cannot follow one another"));
        }
        Ok(Node::Repeat { what: Box::new(node), least, many })
    }

    fn atom(&mut self) -> Result<Node, PatternError> {
        let Some(c) = self.next() else { return Ok(Node::Empty) };
        Ok(Node::Step(match c {
            '.' => Step::Any,
            '^' => Step::Start,
            '$' => Step::End,
            '[' => Step::Class(self.class()?),
            '(' => return self.group(),
            '\\' => self.escape()?,
            '*' | '+' | '?' => return Err(self.error_before("`*`, `+` and `?` need something before them")),
            '{' | '}' => return Err(self.error_before("counted repetition `{…}` is not supported")),
            _ => Step::Char(c),
        }))
    }

    fn group(&mut self) -> Result<Node, PatternError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error_before("groups are nested too deeply"));
        }
        if self.peek() == Some('?') {
            self.at += 1;
            if self.next() != Some(':') {
                return Err(self.error_before("of the groups with `(?` only `(?:…)` is supported"));
            }
        }
        let node = self.alternatives()?;
        if self.next() != Some(')') {
            return Err(self.error("`(` without `)`"));
        }
        self.depth -= 1;
        Ok(node)
    }

    fn escape(&mut self) -> Result<Step, PatternError> {
        let Some(c) = self.next() else { return Err(self.error("`\\` at the end")) };
        let ranges = match c {
            'd' => vec![('0', '9')],
            'w' => vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
            's' => vec![('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')],
            _ if c.is_ascii_punctuation() => return Ok(Step::Char(c)),
            _ => {
                return Err(self
                    .error_before("of the escapes only `\\d`, `\\w`, `\\s` and punctuation are supported"));
            }
        };
        Ok(Step::Class(Class { negated: false, ranges }))
    }

    fn class(&mut self) -> Result<Class, PatternError> {
        let mut class = Class::default();
        if self.peek() == Some('^') {
            self.at += 1;
            class.negated = true;
        }
        let mut first = true;
        loop {
            let Some(c) = self.next() else { return Err(self.error("`[` without `]`")) };
            let low = match c {
                ']' if !first => return Ok(class),
                '[' if self.peek() == Some(':') => {
                    return Err(self.error_before("classes by name (`[:alpha:]`) are not supported"));
                }
                '\\' => match self.escape()? {
                    Step::Class(named) => {
                        class.ranges.extend(named.ranges);
                        first = false;
                        continue;
                    }
                    Step::Char(c) => c,
                    _ => c,
                },
                _ => c,
            };
            first = false;
            let mut high = low;
            let more = self.chars.get(self.at + 1).copied();
            if self.peek() == Some('-') && more.is_some_and(|c| c != ']') {
                self.at += 1;
                high = match self.next() {
                    Some('\\') => match self.escape()? {
                        Step::Char(c) => c,
                        _ => return Err(self.error_before("a range must end with one character")),
                    },
                    Some(c) => c,
                    None => return Err(self.error("`[` without `]`")),
                };
                if high < low {
                    return Err(self.error_before("the range is the wrong way round"));
                }
            }
            class.ranges.push((low, high));
        }
    }
}
