//! Templates and their workspaces -> test results, and effects of another template (pure).
//!
//! | file | input -> output |
//! |---|---|
//! | `cases.rs` | template, cases -> which hold, and which fields of the template no case notices |
//! | `unnoticed.rs` | template's spec -> the fields of which no case notices a change |
//! | `effective.rs` | workspace, template -> the effective workspace in the form of a spec |
//! | `compare.rs` | two templates, workspaces of the first -> what differs, and whom the second refuses |

pub(crate) mod cases;
pub(crate) mod compare;
mod effective;
mod unnoticed;
