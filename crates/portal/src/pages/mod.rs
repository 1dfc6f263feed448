//! Request -> page, or a change made as the user (IO).
//!
//! A page is a folder: `mod.rs` answers requests, `view.rs` has what is shown as plain structs, and their templates are beside it.
//!
//! | folder or file | answers |
//! |---|---|
//! | `list/` | `/` |
//! | `workspace/` | `/w/<namespace>/<name>` |
//! | `explanation/` | why a workspace is as it is, and what the user can do about it (pure) |
//! | `actions.rs` | start, stop, restart, delete |
//! | `keep.rs` | keep a workspace that is not used |
//! | `new/` | `/new` |
//! | `edit/` | `/w/<namespace>/<name>/edit` and `…/yaml` |
//! | `form/` | form and YAML of both |
//! | `sharing/` | shares of a workspace |
//! | `owner.rs` | another owner of a workspace |
//! | `short_form.rs` | fields of forms that are not of a whole workspace |
//! | `logs/` | output of a container |
//! | `stopping/` | stop of many |
//! | `namespace/` | `/namespaces/<name>` |
//! | `templates/` | `/templates` |
//! | `account/` | `/account` |
//! | `live/` | `/events`, the stream of changes |
//! | `assets.rs` | scripts and styles |
//! | `answers.rs` | pages, messages, redirects |
//! | `held.rs` | answers that count as under way until they are sent |
//! | `extract.rs` | address and form of a request, or a page that says what is wrong with them |
//! | `may.rs` | what the user may do with workspaces |
//! | `summary.rs` | workspace -> its state, size and actions in words (pure) |
//! | `editor.rs` | workspace -> its link to VS Code (pure) |
//! | `words.rs` | times and amounts in words (pure) |

pub(crate) mod account;
pub(crate) mod actions;
pub(crate) mod answers;
pub(crate) mod assets;
pub(crate) mod edit;
mod editor;
mod explanation;
mod extract;
mod form;
pub(crate) mod held;
pub(crate) mod keep;
pub(crate) mod list;
pub(crate) mod live;
pub(crate) mod logs;
mod may;
pub(crate) mod namespace;
pub(crate) mod new;
pub(crate) mod owner;
pub(crate) mod sharing;
mod short_form;
pub(crate) mod stopping;
mod summary;
pub(crate) mod templates;
mod words;
pub(crate) mod workspace;
