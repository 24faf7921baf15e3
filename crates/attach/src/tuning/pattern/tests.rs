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
    use super::super::Step;
    use super::super::read::Node;

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
                    Step::Class(class) => one.is_some_and(|c| class.has(c)) && run(rest, text, at + 1, done),
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

        if let Ok(compiled) = Pattern::parse(&pattern) {
            let node = Reader::new(&pattern).whole().unwrap();
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
