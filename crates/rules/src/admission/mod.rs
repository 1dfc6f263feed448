//! Workspace and the objects it refers to -> workspace to run, or the reasons against it (pure).
//!
//! - `judge`: all rules together
//! - `valid`: the workspace with all values resolved
//! - `managers`: which manager routes a workspace
//! - `references`: the objects that validation needs
//! - `rejection`: the reasons against a workspace

mod judge;
pub mod managers;
mod references;
mod rejection;
mod valid;

pub use judge::{ValidationResult, admit, judge};
pub use references::References;
pub use rejection::{MissingReference, Rejection};
pub use valid::ValidWorkspace;

#[cfg(test)]
pub(crate) mod property_tests;
