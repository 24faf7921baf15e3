//! One error for everything the contract can refuse, with the code a runtime sees.

use std::fmt::Display;

use crate::json::Value;

/// Well known codes of the specification (`SPEC.md`, section "Error").
pub mod code {
    /// The configuration's `cniVersion` is not supported, or does not allow the verb.
    pub const INCOMPATIBLE_VERSION: u32 = 1;
    /// A field of the configuration is not supported.
    pub const UNSUPPORTED_FIELD: u32 = 2;
    /// The container is unknown.
    pub const UNKNOWN_CONTAINER: u32 = 3;
    /// An environment variable is missing or invalid.
    pub const INVALID_ENVIRONMENT: u32 = 4;
    /// Reading or writing failed.
    pub const IO_FAILURE: u32 = 5;
    /// Content could not be decoded.
    pub const DECODING_FAILURE: u32 = 6;
    /// The network configuration is invalid.
    pub const INVALID_CONFIG: u32 = 7;
    /// The network namespace cannot be used.
    pub const INVALID_NETNS: u32 = 8;
    /// A passing condition: the runtime should try again.
    pub const TRY_AGAIN: u32 = 11;
    /// The plugin cannot serve ADD now (STATUS).
    pub const NOT_AVAILABLE: u32 = 50;
    /// The plugin cannot serve ADD, and existing containers may have limited connectivity (STATUS).
    pub const LIMITED_CONNECTIVITY: u32 = 51;
    /// Everything that has no code of its own; what the reference answers to any untyped error.
    pub const INTERNAL: u32 = 999;
}

/// The result of everything in this crate that can be refused.
pub type Result<T> = std::result::Result<T, Error>;

/// What a runtime is told when a verb fails. Written to standard output as `{code, msg, details}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Code 1: the configuration's version is not in the plugin's list.
    #[error("incompatible CNI versions; {details}")]
    IncompatibleVersion {
        /// `config is "9.9.9", plugin supports ["0.1.0" ...]`.
        details: String,
    },
    /// Code 1: the configuration's version does not have the verb.
    #[error("{0}")]
    VerbNotAllowed(String),
    /// Code 4: an environment variable is missing or has a value that is not allowed.
    #[error("{msg}{}", Details(.details))]
    Env {
        /// What is wrong.
        msg: String,
        /// The value, when it helps.
        details: String,
    },
    /// Code 5: reading or writing failed.
    #[error("{0}")]
    Io(String),
    /// Code 6: bytes that are not what they should be.
    #[error("{0}")]
    Decode(String),
    /// Code 7: a key of the configuration has a value that is not allowed.
    #[error("invalid {path}: {value}, expected {allowed}")]
    Config {
        /// Full path of the key, such as `ipam.ranges[0][1].subnet`.
        path: String,
        /// The value as it stands in the configuration, shortened.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// Any code, with the words as they are: errors of delegates, typed errors of a plugin, the
    /// reference's own messages.
    #[error("{msg}{}", Details(.details))]
    Coded {
        /// The code.
        code: u32,
        /// One line.
        msg: String,
        /// More, or empty.
        details: String,
    },
}

/// Appends `; details` as the reference's `Error()` does.
struct Details<'a>(&'a String);

impl Display for Details<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        f.write_str("; ")?;
        f.write_str(self.0)
    }
}

impl Error {
    /// Code 7: the key at `path` has `value`; `allowed` says what it may be ("an integer from 0 to 4094").
    pub fn config(path: &str, value: impl Display, allowed: &str) -> Error {
        Error::Config {
            path: path.to_owned(),
            value: shorten(&value.to_string(), 120).to_owned(),
            allowed: allowed.to_owned(),
        }
    }

    /// Code 7 with free words, for rules that join several keys.
    pub fn invalid_config(msg: impl Into<String>) -> Error {
        Error::coded(code::INVALID_CONFIG, msg)
    }

    /// Code 4.
    pub fn env(msg: impl Into<String>) -> Error {
        Error::Env { msg: msg.into(), details: String::new() }
    }

