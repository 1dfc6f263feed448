//! Request of a signed-in user -> a page, or a change made as that user (IO).
//!
//! The modules, from top to bottom. Each imports only modules below it:
//!
//! - `run`: starts all parts of the process
//! - `router`: one table of routes, and what holds for every request
//! - `pages`: one folder per page: request -> HTML
//! - `app`: what every page needs, and the request that it answers
//! - `visible`: user and index -> the workspaces that the user sees
//! - `index`: watched objects in memory
//! - `cluster`: requests to the API server as the user; access reviews
//! - `limits`: requests of each user
//! - `metrics`: counts
//! - `keys`: the gateway's public keys
//! - `source`: may this request change something?
//! - `user`: assertion -> the signed-in user
//! - `views`: what many pages show -> HTML
//! - `args`: command line
//! - `assets`: style sheet, scripts, their hashed names

#![cfg_attr(
    test,
    allow(
        clippy::needless_pass_by_value,
        reason = "a case in JSON is written where it is used"
    )
)]

pub mod app;
pub mod args;
pub mod assets;
pub mod cluster;
mod index;
mod keys;
mod limits;
pub mod metrics;
mod pages;
pub mod router;
pub mod run;
mod source;
pub mod user;
mod views;
mod visible;
