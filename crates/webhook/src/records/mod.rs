//! Request -> required value of a field that only the webhook writes, or a violation (IO).
//!
//! - `assigned_by`: the user who assigned the owner
//! - `attested_template`: UID of the template that existed at creation
//! - `default_template`: name of the template of a workspace that names none
//! - `last_updated_by`: the user who changed the workspace last
//! - `omitted`: stored values of fields that an update left out
//! - `share_binding`: UID and owner of a share's workspace

pub(crate) mod assigned_by;
pub(crate) mod attested_template;
pub(crate) mod default_template;
pub(crate) mod last_updated_by;
pub(crate) mod omitted;
pub(crate) mod share_binding;