    /// Code 5.
    pub fn io(msg: impl Into<String>) -> Error {
        Error::Io(msg.into())
    }

    /// Code 6.
    pub fn decode(msg: impl Into<String>) -> Error {
        Error::Decode(msg.into())
    }

    /// Code 8: the network namespace cannot be used.
    pub fn netns(msg: impl Into<String>) -> Error {
        Error::coded(code::INVALID_NETNS, msg)
    }

    /// Code 11: a passing condition.
    pub fn try_again(msg: impl Into<String>) -> Error {
        Error::coded(code::TRY_AGAIN, msg)
    }

    /// Code 50: ADD cannot be served now.
    pub fn unavailable(msg: impl Into<String>) -> Error {
        Error::coded(code::NOT_AVAILABLE, msg)
    }

    /// A plugin's own code (100 and above).
    pub fn plugin(code: u32, msg: impl Into<String>) -> Error {
        Error::coded(code, msg)
    }

    /// Code 999: no better code exists.
    pub fn internal(msg: impl Into<String>) -> Error {
        Error::coded(code::INTERNAL, msg)
    }

    /// Any code.
    pub fn coded(code: u32, msg: impl Into<String>) -> Error {
        Error::Coded { code, msg: msg.into(), details: String::new() }
    }

    /// The same error with `details` beside its message.
    #[must_use]
    pub fn with_details(self, details: impl Into<String>) -> Error {
        Error::Coded { code: self.code(), msg: self.msg(), details: details.into() }
    }

    /// The same error with `context: ` before its message, keeping its code and details.
    #[must_use]
    pub fn context(self, context: &str) -> Error {
        let mut msg = context.to_owned();
        msg.push_str(": ");
        msg.push_str(&self.msg());
        Error::Coded { code: self.code(), msg, details: self.details().to_owned() }
    }

    /// The code the runtime sees.
    pub fn code(&self) -> u32 {
        match self {
            Error::IncompatibleVersion { .. } | Error::VerbNotAllowed(_) => code::INCOMPATIBLE_VERSION,
            Error::Env { .. } => code::INVALID_ENVIRONMENT,
            Error::Io(_) => code::IO_FAILURE,
            Error::Decode(_) => code::DECODING_FAILURE,
            Error::Config { .. } => code::INVALID_CONFIG,
            Error::Coded { code, .. } => *code,
        }
    }

    /// The message without the details.
    pub fn msg(&self) -> String {
        match self {
            Error::IncompatibleVersion { .. } => "incompatible CNI versions".to_owned(),
            Error::Env { msg, .. } | Error::Coded { msg, .. } => msg.clone(),
            other => other.to_string(),
        }
    }

    /// The details; empty when there are none.
    pub fn details(&self) -> &str {
        match self {
            Error::IncompatibleVersion { details }
            | Error::Env { details, .. }
            | Error::Coded { details, .. } => details,
            _ => "",
        }
    }

    /// `{code, msg, details}`: no `cniVersion`, as the reference library, although the specification has one.
    pub fn to_json(&self) -> Value {
        let mut members = vec![
            ("code".to_owned(), Value::from(self.code())),
            ("msg".to_owned(), Value::String(self.msg())),
        ];
        if !self.details().is_empty() {
            members.push(("details".to_owned(), Value::from(self.details())));
        }
        Value::Object(members)
    }

    /// Reads an error object as another plugin or the agent writes it. Wrong types are an error of code 6.
    pub fn from_json(value: &Value) -> Result<Error> {
        let object = crate::json::Object::root(value)?;
        let code = object.u32("code")?.filter(|code| *code != 0);
        Ok(Error::Coded {
            // No code, or 0, is no success.
            code: code.unwrap_or(code::INTERNAL),
            msg: object.string("msg")?.unwrap_or_default().to_owned(),
            details: object.string("details")?.unwrap_or_default().to_owned(),
        })
    }
}

/// At most `limit` bytes of `text`, cut at a character: what comes from outside must not fill a log.
pub(crate) fn shorten(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
