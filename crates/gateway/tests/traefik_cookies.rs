//! The contract with Traefik: several cookies that it forwards together.

use std::sync::atomic::Ordering;

use axum::body::Body;
use gateway::index::Index;
use http::StatusCode;

use crate::support::pod::answering;
use crate::support::proxy::{Site, running, snapshot};
use crate::traefik::TICKET;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_ticket_reaches_the_browser_beside_the_pods_own_cookies_and_no_other_cookie_of_ours_does() {
    let lines = [
        "session=a%20b; Path=/lab; HttpOnly; SameSite=Strict; Max-Age=60",
        "username-localhost-8888=\"2|1:0|10:1700000000\"; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
        "__Host-ws=forged; Path=/; Secure",
    ];
    let answer = move || async move {
        let mut response = axum::response::Response::new(Body::from("pod"));
        for line in lines {
            response.headers_mut().append("set-cookie", line.parse().unwrap());
        }
        response
    };
    let pod = answering(answer).await;
    let site = Site::start(Index::with(snapshot([running("lab", pod)]))).await;
    site.until("lab", &[TICKET], StatusCode::OK).await;
    let cookies = async || {
        let (_, headers, _) = site.get("lab", "/", &[TICKET]).await;
        let lines = headers.get_all("set-cookie").iter();
        lines
            .map(|line| line.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let untouched = cookies().await;
    assert!(untouched.contains(&lines[0].to_owned()), "{untouched:?}");

    site.stub.renews.store(true, Ordering::Relaxed);
    let with_ticket = cookies().await;
    let named = |name: &str| {
        with_ticket
            .iter()
            .filter(|line| line.starts_with(&format!("{name}=")))
            .cloned()
            .collect::<Vec<_>>()
    };
    let tickets = named("__Host-ws");
    assert_eq!(tickets.len(), 1, "{with_ticket:?}");
    for part in [
        "__Host-ws=renewed",
        "Path=/",
        "Max-Age=900",
        "Secure",
        "HttpOnly",
        "SameSite=Lax",
    ] {
        assert!(tickets[0].contains(part), "{tickets:?}");
    }
    assert!(named("other").is_empty(), "{with_ticket:?}");
    // The proxy writes the pod's cookies anew on such an answer: value and attributes stay.
    let own = named("session");
    for part in [
        "session=a%20b",
        "Path=/lab",
        "HttpOnly",
        "SameSite=Strict",
        "Max-Age=60",
    ] {
        assert!(own.len() == 1 && own[0].contains(part), "{with_ticket:?}");
    }
    let quoted = named("username-localhost-8888");
    assert!(
        quoted.len() == 1 && quoted[0].contains("2|1:0|10:1700000000"),
        "{with_ticket:?}"
    );
}
