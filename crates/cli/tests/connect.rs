//! `connect`: requests to a port of this computer, and a workspace behind a gateway (IO: local sockets).

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::process::{Command, Stdio};

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::gateway::{Gateway, TOKEN};
use crate::process::out;
use crate::programs::{Running, fails, get, ran};

/// `connect` to the workspace, its port and token.
fn connected(gateway: &Gateway) -> (Running, u16, String) {
    let mut command = gateway.plugin();
    command.args(["connect", &gateway.url("lab-ukb5wakby6jim56e.ws.localhost")]);
    started(command)
}

fn started(mut command: Command) -> (Running, u16, String) {
    let mut child = command
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

#[test]
fn a_later_sign_in_counts_for_a_port_that_is_open() {
    let gateway = Gateway::start("connect-anew");
    gateway.signed_in();
    let (_running, port, token) = connected(&gateway);
    let lab = format!("/lab?token={token}");
    assert_eq!(get(port, &lab, &[]).0, 200);
    gateway.sign_out();
    // The ticket, then the sign-in.
    for _ in 0..2 {
        assert_eq!(get(port, &lab, &[]).0, 401);
    }
    let output = ran(&gateway, &["whoami"], "");
    assert!(
        out(&output).contains(": alice, ended: run kubectl workspace login https://ws.localhost:"),
        "{output:?}"
    );
    gateway.signed_in_anew();
    assert_eq!(get(port, &lab, &[]).0, 200);
    let output = ran(&gateway, &["whoami"], "");
    assert!(out(&output).contains(": alice, until 2999"), "{output:?}");
}

#[tokio::test]
async fn too_many_open_files_end_no_port() {
    let gateway = Gateway::start("connect-files");
    gateway.signed_in();
    let url = gateway.url("lab-ukb5wakby6jim56e.ws.localhost");
    let mut limited = Command::new("sh");
    let plugin = gateway.plugin();
    limited.envs(plugin.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.env_remove("KUBECONFIG");
    limited.args([
        "-c",
        "ulimit -n 24 && exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_kubectl-workspace"),
        "connect",
        &url,
    ]);
    let (mut running, port, token) = started(limited);
    let mut open = Vec::new();
    for _ in 0..40 {
        open.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    drop(open);
    let request = format!("GET /lab?token={token} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    let mut further = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    further.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    further.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    assert!(running.0.try_wait().unwrap().is_none());
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
