//! YAML -> objects and findings with their places; workspace and form -> commented YAML (pure).
//!
//! - `document`: a document and the places of its fields
//! - `parse`: text -> documents
//! - `check`: document -> workspace, or what is wrong with it
//! - `write`: workspace and form -> commented YAML
//! - `corpus`: broken documents for tests
//!
//! The parser is that of `serde-saphyr`, which reads YAML everywhere else: both agree on every document.

mod check;
mod document;
mod parse;
mod write;

pub use check::{Manifest, workspace};
pub use document::{Document, Finding, Place};
pub use write::{is_hidden, yaml};

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
