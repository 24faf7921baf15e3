//! The patterns of the sysctl allow-list, matched in time linear in pattern × key, with no backtracking.
//!
//! The reference plugin takes Go's whole regular expression language here. Patterns really in use (those of the
//! plugin's own documentation and of OpenShift's default list) need little of it, and the plugin may not carry a
//! regex engine, so this is the part of RE2's language whose meaning is beyond doubt:
//! literals, `.`, `[a-z]`, `[^a-z]`, `\.` and other escaped punctuation, `\d`, `\w`, `\s`, `*`, `+`, `?`, `|`, `(…)`,
//! `(?:…)`, `^` and `$`. As in the reference a pattern is not anchored: `net.core` also allows
//! `net.core.somaxconn`, and only `^…$` allows one name alone. Everything else is an error, never a guess.

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

enum Node {
    Empty,
    Step(Step),
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Repeat { what: Box<Node>, least: usize, many: bool },
}

/// A pattern longer than this is refused: with nested groups its program stays small, and a line of an allow-list
/// never needs more.
const LONGEST: usize = 1024;
/// Groups within groups; the parser and the compiler recurse once for each.
const DEEPEST: usize = 32;

impl Pattern {
    /// Reads one line of the allow-list.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut reader = Reader { chars: text.chars().collect(), at: 0, depth: 0 };
        if reader.chars.len() > LONGEST {
            return Err(PatternError {
                column: LONGEST + 1,
                reason: "the pattern is longer than 1024 characters",
            });
        }
        let node = reader.alternatives()?;
        if reader.at < reader.chars.len() {
            return Err(reader.error("`)` without `(`"));
        }
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

struct Reader {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error:?}")).matches(text)
    }

    #[test]
    fn the_patterns_in_use_mean_what_they_mean_in_go() {
        for (pattern, text, expected) in [
            ("net.ipv4.conf.IFNAME.arp_notify", "net.ipv4.conf.IFNAME.arp_notify", true),
            ("^net.ipv4.conf.IFNAME.arp_[a-z]*$", "net.ipv4.conf.IFNAME.arp_notify", true),
            ("^net.ipv4.conf.IFNAME.arp_[a-z]*$", "net.ipv4.conf.IFNAME.arp_notify2", false),
            ("^net.ipv4.conf.IFNAME.arp_[a-z]*$", "xnet.ipv4.conf.IFNAME.arp_notify", false),
            // Not anchored: a part is enough, which is the reference's meaning as well.
            ("net.core", "net.core.somaxconn", true),
            (r"^net\.core\.", "netxcore.somaxconn", false),
            ("", "anything", true),
            ("^$", "anything", false),
            ("^$", "", true),
            ("a|b", "xxb", true),
            ("^(a|b)+c$", "ababc", true),
            ("^(a|b)+c$", "c", false),
            ("^(?:ab)?c$", "abc", true),
            ("^(?:ab)?c$", "ac", false),
            ("^[^a-c]x$", "dx", true),
            ("^[^a-c]x$", "bx", false),
            ("^[]a]$", "]", true),
            ("^[a-]$", "-", true),
            (r"^[\w.-]+$", "net.ipv4-x", true),
            (r"^\d+$", "12", true),
            (r"^\d+$", "12a", false),
            ("^a.c$", "a\nc", false),
            ("a$b", "ab", false),
            ("(^a|b$)", "ab", true),
            ("^(a||b)$", "", true),
            ("^(a*)*$", "aaaa", true),
            ("^(a*)*$", "aaab", false),
            ("^(a?)+b$", "b", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} against {text:?}");
        }
    }

    #[test]
    fn what_is_not_supported_is_an_error_and_never_a_match() {
        for (pattern, column) in [
            ("a{2}", 2),
            ("a**", 3),
            ("a+?", 3),
            ("*a", 1),
            ("(a", 3),
            ("a)", 2),
            ("[a", 3),
            ("[z-a]", 4),
            ("[[:alpha:]]", 2),
            (r"\bnet", 2),
            (r"\pL", 2),
            (r"a\", 3),
            ("(?i)net", 3),
            ("(?P<n>a)", 3),
            ("^*", 2),
            ("a|*", 3),
        ] {
            let error = Pattern::parse(pattern).err().unwrap_or_else(|| panic!("{pattern} was accepted"));
            assert_eq!(error.column, column, "{pattern}: {error:?}");
        }
        assert!(Pattern::parse(&"(".repeat(500)).is_err());
        assert!(Pattern::parse(&"a".repeat(2000)).is_err());
    }

    #[test]
    fn hostile_patterns_stay_linear() {
        // A backtracking matcher needs 2^30 steps here.
        assert!(!matches("^(a+)+$", &format!("{}b", "a".repeat(4000))));
        assert!(matches(&"a?".repeat(500), ""));
    }

    /// A plain backtracking matcher over the same tree, exponential but obviously right.
    mod oracle {
        use super::super::{Node, Step};

        pub(super) fn matches(node: &Node, text: &[char]) -> bool {
            (0..=text.len()).any(|start| run(&[node], text, start, &mut |_| true))
        }

        fn run(nodes: &[&Node], text: &[char], at: usize, done: &mut dyn FnMut(usize) -> bool) -> bool {
            let Some((first, rest)) = nodes.split_first() else { return done(at) };
            match first {
                Node::Empty => run(rest, text, at, done),
                Node::Step(step) => {
                    let one = text.get(at).copied();
                    match step {
                        Step::Start => at == 0 && run(rest, text, at, done),
                        Step::End => at == text.len() && run(rest, text, at, done),
                        Step::Char(c) => one == Some(*c) && run(rest, text, at + 1, done),
                        Step::Any => one.is_some_and(|c| c != '\n') && run(rest, text, at + 1, done),
                        Step::Class(class) => {
                            one.is_some_and(|c| class.has(c)) && run(rest, text, at + 1, done)
                        }
                        _ => false,
                    }
                }
                Node::Sequence(inner) => {
                    let all: Vec<&Node> = inner.iter().chain(rest.iter().copied()).collect();
                    run(&all, text, at, done)
                }
                Node::Either(inner) => inner.iter().any(|node| {
                    let all: Vec<&Node> = [node].into_iter().chain(rest.iter().copied()).collect();
                    run(&all, text, at, done)
                }),
                Node::Repeat { what, least, many } => {
                    if *least == 0 && run(rest, text, at, done) {
                        return true;
                    }
                    run(&[what], text, at, &mut |after| {
                        if run(rest, text, after, done) {
                            return true;
                        }
                        let again = Node::Repeat { what: Box::new(copy(what)), least: 0, many: true };
                        let all: Vec<&Node> = [&again].into_iter().chain(rest.iter().copied()).collect();
                        *many && after > at && run(&all, text, after, done)
                    })
                }
            }
        }

        fn copy(node: &Node) -> Node {
            match node {
                Node::Empty => Node::Empty,
                Node::Step(step) => Node::Step(step.clone()),
                Node::Sequence(nodes) => Node::Sequence(nodes.iter().map(copy).collect()),
                Node::Either(nodes) => Node::Either(nodes.iter().map(copy).collect()),
                Node::Repeat { what, least, many } => {
                    Node::Repeat { what: Box::new(copy(what)), least: *least, many: *many }
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_a_backtracking_matcher(pattern in "[ab.^$|()*+?]{0,8}|\\[\\^?[ab]\\][*+?]?b?", text in "[abc]{0,6}") {
            let mut reader = Reader { chars: pattern.chars().collect(), at: 0, depth: 0 };
            if let Ok(compiled) = Pattern::parse(&pattern) {
                let node = reader.alternatives().unwrap();
                let chars: Vec<char> = text.chars().collect();
                proptest::prop_assert_eq!(compiled.matches(&text), oracle::matches(&node, &chars), "{} on {}", pattern, text);
            }
        }

        #[test]
        fn never_panics(pattern in "\\PC{0,40}", text in "\\PC{0,40}") {
            if let Ok(compiled) = Pattern::parse(&pattern) {
                compiled.matches(&text);
            }
        }
    }
}
