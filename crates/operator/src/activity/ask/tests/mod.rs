//! Pods of every kind, as servers on this machine.

use std::{net::Ipv4Addr, sync::Mutex};

use api::workspace::TimestampFormat;
use kit::tls::{Certificate, server_config};
use rules::Question;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::activity::subject::tests::{with_disk_alone, with_rule};

const NOW: &str = "2026-01-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Answers each connection with what `answer` returns for the first line of its request; `None`: never. Records those lines.
async fn pod(answer: fn(&str) -> Option<String>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let lines = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let lines = lines.clone();
            tokio::spawn(serve(stream, answer, lines));
        }
    });
    (port, seen)
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: fn(&str) -> Option<String>,
    lines: Arc<Mutex<Vec<String>>>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_err() {
            return;
        }
        request.push(byte[0]);
    }
    let text = String::from_utf8(request).unwrap();
    lines.lock().unwrap().push(text.clone());
    match answer(text.lines().next().unwrap()) {
        // The client may have closed the connection.
        Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
        None => std::future::pending().await,
    }
}

fn json(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn at(port: u16) -> Subject {
    let mut subject = Subject {
        address: Ipv4Addr::LOCALHOST.into(),
        ..with_rule(|rule| rule.port = port)
    };
    subject.door.port = port;
    subject
}

fn endpoint(port: u16) -> Subject {
    let question = Question {
        tls: false,
        port: None,
        path: "/healthz".to_owned(),
        answer: IdleAnswer::Timestamp {
            path: vec!["lastHeartbeat".to_owned()],
            format: TimestampFormat::Unix,
        },
        is_given: true,
    };
    let mut subject = at(port);
    subject.idle.as_mut().unwrap().question = question;
    subject
}

async fn ask(subject: Subject) -> Answered {
    Asker::over_http(now, Arc::default()).ask(Arc::new(subject)).await
}

/// The reason reported for a pod that answers so.
async fn why(answer: fn(&str) -> Option<String>) -> String {
    let (port, _) = pod(answer).await;
    ask(endpoint(port)).await.unwrap_err().why
}

fn jupyter(line: &str) -> Option<String> {
    Some(json(match line.split(' ').nth(1)? {
        "/api/status" => r#"{"last_activity": "2026-01-01T10:00:00Z", "kernels": 1}"#,
        "/api/kernels?no_track_activity=1" => {
            r#"[{"execution_state": "idle", "last_activity": "2026-01-01T11:00:00Z"}]"#
        }
        "/api/terminals?no_track_activity=1" => r#"[{"name": "1", "last_activity": "2026-01-01T11:30:00Z"}]"#,
        _ => return None,
    }))
}

#[tokio::test]
async fn a_jupyterlab_is_asked_for_kernels_and_terminals_too_without_that_being_activity() {
    let (port, seen) = pod(jupyter).await;
    let signals = ask(at(port)).await.unwrap().signals;
    let read: Vec<_> = signals
        .iter()
        .map(|signal| (signal.name, signal.last_activity.unwrap().to_string()))
        .collect();
    let expected = [("server", "10:00"), ("kernels", "11:00"), ("terminals", "11:30")]
        .map(|(name, time)| (name, format!("2026-01-01T{time}:00Z")));
    assert_eq!(read, expected);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert!(
        seen[0]
            .to_lowercase()
            .contains(&format!("\r\nhost: 127.0.0.1:{port}\r\n")),
        "{seen:?}"
    );
}

/// A Jupyter server without one of its pages.
fn absent(page: &str, line: &str) -> Option<String> {
    if line.contains(page) {
        return Some("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned());
    }
    jupyter(line)
}

#[tokio::test]
async fn a_server_without_terminals_is_read_and_one_without_kernels_is_an_error() {
    let (port, _) = pod(|line| absent("terminals", line)).await;
    assert_eq!(ask(at(port)).await.unwrap().signals.len(), 2);
    let (port, _) = pod(|line| absent("kernels", line)).await;
    let unanswered = ask(at(port)).await.unwrap_err();
    assert_eq!(
        (unanswered.name, unanswered.why.as_str()),
        ("kernels", "the answer is 404, not 200")
    );
}

/// An answer of a pod whose image has the door.
fn used_by_ssh(answer: &str, time: &str) -> String {
    answer.replacen("\r\n", &format!("\r\nWorkspace-Last-Activity: {time}\r\n"), 1)
}

#[tokio::test]
async fn use_by_ssh_is_a_further_signal_of_jupyterlab_and_of_any_application() {
    let of_jupyter = |line: &str| Some(used_by_ssh(&jupyter(line)?, "2026-01-01T11:45:00.5Z"));
    let (port, _) = pod(of_jupyter).await;
    let signals = ask(at(port)).await.unwrap().signals;
    let names: Vec<_> = signals.iter().map(|signal| signal.name).collect();
    assert_eq!(names, ["server", "kernels", "terminals", "ssh"]);
    let last = signals.iter().filter_map(|signal| signal.last_activity).max();
    assert_eq!(last.unwrap().to_string(), "2026-01-01T11:45:00Z");

    // A time in the future is now.
    let of_other = |_: &str| {
        Some(used_by_ssh(
            &json(r#"{"lastHeartbeat": 0}"#),
            "2026-01-01T15:00:00Z",
        ))
    };
    let (port, _) = pod(of_other).await;
    let signals = ask(endpoint(port)).await.unwrap().signals;
    let read: Vec<_> = signals
        .iter()
        .map(|signal| (signal.name, signal.last_activity.map(|time| time.to_string())))
        .collect();
    assert_eq!(read, [("endpoint", None), ("ssh", Some(NOW.to_owned()))]);
}

#[tokio::test]
async fn a_use_by_ssh_that_cannot_be_read_is_an_error_and_no_silence() {
    let (port, _) = pod(|_| Some(used_by_ssh(&json(r#"{"lastHeartbeat": 0}"#), "yesterday"))).await;
    let unanswered = ask(endpoint(port)).await.unwrap_err();
    assert_eq!(
        (unanswered.name, unanswered.why.as_str()),
        ("ssh", "the answer's time cannot be read as RFC 3339")
    );
}

#[tokio::test]
async fn redirects_refusals_errors_and_answers_with_a_wrong_clock_are_no_answers() {
    let moved = why(|_| {
        Some("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_owned())
    });
    assert_eq!(moved.await, "the answer is 302, not 200");
    let forbidden = why(|_| Some("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned()));
    assert!(
        forbidden
            .await
            .starts_with("the answer is 403: the application must answer")
    );
    let broken = why(|_| Some("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_owned()));
    assert_eq!(broken.await, "the answer is 500, not 200");
    let late = pod(|line| {
        let answer = jupyter(line)?;
        Some(answer.replacen("\r\n", "\r\nDate: Thu, 01 Jan 2026 10:59:59 GMT\r\n", 1))
    });
    let unanswered = ask(at(late.await.0)).await.unwrap_err();
    assert!(
        unanswered.name == "server" && unanswered.why.contains("correct the wrong clock"),
        "{unanswered:?}"
    );
    assert_eq!(
        why(|_| Some("SSH-2.0-OpenSSH\r\n".to_owned())).await,
        "the connection broke"
    );
    assert_eq!(
        why(|_| Some(json("<html>"))).await,
        "the answer is not the JSON that was expected"
    );
    assert_eq!(
        why(|_| Some(json("{}"))).await,
        "the answer has no field lastHeartbeat"
    );
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let huge = why(|_| Some(json(&format!("\"{}\"", "x".repeat(MAX_BODY + 1)))));
    assert_eq!(huge.await, "the answer is longer than 256 KiB");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_answer_times_out_after_five_seconds() {
    assert_eq!(why(|_| None).await, "no answer within 5 s");
}

/// A Jupyter server that is slow on each page.
async fn slow_jupyter(each: Duration) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::time::sleep(each).await;
            serve(stream, jupyter, Arc::default()).await;
        }
    });
    port
}

#[tokio::test(start_paused = true)]
async fn all_pages_of_a_pod_together_have_five_seconds() {
    let port = slow_jupyter(Duration::from_secs(2)).await;
    let begin = Instant::now();
    let unanswered = ask(at(port)).await.unwrap_err();
    assert_eq!(
        (unanswered.name, unanswered.why.as_str()),
        ("terminals", "no answer within 5 s")
    );
    assert_eq!(begin.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn over_tls_any_certificate_is_accepted_and_a_plain_server_gets_no_request() {
    let certificate = Certificate::default();
    certificate
        .set(&kit::pki::authority("unknown", now()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server_config(certificate, None).unwrap()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                let answer = |_: &str| Some(json(r#"{"lastHeartbeat": 1767264600}"#));
                serve(stream, answer, Arc::default()).await;
            }
        }
    });
    let mut subject = endpoint(port);
    subject.idle.as_mut().unwrap().question.tls = true;
    assert!(ask(subject).await.unwrap().signals[0].last_activity.is_some());
    let (plain, _) = pod(|_| Some(json("{}"))).await;
    let mut subject = endpoint(plain);
    subject.idle.as_mut().unwrap().question.tls = true;
    let unanswered = tokio::time::timeout(Duration::from_secs(10), ask(subject))
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        unanswered.why.contains("TLS") || unanswered.why.contains("no answer"),
        "{unanswered:?}"
    );
}

mod door;
