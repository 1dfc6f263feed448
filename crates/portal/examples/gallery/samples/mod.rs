//! Kind of text of others -> every page in its states (pure).
//!
//! | file | pages |
//! |---|---|
//! | `lists.rs` | lists, namespaces, the stop of many |
//! | `detail.rs` | one workspace |
//! | `forms.rs` | new, edit, conflict, YAML, questions |
//! | `others.rs` | shares, logs, templates, account, messages |
//! | `basics.rs` | what all of them use |

#![allow(
    clippy::too_many_lines,
    clippy::wildcard_imports,
    reason = "samples are long lists of plain values of all structs"
)]

mod basics;
mod detail;
mod forms;
mod lists;
mod others;

/// What pages show.
mod views {
    pub(super) use portal::pages::account::view::*;
    pub(super) use portal::pages::edit::view::*;
    pub(super) use portal::pages::editor::*;
    pub(super) use portal::pages::explanation::view::*;
    pub(super) use portal::pages::form::view::*;
    pub(super) use portal::pages::list::view::*;
    pub(super) use portal::pages::logs::view::*;
    pub(super) use portal::pages::namespace::view::*;
    pub(super) use portal::pages::new::view::*;
    pub(super) use portal::pages::sharing::view::*;
    pub(super) use portal::pages::stopping::view::*;
    pub(super) use portal::pages::templates::view::*;
    pub(super) use portal::pages::workspace::view::*;
    pub(super) use portal::views::*;
}

/// What is done to every text that others write, such as names and messages.
pub(crate) type Foreign<'a> = &'a dyn Fn(&str) -> String;

/// Name of a page, and its HTML.
pub(crate) type Page = (&'static str, String);

/// Every page in its states.
pub(crate) fn pages(f: Foreign<'_>) -> Vec<Page> {
    [
        lists::pages(f),
        detail::pages(f),
        forms::pages(f),
        others::pages(f),
    ]
    .concat()
}
