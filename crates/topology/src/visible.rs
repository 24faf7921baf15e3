//! Texts of others, made safe to show.

use std::borrow::Cow;

/// The text with everything that would not be seen as it is written out: control characters, line ends, and marks that
/// turn the direction of writing. A terminal, a line of a log or a picture cannot be changed by it.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_hidden_is_written_out() {
        assert_eq!(visible("web-0 <\"é日>"), "web-0 <\"é日>");
        assert_eq!(visible("a\nb\x1b[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(visible("x\u{202e}y"), "x\\u{202e}y");
    }

    proptest::proptest! {
        #[test]
        fn nothing_hidden_stays(text in "\\PC*|[\\x00-\\x1f\\x7f-\\x9f\u{2028}a]*") {
            let shown = visible(&text);
            proptest::prop_assert!(!shown.contains(|c: char| c.is_control()));
            proptest::prop_assert_eq!(visible(&shown), shown.as_ref());
        }
    }
}
