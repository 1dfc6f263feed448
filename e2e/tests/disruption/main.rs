//! Components end while users work.
//!
//! These tests have their own stages (`.config/nextest.toml`).

mod definitions;
mod evictions;
mod keys;
mod opened;
mod operator_down;
mod replicas;
mod starts;

use std::time::Duration;

use e2e::http::HttpSession;
use reqwest::{Method, StatusCode};

/// Tests of this binary kill the same pods, so they take turns.
static EXCLUSIVE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn fetch(session: &HttpSession, url: &str) -> anyhow::Result<StatusCode> {
    let request = session
        .request(Method::GET, &format!("{url}alive"))
        .header("Sec-Fetch-Site", "same-origin");
    Ok(request.timeout(Duration::from_secs(10)).send().await?.status())
}
