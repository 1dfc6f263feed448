//! Command lines -> runs of the program beside a gateway, and requests to its ports (IO: processes).

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Output, Stdio};

use crate::gateway::Gateway;

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Output of the program; `input` is its standard input.
pub(crate) fn ran(gateway: &Gateway, words: &[&str], input: &str) -> Output {
    let mut command = gateway.plugin();
    command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    wait_with(command.spawn().unwrap(), input)
}

/// Output of a program whose streams are pipes; `input` is its standard input.
pub(crate) fn wait_with(mut child: Child, input: &str) -> Output {
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program that reads nothing may have ended.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).is_ok());
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    output
}

/// The error of a command that fails.
pub(crate) fn fails(gateway: &Gateway, words: &[&str]) -> String {
    let output = ran(gateway, words, "");
    assert_ne!(output.status.code(), Some(0), "{words:?} {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    err(&output)
}

pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let query = url.split_once('?').unwrap().1;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Status and head of the answer to a request on a port of this computer, and its body.
pub(crate) fn get(port: u16, target: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let host = format!("127.0.0.1:{port}");
    let mut head = format!("GET {target} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        let _ = write!(head, "Host: {host}\r\n");
    }
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// A program that waits: its first line on standard error that has a URL. The rest must stay open.
pub(crate) fn url_shown(child: &mut Child) -> (String, BufReader<ChildStderr>) {
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("https://") {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "no URL");
    }
    (line.trim().to_owned(), reader)
}

/// What the program showed after the URL, when it has ended.
pub(crate) fn shown_rest(mut stderr: BufReader<ChildStderr>) -> String {
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    rest
}

/// Ends a program that this test started.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
