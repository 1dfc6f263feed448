//! Templates, managers, profiles, their users -> in-use finalizers and status (IO: [`run`]).
//!
//! These objects stay while workspaces use them, and their status says how many do.
//!
//! | file | input -> output |
//! |---|---|
//! | `subject.rs` | an object of the three kinds -> one common form (pure) |
//! | `usage.rs` | workspaces -> which objects they use (pure) |
//! | `validation.rs` | an object -> what is wrong with it (pure) |
//! | `decide.rs` | object, users, time -> the next write (pure) |
//! | `admission.rs` | workspace -> rejected if it needs an object that is being deleted (pure) |
//! | `in_use.rs` | valid workspace -> in-use finalizers before its first child (IO) |
//! | `reconcile.rs` | a change -> the writes that are due (IO) |

mod admission;
mod decide;
mod in_use;
mod reconcile;
mod subject;
mod usage;
mod validation;

pub use self::{
    admission::admit,
    in_use::{Error, InUse, ensure_in_use},
    reconcile::{CatalogState, reconcile, run},
    subject::{Key, Kind},
};
