//! Faults that take minutes, or that tests without a cluster cover at every call.
//!
//! They run before a release, if a filter selects them.
//!
//! | module | fault |
//! |---|---|
//! | `leader` | the leading operator is killed while many workspaces start |
//! | `outage` | the API server does not respond |
//! | `silent` | a replica of the gateway does not respond, or cannot be reached |
//! | `starts` | the operator is killed at each step of a start |

mod leader;
mod outage;
mod silent;
mod starts;
