//! Commands of kubectl and of the documentation -> their output (IO).
//!
//! - `shell`: commands of the documentation and of Helm's notes, in an administrator's shell.
//! - `kubectl`: kubectl as a user or as administrator.

mod kubectl;
pub mod shell;

pub use kubectl::{
    Following, Outcome, administer, administer_with, administered, apply, kubectl, kubectl_as, kubectl_by,
    kubectl_with, shell_by,
};
