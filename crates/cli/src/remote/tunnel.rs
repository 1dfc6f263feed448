//! Workspace and ticket -> a websocket that carries the bytes of an SSH connection (IO).

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use api::names::SshRefusal;
use bytes::Bytes;
use futures::{SinkExt as _, Stream, StreamExt as _};
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, UPGRADE, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::address::WorkspaceAddress;
use super::gateway::{SignedIn, error_message, json_of, not_signed_in};
use super::refusal::{DECLINED, Refusal, retried};

/// Path of ssh below a workspace's address.
const PATH: &str = "/jupyter-k8s/ssh";
/// Carries a ticket. The gateway passes it to no pod.
pub(crate) const TICKET: HeaderName = HeaderName::from_static("workspace-ticket");
/// Bytes of a message at most; the door sends far smaller ones.
const MOST: usize = 4 << 20;
/// How long the handshake may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Silence after which the connection is lost: the gateway sends a ping after 20 s without other bytes, and waits as long for the answer.
const LOST: Duration = Duration::from_mins(15);
/// How long the workspace may take to close after ssh has ended.
const CLOSING: Duration = Duration::from_secs(10);

/// A connection to the workspace's ssh.
pub(crate) type Tunnel = WebSocketStream<TokioIo<Upgraded>>;

/// A ticket as the value of its header.
pub(crate) fn header(ticket: &str) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::try_from(ticket).context("the gateway's ticket cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Connects, in several attempts if the gateway refuses them for a moment. `start`: the command that starts the workspace.
pub(crate) async fn open(signed_in: &SignedIn, to: &WorkspaceAddress, start: &str) -> anyhow::Result<Tunnel> {
    retried(|| attempt(signed_in, to, start)).await
}

async fn attempt(signed_in: &SignedIn, to: &WorkspaceAddress, start: &str) -> anyhow::Result<Tunnel> {
    if let Some(ticket) = signed_in.kept_ticket(to) {
        match shake_hands(signed_in, to, &ticket, start).await {
            // It may be that of a session or workspace which is gone. The answer for a new one says what is wrong.
            Err(error) if error.downcast_ref().is_some_and(Refusal::may_concern_ticket) => {}
            done => return done,
        }
    }
    let ticket = signed_in.ticket_to_keep(to).await?;
    shake_hands(signed_in, to, &ticket, start).await
}

async fn shake_hands(
    signed_in: &SignedIn,
    to: &WorkspaceAddress,
    ticket: &str,
    start: &str,
) -> anyhow::Result<Tunnel> {
    let key = generate_key();
    let request = Request::get(format!("{}{PATH}", to.path))
        .header(HOST, to.place.to_string())
        .header(USER_AGENT, api::names::CLI)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", &key)
        .header(TICKET, header(ticket)?)
        .body(Empty::new().map_err(|never| match never {}).boxed_unsync())?;
    let mut sender = signed_in.dialer.connect(&to.place).await?;
    let answered = tokio::time::timeout(LIMIT, sender.send_request(request)).await;
    let answer = answered
        .map_err(|_| anyhow!("no answer within {LIMIT:?}"))
        .and_then(|answer| Ok(answer?))
        .with_context(|| format!("{} does not answer", to.place))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(answer, signed_in, start).await);
    }
    let accepted = answer.headers().get("sec-websocket-accept");
    if accepted.map(HeaderValue::as_bytes) != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        bail!(
            "{} does not speak websockets as it should: check proxies on the way",
            to.place
        );
    }
    let upgraded = hyper::upgrade::on(answer)
        .await
        .context("the connection broke off")?;
    let bounds = WebSocketConfig::default()
        .max_message_size(Some(MOST))
        .max_frame_size(Some(MOST));
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(bounds)).await)
}

