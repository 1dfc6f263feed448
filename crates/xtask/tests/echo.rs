//! The end-to-end tests' echo server: request -> answer that contains it (IO on loopback).

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A running server; ends with the test.
struct Echo {
    process: Child,
    port: u16,
}

impl Echo {
    fn start() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/images/echo/echo.py");
        let mut process = Command::new("python3")
            .arg(program)
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.rsplit(' ').next().unwrap().trim().parse().unwrap();
        Self { process, port }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).unwrap())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Sends one request and reads its status line and JSON body.
fn exchange(connection: &mut BufReader<TcpStream>, request: &str) -> (String, Value) {
    connection.get_mut().write_all(request.as_bytes()).unwrap();
    let (status, length) = head(connection);
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// Reads an answer's head: status line and content length.
fn head(connection: &mut BufReader<TcpStream>) -> (String, usize) {
    let (mut status, mut length) = (String::new(), 0);
    connection.read_line(&mut status).unwrap();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None => return (status.trim_end().to_owned(), length),
        }
    }
}

/// A masked frame of at most 125 bytes, as browsers send them.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// First byte and payload of the next frame from the server.
fn receive(connection: &mut BufReader<TcpStream>) -> (u8, Vec<u8>) {
    let mut start = [0; 2];
    connection.read_exact(&mut start).unwrap();
    let length = if start[1] == 126 {
        let mut length = [0; 2];
        connection.read_exact(&mut length).unwrap();
        u16::from_be_bytes(length)
    } else {
        u16::from(start[1])
    };
    let mut payload = vec![0; usize::from(length)];
    connection.read_exact(&mut payload).unwrap();
    (start[0], payload)
}

#[test]
fn an_answer_contains_the_whole_request_with_repeated_headers() {
    let echo = Echo::start();
    let request = "POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 3\r\n\r\nabc";
    let (status, body) = exchange(&mut echo.connect(), request);
    assert_eq!(status, "HTTP/1.1 200 OK");
    let headers = json!([["Host", "x"], ["X-A", "1"], ["X-A", "2"], ["Content-Length", "3"]]);
    let expected =
        json!({"method": "POST", "path": "/a/b", "query": "c=d", "headers": headers, "bodyLength": 3});
    assert_eq!(body, expected);
}

#[test]
fn the_log_holds_all_requests_before_it_in_order() {
    let echo = Echo::start();
    let mut connection = echo.connect();
    for path in ["/1", "/2"] {
        exchange(
            &mut connection,
            &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
        );
    }
    let (_, log) = exchange(&mut connection, "GET /_log HTTP/1.1\r\nHost: x\r\n\r\n");
    let paths: Vec<&str> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|seen| seen["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/1", "/2"]);
}

#[test]
fn a_websocket_sends_its_handshake_then_echoes_and_closes() {
    let echo = Echo::start();
    let mut connection = echo.connect();
    let handshake = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Cookie: a=b\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    connection.get_mut().write_all(handshake.as_bytes()).unwrap();
    assert_eq!(head(&mut connection).0, "HTTP/1.1 101 Switching Protocols");
    let (first, payload) = receive(&mut connection);
    assert_eq!(first, 0x81);
    let seen: Value = serde_json::from_slice(&payload).unwrap();
    assert!(
        seen["headers"]
            .as_array()
            .unwrap()
            .contains(&json!(["Cookie", "a=b"])),
        "{seen}"
    );
    for (sent, received) in [(0x81, 0x81), (0x82, 0x82), (0x89, 0x8A), (0x88, 0x88)] {
        connection.get_mut().write_all(&frame(sent, b"\x03\xe8")).unwrap();
        assert_eq!(receive(&mut connection), (received, b"\x03\xe8".to_vec()));
    }
    assert_eq!(connection.read(&mut [0]).unwrap(), 0);
}
