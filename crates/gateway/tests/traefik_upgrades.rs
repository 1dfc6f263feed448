//! Only a user's websocket becomes a tunnel: the real gateway behind a real Traefik, and a pod that accepts any tunnel.

use api::manager::RoutingMode;
use http::{StatusCode, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Duration, timeout};

use crate::support::behind_traefik::{BehindTraefik, OWN_PAGE};
use crate::support::proxy::host;
use crate::support::raw_http2;

const PATH: &str = "/api/kernels/1/channels";
/// Each value of one Upgrade header; more than one: several lines.
const OTHERS: [&[&str]; 16] = [
    &["tunnel"],
    &["websocket/13"],
    &["h2c"],
    &["H2C"],
    &["TLS/1.0"],
    &["WebSocket2"],
    &["websocket, h2c"],
    &["h2c, websocket"],
    &["websocket,websocket"],
    &["websocket,"],
    &["websocket", "websocket"],
    &["websocket", "h2c"],
    &["h2c", "websocket"],
    &["", "tunnel"],
    &["websocket; q=1"],
    &["\"websocket\""],
];

/// Signed in at her own workspace, and everything that a page of it says.
async fn lines(site: &BehindTraefik) -> Vec<String> {
    let (label, _) = site.at("ws1", "");
    let jar = site.sign_in("alice", "ws1").await;
    let (of, path) = site.place("ws1");
    let mut lines = vec![
        format!("host: {}", host(&label)),
        format!("origin: https://{}", host(&label)),
        format!("cookie: {}", jar.header(&of, &path).unwrap()),
    ];
    lines.extend(OWN_PAGE.map(|(name, value)| format!("{name}: {value}")));
    lines
}

