//! What happened -> conditions, phase, Events (pure, but for `publish.rs`).
//!
//! | name | input -> output |
//! |---|---|
//! | `assess` | children, warnings, blockers -> conditions, phase, URL, endpoint |
//! | `started.rs` | status, pods -> whether a container of the run has ever started |
//! | `debounce.rs` | a status that another one follows soon -> whether to write it now |
//! | `publish.rs` | a status -> written if it differs, then its Events (IO) |
//! | `transitions` | status before and after -> Events |

pub mod assess;
pub mod debounce;
pub mod events;
pub mod publish;
pub mod started;
pub mod transitions;
