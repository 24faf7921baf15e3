//! The tree as a picture: one file without anything from elsewhere, legible on light and dark.

use std::fmt::Write;

use super::text::{addresses, notes};
use super::{Branch, Group};
use crate::{Topology, visible};

const ROW: usize = 44;
const INDENT: usize = 26;
/// Width of one letter of the smaller and the bigger line, as browsers draw their monospaced letters.
const LETTER: usize = 7;
const MARGIN: usize = 16;
/// Longer lines are cut; the whole is in the box's title.
const LONGEST: usize = 110;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2024;--soft:#60646c;--paper:#fff;--box:#f4f5f7;--line:#b9bbc6;--up:#18794e;--down:#b42318}\
@media(prefers-color-scheme:dark){:root{--ink:#edeef0;--soft:#b0b4ba;--paper:#111113;--box:#212225;--line:#5a6169;--up:#3dd68c;--down:#ff9592}}\
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:var(--ink);white-space:pre}\
.s{font-size:11px;fill:var(--soft)}.h{font-weight:700}.p{fill:var(--paper)}\
.b{fill:var(--box);stroke:var(--line)}.l{fill:none;stroke:var(--line);stroke-width:1.5}\
.up{fill:var(--up)}.down{fill:var(--down)}";

/// The picture.
pub fn svg(topology: &Topology, groups: &[Group<'_>]) -> String {
    let mut drawing = Drawing { topology, body: String::new(), row: 0, width: 320 };
    for group in groups {
        drawing.heading(&topology.namespaces[group.namespace].owner().to_string());
        for branch in &group.branches {
            drawing.branch(branch, group.namespace, 0);
        }
    }
    let (width, height) = (drawing.width + MARGIN, MARGIN * 2 + drawing.row * ROW);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>Links and their parents</title>\n<style>{STYLE}</style>\n\
         <rect class=\"p\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
        drawing.body
    )
}

struct Drawing<'a> {
    topology: &'a Topology,
    body: String,
    row: usize,
    width: usize,
}

impl Drawing<'_> {
    fn heading(&mut self, text: &str) {
        let y = MARGIN + self.row * ROW + 30;
        // Writing to a string cannot fail.
        let _ =
            writeln!(self.body, "<text class=\"h\" x=\"{MARGIN}\" y=\"{y}\">{}</text>", escape(&cut(text)));
        self.row += 1;
    }

    /// Draws a branch; gives the height at which a line meets its box.
    fn branch(&mut self, branch: &Branch<'_>, home: usize, depth: usize) -> usize {
        let node = branch.node;
        let (x, y) = (MARGIN + depth * INDENT, MARGIN + self.row * ROW);
        let notes = notes(self.topology, home, branch);
        let role = match branch.role {
            super::Role::Port => "port ",
            super::Role::Peer => "peer ",
            super::Role::Top | super::Role::Child => "",
        };
        let mac = node.link.mac.map(|mac| mac.to_string()).unwrap_or_default();
        let parts = |parts: [&str; 3]| {
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            parts.join("  ")
        };
        let addresses = addresses(branch);
        let first = format!("{role}{}", visible(&node.link.name));
        let first = parts([&first, &addresses, &visible(&notes)]);
        let state = node.state();
        let kind = node.describe();
        let second = parts([&visible(&kind), &mac, &format!("mtu {}", node.link.mtu)]);
        let wide = |text: &str| cut(text).chars().count() * LETTER;
        let inner = (wide(&first) * 8 / 7).max(wide(&second) + wide(&state) + 2 * LETTER) + 36;
        self.width = self.width.max(x + inner);
        let alias = node.link.alias.as_deref().unwrap_or_default();
        let title = format!("{first}\n{state}  {second}  {}", visible(alias));
        let sign = if node.is_good() { "up" } else { "down" };
        let _ = writeln!(
            self.body,
            "<g><title>{}</title><rect class=\"b\" x=\"{x}\" y=\"{}\" width=\"{inner}\" height=\"{}\" rx=\"6\"/>\
             <circle class=\"{sign}\" cx=\"{}\" cy=\"{}\" r=\"4\"/><text x=\"{}\" y=\"{}\">{}</text>\
             <text class=\"s\" x=\"{}\" y=\"{}\"><tspan class=\"{sign}\">{}</tspan>  {}</text></g>",
            escape(&title),
            y + 2,
            ROW - 6,
            x + 14,
            y + 15,
            x + 26,
            y + 19,
            escape(&cut(&first)),
            x + 26,
            y + 33,
            escape(&state),
            escape(&cut(&second)),
        );
        self.row += 1;
        for below in &branch.below {
            let meets = self.branch(below, home, depth + 1);
            let (from, to) = (x + 12, MARGIN + (depth + 1) * INDENT);
            let _ = writeln!(self.body, "<path class=\"l\" d=\"M{from} {}V{meets}H{to}\"/>", y + ROW - 4);
        }
        y + ROW / 2
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Text as XML may hold it: what XML has no way to write is replaced.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
