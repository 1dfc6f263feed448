//! `login` and `logout`: the program, and a gateway in this process (IO: processes, local sockets).

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use crate::gateway::{Gateway, TOKEN};
use crate::process::out;
use crate::programs::{Running, err, fails, get, parameter, ran, shown_rest, url_shown};
use crate::socket::{Reply, serve};

#[test]
fn a_browser_brings_the_code_of_this_very_sign_in_and_only_the_user_can_read_the_token() {
    let gateway = Gateway::start("login");
    let authority = gateway.authority();
    let mut child = gateway
        .plugin()
        .args([
            "login",
            &gateway.url("lab-ukb5wakby6jim56e.ws.localhost"),
            "--ca-file",
        ])
        .arg(&authority)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (url, _stderr) = url_shown(&mut child);
    let page = format!("{}/programs?", gateway.url("auth.ws.localhost"));
    assert!(url.starts_with(&page), "{url}");
    let port: u16 = parameter(&url, "port").unwrap().parse().unwrap();
    let (state, challenge) = (
        parameter(&url, "state").unwrap(),
        parameter(&url, "challenge").unwrap(),
    );
    assert_eq!((state.len(), challenge.len()), (43, 43));
    assert!(
        parameter(&url, "name")
            .unwrap()
            .starts_with("kubectl workspace on ")
    );
    gateway.opened(&challenge);
    // What does not belong to this sign-in changes nothing.
    let right = format!("/?code=code-1&state={state}");
    assert_eq!(get(port, "/favicon.ico", &[]).0, 404);
    assert_eq!(get(port, "/?code=evil&state=other", &[]).0, 400);
    assert_eq!(get(port, "/?code=evil", &[]).0, 400);
    assert_eq!(get(port, &right, &[("Host", "evil.example")]).0, 404);
    assert_eq!(get(port, &right, &[]).0, 200);
    let output = child.wait_with_output().unwrap();
    let expected = format!(
        "signed in at ws.localhost:{} as alice, until 2999-01-01",
        gateway.port
    );
    assert!(out(&output).starts_with(&expected), "{output:?}");
    let files: Vec<_> = fs::read_dir(gateway.state_folder())
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1);
    assert_eq!(
        fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let kept: Value = serde_json::from_str(&fs::read_to_string(&files[0]).unwrap()).unwrap();
    assert_eq!(kept["token"], TOKEN);
    assert!(
        TcpStream::connect(("127.0.0.1", port)).is_err(),
        "nothing listens any more"
    );
    let me = json!({"status": {"userInfo": {"username": "oidc:alice"}}});
    let server = serve(move |_| Reply::Object(me.clone()));
    let output = ran(&gateway, &["whoami", "--server", &server], "");
    let expected = format!("Gateway ws.localhost:{}: alice, until 2999", gateway.port);
    assert!(
        out(&output).contains("oidc:alice") && out(&output).contains(&expected),
        "{output:?}"
    );
    // The authority is kept with the sign-in.
    let output = ran(
        &gateway,
        &[
            "ssh",
            "--stdio",
            &gateway.url("lab-ukb5wakby6jim56e.ws.localhost"),
        ],
        "hello",
    );
    assert_eq!(out(&output), "hello", "{output:?}");
}

