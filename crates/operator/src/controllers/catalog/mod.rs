//! Templates, managers, profiles, their users -> in-use finalizers and status (IO: [`reconcile`]).
//!
//! These objects stay while workspaces use them, and their status says how many do.
//!
//! | file | input -> output |
//! |---|---|
//! | `subject.rs` | an object of the three kinds -> one common form (pure) |
//! | `usage.rs` | workspaces -> which objects they use or refer to (pure) |
//! | `validation.rs` | an object -> what is wrong with it (pure) |
//! | `decide.rs` | object, usage, time -> the next write (pure) |
//! | `admission.rs` | workspace -> rejected if it needs an object that is being deleted, or not protected yet (pure) |
//! | `in_use.rs` | object -> its in-use finalizer, set and removed (IO) |
//! | `reconcile.rs` | a change -> the writes that are due (IO) |

mod admission;
mod decide;
mod in_use;
mod reconcile;
mod subject;
mod usage;
mod validation;

pub use self::{
    admission::{admit, is_protected},
    reconcile::{CatalogState, reconcile},
    subject::Kind,
};
