//! Shell patterns, as networkd, NetworkManager, netplan and ifupdown match names.

/// Whether `text` is of this pattern: `*`, `?`, `[a-z]`, `[!a-z]`, `\x`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not match: one star is enough to go back to.
    let mut back: Option<(usize, usize)> = None;
    loop {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p + 1, t));
                p += 1;
                continue;
            }
            None if t == text.len() => return true,
            Some(_) if t < text.len() => {
                if let Some(next) = one(&pattern, p, text[t]) {
                    p = next;
                    t += 1;
                    continue;
                }
            }
            _ => {}
        }
        let Some((star, from)) = back.filter(|(_, from)| *from < text.len()) else { return false };
        back = Some((star, from + 1));
        (p, t) = (star, from + 1);
    }
}

/// Whether the element of the pattern at `p` takes this character; where the next element is.
fn one(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match pattern.get(p)? {
        '?' => Some(p + 1),
        '\\' if p + 1 < pattern.len() => (pattern[p + 1] == c).then_some(p + 2),
        '[' => match set(pattern, p + 1, c) {
            Some((next, within)) => within.then_some(next),
            // Without an end it stands for itself.
            None => (c == '[').then_some(p + 1),
        },
        literal => (*literal == c).then_some(p + 1),
    }
}

/// After `[`: where the set ends, and whether it holds the character; `None` without an end.
fn set(pattern: &[char], start: usize, c: char) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(start)?, '!' | '^');
    let first = start + usize::from(negated);
    let (mut at, mut within) = (first, false);
    loop {
        let low = *pattern.get(at)?;
        if low == ']' && at > first {
            return Some((at + 1, within != negated));
        }
        let range = (pattern.get(at + 1) == Some(&'-')).then(|| pattern.get(at + 2)).flatten();
        match range.filter(|high| **high != ']') {
            Some(high) => {
                within |= (low..=*high).contains(&c);
                at += 3;
            }
            None => {
                within |= low == c;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, yes, no) in [
            ("eth*", vec!["eth", "eth0", "eth0.100"], vec!["ens3", "xeth0"]),
            ("e?h0", vec!["eth0"], vec!["eh0", "eth00"]),
            ("en[op]*[0-9]", vec!["enp3s0", "eno1"], vec!["ens3", "eno"]),
            ("[!e]*", vec!["bond0"], vec!["eth0", ""]),
            ("*bond*0*", vec!["bond0", "xbond10.5"], vec!["bond1"]),
            ("a\\*", vec!["a*"], vec!["ab"]),
            ("[x", vec!["[x"], vec!["x"]),
            ("[]x]", vec!["]", "x"], vec!["a"]),
            ("*", vec!["", "lo"], vec![]),
        ] {
            yes.iter().for_each(|text| assert!(matches(pattern, text), "{pattern} {text}"));
            no.iter().for_each(|text| assert!(!matches(pattern, text), "{pattern} {text}"));
        }
    }

    fn slowly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => {
                slowly(&pattern[1..], text) || (!text.is_empty() && slowly(pattern, &text[1..]))
            }
            (Some('?'), Some(_)) => slowly(&pattern[1..], &text[1..]),
            (Some(p), Some(t)) => p == t && slowly(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn stars_match_as_by_trying_everything(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), slowly(&p, &t));
        }

        #[test]
        fn any_text_is_a_pattern(pattern in "\\PC{0,20}", text in "\\PC{0,20}") {
            matches(&pattern, &text);
        }
    }
}
