//! Requests of pages -> requests to the API server, as the user or as the portal (IO).
//!
//! | file | what it does |
//! |---|---|
//! | `token.rs` | the user's own token: whether the API server takes it for the same user |
//! | `as_user.rs` | requests as the user, by impersonation or with that token |
//! | `identity.rs` | how such a request names the user |
//! | `failure.rs` | what went wrong |
//! | `mode.rs` | whether the API server takes such requests |

mod as_user;
mod failure;
mod identity;
mod mode;
mod token;

pub(crate) use as_user::AsUser;
pub use failure::Failure;
pub(crate) use identity::Identity;
pub use mode::{Mode, follow};
pub(crate) use token::Tokens;
