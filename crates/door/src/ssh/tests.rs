//! Connections to a small program in the place of sshd.

use super::session::{run, start};
use super::*;

use assertion::names::SshRefusal;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use rustix::process::{Pid, test_kill_process};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// A websocket to a shell's script, and the task that ends with both.
async fn connect(script: &str) -> (WebSocketStream<DuplexStream>, JoinHandle<()>) {
    connect_at(Places::default().take(&Caller::Anyone).unwrap(), script).await
}

async fn connect_at(place: Place, script: &str) -> (WebSocketStream<DuplexStream>, JoinHandle<()>) {
    let (client, server) = tokio::io::duplex(16 * 1024);
    let (process, stream) = start(Command::new("/bin/sh").args(["-c", script])).unwrap();
    let task = tokio::spawn(async move { run(server, stream, process, &Activity::new(), &place).await });
    (
        WebSocketStream::from_raw_socket(client, Role::Client, None).await,
        task,
    )
}

#[tokio::test]
async fn the_socket_ends_after_the_last_byte_of_the_process() {
    let (mut socket, task) = connect("head -c 300000 /dev/zero").await;
    let mut bytes = 0;
    while let Message::Binary(part) = socket.next().await.unwrap().unwrap() {
        bytes += part.len();
    }
    assert_eq!(bytes, 300_000);
    task.await.unwrap();
}

/// The code of the close frame after all bytes, if there is one.
async fn close_code(mut socket: WebSocketStream<DuplexStream>) -> Option<u16> {
    while let Some(message) = socket.next().await {
        if let Message::Close(frame) = message.unwrap() {
            return frame.map(|frame| frame.code.into());
        }
    }
    None
}

#[tokio::test]
async fn a_process_that_ends_without_a_word_is_named_by_the_code_and_one_that_spoke_is_not() {
    for (script, code) in [
        ("exit 255", Some(SshRefusal::Failed as u16)),
        ("printf 'SSH-2.0-x\r\n'; exit 255", None),
    ] {
        let (socket, task) = connect(script).await;
        assert_eq!(close_code(socket).await, code, "{script}");
        task.await.unwrap();
    }
}

#[tokio::test]
async fn the_process_ends_with_the_socket() {
    for polite in [true, false] {
        let (mut socket, task) = connect("echo ready; exec cat").await;
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::binary("ready\n"));
        if polite {
            socket.close(None).await.unwrap();
        }
        drop(socket);
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_end_is_killed() {
    let (mut socket, task) = connect("echo $$; exec sleep 1000").await;
    let said = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let pid = Pid::from_raw(said.trim().parse().unwrap()).unwrap();
    test_kill_process(pid).unwrap();
    drop(socket);
    task.await.unwrap();
    test_kill_process(pid).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_when_its_place_is_given_up() {
    let places = Places::default();
    let bob = Caller::User {
        name: "bob".to_owned(),
        is_owner: false,
    };
    let (mut socket, task) = connect_at(places.take(&bob).unwrap(), "exec cat").await;
    let _held: Vec<_> = std::iter::from_fn(|| places.take(&bob).ok()).collect();
    tokio::time::advance(std::time::Duration::from_mins(2)).await;
    // The control: it is open until somebody needs the place.
    assert!(!task.is_finished());
    let _new = places.take(&bob).unwrap();
    task.await.unwrap();
    assert!(!matches!(socket.next().await, Some(Ok(Message::Binary(_)))));
}

#[tokio::test]
async fn text_and_frames_that_are_too_large_end_the_connection() {
    let (mut socket, task) = connect("exec cat").await;
    socket.send(Message::text("hello")).await.unwrap();
    task.await.unwrap();
    let (mut socket, task) = connect("exec cat").await;
    // Refused as soon as its head is read.
    let _ = socket
        .send(Message::Binary(Bytes::from(vec![0; 1024 * 1024 + 1])))
        .await;
    task.await.unwrap();
}
