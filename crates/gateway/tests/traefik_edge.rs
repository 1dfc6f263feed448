//! Hostile input to the proxy: invalid bytes, headers that fill memory, old ciphers and service workers.

use std::net::SocketAddr;
use std::time::Duration;

use api::manager::RoutingMode;
use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt as _;
use gateway::index::Index;
use http::{Request, StatusCode, Version};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::support::behind_proxy::Behind;
use crate::support::behind_traefik::{BehindTraefik, VERSIONS, own_page};
use crate::support::chart::Chart;
use crate::support::pod::answering;
use crate::support::proxy::{BASE, Site, host, running, snapshot};
use crate::support::raw_http2::{self, HEADERS, PREFACE, RESET, SETTINGS, WHOLE, frame};
use crate::traefik::{TICKET, site};

/// Numbers of `:status` 200, 400 and 500 in HTTP/2's own table.
const OK: u8 = 0x88;
const BAD_REQUEST: u8 = 0x8C;
const SERVER_ERROR: u8 = 0x8E;
/// Numbers of settings: a client's requests at once, and bytes of the headers of each.
const MAX_STREAMS: u16 = 3;
const MAX_HEADERS: u16 = 6;
/// Time for any answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How HTTP/2 requests of these tests begin.
fn begin<'a>(authority: &'a [u8], path: &'a [u8]) -> [(&'static str, &'a [u8]); 4] {
    [
        (":method", b"GET"),
        (":scheme", b"https"),
        (":authority", authority),
        (":path", path),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_no_address_has_are_answered_with_400_within_a_second() {
    let (site, _, _) = site().await;
    for (label, path, headers) in [
        ("auth", "/enter?t=", &[][..]),
        ("auth", "/", &[]),
        ("auth", "/callback?code=", &[]),
        ("lab", "/_workspace/callback?code=", &[]),
        ("lab", "/_workspace/sign-in?", &[]),
        // The relay's listener.
        ("lab", "/api/kernels/1/channels?x=", &[("upgrade", "websocket")]),
    ] {
        for odd in [
            &b"?x=\"y"[..],
            b"?x=<",
            b"?x=>",
            b"?x=y z",
            b"?x=\x80",
            b"?x=y\xC3",
            b"?x=\xFF\xFE",
        ] {
            let path = [path.as_bytes(), odd].concat();
            let what = format!("{label}{}", path.escape_ascii());
            let start = Instant::now();
            let answer = site.raw(label, &path, headers).await;
            assert!(
                answer.starts_with("HTTP/1.1 400"),
                "{what}: {answer} {}",
                site.log()
            );
            assert!(start.elapsed() < TIMEOUT, "{what}: {:?}", start.elapsed());
            // In HTTP/2 there is no upgrade.
            if headers.is_empty() {
                let start = Instant::now();
                let stream = site.connect_as(&host(label), "h2").await.unwrap();
                let answer = raw_http2::answered(stream, &begin(host(label).as_bytes(), &path)).await;
                assert_eq!(answer, Some(BAD_REQUEST), "{what}");
                assert!(start.elapsed() < TIMEOUT, "{what}: {:?}", start.elapsed());
            }
        }
    }
    // What is odd and well-formed is answered as anything else.
    let answer = site.raw("auth", "/enter?t=é".as_bytes(), &[]).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_no_host_has_are_answered_within_a_second() {
    let (site, _, _) = site().await;
    for label in ["auth", "lab"] {
        for odd in [
            &b":443%41"[..],
            b":443\"",
            b":44 3",
            b":44/3",
            b":443<",
            b":443\xFF",
            b":443{",
            b":x",
        ] {
            let authority = [host(label).as_bytes(), odd].concat();
            let what = authority.escape_ascii().to_string();
            let start = Instant::now();
            let stream = site.connect_as(&host(label), "h2").await.unwrap();
            let answer =
                raw_http2::answered(stream, &begin(&authority, b"/_workspace/callback?code=x")).await;
            assert!(!matches!(answer, Some(OK | SERVER_ERROR)), "{what}: {answer:?}");
            assert!(start.elapsed() < TIMEOUT, "{what}: {:?}", start.elapsed());
        }
    }
}

/// Requests whose heads are of `crumbs` times 4,000 bytes, by index: a few hundred bytes each on the wire.
fn heavy(requests: u32, crumbs: usize) -> Vec<u8> {
    let name = b"lab.workspaces.localhost";
    let mut begin = vec![0x82, 0x87, 0x84, 0x01, u8::try_from(name.len()).unwrap()];
    begin.extend(name);
    // `cookie`, remembered by both sides.
    let mut first = [&begin[..], &[0x60, 0x7F, 0xA1, 0x1E], b"a="].concat();
    first.extend([b'x'; 3998]);
    let again = vec![0xBE; crumbs];
    // Nothing of any answer's body may be sent.
    let no_window = [0, 4, 0, 0, 0, 0];
    let mut bytes = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &no_window),
        &frame(SETTINGS, 1, 0, &[]),
    ]
    .concat();
    for number in 0..requests {
        let before: &[u8] = if number == 0 { &first } else { &begin };
        bytes.extend(frame(HEADERS, WHOLE, 2 * number + 1, &[before, &again].concat()));
    }
    bytes
}

