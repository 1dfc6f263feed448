//! Requests of pages -> requests to the API server, as the user or as the portal (IO).
//!
//! | file | what it does |
//! |---|---|
//! | `as_user.rs` | requests as the user, by impersonation |
//! | `failure.rs` | what went wrong |
//! | `mode.rs` | whether the API server takes such requests |

mod as_user;
mod failure;
mod mode;

pub use as_user::AsUser;
pub use failure::Failure;
pub use mode::{Mode, follow};
