//! Values of the Helm chart -> rendered objects (IO: runs `helm`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy exempts functions marked #[test], but not what they call"
)]

mod accounts;
mod certificates;
mod checks;
mod cluster;
mod cluster_refusals;
mod contradictions;
mod edge;
mod empty_keys;
mod examples;
mod exposed_ports;
mod fit;
mod fronts;
mod hooks;
mod https_proxy;
mod identity;
mod images;
mod install;
mod installation;
mod managers;
mod monitoring;
mod networks;
mod notes;
mod parts;
mod pods;
mod policies;
mod portal;
mod portal_rights;
mod release;
mod released;
mod render;
mod rights;
mod routes;
mod scope;
mod service;
mod teams;
mod values;
