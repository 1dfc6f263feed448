//! Objects and settings -> decisions, for all callers (pure).
//!
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/modules.rs`):
//!
//! - `manifest`: YAML with the place of each field.
//! - `form`: the form for a workspace.
//! - `admission`: whether a workspace may run.
//! - `validate`: all violations of an object: rules, disks.
//! - `routes`: route objects of a workspace.
//! - `objects`: objects from manifests of managers and templates.
//! - `pod_security`: whether a pod keeps Pod Security and our own bounds.
//! - `effective`: defaults, variables, and the values that a workspace effectively has.
//! - `expiry`: when a stopped workspace is deleted.
//! - `files`: what becomes of a workspace's files at a stop or deletion.
//! - `settings`: the installation's settings.
//! - `access`: which users may connect; shares.
//! - `checks`: rules for the value of one field.
//! - `names`: names, host, URL and labels of a workspace's objects.
//! - `quantity`: exact quantities.
//! - `stops`: when which rule stops a run.
//! - `keep`: until when users keep a workspace that is not used.
//! - `usage`: what is known of a run's use -> the last one.
//! - `termination`: the line that a container left when it ended.
//! - `violation`: a violated rule as a message.

#![cfg_attr(
    test,
    allow(
        clippy::needless_pass_by_value,
        reason = "a case in JSON is written where it is used"
    )
)]

pub mod access;
mod admission;
pub mod checks;
mod effective;
pub mod expiry;
pub mod files;
pub mod form;
pub mod keep;
pub mod manifest;
pub mod names;
pub mod objects;
pub mod pod_security;
mod quantity;
pub mod routes;
mod settings;
pub mod stops;
pub mod termination;
pub mod usage;
pub mod validate;
mod violation;

pub use access::shares;
pub use admission::managers;
pub use admission::{
    MissingReference, References, Rejection, ValidWorkspace, ValidationResult, admit, judge,
};
pub use checks::networks;
pub use checks::resources::{GPU, SHARED_GPU, is_gpu};
pub use effective::idle::{Idle, IdleAnswer, Question};
pub use effective::profile::ExecutionProfile;
pub use effective::{Effective, Given, Home, PodFields, effective, mount_home, profile_name};
pub use effective::{options, variables};
pub use quantity::{Quantity, QuantityError};
pub use settings::{ImageMirror, PodIdentifiers, Settings};
pub use validate::{claims, may_recover};
pub use violation::{Violation, Violations};
