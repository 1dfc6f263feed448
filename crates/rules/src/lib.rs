//! Objects and settings -> decisions (pure): defaults, validation, names and access, for all callers.
//!
//! | modules | decide |
//! |---|---|
//! | `judge`, `rejection`, `valid` | whether a workspace may run |
//! | `defaults`, `given`; `idle`, `limits`, `resources`, `profile` | effective values, and those of one topic |
//! | `validate`, `checks`, `schema`, `violation` | violated rules: of an object, of one field alone, of the schema, and their messages |
//! | `managers`, `routes`, `names`, `networks`, `mirrors`, `claims` | names and content of a workspace's objects |
//! | `variables`, `expand`, `quantity`, `settings`, `references` | the values that rules read |
//! | `access`, `shares` | who may connect |
//! | `form`, `manifest`, `explain`, `progress`, `consequence` | the output of portal and command line |

#![cfg_attr(
    test,
    allow(
        clippy::needless_pass_by_value,
        reason = "a case in JSON is written where it is used"
    )
)]

pub mod access;
pub mod checks;
pub mod claims;
pub mod consequence;
pub mod defaults;
mod expand;
pub mod explain;
pub mod form;
pub mod given;
mod idle;
pub mod judge;
mod limits;
pub mod managers;
pub mod manifest;
mod mirrors;
pub mod names;
pub mod networks;
mod profile;
pub mod progress;
pub mod quantity;
mod references;
pub mod rejection;
mod resources;
pub mod routes;
pub mod schema;
pub mod settings;
pub mod shares;
pub mod valid;
pub mod validate;
pub mod variables;
pub mod violation;

pub use defaults::{Effective, Home, PodShape, effective, profile_name};
pub use given::Given;
pub use idle::{Answer, Idle, Question};
pub use judge::{Judgement, admit, judge};
pub use mirrors::ImageMirror;
pub use profile::ExecutionProfile;
pub use quantity::Quantity;
pub use references::References;
pub use rejection::{NotYet, Rejection};
pub use resources::{GPU, SHARED_GPU, is_gpu};
pub use settings::{PodIdentifiers, Settings};
pub use valid::ValidWorkspace;
pub use violation::{Violation, Violations};
