//! `AdmissionReview` -> allowed, patched or refused (IO): the admission webhook.
//!
//! The modules, from top to bottom. Each imports only modules below it:
//!
//! - `run`: starts all parts of the process
//! - `router`: HTTP and request limits
//! - `mutate`: `/mutate`, records
//! - `validate`: `/validate`, all violations in one answer
//! - `records`: annotations and fields that only the webhook writes
//! - `lookups`: objects and permissions, from watches and from the API server
//! - `certificate`: the serving certificate and its authority
//! - `metrics`: counts and durations
//! - `args`: command line
//! - `review`: a request, its changes, and its answer

mod args;
mod certificate;
pub mod lookups;
mod metrics;
mod mutate;
mod records;
mod review;
pub mod router;
pub mod run;
mod validate;

pub use metrics::Metrics;
pub use review::{Accounts, Enforcement};
pub use validate::Rules;
