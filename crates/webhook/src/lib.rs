//! `AdmissionReview` in, patch or verdict out: the admission webhook of workspaces and what belongs to them.

mod accounts;
pub mod args;
mod catalogue;
pub mod certs;
mod changes;
mod complete;
mod default_template;
mod disks;
mod findings;
mod guests;
mod kind;
pub mod lookups;
mod malformed;
mod metrics;
mod mutate;
mod ownership;
mod reach;
mod renewal;
mod reserved;
mod review;
mod rights;
pub mod router;
pub mod run;
mod secrets;
mod shares;
mod updater;
mod usage;
mod verdict;
mod vouched;
mod workspace;

pub use accounts::Accounts;
pub use findings::Enforcement;
pub use metrics::Metrics;
pub use verdict::Rules;
