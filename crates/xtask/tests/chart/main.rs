//! The Helm chart, as it renders (IO: runs `helm`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy exempts functions marked #[test], but not what they call"
)]

mod certificates;
mod checks;
mod contradictions;
mod edge;
mod examples;
mod exposed_ports;
mod fit;
mod hooks;
mod images;
mod install;
mod installation;
mod managers;
mod monitoring;
mod notes;
mod parts;
mod pods;
mod policies;
mod release;
mod render;
mod rights;
mod routes;
mod service;
mod teams;
mod values;
