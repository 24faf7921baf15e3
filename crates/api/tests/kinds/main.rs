//! The kinds of `llano.dev`: their schemas and rules as the API server sees them, and their parsed forms.

// Helpers of tests are not inside a test function, where the lints would allow these.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bounds;
mod current;
mod docs;
mod parsing;
mod rules;
mod table;
