//! Metrics: a change, a dry run, a page, a refused impersonation each count as what they are.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{Method, StatusCode};
use portal::args::Impersonation;
use portal::cluster::Mode;
use testkit::api_server::Fault;

use crate::common::Portal;
use crate::forms::{MEMORY, NEW, portal};
use crate::typing::Typed;

/// The value of a time series; `None`: it does not exist.
fn value(portal: &Portal, series: &str) -> Option<f64> {
    let metrics = portal.metrics();
    let mut lines = metrics.lines();
    let found = lines.find_map(|line| line.strip_prefix("jupyter_k8s_portal_")?.strip_prefix(series));
    found.map(|value| value.trim().parse().unwrap())
}

fn refuse(portal: &Portal, method: Method, message: &str) {
    portal
        .server
        .fail(Fault::forbidden(method, "/workspaces", message, 1));
}

#[tokio::test]
async fn a_dry_run_is_no_change_and_a_change_is_no_dry_run() {
    let portal = portal().await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await);
    let accepted = "dry_runs_total{result=\"accepted\"}";
    let refused = "dry_runs_total{result=\"refused\"}";
    let made = "changes_total{action=\"new\",result=\"done\"}";
    portal.sent("alice", "/new/check", &typed).await;
    let too_much = typed.clone().with(MEMORY, "64Gi");
    portal.sent("alice", "/new/check", &too_much).await;
    assert_eq!(value(&portal, accepted), Some(1.0), "{}", portal.metrics());
    assert_eq!(value(&portal, refused), Some(1.0));
    assert!(
        !portal.metrics().contains("changes_total{"),
        "{}",
        portal.metrics()
    );
    let answer = portal.sent("alice", "/new", &typed).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(value(&portal, made), Some(1.0), "{}", portal.metrics());
    assert_eq!(value(&portal, accepted), Some(1.0));
}

#[tokio::test]
async fn answers_are_counted_by_kind_of_page_without_names() {
    let portal = portal().await;
    portal.get("alice", "/w/team/none").await;
    portal.get("alice", "/w/team/other").await;
    portal.get("alice", "/nothing").await;
    let pages = "answers_total{page=\"/w/{namespace}/{name}\",method=\"GET\",status=\"404\"}";
    assert_eq!(value(&portal, pages), Some(2.0), "{}", portal.metrics());
    let lost = "answers_total{page=\"none\",method=\"GET\",status=\"404\"}";
    assert_eq!(value(&portal, lost), Some(1.0), "{}", portal.metrics());
}

#[tokio::test]
async fn a_refusal_of_the_portal_s_account_is_distinguished_from_one_of_the_user() {
    let portal = portal().await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await);
    let refusals = "impersonations_refused_total";
    refuse(
        &portal,
        Method::POST,
        "user \"alice\" cannot create resource \"workspaces\"",
    );
    portal.sent("alice", "/new", &typed).await;
    assert_eq!(value(&portal, refusals), Some(0.0), "{}", portal.metrics());
    let message = "User \"system:serviceaccount:system:portal\" cannot impersonate-on:user-info:create resource \"workspaces\"";
    refuse(&portal, Method::POST, message);
    portal.sent("alice", "/new", &typed).await;
    assert_eq!(value(&portal, refusals), Some(1.0), "{}", portal.metrics());
}

#[tokio::test]
async fn the_portal_s_own_question_whether_it_may_impersonate_is_not_counted() {
    let portal = portal().await;
    portal.server.fail(Fault::forbidden(
        Method::POST,
        "/selfsubjectreviews",
        "User \"portal\" cannot impersonate:user-info resource \"users\"",
        1,
    ));
    let mode = Arc::new(ArcSwap::from_pointee(Mode::AsUser));
    let client = portal.server.connect(None);
    let asked = tokio::spawn(portal::cluster::follow(
        client,
        Impersonation::Constrained,
        mode.clone(),
    ));
    while **mode.load() == Mode::AsUser {
        tokio::task::yield_now().await;
    }
    asked.abort();
    assert_eq!(
        value(&portal, "impersonations_refused_total"),
        Some(0.0),
        "{}",
        portal.metrics()
    );
}

#[tokio::test(start_paused = true)]
async fn the_lag_of_the_index_grows_while_a_watch_is_interrupted() {
    let portal = Portal::start(|_| {}).await;
    let lag = || value(&portal, "index_lag_seconds").unwrap();
    assert!(lag().abs() < f64::EPSILON, "{}", portal.metrics());
    let until = async |is_behind: bool| {
        while (lag() > 2.0) != is_behind {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    portal.server.partition(true);
    until(true).await;
    portal.server.partition(false);
    until(false).await;
}
