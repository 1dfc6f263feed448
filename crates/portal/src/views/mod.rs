//! What a page shows, as plain structs with texts for display -> HTML (pure).
//!
//! A page is a struct with a [`Layout`] and a template of the same name in `crates/portal/templates`. A part that has an `id` attribute is a
//! struct with a template of its own: the page and the stream of changes render the same part. All render by [`askama::Template::render`].
//!
//! | file | pages and parts |
//! |---|---|
//! | `parts.rs` | what many pages hold: times, states, actions, notes |
//! | `layout.rs` | what surrounds every page |
//! | `list.rs` | the list of workspaces |
//! | `workspace.rs` | one workspace; `explanation.rs`: why it is as it is |
//! | `form.rs` | fields of a form, what is wrong with them, quotas |
//! | `create.rs` | choose a template, the form of a new workspace, of a change, a conflict |
//! | `yaml.rs` | the text field for YAML |
//! | `confirm.rs` | delete, stop, other confirmations |
//! | `share.rs` | shares of a workspace |
//! | `logs.rs` | output of a container |
//! | `templates.rs` | templates in words |
//! | `namespace.rs` | all workspaces of a namespace, stop of many |
//! | `account.rs` | the signed-in user, commands |
//! | `message.rs` | errors and other answers |
//! | `text.rs` | filters of templates, text of others -> text that is safe to show |

mod account;
mod confirm;
mod create;
mod explanation;
mod form;
mod layout;
mod list;
mod logs;
mod message;
mod namespace;
mod parts;
mod share;
mod templates;
mod text;
mod workspace;
mod yaml;

pub use account::{Account, Command};
pub use confirm::{Confirm, Consequence};
pub use create::{Choose, Conflict, Difference, Edit, Offer};
pub use explanation::{Cause, Explanation, Finding, Progress, Remedy, Step, StepState};
pub use form::{Card, Choice, Field, Form, Input, Problem, QuotaLine, Quotas, Section, Slider, Summary};
pub use layout::{Age, Layout, Nav, Stale};
pub use list::{Bulk, Column, Count, Counts, List, Pages, Row, Rows, Select, Sort};
pub use logs::{Container, Logs};
pub use message::Message;
pub use namespace::{Actions, BulkProgress, BulkResult, BulkResults, Namespace};
pub use parts::{Action, Empty, Icon, Moment, Note, State, Tone, Way};
pub use share::{Share, ShareList, Shares};
pub use templates::{Bounds, Template, Templates};
pub use text::{plain_line, plain_log};
pub use workspace::{
    Access, AccessRule, Editor, Event, Events, Fact, Facts, Head, Meter, Pending, Usage, Value, Workspace,
};
pub use yaml::{Mark, Marks, Yaml};
