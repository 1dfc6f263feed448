//! Faults that take minutes, or that tests without a cluster show at every call: tests that run before a release, when they are named.
//!
//! | module | fault |
//! |---|---|
//! | `leader` | the leading operator is killed while many workspaces start |
//! | `outage` | the API server stands still |
//! | `silent` | a replica of the gateway stands still, or cannot be reached |
//! | `starts` | the operator is killed at each step of a start |

mod leader;
mod outage;
mod silent;
mod starts;
