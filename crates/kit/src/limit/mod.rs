//! Key and limit -> allowed, a permit, or the time to wait (in memory).
//!
//! - `rate`: how often; of one, of each key, of log lines
//! - `share`: how many at a time; refused above the limit, or in a queue that is fair between keys

mod rate;
mod share;

pub use rate::{KeyedRate, LogLimit, Rate};
pub use share::{ConcurrencyLimit, FairQueue, Permit, QueuePermit};
