//! Workspaces and what they refer to -> created, changed, observed and deleted (IO).
//!
//! - `catalog_object`: a template, manager or profile that workspaces use.
//! - `template`: a test's own template.
//! - `pod_mutation`: what admission adds to pods of a namespace.
//! - `workspace`: one workspace.
//! - `write_block`: writes that admission refuses during a test.

pub mod catalog_object;
pub mod pod_mutation;
pub mod template;
pub mod workspace;
pub mod write_block;
