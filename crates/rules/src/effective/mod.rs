//! Workspace, template and settings -> the values that a workspace effectively has (pure).
//!
//! - `given`: the values that workspace and template set themselves
//! - `expand`: a template with the variables of a workspace replaced
//! - `options`: a template with the choices of a workspace
//! - `profile`: an execution profile for a workspace
//! - `variables`: text with variables
//! - `service`: whether the workspace gets a Service
//! - `defaults`: all effective values, field by field
//! - `recovery`: the values of a workspace in recovery
//! - `volume_claims`: names of further disks in a `podTemplate`
//! - `home`, `pod`, `resources`, `idle`, `limits`: those of one topic

mod defaults;
pub(crate) mod expand;
mod given;
mod home;
pub(crate) mod idle;
pub(crate) mod limits;
pub mod options;
mod pod;
pub(crate) mod profile;
pub(crate) mod recovery;
pub(crate) mod resources;
pub(crate) mod service;
pub mod variables;
pub(crate) mod volume_claims;

pub(crate) use defaults::merge;
pub use defaults::{Effective, effective, profile_name};
pub use given::Given;
pub(crate) use given::canonical;
pub use home::{Home, mount_home};
pub use pod::PodFields;
