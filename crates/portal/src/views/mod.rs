//! What many pages show, as plain structs with texts for display -> HTML (pure).
//!
//! A page is a struct with a [`Layout`] and a template, both beside its code: `pages/<page>/view.rs` and `<page>.html`. A part that has an
//! `id` attribute is a struct whose template is a block of `parts.html`: the page and the stream of changes render the same part. All
//! render by [`askama::Template::render`].
//!
//! | file | holds |
//! |---|---|
//! | `layout.rs` | what surrounds every page |
//! | `message.rs` | errors and other answers |
//! | `confirm.rs` | delete, stop, other confirmations |
//! | `parts.rs` | what many pages hold: times, states, actions, notes |
//! | `text.rs` | filters of templates, text of others -> text that is safe to show |

mod confirm;
mod layout;
mod message;
mod parts;
mod text;

pub(crate) use confirm::{Confirm, Consequence};
pub(crate) use layout::{Age, Layout, Nav, Stale};
pub(crate) use message::Message;
pub(crate) use parts::{Action, Empty, Fact, Icon, Menu, Moment, Note, State, Tone, Way, part};
pub(crate) use text::{filters, plain_log};
