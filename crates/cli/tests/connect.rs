//! `connect`: requests to a port of this computer, and a workspace behind a gateway (IO: local sockets).

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::process::Stdio;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::gateway::{Gateway, TOKEN};
use crate::programs::{Running, fails, get};

/// `connect` to the workspace, its port and token.
fn connected(gateway: &Gateway) -> (Running, u16, String) {
    let mut child = gateway
        .plugin()
        .args(["connect", &gateway.url("lab-ukb5wakby6jim56e.ws.localhost")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let (address, token) = line.trim().split_once("/?token=").unwrap();
    let port = address
        .strip_prefix("http://127.0.0.1:")
        .unwrap()
        .parse()
        .unwrap();
    (Running(child), port, token.to_owned())
}

#[test]
fn a_port_of_this_computer_leads_to_the_workspace_for_whoever_has_its_token() {
    let gateway = Gateway::start("connect");
    gateway.signed_in();
    let (_running, port, token) = connected(&gateway);
    let in_address = format!("/lab?a=1&token={token}&b=%20");
    let bearer = format!("token {token}");
    let own = format!("http://127.0.0.1:{port}");
    for (target, headers, expected) in [
        ("/lab", vec![], 403),
        ("/lab?token=wrong", vec![], 403),
        ("/lab", vec![("Authorization", "token wrong")], 403),
        (in_address.as_str(), vec![("Host", "evil.example")], 403),
        (in_address.as_str(), vec![("Origin", "https://evil.example")], 403),
        (in_address.as_str(), vec![("Origin", "null")], 403),
        (in_address.as_str(), vec![("Origin", own.as_str())], 200),
        (in_address.as_str(), vec![], 200),
        ("/lab", vec![("Authorization", bearer.as_str())], 200),
    ] {
        let (status, head, body) = get(port, target, &headers);
        assert_eq!(status, expected, "{target} {headers:?} {head} {body}");
    }
    let (_, head, body) = get(
        port,
        &in_address,
        &[
            ("Sec-Fetch-Mode", "navigate"),
            ("Referer", &own),
            ("Cookie", "_xsrf=1; kubectl-workspace-1=token-of-another-one"),
            ("Origin", &own),
            ("Workspace-Ticket", "mine"),
        ],
    );
    let cookie = format!("kubectl-workspace-{port}={token}");
    assert!(head.contains(&format!(
        "set-cookie: {}; path=/; httponly; samesite=strict",
        cookie.to_ascii_lowercase()
    )));
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["target"], "/lab?a=1&b=%20");
    let place = format!("lab-ukb5wakby6jim56e.ws.localhost:{}", gateway.port);
    assert_eq!(seen["headers"]["host"], json!(place));
    assert_eq!(seen["headers"]["origin"], json!(format!("https://{place}")));
    for absent in ["referer", "sec-fetch-mode", "authorization", "cookie"] {
        assert!(seen["headers"].get(absent).is_none(), "{seen}");
    }
    assert!(!body.contains(&token) && !body.contains(TOKEN), "{body}");
    let (status, _, body) = get(port, "/lab", &[("Cookie", &format!("a=b; {cookie}"))]);
    assert_eq!(status, 200);
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert!(seen["headers"].get("cookie").is_none(), "{seen}");
    // Those of the workspace stay there: a program would send them to a Jupyter of this computer.
    let (status, head, _) = get(port, &format!("/cookies?token={token}"), &[]);
    assert_eq!(status, 200);
    let set: Vec<_> = head
        .lines()
        .filter(|line| line.starts_with("set-cookie:"))
        .collect();
    assert!(
        matches!(set[..], [own] if own.contains("kubectl-workspace-")),
        "{head}"
    );
    // Redirects stay here, or are none.
    let (status, head, _) = get(port, "/near", &[("Authorization", &bearer)]);
    assert!(status == 302 && head.contains("location: /lab\r\n"), "{head}");
    let (status, head, _) = get(port, "/away", &[("Authorization", &bearer)]);
    assert!(status == 502 && !head.contains("location"), "{head}");
    assert_eq!(gateway.tickets(), 1, "a ticket serves many requests");
    // The port is taken now.
    let error = fails(
        &gateway,
        &[
            "connect",
            &gateway.url("lab-ukb5wakby6jim56e.ws.localhost"),
            "--port",
            &port.to_string(),
        ],
    );
    assert!(
        error.contains(&format!("port {port} of 127.0.0.1 is taken")),
        "{error}"
    );
}

#[test]
fn a_browser_gets_the_workspace_s_own_address_and_nothing_of_the_workspace() {
    let gateway = Gateway::start("connect-browser");
    gateway.signed_in();
    let (_running, port, token) = connected(&gateway);
    let in_address = format!("/lab?token={token}");
    let cookie = format!("kubectl-workspace-{port}={token}");
    let address = format!("{}/", gateway.url("lab-ukb5wakby6jim56e.ws.localhost"));
    for site in ["none", "same-origin", "same-site", "cross-site"] {
        for target in [in_address.as_str(), "/lab", "/api/kernels"] {
            let headers = [
                ("Cookie", cookie.as_str()),
                ("Sec-Fetch-Site", site),
                ("Sec-Fetch-Mode", "navigate"),
            ];
            let (status, head, body) = get(port, target, &headers);
            assert_eq!(status, 403, "{site} {target}");
            for expected in [
                "content-type: text/html",
                "content-security-policy: default-src 'none'",
                "cache-control: no-store",
            ] {
                assert!(head.contains(expected), "{head}");
            }
            assert!(!head.contains("set-cookie"), "{head}");
            assert!(
                body.contains(&format!("href=\"{address}\"")) && !body.contains(&token),
                "{body}"
            );
        }
    }
    // A page of another name for this computer learns nothing, and Node's fetch is no browser.
    let evil = [("Host", "evil.example"), ("Sec-Fetch-Site", "none")];
    let (status, _, body) = get(port, &in_address, &evil);
    assert!(status == 403 && !body.contains("lab-ukb5"), "{body}");
    let (status, _, body) = get(port, &in_address, &[("Sec-Fetch-Mode", "cors")]);
    assert!(status == 200 && body.contains("\"target\""), "{body}");
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn socket(port: u16, query: &str) -> Result<Socket, tungstenite::Error> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let url = format!("ws://127.0.0.1:{port}/socket{query}");
    Ok(tokio_tungstenite::client_async(url, stream).await?.0)
}

/// Sends a message, and gets it back from the workspace.
async fn exchange(socket: &mut Socket) {
    let message = Message::binary(b"hello".as_slice());
    socket.send(message.clone()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), message);
}

#[tokio::test]
async fn websockets_go_through_the_port_and_count_as_connections_to_their_end() {
    let gateway = Gateway::start("websocket");
    gateway.signed_in();
    let (_running, port, token) = connected(&gateway);
    assert!(socket(port, "").await.is_err());
    let query = format!("?token={token}");
    let mut sockets = Vec::new();
    for _ in 0..128 {
        sockets.push(socket(port, &query).await.unwrap());
    }
    // A further connection waits for the end of another one.
    let mut further = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET /lab{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    further.write_all(request.as_bytes()).await.unwrap();
    for socket in &mut sockets {
        exchange(socket).await;
    }
    let mut answer = [0; 15];
    let early = further.try_read(&mut answer).unwrap_err();
    assert_eq!(early.kind(), ErrorKind::WouldBlock);
    sockets.pop();
    further.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}
