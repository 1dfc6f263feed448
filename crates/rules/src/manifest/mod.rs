//! YAML -> objects and findings with their places; workspace and form -> commented YAML (pure).
//!
//! - `document`: a document and the places of its fields
//! - `parse`: text -> documents
//! - `check`: document -> workspace, or what is wrong with it
//! - `unknown`: fields that a kind's schema does not have
//! - `write`: workspace and form -> commented YAML
//! - `corpus`: broken documents for tests
//!
//! The parser is that of `serde-saphyr`, which reads YAML everywhere else: both agree on every document.

mod check;
mod document;
mod parse;
mod unknown;
mod write;

pub use check::{Manifest, typed, workspace};
pub use document::{Document, Finding, Place};
pub use parse::{MAX_BYTES, documents};
pub use unknown::unknown_fields;
pub use write::{is_hidden, yaml};

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
