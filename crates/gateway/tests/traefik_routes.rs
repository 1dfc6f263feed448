//! The contract with Traefik: how soon it applies new routes and certificates, and what stands in for a provider that restarts.

use std::time::Duration;

use api::manager::RoutingMode;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use gateway::index::{Index, Target};
use gateway::server::Limits;
use http::StatusCode;
use tokio::net::TcpListener;

use crate::support::behind_proxy::Behind;
use crate::support::chart::Chart;
use crate::support::proxy::{PROVIDER, Site, running, snapshot};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_bundled_provider_restarts_a_page_load_gets_a_page_that_tries_again() {
    const SIGN_IN: &str = "/realms/jupyter/protocol/openid-connect/auth?state=x";
    let page_load = [("accept", "text/html,*/*;q=0.8"), ("sec-fetch-dest", "document")];
    let script = [("accept", "application/json"), ("sec-fetch-dest", "empty")];
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let chart = Chart::render(RoutingMode::Subdomain).with_provider_at(address);
    let behind = Behind::stub(Index::with(snapshot([])));
    let site = Site::as_charted(chart, RoutingMode::Subdomain, behind).await;

    let answer = site.raw_at(PROVIDER, SIGN_IN, &page_load).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    let lower = answer.to_ascii_lowercase();
    for part in [
        "\r\nretry-after: 5\r\n",
        "\r\ncache-control: no-store\r\n",
        "\r\ncontent-security-policy: default-src 'none';",
        "<meta http-equiv=\"refresh\" content=\"5\">",
        "this page tries again",
    ] {
        assert!(lower.contains(part), "{part} is not in {answer}");
    }
    for headers in [&script[..], &[]] {
        let answer = site.raw_at(PROVIDER, SIGN_IN, headers).await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        assert!(!answer.contains("<meta"), "{answer}");
    }
    // Nobody gets that page elsewhere.
    let elsewhere = site
        .raw("auth", "/identity-provider-unreachable", &page_load)
        .await;
    assert!(elsewhere.starts_with("HTTP/1.1 404"), "{elsewhere}");

    // It is back. Its own pages and errors stay.
    let provider = Router::new()
        .route(
            "/realms/jupyter/broken",
            get(async || StatusCode::INTERNAL_SERVER_ERROR),
        )
        .fallback(async || "a page of the provider");
    let socket = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { axum::serve(socket, provider).await.unwrap() });
    for headers in [&page_load, &script] {
        let answer = site.raw_at(PROVIDER, SIGN_IN, headers).await;
        assert!(answer.ends_with("a page of the provider"), "{answer}");
        let answer = site.raw_at(PROVIDER, "/realms/jupyter/broken", headers).await;
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        assert!(!answer.contains("<meta"), "{answer}");
    }
}
