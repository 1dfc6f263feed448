//! Helpers that every module uses and that know no workspace.
//!
//! | file | input -> output |
//! |---|---|
//! | `backoff.rs` | failures in a row -> the wait before the next attempt |
//! | `spacing.rs` | batches of triggers -> single triggers, those of a batch spaced out |
//! | `tasks.rs` | futures and streams -> tasks that end with their reader |
//! | `send.rs` | a request -> its answer, parsed (IO) |
//! | `failure.rs` | an API error -> a label for metrics, a message for logs |
//! | `random.rs` | random identifiers |

pub mod backoff;
pub mod failure;
pub mod random;
pub mod send;
pub mod spacing;
pub mod tasks;
