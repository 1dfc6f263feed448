//! `AdmissionReview` in, patch or verdict out: the admission webhook of Workspaces.

mod accounts;
pub mod args;
pub mod certs;
mod changes;
pub mod lookups;
mod metrics;
mod mutate;
mod renewal;
mod review;
pub mod router;
pub mod run;
mod verdict;

pub use accounts::Accounts;
pub use metrics::Metrics;
pub use verdict::Rules;
