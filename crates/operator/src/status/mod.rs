//! Observed state, blockers -> conditions, phase, Events (pure; `publish.rs`, `events.rs`: IO).
//!
//! | name | input -> output |
//! |---|---|
//! | `assess` | children, warnings, blockers -> conditions, phase, URL, endpoint |
//! | `memory.rs` | pod, what its door says -> when memory ran out |
//! | `disk_use.rs` | what the door of a pod says, earlier status -> how much of the disk is used |
//! | `started.rs` | status, pods -> whether a container of the run has ever started |
//! | `stop_record.rs` | annotation of a workspace -> which rule stopped which of its runs |
//! | `publish.rs` | a status -> written if it differs, then its Events (IO) |
//! | `events.rs` | Events -> the API server (IO) |
//! | `transitions.rs` | status before and after -> Events |

pub(crate) mod assess;
pub(crate) mod disk_use;
pub mod events;
pub(crate) mod memory;
pub(crate) mod publish;
pub(crate) mod started;
pub(crate) mod stop_record;
pub(crate) mod transitions;
