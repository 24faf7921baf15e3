//! JSON as the reference's Go code sees it: keys matched without case, `null` the same as absent, the last of
//! duplicate keys wins, unknown keys ignored. Output has Go's exact form.
//!
//! An own value instead of `serde_json::Value` because duplicates and order must survive (`tuning` refuses
//! duplicate sysctls), and because one small reader costs less of the plugin's size than derived ones.

mod object;
mod parse;
mod write;

pub use object::{Node, Object};
pub use parse::parse;

/// A JSON number, kept as the parser saw it: an integer stays an integer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A non-negative integer.
    Unsigned(u64),
    /// A negative integer.
    Signed(i64),
    /// Anything with a fraction or exponent, or out of the range of 64 bits. Always finite.
    Float(f64),
}

/// A JSON value that keeps order and duplicates of an object's members.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object's members in order, duplicates included.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// An object of these members, in this order.
    pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
        Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// "a string", "an object" and so on, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }

    /// Replaces the value of `key` (exact case, every duplicate dropped) or adds it at the end. Does nothing
    /// to a value that is not an object.
    pub fn set(&mut self, key: &str, value: Value) {
        if let Value::Object(members) = self {
            members.retain(|(name, _)| name != key);
            members.push((key.to_owned(), value));
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text)
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Value {
        Value::Bool(bool)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Number(Number::Unsigned(number.into()))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(Number::Unsigned(number))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(match u64::try_from(number) {
            Ok(unsigned) => Number::Unsigned(unsigned),
            Err(_) => Number::Signed(number),
        })
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Value {
        Value::Array(items)
    }
}