/// Bytes of headers that the proxy takes, with 32 that Go adds for each of ten fields.
const TAKEN: u32 = 768 * 1024 + 320;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_has_40_streams_with_at_most_768_kibibytes_of_headers_each() {
    let (site, _, _) = site().await;
    // Small heads, as large as they may be, and larger.
    for (crumbs, requests) in [(19, 250), (185, 250), (255, 250)] {
        let mut stream = site.connect_as(&host("lab"), "h2").await.unwrap();
        stream.write_all(&heavy(requests, crumbs)).await.unwrap();
        let (mut settings, mut answered, mut refused) = (Vec::new(), 0, 0);
        let answers = async {
            while answered + refused < requests {
                match raw_http2::next_frame(&mut stream).await.unwrap() {
                    (SETTINGS, pairs) => settings.extend(raw_http2::settings(&pairs)),
                    (HEADERS, _) => answered += 1,
                    (RESET, _) => refused += 1,
                    _ => {}
                }
            }
        };
        timeout(Duration::from_secs(20), answers).await.unwrap();
        assert_eq!((answered, refused), (40, 210), "{crumbs}");
        assert!(settings.contains(&(MAX_STREAMS, 40)), "{settings:?}");
        assert!(settings.contains(&(MAX_HEADERS, TAKEN)), "{settings:?}");
    }
    // What the gateway is asked about, what it refuses with its page, and what the proxy refuses.
    for (size, status, has_page) in [
        (45, StatusCode::OK, false),
        (55, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, true),
        (800, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, false),
    ] {
        let mut request = Request::get("/lab").header(TICKET.0, TICKET.1);
        for number in 0..size {
            request = request.header("cookie", format!("c{number}={}", "x".repeat(1000)));
        }
        let answer = site.send_in(Version::HTTP_2, "lab", request.body(Body::empty()).unwrap());
        match answer.await {
            Ok((answered, _, body)) => {
                assert_eq!(answered, status, "{size}");
                let body = String::from_utf8_lossy(&body);
                assert_eq!(body.contains("HeadersTooLarge"), has_page, "{size}: {body}");
            }
            // Or it ends the connection while the head is still on its way.
            Err(error) => assert_eq!(size, 800, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_full_of_cookies_gets_a_page_that_removes_them_at_every_host() {
    let (site, _, _) = site().await;
    // As many as browsers keep for a site, and as large.
    let names: Vec<String> = (0..180).map(|number| format!("c{number:03}")).collect();
    for version in VERSIONS {
        for (label, path) in [
            ("lab", "/lab"),
            ("lab", "/_workspace/callback?code=x"),
            ("auth", "/"),
            ("portal", "/"),
        ] {
            let (mut left, mut pages) = (names.clone(), 0);
            loop {
                let pairs: Vec<String> = left
                    .iter()
                    .map(|name| format!("{name}={}", "x".repeat(4_092)))
                    .collect();
                // Browsers send each alone in HTTP/2, and all in one line in HTTP/1.1.
                let lines = if version == Version::HTTP_2 {
                    pairs
                } else {
                    vec![pairs.join("; ")]
                };
                let mut request = Request::get(path).header("sec-fetch-dest", "document");
                for line in lines {
                    request = request.header("cookie", line);
                }
                let answer = site.send_in(version, label, request.body(Body::empty()).unwrap());
                let (status, headers, body) = answer.await.unwrap();
                let what = format!("{version:?} {label}{path}, {} cookies", left.len());
                if status != StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE {
                    break;
                }
                let body = String::from_utf8_lossy(&body);
                assert!(body.contains("http-equiv=\"refresh\""), "{what}: {body}");
                let lines: Vec<&str> = headers
                    .get_all("set-cookie")
                    .iter()
                    .map(|line| line.to_str().unwrap())
                    .collect();
                let before = left.len();
                left.retain(|name| {
                    let line = format!("{name}=; Path=/; Max-Age=0; Secure; Domain={BASE}");
                    !lines.contains(&line.as_str())
                });
                assert!(left.len() < before, "{what}: {lines:#?}");
                pages += 1;
            }
            assert!(
                (1..=4).contains(&pages),
                "{version:?} {label}{path}: {pages}, {}",
                site.log()
            );
        }
    }
}

/// What docs/operations.md says of a stranger's connection, in KiB: silent in TLS, with endless headers, with requests and no window.
const SILENT: usize = 50;
const ENDLESS: usize = 1536;
const UNREAD: usize = 33 * 1024;
/// Go's heap grows to twice what is in use before it is tidied. Beside it, in KiB, are what the proxy takes once.
const ONCE: usize = 24 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_strangers_take_at_most_twice_the_memory_that_the_page_says() {
    let (site, _, _) = site().await;
    let lab = host("lab");
    let answers_users = async || {
        let answer = site.get("lab", "/lab", &[TICKET]).await;
        assert_eq!(answer.0, StatusCode::OK, "{}", site.log());
    };
    answers_users().await;
    let begin = site.memory();
    let taken = || site.memory().saturating_sub(begin);

    let (mut held, mut page) = (Vec::new(), 0);
    for _ in 0..400 {
        held.push(site.connect(&lab).await.unwrap());
        page += SILENT;
    }
    answers_users().await;
    assert!(taken() < ONCE + 2 * page, "silent: {} KiB", taken());

    let line = format!("cookie: {}\r\n", "x".repeat(1000));
    let headers = format!("GET / HTTP/1.1\r\nhost: {lab}\r\n{}", line.repeat(740));
    for _ in 0..20 {
        let mut stream = site.connect(&lab).await.unwrap();
        stream.write_all(headers.as_bytes()).await.unwrap();
        held.push(stream);
        page += ENDLESS;
    }
    answers_users().await;
    assert!(taken() < ONCE + 2 * page, "endless headers: {} KiB", taken());

    let before = taken();
    for _ in 0..10 {
        let mut stream = site.connect_as(&lab, "h2").await.unwrap();
        stream.write_all(&heavy(40, 185)).await.unwrap();
        // The proxy has all these requests, and none of their answers may go on.
        let heads = async {
            let mut seen = 0;
            while seen < 40 {
                let (kind, _) = raw_http2::next_frame(&mut stream).await.unwrap();
                assert_ne!(kind, RESET);
                seen += usize::from(kind == HEADERS);
            }
        };
        timeout(Duration::from_secs(20), heads).await.unwrap();
        held.push(stream);
        page += UNREAD;
    }
    answers_users().await;
    assert!(taken() < ONCE + 2 * page, "unread answers: {} KiB", taken());
    // The control: so much is held indeed.
    assert!(
        taken() > before + 10 * UNREAD / 4,
        "{before} KiB, then {} KiB",
        taken()
    );
}

/// The first byte of what comes back to a greeting in TLS 1.2 with this one cipher suite.
async fn greeted(site: &Site, cipher: [u8; 2]) -> u8 {
    // Groups: X25519, P-256. Signatures: ECDSA and RSA with SHA-256. Points: uncompressed.
    let extensions = b"\x00\x0a\x00\x06\x00\x04\x00\x1d\x00\x17\x00\x0d\x00\x06\x00\x04\x04\x03\x04\x01\x00\x0b\x00\x02\x01\x00";
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0, 0, 2],
        &cipher,
        &[1, 0],
        &length(extensions),
        extensions,
    ]
    .concat();
    let greeting = [&[1, 0][..], &length(&body), &body].concat();
    let record = [&[22, 3, 1][..], &length(&greeting), &greeting].concat();
    let mut stream = site.connect_bare().await;
    stream.write_all(&record).await.unwrap();
    timeout(Duration::from_secs(5), stream.read_u8())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_tls_1_2_only_ciphers_that_authenticate_what_they_encrypt_are_spoken() {
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    let (site, _, _) = site().await;
    // ECDHE with ECDSA, AES and GCM or CBC.
    assert_eq!(greeted(&site, [0xC0, 0x2B]).await, HANDSHAKE);
    for cbc in [[0xC0, 0x09], [0xC0, 0x0A], [0xC0, 0x23]] {
        assert_eq!(greeted(&site, cbc).await, ALERT, "{cbc:?}");
    }
}

/// A pod whose answers have no end.
async fn endless() -> SocketAddr {
    let answer = || async {
        let pieces = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(b"more ")));
        let slowly = pieces.then(|piece| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            piece
        });
        Body::from_stream(slowly)
    };
    answering(answer).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_end_ends_with_the_longest_request() {
    let chart = Chart::render(RoutingMode::Subdomain).with_argument(
        "--entrypoints.https.transport.respondingtimeouts.writetimeout=60m",
        "--entrypoints.https.transport.respondingtimeouts.writetimeout=2s",
    );
    let index = Index::with(snapshot([running("lab", endless().await)]));
    let site = Site::as_charted(chart, RoutingMode::Subdomain, Behind::stub(index)).await;
    for version in VERSIONS {
        let ended = async {
            // The route may not be known yet.
            loop {
                let start = Instant::now();
                let request = Request::get("/")
                    .header(TICKET.0, TICKET.1)
                    .body(Body::empty())
                    .unwrap();
                let answer = site.begin(version, "lab", request).await.unwrap();
                if answer.status() == StatusCode::OK {
                    return (answer.into_body().collect().await.is_err(), start.elapsed());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let (broken_off, after) = timeout(Duration::from_secs(20), ended).await.unwrap();
        assert!(
            broken_off && after > Duration::from_secs(1),
            "{version:?}: {after:?}"
        );
    }
}

/// Cookies of alice at her workspace.
async fn signed_in(site: &BehindTraefik) -> String {
    let jar = site.sign_in("alice", "ws1").await;
    let (host, path) = site.place("ws1");
    jar.header(&host, &path).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_service_worker_intercepts_the_paths_of_the_gateway() {
    for mode in [RoutingMode::Subdomain, RoutingMode::Path] {
        let site = BehindTraefik::start(mode).await;
        let cookie = signed_in(&site).await;
        let page = own_page(&cookie);
        site.opens("ws1", &page).await;
        let script = [&page[..], &[("service-worker", "script")]].concat();
        for version in VERSIONS {
            for path in ["/sw.js", "/sw.js?a=/b/", "/?sw"] {
                let outcome = site.ask(version, ("GET", "ws1", path), &script).await;
                let what = format!("{mode:?} {version:?} {path}");
                outcome.is_refused(&what);
                assert_eq!(outcome.status(), Some(StatusCode::FORBIDDEN), "{what}");
                let same = site.ask(version, ("GET", "ws1", path), &page).await;
                assert_eq!(same.status(), Some(StatusCode::OK), "{what}: not a worker's");
            }
            let folder = site.ask(version, ("GET", "ws1", "/static/sw.js"), &script).await;
            assert_eq!(folder.status(), Some(StatusCode::OK), "{mode:?} {version:?}");
        }
    }
}
