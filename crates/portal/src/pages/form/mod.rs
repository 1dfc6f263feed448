//! What a user writes about a workspace, as form or as YAML -> what is wrong with it (IO).
//!
//! | file | what it does |
//! |---|---|
//! | `checks.rs` | dry runs, while a user types |
//! | `quotas.rs` | what is used of a namespace's quotas |
//! | `fields/` | form model and values -> fields of a page (pure) |
//! | `draft.rs` | body of a form or a text -> a workspace (pure) |
//! | `place.rs` | namespace and template of a form, a free name |
//! | `problems.rs` | findings in a text, refusals -> what is wrong, and where (pure) |
//! | `unsaved.rs` | a form that cannot be saved -> the page with what was typed (pure) |
//! | `view.rs` | the pages of form and text, and their parts |

pub(super) mod checks;
pub(super) mod draft;
pub(super) mod fields;
pub(super) mod place;
pub(super) mod problems;
pub(super) mod quotas;
pub(super) mod unsaved;
pub(super) mod view;
