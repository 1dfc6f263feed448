//! Traces of applications -> last act and last open page, to the minute (pure).
//!
//! `traces/*.jsonl`: a line about the trace, its source and the minutes; then a line for each request or frame. A request with a socket is its
//! handshake. `every` and `until` repeat a line, in seconds.

use std::collections::HashMap;
use std::path::Path;

use http::HeaderValue;
use serde_json::Value;

use super::*;

struct Event {
    at: Duration,
    line: usize,
}

/// Minutes of the last act and of the last use of any kind.
fn minutes(head: &Value, lines: &[Value]) -> (u64, u64) {
    let named: Vec<_> = head["background"].as_array().into_iter().flatten().collect();
    let named: Vec<_> = named
        .iter()
        .map(|path| path.as_str().unwrap().to_owned())
        .collect();
    let background = Background::new("/", &named);
    let mut events: Vec<_> = lines
        .iter()
        .enumerate()
        .flat_map(|(line, event)| times(event).map(move |at| Event { at, line }))
        .collect();
    events.sort_by_key(|event| event.at);
    let (mut sockets, mut user, mut presence) = (HashMap::new(), Duration::ZERO, Duration::ZERO);
    for Event { at, line } in events {
        let event = &lines[line];
        let usage = if event["kind"] == "frame" {
            let (socket, opened): &mut (Socket, Duration) =
                sockets.get_mut(&event["socket"].as_u64()).unwrap();
            socket.sort(1, at.saturating_sub(*opened))
        } else {
            assert_eq!(event["kind"], "request");
            let path = event["path"].as_str().unwrap();
            if !event["socket"].is_null() {
                sockets.insert(event["socket"].as_u64(), (Socket::new(path), at));
            }
            let mut headers = HeaderMap::new();
            if let Some(mode) = event["mode"].as_str() {
                headers.insert("sec-fetch-mode", HeaderValue::from_str(mode).unwrap());
            }
            let method = event["method"].as_str().unwrap().parse().unwrap();
            background.sort(&method, path, &headers)
        };
        presence = presence.max(at);
        if usage == Usage::User {
            user = user.max(at);
        }
    }
    (user.as_secs() / 60, presence.as_secs() / 60)
}

/// When an event happens.
fn times(event: &Value) -> impl Iterator<Item = Duration> + use<> {
    let seconds = |name: &str| event[name].as_f64();
    let (at, until) = (seconds("at").unwrap(), seconds("until"));
    let every = seconds("every").unwrap_or(f64::MAX);
    let count = (0_u32..).take_while(move |count| {
        *count == 0 || until.is_some_and(|until| at + f64::from(*count) * every <= until)
    });
    count.map(move |count| {
        Duration::from_secs_f64(if count == 0 {
            at
        } else {
            at + f64::from(count) * every
        })
    })
}

#[test]
fn each_trace_has_its_last_act_and_its_last_use_to_the_minute() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/usage/traces");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let head: Value = lines.next().unwrap();
        let expected = ["user", "presence"].map(|name| head[name].as_u64().unwrap());
        let found = minutes(&head, &lines.collect::<Vec<_>>());
        assert_eq!(found, expected.into(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 12, "{count} traces");
}

fn sorted(method: &str, path: &str, mode: Option<&'static str>) -> Usage {
    let mut headers = HeaderMap::new();
    if let Some(mode) = mode {
        headers.insert("sec-fetch-mode", HeaderValue::from_static(mode));
    }
    let background = Background::new("/a/", &["/poll".to_owned(), "rpc/".to_owned()]);
    background.sort(&method.parse().unwrap(), path, &headers)
}

#[test]
fn a_page_load_and_a_change_are_acts_and_a_question_is_not() {
    for (method, mode) in [
        ("GET", Some("navigate")),
        ("POST", Some("cors")),
        ("PUT", None),
        ("DELETE", None),
        ("PATCH", None),
    ] {
        assert_eq!(sorted(method, "/a/b", mode), Usage::User, "{method}");
    }
    for (method, mode) in [
        ("GET", None),
        ("GET", Some("cors")),
        ("GET", Some("websocket")),
        ("HEAD", None),
        ("OPTIONS", Some("cors")),
    ] {
        assert_eq!(sorted(method, "/a/b", mode), Usage::Presence, "{method}");
    }
}

#[test]
fn what_an_image_names_as_background_is_no_act_and_its_neighbours_are() {
    for named in ["/a/poll", "/a/rpc/x", "/a/rpc/"] {
        assert_eq!(sorted("POST", named, None), Usage::Presence, "{named}");
    }
    for other in ["/a/poll/x", "/a/polls", "/a/rpc", "/poll", "/rpc/x"] {
        assert_eq!(sorted("POST", other, None), Usage::User, "{other}");
    }
}

#[test]
fn frames_of_kernels_and_terminals_are_acts_ten_seconds_after_the_handshake() {
    for path in ["/a/api/kernels/3f/channels", "/terminals/websocket/1"] {
        let mut socket = Socket::new(path);
        let mut at = |seconds| socket.sort(1, Duration::from_secs(seconds));
        assert_eq!(at(0), Usage::Presence);
        assert_eq!(at(9), Usage::Presence);
        assert_eq!(at(10), Usage::User);
        assert_eq!(at(9000), Usage::User);
    }
}

#[test]
fn on_other_sockets_five_frames_within_three_seconds_are_an_act() {
    let last = |gap: u64| {
        let mut socket = Socket::new("/stable");
        let gaps = (0..5).map(|count| Duration::from_millis(20_000 + count * gap));
        gaps.map(|since| socket.sort(1, since)).last().unwrap()
    };
    assert_eq!(last(750), Usage::User);
    assert_eq!(last(751), Usage::Presence);
    // All at once.
    let mut socket = Socket::new("/stable");
    assert_eq!(socket.sort(4, Duration::from_secs(20)), Usage::Presence);
    assert_eq!(socket.sort(1, Duration::from_secs(20)), Usage::User);
    assert_eq!(socket.sort(100_000, Duration::from_mins(20)), Usage::User);
    assert_eq!(
        socket.sort(0, Duration::from_mins(20)),
        Usage::Presence,
        "the rest of a long frame"
    );
    // What comes with the handshake does not count later.
    let mut socket = Socket::new("/stable");
    assert_eq!(socket.sort(100, Duration::from_secs(9)), Usage::Presence);
    assert_eq!(socket.sort(1, Duration::from_secs(10)), Usage::Presence);
}