const HANDSHAKE: [&str; 2] = [
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// The head of what comes back, then `probe` sent and what that brings.
async fn tunnel(site: &BehindTraefik, lines: &[String], path: &str) -> (String, Vec<u8>) {
    let (label, path) = site.at("ws1", path);
    let mut stream = site.site.connect(&host(&label)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    let reading = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        std::io::Result::Ok(())
    };
    let _ = timeout(Duration::from_secs(5), reading).await;
    // A masked frame of one byte, which the pod sends back.
    let probe = [0x82, 0x81, 0, 0, 0, 0, 7];
    let mut back = vec![0; probe.len()];
    if head.starts_with(b"HTTP/1.1 101") {
        stream.write_all(&probe).await.unwrap();
        timeout(Duration::from_secs(5), stream.read_exact(&mut back))
            .await
            .unwrap()
            .unwrap();
    }
    (String::from_utf8_lossy(&head).into_owned(), back)
}

/// Waits until a page of the workspace opens, and its pod with it.
async fn until_open(site: &BehindTraefik, lines: &[String]) {
    let headers: Vec<(&str, &str)> = lines[1..]
        .iter()
        .map(|line| line.split_once(": ").unwrap())
        .collect();
    for _ in 0..100 {
        let outcome = site.ask(Version::HTTP_11, ("GET", "ws1", PATH), &headers).await;
        if outcome.status() == Some(StatusCode::OK) {
            return assert_eq!(outcome.reached, ["ws1"]);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the workspace does not open: {}", site.site.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_upgrades_only_one_websocket_reaches_a_pod_that_would_take_any() {
    for mode in [RoutingMode::Subdomain, RoutingMode::Path] {
        let site = BehindTraefik::start(mode).await;
        let page = lines(&site).await;
        until_open(&site, &page).await;
        let with = |more: &[&str]| -> Vec<String> {
            page.iter()
                .cloned()
                .chain(HANDSHAKE.map(str::to_owned))
                .chain(more.iter().map(|line| (*line).to_owned()))
                .collect()
        };
        let websocket = with(&["connection: Upgrade", "upgrade: websocket"]);
        let ((head, back), reached) = site.watched(tunnel(&site, &websocket, PATH)).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{mode:?} {head}");
        assert_eq!((back.last(), &reached[..]), (Some(&7), &["ws1"][..]));

        for values in OTHERS {
            for connection in [
                "Upgrade",
                "keep-alive",
                "Upgrade, HTTP2-Settings",
                "upgrade\r\nconnection: close",
            ] {
                let connection = format!("connection: {connection}");
                let upgrades: Vec<String> = values.iter().map(|value| format!("upgrade: {value}")).collect();
                let mut more = vec![connection.as_str(), "http2-settings: AAMAAABkAAQCAAAAAAIAAAAA"];
                more.extend(upgrades.iter().map(String::as_str));
                let ((head, _), reached) = site.watched(tunnel(&site, &with(&more), PATH)).await;
                let what = format!("{mode:?} {more:?}: {head}");
                // The proxy forwards the first of several lines: the pod receives one websocket upgrade, or none.
                if values.len() > 1 && ["websocket", ""].contains(&values[0]) && !reached.is_empty() {
                    let seen = site.pod("ws1").last().to_ascii_lowercase();
                    let message: Vec<&str> =
                        seen.lines().filter(|line| line.starts_with("upgrade:")).collect();
                    let first = if values[0].is_empty() {
                        vec![]
                    } else {
                        vec!["upgrade: websocket"]
                    };
                    assert_eq!(message, first, "{what}");
                    assert_eq!(head.starts_with("HTTP/1.1 101"), !first.is_empty(), "{what}");
                    continue;
                }
                assert_eq!(reached, [""; 0], "{what}");
                assert!(head.starts_with("HTTP/1.1 400"), "{what}");
            }
        }
    }
}

/// What the proxy says of one HTTP/2 request with these fields: the first byte of the answer's fields, or `None` for a refusal to
/// look at it.
async fn in_http2(site: &BehindTraefik, fields: &[(&str, &str)]) -> Option<u8> {
    let (label, _) = site.at("ws1", "");
    let stream = site.site.connect_as(&host(&label), "h2").await.unwrap();
    let fields: Vec<(&str, &[u8])> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    raw_http2::answered(stream, &fields).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_http2_there_is_no_upgrade_and_no_tunnel() {
    // Numbers of `:status` 200 and 400 in the protocol's own table.
    let (ok, bad_request) = (0x88, 0x8C);
    let site = BehindTraefik::start(RoutingMode::Subdomain).await;
    let page = lines(&site).await;
    until_open(&site, &page).await;
    let authority = host("ws1");
    let begin = |method: &'static str| {
        [
            (":method", method),
            (":scheme", "https"),
            (":authority", authority.as_str()),
            (":path", PATH),
        ]
    };
    let own: Vec<(&str, &str)> = page[1..]
        .iter()
        .map(|line| line.split_once(": ").unwrap())
        .collect();
    let (answer, reached) = site
        .watched(in_http2(&site, &[&begin("GET")[..], &own].concat()))
        .await;
    assert_eq!((answer, &reached[..]), (Some(ok), &["ws1"][..]));
    for more in [
        &[("upgrade", "websocket"), ("sec-websocket-version", "13")][..],
        &[("upgrade", "tunnel")],
        &[("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA")],
        &[("connection", "upgrade"), ("upgrade", "tunnel")],
        &[("connection", "x-forwarded-host")],
        &[("transfer-encoding", "chunked")],
    ] {
        let (answer, reached) = site
            .watched(in_http2(&site, &[&begin("GET")[..], &own, more].concat()))
            .await;
        assert!(
            answer.is_none_or(|first| first == bad_request),
            "{more:?}: {answer:?}"
        );
        assert_eq!(reached, [""; 0], "{more:?}");
    }
    for begin in [
        // A websocket of RFC 8441, and a bare tunnel.
        &[&begin("CONNECT")[..], &[(":protocol", "websocket")]].concat()[..],
        &[(":method", "CONNECT"), (":authority", "127.0.0.1:22")],
        &[(":method", "CONNECT"), (":authority", authority.as_str())],
        // Twice what counts once.
        &[&begin("GET")[..], &[(":authority", "bobs.workspaces.localhost")]].concat()[..],
        &[&begin("GET")[..], &[(":path", "/_workspace/callback")]].concat()[..],
    ] {
        let (answer, reached) = site.watched(in_http2(&site, &[begin, &own].concat())).await;
        assert_ne!(answer, Some(ok), "{begin:?}");
        assert_eq!(reached, [""; 0], "{begin:?}");
    }
}
