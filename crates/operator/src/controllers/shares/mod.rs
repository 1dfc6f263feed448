//! Shares -> bound to a workspace, active or not and why, ended on time, removed (IO).
//!
//! | file | input -> output |
//! |---|---|
//! | `due.rs` | a share, its workspace -> what to write; `rules/src/access/shares.rs` decides whether it is active (pure) |
//! | `reconcile.rs` | all shares -> written as `due.rs` says (IO) |

mod due;
mod reconcile;

pub use self::reconcile::reconcile;
