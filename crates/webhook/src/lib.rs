//! `AdmissionReview` -> allowed, patched or refused: the admission webhook.
//!
//! Modules from top to bottom. Each imports only from those below it:
//!
//! - `run`: wires the process
//! - `router`: HTTP, limits of requests
//! - `mutate`: `/mutate`, records, and sentences about what the schema will refuse
//! - `validate`: `/validate`, all broken rules in one answer
//! - `records`: annotations and fields that only the webhook writes
//! - `lookups`: objects and rights, from watches and from the API server
//! - `certificate`: the serving certificate and its authority
//! - `metrics`: counts and durations
//! - `args`: command line
//! - `review`: a request, what it changes, and its answer

pub mod args;
pub mod certificate;
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