#[test]
fn without_a_browser_the_code_is_typed() {
    let gateway = Gateway::start("typed");
    gateway.signed_in();
    let url = gateway.url("ws.localhost");
    let login = ["login", url.as_str(), "--no-browser"];
    let mut child = gateway
        .plugin()
        .args(login)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (shown, stderr) = url_shown(&mut child);
    assert_eq!(parameter(&shown, "port"), None);
    gateway.opened(&parameter(&shown, "challenge").unwrap());
    child.stdin.take().unwrap().write_all(b"code-1\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(out(&output).contains("as alice"), "{output:?}");
    assert!(!shown_rest(stderr).contains("clock"));
    // A code that was shown for another sign-in is worth nothing.
    let output = ran(&gateway, &login, "code-1\n");
    assert!(
        err(&output).contains("the sign-in failed: The code is not valid"),
        "{output:?}"
    );
    let output = ran(&gateway, &login, "\n");
    assert!(err(&output).contains("no code was given"), "{output:?}");
}

#[test]
fn where_nobody_can_sign_in_the_reason_says_what_to_do() {
    let gateway = Gateway::start("wrong");
    let url = gateway.url("ws.localhost");
    let authority = gateway.authority().display().to_string();
    let foreign = gateway.url("foreign.localhost");
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nowhere = format!("https://ws.localhost:{closed}");
    for (words, expected) in [
        (vec!["login", "http://ws.localhost"], "must begin with https://"),
        (vec!["login", "https://bob@ws.localhost"], "must not hold a user"),
        (
            vec!["login", "alice-lab"],
            "\"alice-lab\" must be an address such as https://workspaces.example.org, not a name: give",
        ),
        (vec!["login"], "which installation? give its address"),
        (
            vec!["login", &url, "--ca-file", "/nonexistent"],
            "--ca-file /nonexistent cannot be read",
        ),
        (
            vec![
                "login",
                &url,
                "--ca-file",
                concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            ],
            "must hold a certificate in PEM",
        ),
        (
            vec!["login", &foreign, "--ca-file", &authority],
            "its certificate is not for auth.foreign.localhost",
        ),
        (
            vec!["login", &nowhere, "--ca-file", &authority],
            "cannot be reached: check the address, and the network of this computer",
        ),
    ] {
        let error = fails(&gateway, &words);
        assert!(error.contains(expected), "{words:?}: {error}");
    }
    let trusting = gateway
        .plugin()
        .args(["login", &url])
        .env("SSL_CERT_FILE", &authority)
        .stderr(Stdio::piped())
        .spawn();
    let mut trusting = Running(trusting.unwrap());
    assert!(url_shown(&mut trusting.0).0.contains("/programs?"));
    // Without the authority: none, or those of the system.
    let error = fails(&gateway, &["login", &url]);
    assert!(error.contains("login --ca-file"), "{error}");
    fs::set_permissions(gateway.state_folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = fails(&gateway, &["login", &url, "--ca-file", &authority]);
    assert!(error.contains("run chmod 700 "), "{error}");
}

#[test]
fn a_guest_without_a_kubeconfig_sees_the_sign_ins() {
    let gateway = Gateway::start("guest");
    let missing = "no cluster is configured: set --kubeconfig or $KUBECONFIG";
    // There is nothing to show.
    assert!(fails(&gateway, &["whoami"]).contains(missing));
    gateway.signed_in();
    let output = ran(&gateway, &["whoami"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let expected = format!("Gateway ws.localhost:{}: alice, until 2999", gateway.port);
    assert!(out(&output).starts_with(&expected), "{output:?}");
    assert_eq!(
        err(&output),
        "There is no kubeconfig, so no cluster was asked for your name.\n"
    );
    // A format shows what the cluster says, and nothing else.
    assert!(fails(&gateway, &["whoami", "-o", "json"]).contains(missing));
    // A cluster that was asked for and is not there is still a failure.
    let output = ran(&gateway, &["whoami", "--kubeconfig", "/nonexistent/config"], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(out(&output).starts_with(&expected), "{output:?}");
    assert!(
        err(&output).contains("no file of --kubeconfig exists: /nonexistent/config"),
        "{output:?}"
    );
}

#[test]
fn signing_out_forgets_the_token_and_everywhere_ends_the_session() {
    let gateway = Gateway::start("logout");
    assert!(err(&ran(&gateway, &["logout"], "")).contains("signed in nowhere"));
    gateway.signed_in();
    assert!(fails(&gateway, &["logout", "https://other.example"]).contains("but at ws.localhost"));
    let output = ran(&gateway, &["logout"], "");
    assert!(out(&output).contains("on this computer"), "{output:?}");
    assert!(!gateway.is_signed_out());
    assert!(err(&ran(&gateway, &["logout"], "")).contains("signed in nowhere"));
    gateway.signed_in();
    let output = ran(
        &gateway,
        &["logout", "--everywhere", &gateway.url("ws.localhost")],
        "",
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(gateway.is_signed_out());
    assert!(
        out(&output).contains("in the browser and in all programs"),
        "{output:?}"
    );
    // One that has ended is forgotten, too.
    gateway.signed_in();
    let output = ran(&gateway, &["logout", "--everywhere"], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(
        out(&output).contains("its session had ended before"),
        "{output:?}"
    );
    assert!(err(&ran(&gateway, &["logout"], "")).contains("signed in nowhere"));
}

#[test]
fn a_certificate_that_is_not_valid_now_names_the_clock() {
    let gateway = Gateway::expired("expired");
    let authority = gateway.authority().display().to_string();
    let error = fails(
        &gateway,
        &["login", &gateway.url("ws.localhost"), "--ca-file", &authority],
    );
    let expected = "not valid at the time of this computer's clock, which says ";
    assert!(
        error.contains(expected) && error.contains(": set the clock"),
        "{error}"
    );
}

#[test]
fn a_wrong_clock_is_named_and_matters_to_nothing_else() {
    let gateway = Gateway::start("clock");
    gateway.signed_in();
    gateway.set_clock_behind(SignedDuration::from_mins(10));
    let mut child = gateway
        .plugin()
        .args(["login", &gateway.url("ws.localhost"), "--no-browser"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (shown, stderr) = url_shown(&mut child);
    gateway.opened(&parameter(&shown, "challenge").unwrap());
    child.stdin.take().unwrap().write_all(b"code-1\n").unwrap();
    assert!(out(&child.wait_with_output().unwrap()).contains("signed in at"));
    let shown = shown_rest(stderr);
    assert!(
        shown.contains("the clock of this computer is 1") && shown.contains("minutes ahead of the gateway's"),
        "{shown}"
    );
    let output = ran(
        &gateway,
        &[
            "ssh",
            "--stdio",
            &gateway.url("lab-ukb5wakby6jim56e.ws.localhost"),
        ],
        "hello",
    );
    assert_eq!(out(&output), "hello", "{output:?}");
}
