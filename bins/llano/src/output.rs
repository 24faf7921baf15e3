//! Everything that goes to standard output: text or JSON, in colour only where a person sees it.

use std::io::{self, BufWriter, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    // Aligned, for people.
    Text,
    // One document, for programs.
    Json,
    // A picture, or a graph for graphviz: `llano link tree` only.
    #[value(hide = true)]
    Svg,
    #[value(hide = true)]
    Dot,
}

/// Standard output.
pub(crate) struct Out {
    writer: BufWriter<Box<dyn Write>>,
    format: Format,
    colour: bool,
}

/// The colours in use: a sign for good and bad, never the only sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Plain,
    Good,
    Bad,
    Strong,
    Faint,
}

/// A table's cell.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    text: String,
    colour: Colour,
}

impl Out {
    pub(crate) fn stdout(format: Format) -> Self {
        let colour = format == Format::Text
            && io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Out { writer: BufWriter::new(Box::new(io::stdout())), format, colour }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// A document on one line, for programs that read line by line.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.writer, value).map_err(io::Error::from)?;
        writeln!(self.writer)?;
        self.flush()
    }

    /// A line for people; nothing in JSON.
    pub(crate) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        if self.format == Format::Text {
            writeln!(self.writer, "{text}")?;
        }
        Ok(())
    }

    /// A line for people in one colour.
    pub(crate) fn painted(&mut self, colour: Colour, text: &str) -> anyhow::Result<()> {
        let text = self.paint(colour, text);
        self.line(&text)
    }

    /// A document for programs; nothing in text.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        if self.is_json() {
            serde_json::to_writer_pretty(&mut self.writer, value).map_err(io::Error::from)?;
            writeln!(self.writer)?;
        }
        Ok(())
    }

    /// Bytes as they are, whatever the format.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.writer.write_all(bytes)?)
    }

    /// Columns as wide as their widest cell, each line indented; the first row is the head.
    pub(crate) fn table(&mut self, indent: usize, rows: &[Vec<Text>]) -> anyhow::Result<()> {
        let widths = widths(rows);
        rows.iter().try_for_each(|row| self.row(indent, row, &widths))
    }

    /// As [`Out::table`], with a heading and an empty line before the rows of these numbers, which are in order.
    pub(crate) fn table_with_headings(
        &mut self,
        rows: &[Vec<Text>],
        headings: &[(usize, String)],
    ) -> anyhow::Result<()> {
        let widths = widths(rows);
        let mut headings = headings.iter().peekable();
        for (at, row) in rows.iter().enumerate() {
            if let Some((_, heading)) = headings.next_if(|(before, _)| *before == at) {
                self.line("")?;
                self.painted(Colour::Strong, heading)?;
            }
            self.row(0, row, &widths)?;
        }
        Ok(())
    }

    fn row(&mut self, indent: usize, row: &[Text], widths: &[usize]) -> anyhow::Result<()> {
        let mut line = " ".repeat(indent);
        let mut gap = 0;
        for (cell, width) in row.iter().zip(widths).filter(|(_, width)| **width > 0) {
            if !cell.text.is_empty() {
                line.push_str(&" ".repeat(gap));
                line.push_str(&self.paint(cell.colour, &cell.text));
                gap = 0;
            }
            gap += width.saturating_sub(cell.width()) + 2;
        }
        self.line(&line)
    }

    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.writer.flush()?)
    }

    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            _ if !self.colour => return text.to_owned(),
            Colour::Plain => return text.to_owned(),
            Colour::Good => "32",
            Colour::Bad => "31",
            Colour::Strong => "1",
            Colour::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

impl Text {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Text { text: text.into(), colour: Colour::Plain }
    }

    pub(crate) fn colour(mut self, colour: Colour) -> Self {
        self.colour = colour;
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// The width of each column.
fn widths(rows: &[Vec<Text>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(Text::width).max().unwrap_or(0);
    (0..columns).map(width).collect()
}

/// A table's head.
pub(crate) fn head(names: &[&str]) -> Vec<Text> {
    names.iter().map(|name| Text::new(*name).colour(Colour::Faint)).collect()
}

/// A duration as people write it.
pub(crate) fn trip(trip: std::time::Duration) -> String {
    let micros = trip.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..100_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        100_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

/// What would be printed for people, without colours.
/// What `--dry-run` shows as JSON, for people: a line for each key.
pub(crate) fn setting_lines(shown: &Value) -> Vec<String> {
    let members: Vec<_> = shown.as_object().into_iter().flatten().collect();
    let longest = members.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    members.iter().map(|(key, value)| format!("{key:<width$}{}", text(value), width = longest + 2)).collect()
}

#[cfg(test)]
pub(crate) fn printed(print: impl FnOnce(&mut Out) -> anyhow::Result<()>) -> String {
    use std::sync::{Arc, Mutex};

    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let writer = BufWriter::new(Box::new(Shared(bytes.clone())) as Box<dyn Write>);
    let mut out = Out { writer, format: Format::Text, colour: false };
    print(&mut out).unwrap();
    out.flush().unwrap();
    drop(out);
    let bytes = bytes.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn round_trips_read_well() {
        assert_eq!(trip(Duration::from_micros(64)), "64 µs");
        assert_eq!(trip(Duration::from_micros(1260)), "1.2 ms");
        assert_eq!(trip(Duration::from_micros(334_300)), "334 ms");
        assert_eq!(trip(Duration::from_millis(1849)), "1.8 s");
    }
}
