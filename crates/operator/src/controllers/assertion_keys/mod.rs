//! Public keys of gateway and operator -> a ConfigMap in each namespace with workspaces (IO).
//!
//! Pods check with these keys who sends a request (docs/decisions/0045).
//!
//! | file | input -> output |
//! |---|---|
//! | `own_keys.rs` | the API server -> the operator's own keys, rotated, and all key ConfigMaps |
//! | `distribute.rs` | existing ConfigMaps -> correct ConfigMaps |
//!
//! There is one per namespace and not one per workspace. The keys are the same for all, so a rotation writes a few objects instead of
//! thousands. Nothing in it is secret. A user who may change it may run pods in that namespace anyway.

mod distribute;
mod own_keys;

use api::names::ASSERTION_KEYS;

pub use self::{
    distribute::{ensure, reconcile},
    own_keys::{maintain, renew},
};

/// The name of all these objects.
const NAME: &str = ASSERTION_KEYS;
