//! Values of the Helm chart -> rendered objects (IO: runs `helm`).
//!
//! `UPDATE_EXPECT=1` writes the files in `golden` and `e2e/tests/contract/account_rights`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy exempts functions marked #[test], but not what they call"
)]

mod accounts;
mod cluster;
mod documents;
mod golden;
mod images;
mod monitoring;
mod pods;
mod policies;
mod references;
mod refusals;
mod released;
mod render;
mod rights;
mod scope;
mod values;
