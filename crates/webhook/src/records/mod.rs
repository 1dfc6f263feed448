//! What only the webhook writes: request -> the value that is due, or a violation (IO).
//!
//! - `assigned_by`: who assigned the owner
//! - `attested_template`: UID of the template that existed at creation
//! - `default_template`: name of the template of a workspace that names none
//! - `last_updated_by`: who changed the workspace last
//! - `share_binding`: UID and owner of a share's workspace

pub(crate) mod assigned_by;
pub(crate) mod attested_template;
pub(crate) mod default_template;
pub(crate) mod last_updated_by;
pub(crate) mod share_binding;