/// Why the gateway or the workspace did not open the connection, with what to do.
async fn refusal(answer: http::Response<Incoming>, signed_in: &SignedIn, start: &str) -> anyhow::Error {
    let (head, body) = answer.into_parts();
    let body = json_of(body).await;
    let message = error_message(head.status, &body);
    let message = match (head.status, body["error"].as_str()) {
        (StatusCode::UNAUTHORIZED, Some(error)) if error != DECLINED => {
            not_signed_in(&signed_in.sign_in.auth)
        }
        (StatusCode::SERVICE_UNAVAILABLE, Some("WorkspaceNotReady")) => format!("{message}: {start}"),
        (_, Some(DECLINED) | None) => format!(
            "the workspace has no ssh (its answer is {}): its image must have the door and openssh-server, see docs/remote.md",
            head.status
        ),
        (_, Some(_)) => message,
    };
    Refusal::new(head.status, &head.headers, &body, message).into()
}

/// Carries bytes both ways until one side ends.
pub(crate) async fn carry<S>(
    tunnel: S,
    mut from_ssh: Receiver<Bytes>,
    to_ssh: Sender<Bytes>,
) -> anyhow::Result<()>
where
    S: Stream<Item = Result<Message, Error>> + futures::Sink<Message, Error = Error>,
{
    let (mut sink, mut stream) = tunnel.split();
    let up = async {
        while let Some(bytes) = from_ssh.recv().await {
            sink.send(Message::Binary(bytes)).await?;
        }
        sink.close().await
    };
    let down = async {
        loop {
            let Ok(next) = tokio::time::timeout(LOST, stream.next()).await else {
                bail!(
                    "the connection is lost: nothing came for {} minutes; connect again",
                    LOST.as_secs() / 60
                );
            };
            match next {
                Some(Ok(Message::Binary(bytes))) => {
                    if to_ssh.send(bytes).await.is_err() {
                        // ssh has ended.
                        return Ok(());
                    }
                }
                Some(Ok(Message::Close(Some(frame))))
                    if !matches!(frame.code, CloseCode::Normal | CloseCode::Away) =>
                {
                    bail!(close_reason(frame.code));
                }
                Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed)) => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("the connection is lost: connect again"),
                None => bail!("the connection is lost: connect again"),
            }
        }
    };
    tokio::pin!(up, down);
    tokio::select! {
        ended = &mut down => ended,
        sent = &mut up => match sent {
            // The workspace answers what it has to say, and closes.
            Ok(()) => tokio::time::timeout(CLOSING, down).await.unwrap_or(Ok(())),
            // Why it cannot be sent is in what was received, if there is anything.
            Err(error) => match tokio::time::timeout(CLOSING, down).await {
                Ok(Err(why)) => Err(why),
                _ => Err(error).context("the connection is lost: connect again"),
            },
        },
    }
}

/// What the codes mean with which the gateway closes, or the door. A pod without a door can close, too, with any code and words: its words
/// are not shown.
fn close_reason(code: CloseCode) -> &'static str {
    if let Some(refusal) = SshRefusal::from_code(code.into()) {
        return refusal_reason(refusal);
    }
    match code {
        CloseCode::Policy => "the connection was closed: access ended",
        CloseCode::Restart => "the connection was closed: the gateway restarts; connect again",
        CloseCode::Error => {
            "the connection was closed: the workspace or this computer did not answer; connect again"
        }
        _ => "the connection was closed by the workspace",
    }
}

