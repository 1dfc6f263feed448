//! Calls to the Kubernetes API -> answers, with retries, access reviews and leader election (IO).
//!
//! - `access_review`: what a user may do, cached until roles change
//! - `lease`: leader election
//! - `client`: the Kubernetes client
//! - `retry`: the client's retries and concurrency limit
//! - `scope`: the watched namespace, or all
//! - `api_error`: errors of the API server without their content

pub mod access_review;
pub mod api_error;
pub mod client;
pub mod lease;
mod retry;
pub mod scope;

/// The `metadata.resourceVersion` of a server-side apply that must create the object.
/// No stored object has this version, because etcd's first write has number 2.
/// So the apply creates the object or conflicts. It never merges into an object that another client created meanwhile.
/// A `POST` has the same effect, but records field ownership differently than later applies do.
/// A role also cannot limit a `POST` to names.
pub const ABSENT: &str = "1";
