//! `connect`: requests to a port of this computer, and a workspace behind a gateway (IO: local sockets).

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::gateway::{Gateway, TOKEN};
use crate::programs::{Running, fails, get};

/// `connect` to the workspace, its port and token.
fn connected(gateway: &Gateway) -> (Running, u16, String) {
    let mut child = gateway
        .plugin()
        .args(["connect", &gateway.url("lab-abc.ws.localhost")])
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
        (in_address.as_str(), vec![("Service-Worker", "script")], 403),
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
            ("Cookie", "_xsrf=1"),
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
    let place = format!("lab-abc.ws.localhost:{}", gateway.port);
    assert_eq!(seen["headers"]["host"], json!(place));
    assert_eq!(seen["headers"]["origin"], json!(format!("https://{place}")));
    assert_eq!(seen["headers"]["cookie"], "_xsrf=1");
    for absent in ["referer", "sec-fetch-mode", "authorization"] {
        assert!(seen["headers"].get(absent).is_none(), "{seen}");
    }
    assert!(!body.contains(&token) && !body.contains(TOKEN), "{body}");
    let (status, _, body) = get(port, "/lab", &[("Cookie", &format!("a=b; {cookie}"))]);
    assert_eq!(status, 200);
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["headers"]["cookie"], "a=b");
    // A cookie of 127.0.0.1 comes with what pages of its other ports send.
    for (site, expected) in [
        ("none", 200),
        ("same-origin", 200),
        ("same-site", 403),
        ("cross-site", 403),
    ] {
        let (status, _, body) = get(port, "/lab", &[("Cookie", &cookie), ("Sec-Fetch-Site", site)]);
        assert_eq!(status, expected, "{site}: {body}");
    }
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
            &gateway.url("lab-abc.ws.localhost"),
            "--port",
            &port.to_string(),
        ],
    );
    assert!(
        error.contains(&format!("port {port} of 127.0.0.1 is taken")),
        "{error}"
    );
}

#[tokio::test]
async fn websockets_go_through_the_port() {
    let gateway = Gateway::start("websocket");
    gateway.signed_in();
    let (_running, port, token) = connected(&gateway);
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let refused = tokio_tungstenite::client_async(format!("ws://127.0.0.1:{port}/socket"), stream).await;
    assert!(refused.is_err());
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let url = format!("ws://127.0.0.1:{port}/socket?token={token}");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    socket.send(Message::binary(b"hello".as_slice())).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::binary(b"hello".as_slice())
    );
}
