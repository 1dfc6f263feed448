//! The API server -> what the operator knows of it (IO): watches, caches and reads.
//!
//! | name | input -> output |
//! |---|---|
//! | `watch` | watches -> caches, and which workspaces to reconcile |
//! | `stores` | watched objects -> caches, by kind |
//! | `objects.rs` | watched routes and objects of templates -> their cache |
//! | `warnings` | warning Events, Nodes -> the few facts that a status needs |
//! | `pending_writes` | our writes -> whether a cached object is older |
//! | `observe.rs` | caches -> references and observed state of one workspace |
//! | `observed.rs` | children of one workspace -> what they say about its runs (pure) |
//! | `references.rs` | objects that a workspace refers to -> its last manager (pure) |
//! | `partial.rs` | JSON of a Pod -> the fields that the operator reads (pure) |
//! | `field_managers.rs` | `managedFields` -> which other client changed an image of a pod (pure) |

pub(crate) mod field_managers;
pub(crate) mod objects;
pub(crate) mod observe;
pub(crate) mod observed;
pub(crate) mod partial;
pub(crate) mod pending_writes;
pub(crate) mod references;
pub mod stores;
pub(crate) mod warnings;
pub mod watch;

pub use self::{objects::KindState, observed::Identity};
