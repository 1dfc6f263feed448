//! Whatever bytes arrive: without a valid ticket nothing passes.

use axum::body::Body;
use gateway::request::cookies;
use http::{HeaderValue, Request, StatusCode};
use proptest::prelude::*;

use crate::support::browser::headers;
use crate::support::world::{LAB, OPEN, World, origin};

fn lab() -> String {
    format!("{}/", origin(LAB))
}

fn any_header() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        Just("x-forwarded-method".to_owned()),
        Just("x-forwarded-proto".to_owned()),
        Just("x-forwarded-host".to_owned()),
        Just("x-forwarded-uri".to_owned()),
        Just("cookie".to_owned()),
        Just("authorization".to_owned()),
        Just("origin".to_owned()),
        Just("accept".to_owned()),
        Just("sec-fetch-site".to_owned()),
        Just("sec-fetch-mode".to_owned()),
        Just("sec-fetch-dest".to_owned()),
        "[a-z_.-]{1,20}",
    ];
    let value = prop_oneof![
        Just("GET".to_owned()),
        Just("https".to_owned()),
        Just(format!("{LAB}:8443")),
        Just(format!("{OPEN}:8443")),
        Just(origin(LAB)),
        Just("/lab".to_owned()),
        Just("same-origin".to_owned()),
        Just("navigate".to_owned()),
        Just("document".to_owned()),
        "__Host-(ws|session|ws-pre)=[A-Za-z0-9_-]{0,200}",
        "Bearer [A-Za-z0-9._-]{0,80}",
        "[ -~]{0,60}",
        "\\PC{0,30}",
    ];
    (name, value)
}

#[test]
fn no_bytes_without_a_valid_ticket_ever_pass() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new());
    let complete = [
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "lab-a.ws.example:8443"),
        ("x-forwarded-uri", "/"),
    ];
    let strategy = (prop::collection::vec(any_header(), 0..8), any::<[bool; 4]>());
    proptest!(ProptestConfig::with_cases(1000), |((lines, given) in strategy)| {
        let mut request = Request::get("/verify").header("host", "gateway.system.svc");
        for ((name, value), _) in complete.iter().zip(given).filter(|(_, given)| *given) {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        for (name, value) in &lines {
            if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), HeaderValue::from_bytes(value.as_bytes())) {
                request.headers_mut().append(name, value);
            }
        }
        let answer = runtime.block_on(world.ask_verify(request));
        prop_assert!(!answer.status.is_success(), "{lines:?} gives {}", answer.status);
        prop_assert!(answer.cookie(cookies::TICKET).is_none());
    });
}

#[test]
fn no_changed_ticket_ever_passes() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new());
    let ticket = runtime.block_on(async {
        let alice = world.browser("alice");
        alice.open(&lab()).await;
        alice.cookie(LAB, cookies::TICKET).unwrap()
    });
    proptest!(ProptestConfig::with_cases(500), |(at in 0..ticket.len(), with in "[A-Za-z0-9_=.+/-]{0,3}", cut in any::<bool>())| {
        let end = if cut { "" } else { &ticket[at + 1..] };
        let changed = format!("{}{with}{end}", &ticket[..at]);
        prop_assume!(changed != ticket);
        let cookie = format!("__Host-ws={changed}");
        let answer = runtime.block_on(world.verify("GET", &lab(), headers(&[("cookie", &cookie)])));
        prop_assert!(!answer.status.is_success());
    });
    let cookie = format!("__Host-ws={ticket}");
    let answer = runtime.block_on(world.verify("GET", &lab(), headers(&[("cookie", &cookie)])));
    assert_eq!(answer.status, StatusCode::OK);
}
