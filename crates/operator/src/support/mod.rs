//! Errors, futures, streams, texts -> helpers that know no workspace.
//!
//! | file | input -> output |
//! |---|---|
//! | `backoff.rs` | failures in a row -> the wait before the next attempt |
//! | `spacing.rs` | batches of triggers -> single triggers, those of a batch spaced out |
//! | `tasks.rs` | futures and streams -> tasks that end with their reader |
//! | `send.rs` | a request -> its answer, parsed (IO) |
//! | `failure.rs` | an API error -> a label for metrics, a message for logs |
//! | `text.rs` | texts, lists -> short texts for messages |
//! | `random.rs` | nothing -> random identifiers |

pub(crate) mod backoff;
pub(crate) mod failure;
pub(crate) mod random;
pub(crate) mod send;
pub(crate) mod spacing;
pub(crate) mod tasks;
pub(crate) mod text;
