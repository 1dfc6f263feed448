//! The contract with Traefik: how soon it applies new routes and certificates.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use gateway::index::{Index, Target};
use gateway::server::Limits;
use http::StatusCode;

use crate::support::proxy::{Site, running, snapshot};
use crate::traefik::{TICKET, pod, site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_route_is_live_at_once_and_until_then_the_page_answers() {
    let (site, pod, _) = site().await;
    let starting = Target {
        endpoint: None,
        ..running("second", pod)
    };
    site.index.publish(snapshot([running("lab", pod), starting]));
    assert_eq!(
        site.get("second", "/", &[TICKET]).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let mut head = http::Request::head("/").body(Body::empty()).unwrap();
    head.headers_mut().insert(TICKET.0, TICKET.1.parse().unwrap());
    assert_eq!(
        site.send("second", head).await.unwrap().0,
        StatusCode::SERVICE_UNAVAILABLE
    );

    site.index
        .publish(snapshot([running("lab", pod), running("second", pod)]));
    let took = site.until("second", &[TICKET], StatusCode::OK).await;
    assert!(took < Duration::from_secs(1), "live after {took:?}");

    site.index.publish(snapshot([running("lab", pod)]));
    let took = site.until("second", &[TICKET], StatusCode::FORBIDDEN).await;
    assert!(took < Duration::from_secs(1), "gone after {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_routes_and_changes_cost_few_connections() {
    let (pod, _) = pod().await;
    let workspaces = |from: usize| (from..from + 50).map(move |number| running(&format!("w{number}"), pod));
    let site = Site::start(Index::with(snapshot(workspaces(0)))).await;
    for change in 1..=5 {
        site.index.publish(snapshot(workspaces(change)));
        site.until(&format!("w{}", change + 49), &[TICKET], StatusCode::OK)
            .await;
        for number in change..change + 50 {
            assert_eq!(
                site.get(&format!("w{number}"), "/", &[TICKET]).await.0,
                StatusCode::OK
            );
        }
    }
    let connections = site.connections.load(Ordering::Relaxed);
    // One before the changes and one after each, as forwardAuth is built anew with the routes.
    assert!(
        connections <= 12,
        "{connections} connections for 50 routes and 5 changes"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_takes_up_renewed_certificates_without_a_restart() {
    let (pod, _) = pod().await;
    // Connections end soon, so that new ones have to be made with the new certificates.
    let limits = Limits {
        age: Duration::from_millis(500),
        jitter: Duration::ZERO,
        ..Limits::default()
    };
    let site = Site::start_with(Index::with(snapshot([running("lab", pod)])), limits).await;
    site.until("lab", &[TICKET], StatusCode::OK).await;
    site.renew_certificates();
    tokio::time::sleep(Duration::from_millis(700)).await;
    site.until("lab", &[TICKET], StatusCode::OK).await;
    // The pages and the routes have connections of their own.
    site.index
        .publish(snapshot([running("lab", pod), running("second", pod)]));
    site.until("second", &[TICKET], StatusCode::OK).await;
    let starting = Target {
        endpoint: None,
        ..running("third", pod)
    };
    site.index.publish(snapshot([running("lab", pod), starting]));
    site.until("third", &[TICKET], StatusCode::SERVICE_UNAVAILABLE)
        .await;
}
