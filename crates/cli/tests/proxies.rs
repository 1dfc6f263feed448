//! A company's proxy -> the program reaches gateway and API server by it (IO: processes, local sockets).

use std::fs;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::process::out;
use crate::programs::err;

/// A proxy, by HTTP and by SOCKS 5, whose connections all lead to a port of this computer. Returns its port, and what it was asked: the head
/// of a request by HTTP, or a host by SOCKS.
fn proxy(to: u16) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, asks) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (ask, answer) = greet(&mut stream);
            let _ = asked.send(ask);
            let (mut from, mut back) = (TcpStream::connect(("127.0.0.1", to)).unwrap(), stream);
            back.write_all(&answer).unwrap();
            let (mut there, mut into) = (back.try_clone().unwrap(), from.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut there, &mut into));
            thread::spawn(move || std::io::copy(&mut from, &mut back));
        }
    });
    (port, asks)
}

/// So many bytes.
fn take(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// What a client asks, and the answer that grants it.
fn greet(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let first = take(stream, 1);
    if first != [5] {
        let mut head = first;
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(take(stream, 1));
        }
        return (
            String::from_utf8(head).unwrap(),
            b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
        );
    }
    let methods = take(stream, 1)[0];
    take(stream, methods.into());
    stream.write_all(&[5, 0]).unwrap();
    // Version, command, zero, and a name with its length.
    let head = take(stream, 5);
    assert_eq!(head[..4], [5, 1, 0, 3], "a host by its name");
    let host = take(stream, head[4].into());
    take(stream, 2);
    (
        String::from_utf8(host).unwrap(),
        vec![5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    )
}

#[test]
fn a_proxy_of_the_environment_leads_to_the_gateway() {
    let gateway = Gateway::start("proxy");
    gateway.signed_in_at("auth.ws.example");
    let (port, asks) = proxy(gateway.port);
    let stdio = |value: &str| {
        let host = gateway.url("lab-ukb5wakby6jim56e.ws.example");
        let mut command = gateway.plugin();
        let command = command.args(["ssh", "--stdio", &host]);
        command.env("HTTPS_PROXY", value).stdin(Stdio::null());
        command.output().unwrap()
    };
    let hosts = ["auth.ws.example", "lab-ukb5wakby6jim56e.ws.example"];
    let output = stdio(&format!("http://bob:secret@127.0.0.1:{port}"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for host in hosts {
        let asked = asks.recv().unwrap();
        assert!(
            asked.starts_with(&format!("CONNECT {host}:{} ", gateway.port)),
            "{asked}"
        );
        assert!(
            asked.to_ascii_lowercase().contains("proxy-authorization: basic "),
            "{asked}"
        );
    }
    let output = stdio(&format!("socks5://127.0.0.1:{port}"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(hosts.contains(&asks.recv().unwrap().as_str()));
    let output = stdio("https://bob:secret@127.0.0.1:1");
    let error = err(&output);
    assert!(
        error.contains("($HTTPS_PROXY) cannot be used: it must begin with http:// or socks5://")
            && !error.contains("secret"),
        "{error}"
    );
}

/// `list` from an API server whose name only a proxy knows.
fn listed(gateway: &Gateway, cluster: &Value, variables: &[(&str, &str)]) -> Output {
    let mut whole = json!({
        "server": gateway.url("api.ws.example"), "certificate-authority": gateway.authority(),
    });
    whole
        .as_object_mut()
        .unwrap()
        .extend(cluster.as_object().unwrap().clone());
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "main",
        "clusters": [{"name": "other", "cluster": {"server": "https://other.example"}}, {"name": "c", "cluster": whole}],
        "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    });
    let file = gateway.home().join("kubeconfig");
    fs::write(&file, config.to_string()).unwrap();
    let mut command = gateway.plugin();
    let command = command.args(["list", "-o", "name", "--kubeconfig"]).arg(file);
    command
        .envs(variables.iter().copied())
        .env_remove("https_proxy")
        .output()
        .unwrap()
}

#[test]
fn a_proxy_leads_to_the_api_server_as_for_kubectl() {
    let gateway = Gateway::start("proxy-api");
    let (port, asks) = proxy(gateway.port);
    let by_http = format!("http://bob:secret@127.0.0.1:{port}");
    let by_socks = format!("socks5://127.0.0.1:{port}");
    let connect = format!("CONNECT api.ws.example:{} ", gateway.port);
    let none = json!({});
    let explicit = |url: &str| json!({ "proxy-url": url });
    for (cluster, variables, asked) in [
        (&none, &[("HTTPS_PROXY", by_http.as_str())][..], connect.as_str()),
        (&none, &[("HTTPS_PROXY", &by_socks)], "api.ws.example"),
        // The list is of addresses that need no proxy: the proxy's own is not concerned, and commas may stand at its end.
        (
            &none,
            &[
                ("HTTPS_PROXY", &by_http),
                ("NO_PROXY", "127.0.0.1, .corp.example,"),
            ],
            &connect,
        ),
        // What the kubeconfig names counts whatever the environment has.
        (
            &explicit(&by_http),
            &[("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")],
            &connect,
        ),
        (&explicit(&by_socks), &[], "api.ws.example"),
    ] {
        let output = listed(&gateway, cluster, variables);
        assert_eq!(
            out(&output),
            "workspace.workspaces.jupyter.org/demo\n",
            "{cluster} {variables:?}: {}",
            err(&output)
        );
        assert!(asks.recv().unwrap().starts_with(asked), "{cluster} {variables:?}");
        // One command may connect more than once.
        while asks.try_recv().is_ok() {}
    }
    for (cluster, variables) in [
        (
            none.clone(),
            &[("HTTPS_PROXY", by_http.as_str()), ("NO_PROXY", ".ws.example")][..],
        ),
        (
            none.clone(),
            &[("HTTPS_PROXY", by_http.as_str()), ("NO_PROXY", "*")],
        ),
        (none.clone(), &[("ALL_PROXY", by_http.as_str())]),
        (explicit("ftp://bob:secret@127.0.0.1:1"), &[]),
        (explicit("http://bob:secret@127.0.0.1:1"), &[]),
    ] {
        let output = listed(&gateway, &cluster, variables);
        assert_ne!(output.status.code(), Some(0), "{cluster} {variables:?}");
        assert!(asks.try_recv().is_err(), "{cluster} {variables:?}");
        let error = err(&output);
        let names_it = error.contains("proxy-url of the kubeconfig");
        assert!(
            names_it == cluster.get("proxy-url").is_some() && !error.contains("secret"),
            "{error}"
        );
    }
}
