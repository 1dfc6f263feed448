//! The API server -> what the operator knows of it (IO): watches, caches and reads.
//!
//! | name | input -> output |
//! |---|---|
//! | `watch` | watches -> caches, and which workspaces to reconcile |
//! | `stores` | watched objects -> caches, by kind |
//! | `routes.rs` | watched route objects -> their cache |
//! | `warnings` | warning Events, Nodes -> the few facts that a status needs |
//! | `pending_writes` | our writes -> whether a cached object is older |
//! | `lists.rs` | workspaces -> their ReplicaSets and pods, listed from the API server |
//! | `observe.rs` | caches and lists -> references and observed state of one workspace |
//! | `observed.rs` | the observed state of one workspace (pure) |
//! | `references.rs` | what a workspace refers to (pure) |
//! | `field_managers.rs` | `managedFields` -> which other client changed a child (pure) |

pub mod field_managers;
pub mod lists;
pub mod observe;
pub mod observed;
pub mod pending_writes;
pub mod references;
pub mod routes;
pub mod stores;
pub mod warnings;
pub mod watch;
