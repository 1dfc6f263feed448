//! Pages through the router, with an API server in memory (no sockets).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where a helper of it does"
)]

mod acting;
mod acts_in;
mod assets;
mod at_once;
mod bad_input;
mod bounds;
mod common;
mod counting;
mod disk_use;
mod editing;
mod editor;
mod every_page;
mod foreign_texts;
mod forms;
mod hidden;
mod identity;
mod keep;
mod listing;
mod live;
mod logs;
mod lost;
mod lost_new;
mod markup;
mod namespaces;
mod not_offered;
mod options;
mod outage;
mod owner;
mod reads;
mod recovery;
mod remedies;
mod sending;
mod sharing;
mod short_forms;
mod states;
mod texts;
mod tokens;
mod typing;
mod untouched;
