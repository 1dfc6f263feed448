//! The events of a start behind a real Traefik, in both modes and both versions of HTTP that browsers use.

use std::sync::Arc;
use std::time::Duration;

use api::condition::reason;
use api::manager::RoutingMode;
use api::workspace::Phase;
use axum::body::Body;
use gateway::index::{StatusDetail, Target};
use http::{Request, StatusCode};
use tokio::time::Instant;

use crate::support::behind_traefik::{BehindTraefik, VERSIONS, own_page};
use crate::support::events::Events;

fn starting(word: &str, started: bool) -> impl Fn(&mut Target) {
    move |target| {
        if target.name == "ws1" {
            target.phase = Phase::Starting;
            target.run_id = "run-1".into();
            target.endpoint = None;
            target.status_detail = Some(Arc::new(StatusDetail {
                reason: word.to_owned(),
                started,
                ..StatusDetail::default()
            }));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_of_a_start_is_streamed_through_the_proxy() {
    for mode in [RoutingMode::Subdomain, RoutingMode::Path] {
        let site = BehindTraefik::start(mode).await;
        let jar = site.sign_in("alice", "ws1").await;
        let (host, path) = site.place("ws1");
        let cookies = jar.header(&host, &path).unwrap();
        let (label, path) = site.at("ws1", "/_workspace/progress");
        for version in VERSIONS {
            site.publish(starting("", false));
            let request = |lines: &[(&str, &str)]| {
                let mut request = Request::get(&path);
                for (name, value) in lines {
                    request = request.header(*name, *value);
                }
                request.body(Body::empty()).unwrap()
            };
            let asked = request(&own_page(&cookies));
            let answer = site.site.begin(version, &label, asked).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{mode:?} {version:?}");
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            assert_eq!(answer.headers()["cache-control"], "no-store");
            let mut stream = Events::new(answer.into_body());
            assert_eq!(stream.next().await.unwrap().step(), "requested");
            for (word, started, step) in [
                (reason::STARTING, false, "preparing"),
                (reason::IMAGE_PULL_FAILED, false, "pulling"),
                (reason::STARTING, true, "answering"),
            ] {
                let sent = Instant::now();
                site.publish(starting(word, started));
                assert_eq!(stream.next().await.unwrap().step(), step, "{mode:?} {version:?}");
                assert!(sent.elapsed() < Duration::from_secs(1), "it is held back");
            }
            site.publish(|_| ());
            let end = stream.next().await.unwrap();
            assert_eq!((end.kind.as_str(), end.percent()), ("ready", 100));
            assert_eq!(stream.next().await, None, "{mode:?} {version:?}");

            // No other user gets them, whatever the proxy leaves of a request.
            for lines in [vec![], own_page("__Host-ws=x"), own_page("__Secure-ws=x")] {
                let refused = site.site.begin(version, &label, request(&lines)).await.unwrap();
                assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{mode:?} {lines:?}");
            }
        }
    }
}
