//! Traces of applications -> last act and last open page, to the minute (pure).

use std::collections::HashMap;

use http::HeaderValue;

use self::trace::{Trace, What};
use super::*;

mod others;
mod page;
mod trace;

/// What each use of a trace tells, in order.
fn sorted_events(trace: &Trace) -> Vec<(f64, Usage)> {
    let background = Background::new("/", &trace.background);
    let mut sockets = HashMap::new();
    let mut sorted = Vec::new();
    for event in &trace.events {
        let at = Duration::from_secs_f64(event.at);
        let usage = match &event.what {
            What::Request {
                method,
                path,
                mode,
                socket,
            } => {
                if let Some(socket) = socket {
                    sockets.insert(*socket, (Socket::new(path), at));
                }
                let mut headers = HeaderMap::new();
                if let Some(mode) = mode {
                    headers.insert("sec-fetch-mode", HeaderValue::from_str(mode).unwrap());
                }
                background.sort(&method.parse().unwrap(), path, &headers)
            }
            What::Frame { socket, bytes } => {
                let (socket, opened): &mut (Socket, Duration) = sockets.get_mut(socket).unwrap();
                socket.sort(usize::from(*bytes >= LONG), at.saturating_sub(*opened))
            }
            What::Control | What::Close { .. } | What::Told(_) => continue,
        };
        sorted.push((event.at, usage));
    }
    sorted
}

/// Minutes of the last act and of the last use of any kind.
fn minutes(trace: &Trace) -> (f64, f64) {
    let sorted = sorted_events(trace);
    let minute = |last: Option<&(f64, Usage)>| last.map_or(0.0, |(at, _)| (at / 60.0).floor());
    let acts = sorted.iter().rev().find(|(_, usage)| *usage == Usage::User);
    (minute(acts), minute(sorted.last()))
}

/// Of each trace the minute of the last act and of the last use of any kind.
const EXPECTED: [(&str, f64, f64); 15] = [
    ("code-asleep", 2.0, 10.0),
    ("code-forgotten", 3.0, 11.0),
    // The page answers what a terminal prints.
    ("code-printing", 10.0, 10.0),
    ("code-typing", 6.0, 11.0),
    // JupyterLab saves once more when the laptop wakes for a moment.
    ("lab-asleep", 9.0, 9.0),
    ("lab-computing", 2.0, 2.0),
    ("lab-forgotten", 2.0, 10.0),
    ("lab-hidden", 2.0, 9.0),
    ("lab-printing", 2.0, 10.0),
    // Nothing tells that somebody reads but the open page.
    ("lab-reading", 2.0, 10.0),
    ("lab-shared", 4.0, 10.0),
    ("lab-terminal", 3.0, 10.0),
    ("lab-typing", 6.0, 10.0),
    ("rstudio-polling", 40.0, 299.0),
    // The same without --background-path.
    ("rstudio-polling-unnamed", 299.0, 299.0),
];
/// Minutes after the last act at which JupyterLab has saved what was typed, on the machine of the recordings.
const SAVED: f64 = 2.5;

#[test]
fn each_trace_has_its_last_act_and_its_last_use_to_the_minute() {
    let found = Trace::all().into_iter().map(|trace| {
        let (user, presence) = minutes(&trace);
        (trace.name, user, presence)
    });
    let expected = EXPECTED.map(|(name, user, presence)| (name.to_owned(), user, presence));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn the_last_act_of_a_recording_is_the_last_key_or_click_or_what_jupyterlab_saves_of_it() {
    let recorded = Trace::all().into_iter().filter(|trace| trace.recorded.is_some());
    for trace in recorded
        .filter(|trace| !["code-printing", "lab-asleep", "lab-reading"].contains(&trace.name.as_str()))
    {
        let (user, _) = minutes(&trace);
        let acted = trace.acted / 60.0;
        assert!(
            user >= acted.floor() && user <= acted + SAVED,
            "{}: {user}, acted at {acted}",
            trace.name
        );
    }
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
fn frames_of_kernels_and_terminals_are_acts_thirty_seconds_after_the_handshake() {
    for path in ["/a/api/kernels/3f/channels", "/terminals/websocket/1"] {
        let mut socket = Socket::new(path);
        let mut at = |seconds| socket.sort(1, Duration::from_secs(seconds));
        assert_eq!(at(0), Usage::Presence);
        assert_eq!(at(29), Usage::Presence);
        assert_eq!(at(30), Usage::User);
        assert_eq!(at(9000), Usage::User);
    }
}

#[test]
fn on_other_sockets_five_frames_within_three_seconds_are_an_act() {
    let last = |gap: u64| {
        let mut socket = Socket::new("/stable");
        let gaps = (0..5).map(|count| Duration::from_millis(40_000 + count * gap));
        gaps.map(|since| socket.sort(1, since)).last().unwrap()
    };
    assert_eq!(last(750), Usage::User);
    assert_eq!(last(751), Usage::Presence);
    // All at once.
    let mut socket = Socket::new("/stable");
    assert_eq!(socket.sort(4, Duration::from_secs(40)), Usage::Presence);
    assert_eq!(socket.sort(1, Duration::from_secs(40)), Usage::User);
    assert_eq!(socket.sort(100_000, Duration::from_mins(20)), Usage::User);
    assert_eq!(
        socket.sort(0, Duration::from_mins(20)),
        Usage::Presence,
        "the rest of a long frame"
    );
    // What comes with the handshake does not count later.
    let mut socket = Socket::new("/stable");
    assert_eq!(socket.sort(100, Duration::from_secs(29)), Usage::Presence);
    assert_eq!(socket.sort(1, Duration::from_secs(30)), Usage::Presence);
}