/// Why the workspace has no ssh, with what owners and guests may do. None of them may read the pod's log.
fn refusal_reason(refusal: SshRefusal) -> &'static str {
    match refusal {
        SshRefusal::Full => "the workspace has as many ssh connections as it may have: close one",
        SshRefusal::FullOfGuests => {
            "guests have as many ssh connections to the workspace as they may have: close one of yours"
        }
        SshRefusal::NoServer => {
            "the workspace's image has no ssh server: its owner may choose an image with openssh-server"
        }
        SshRefusal::NoAccount => {
            "the workspace has no ssh: its pod's user is not in the image's /etc/passwd; all else works, in the browser, too"
        }
        SshRefusal::Password => {
            "the workspace has no ssh: its pod's user must have an empty password in the image's /etc/passwd; its owner may choose another image"
        }
        SshRefusal::NotWritable => {
            "the workspace cannot start ssh, because it cannot write /run/workspace: its owner may restart it"
        }
        SshRefusal::DiskFull => {
            "the workspace cannot start ssh, because /run/workspace is full: delete files there by a terminal in the browser, or its owner may restart it"
        }
        SshRefusal::NoMemory => {
            "the workspace has no memory or processes left for ssh: end programs in it, or its owner may restart it"
        }
        SshRefusal::Failed => {
            "the workspace's ssh server ended at once: its owner may restart it; if that does not help, an administrator finds the reason in its log"
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;
    use tokio::sync::mpsc;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;

    use super::*;

    struct Ends {
        gateway: WebSocketStream<DuplexStream>,
        into: Sender<Bytes>,
        out: Receiver<Bytes>,
        carried: tokio::task::JoinHandle<anyhow::Result<()>>,
    }

    async fn ends() -> Ends {
        let (one, other) = tokio::io::duplex(1 << 16);
        let tunnel = WebSocketStream::from_raw_socket(one, Role::Client, None).await;
        let gateway = WebSocketStream::from_raw_socket(other, Role::Server, None).await;
        let (into, from_ssh) = mpsc::channel(1);
        let (to_ssh, out) = mpsc::channel(1);
        Ends {
            gateway,
            into,
            out,
            carried: tokio::spawn(carry(tunnel, from_ssh, to_ssh)),
        }
    }

    #[tokio::test]
    async fn bytes_are_carried_both_ways_and_the_end_of_ssh_closes() {
        let mut ends = ends().await;
        ends.into
            .send(Bytes::from_static(b"SSH-2.0-a\r\n"))
            .await
            .unwrap();
        let received = ends.gateway.next().await.unwrap().unwrap();
        assert_eq!(received, Message::binary(b"SSH-2.0-a\r\n".as_slice()));
        ends.gateway.send(Message::Ping(Bytes::new())).await.unwrap();
        ends.gateway
            .send(Message::binary(b"SSH-2.0-b\r\n".as_slice()))
            .await
            .unwrap();
        assert_eq!(ends.out.recv().await.unwrap(), b"SSH-2.0-b\r\n".as_slice());
        drop(ends.into);
        assert!(matches!(ends.gateway.next().await, Some(Ok(Message::Pong(_)))));
        assert!(matches!(ends.gateway.next().await, Some(Ok(Message::Close(_)))));
        assert!(ends.gateway.next().await.is_none());
        ends.carried.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_code_of_the_close_is_the_error_and_no_word_of_the_workspace() {
        for (code, expected) in [
            (CloseCode::Normal, None),
            (CloseCode::Policy, Some("access ended")),
            (CloseCode::Restart, Some("the gateway restarts; connect again")),
            (CloseCode::Error, Some("did not answer; connect again")),
            (CloseCode::Library(4100), Some("as it may have: close one")),
            (CloseCode::Library(4101), Some("close one of yours")),
            (CloseCode::Library(4106), Some("or its owner may restart it")),
            // The control: what no door sends.
            (CloseCode::Library(4000), Some("by the workspace")),
            (CloseCode::Library(4109), Some("by the workspace")),
        ] {
            let mut ends = ends().await;
            let frame = CloseFrame {
                code,
                reason: "give your password at https://evil.example".into(),
            };
            ends.gateway
                .send(Message::binary(b"last".as_slice()))
                .await
                .unwrap();
            ends.gateway.close(Some(frame)).await.unwrap();
            assert_eq!(ends.out.recv().await.unwrap(), b"last".as_slice());
            let error = ends.carried.await.unwrap().err().map(|error| error.to_string());
            let shown = error.as_deref().unwrap_or_default();
            assert_eq!(error.is_some(), expected.is_some(), "{code:?}");
            assert!(shown.ends_with(expected.unwrap_or_default()), "{code:?}: {shown}");
            assert!(!shown.contains("evil"), "{shown}");
        }
    }

    /// A laptop that sleeps, or a network that is away.
    #[tokio::test(start_paused = true)]
    async fn ten_minutes_of_silence_end_nothing_and_a_lost_connection_ends() {
        let mut ends = ends().await;
        tokio::time::sleep(Duration::from_mins(10)).await;
        let late = Message::binary(b"late".as_slice());
        ends.gateway.send(late).await.unwrap();
        assert_eq!(ends.out.recv().await.unwrap(), b"late".as_slice());
        let error = ends.carried.await.unwrap().unwrap_err();
        assert!(error.to_string().starts_with("the connection is lost"), "{error}");
    }
}
