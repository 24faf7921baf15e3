//! [`Value`] to bytes in the form of Go's `encoding/json`.

use std::fmt::{self, Write};

use super::{Number, Value};

impl Value {
    /// Go's `MarshalIndent(v, "", "    ")`: what the reference prints, without a final newline.
    pub fn to_pretty(&self) -> String {
        let mut out = String::with_capacity(512);
        write(self, &mut out, Some(0));
        out
    }

    /// Go's `Marshal`: one line without spaces.
    pub fn to_compact(&self) -> String {
        let mut out = String::with_capacity(256);
        write(self, &mut out, None);
        out
    }
}

/// One line, as in messages.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_compact())
    }
}

fn write(value: &Value, out: &mut String, indent: Option<usize>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(*number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            let inner = indent.map(|depth| depth + 1);
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                separate(out, at, inner);
                write(item, out, inner);
            }
            close(out, items.len(), indent);
            out.push(']');
        }
        Value::Object(members) => {
            let inner = indent.map(|depth| depth + 1);
            out.push('{');
            for (at, (key, item)) in members.iter().enumerate() {
                separate(out, at, inner);
                write_string(key, out);
                out.push_str(if indent.is_some() { ": " } else { ":" });
                write(item, out, inner);
            }
            close(out, members.len(), indent);
            out.push('}');
        }
    }
}

fn separate(out: &mut String, at: usize, indent: Option<usize>) {
    if at > 0 {
        out.push(',');
    }
    new_line(out, indent);
}

fn close(out: &mut String, len: usize, indent: Option<usize>) {
    // Go writes an empty array or object as `[]` and `{}` also when it indents.
    if len > 0 {
        new_line(out, indent);
    }
}

fn new_line(out: &mut String, indent: Option<usize>) {
    if let Some(depth) = indent {
        out.push('\n');
        for _ in 0..depth {
            out.push_str("    ");
        }
    }
}

fn write_number(number: Number, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = match number {
        Number::Unsigned(value) => write!(out, "{value}"),
        Number::Signed(value) => write!(out, "{value}"),
        // Debug keeps the `.0` or exponent, so that what is read back is no integer either.
        Number::Float(value) if value.is_finite() => write!(out, "{value:?}"),
        // JSON has no other floats; the parser never makes one.
        Number::Float(_) => write!(out, "null"),
    };
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // Go escapes what would be special inside HTML or JavaScript.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}
