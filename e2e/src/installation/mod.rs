//! Release under test -> upgraded, checked, scaled, removed; its metrics (IO).
//!
//! - `removal`: the cluster without the product, by the commands of docs/operations.md.
//! - `check`: the Pod of `helm test`.
//! - `release`: the release with other Helm values.
//! - `servers`: metrics and audit records of all servers.
//! - `component`: Deployment of one component and its pods.
//! - `definitions`: CRDs of other projects.
//! - `unasked`: a user whose writes the webhook does not see.

pub mod check;
pub mod component;
pub mod definitions;
pub mod release;
pub mod removal;
pub mod servers;
pub mod unasked;
