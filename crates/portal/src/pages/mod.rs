//! Request -> view (IO: reads and changes as the user).
//!
//! | file | answers |
//! |---|---|
//! | `list.rs` | `/`; `search.rs`: its address |
//! | `workspace.rs` | `/w/<namespace>/<name>`; `facts.rs`, `happened.rs`, `usage.rs`: its parts |
//! | `remedies.rs` | what the user can do about a finding of an explanation |
//! | `actions.rs` | start, stop, restart, delete |
//! | `form/` | `/new`, `/w/<namespace>/<name>/edit` and `…/yaml` |
//! | `sharing/` | shares of a workspace |
//! | `short_form.rs` | fields of forms that are not of a whole workspace |
//! | `owner.rs` | another owner of a workspace |
//! | `logs/` | output of a container |
//! | `stopping.rs` | stop of many |
//! | `namespace.rs` | `/namespaces/<name>` |
//! | `templates.rs` | `/templates` |
//! | `account.rs` | `/account` |
//! | `live/` | `/events`, the stream of changes |
//! | `assets.rs` | scripts and styles |
//! | `outdated.rs` | everything, while the API server is away for long |
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
mod editor;
mod extract;
mod facts;
pub(crate) mod form;
mod happened;
pub(crate) mod held;
pub(crate) mod list;
pub(crate) mod live;
pub(crate) mod logs;
mod may;
pub(crate) mod namespace;
pub(crate) mod outdated;
pub(crate) mod owner;
mod remedies;
mod search;
pub(crate) mod sharing;
mod short_form;
pub(crate) mod stopping;
mod summary;
pub(crate) mod templates;
mod usage;
mod words;
pub(crate) mod workspace;
