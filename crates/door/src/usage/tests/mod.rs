//! Traces of applications -> last act and last open page, to the minute (pure).

use std::collections::HashMap;

use http::HeaderValue;

use self::trace::{Trace, What};
use super::*;
use crate::frames::LONG;

mod others;
mod page;
mod trace;

/// So many frames of so many bytes.
fn data(frames: usize, bytes: u64) -> Data {
    let long = if bytes >= LONG { frames } else { 0 };
    Data { frames, long }
}

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
                socket.sort(data(1, *bytes), at.saturating_sub(*opened))
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
const EXPECTED: [(&str, f64, f64); 17] = [
    ("code-asleep", 2.0, 10.0),
    ("code-forgotten", 3.0, 11.0),
    ("code-language", 5.0, 11.0),
    // The page answers what a terminal prints.
    ("code-printing", 10.0, 10.0),
    ("code-typing", 6.0, 11.0),
    // JupyterLab saves once more when the laptop wakes for a moment.
    ("lab-asleep", 9.0, 9.0),
    ("lab-computing", 2.0, 2.0),
    ("lab-debugging", 4.0, 10.0),
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
/// Recordings whose last act is another. docs/evidence/idle.md says why.
const LATE_OR_NONE: [&str; 3] = ["code-printing", "lab-asleep", "lab-reading"];

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
    for trace in recorded {
        let sorted = sorted_events(&trace);
        let mut acts = sorted.iter().filter(|(_, usage)| *usage == Usage::User);
        let last = acts.next_back().map_or(0.0, |(at, _)| at / 60.0);
        let acted = trace.acted / 60.0;
        let is_it = last >= acted.floor() && last <= acted + SAVED;
        assert_eq!(
            is_it,
            !LATE_OR_NONE.contains(&trace.name.as_str()),
            "{}: {last}, acted at {acted}",
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

/// Of code-server 4.139.1.
const CODE: &str = "/a/stable-53c2f3253bcf32886706fc023e794bbeb253c90f";

#[test]
fn a_client_is_known_by_the_end_of_its_path() {
    let insider = CODE.replace("stable", "insider");
    for path in [CODE, "/oss-dev", insider.as_str()] {
        assert_eq!(Client::of(path), Client::Code, "{path}");
    }
    for path in ["/a/api/kernels/3f/channels", "/terminals/websocket/1"] {
        assert_eq!(Client::of(path), Client::Jupyter, "{path}");
    }
    let below = format!("{CODE}/ws");
    let longer = format!("{CODE}0");
    for path in [
        "/",
        "/ws",
        "/stable",
        "/proxy/7860/stable-diffusion",
        "/api/kernels/3f",
        below.as_str(),
        longer.as_str(),
    ] {
        assert_eq!(Client::of(path), Client::Other, "{path}");
    }
}

#[test]
fn frames_of_kernels_and_terminals_are_acts_ten_seconds_after_the_handshake() {
    for path in ["/a/api/kernels/3f/channels", "/terminals/websocket/1"] {
        let mut socket = Socket::new(path);
        let mut at = |seconds| socket.sort(data(1, 5), Duration::from_secs(seconds));
        assert_eq!(at(0), Usage::Presence);
        assert_eq!(at(9), Usage::Presence);
        assert_eq!(at(10), Usage::User);
        assert_eq!(at(9000), Usage::User);
    }
}

/// What the last of some data tells, of which one comes each so many milliseconds after a minute.
fn last_of(path: &str, one: Data, gap: u64) -> Usage {
    let mut socket = Socket::new(path);
    let times = (0..5).map(|count| Duration::from_millis(60_000 + count * gap));
    times.map(|since| socket.sort(one, since)).last().unwrap()
}

#[test]
fn on_other_sockets_five_frames_within_three_seconds_are_an_act() {
    for path in [CODE, "/websockify"] {
        assert_eq!(last_of(path, data(1, LONG), 750), Usage::User, "{path}");
        assert_eq!(last_of(path, data(1, LONG), 751), Usage::Presence, "{path}");
        // All at once.
        let mut socket = Socket::new(path);
        let mut at = |frames, seconds| socket.sort(data(frames, LONG), Duration::from_secs(seconds));
        assert_eq!(at(4, 40), Usage::Presence);
        assert_eq!(at(1, 40), Usage::User);
        assert_eq!(at(100_000, 1200), Usage::User);
        assert_eq!(at(0, 1200), Usage::Presence, "the rest of a long frame");
    }
    // What comes with the handshake does not count later.
    for (path, handshake) in [(CODE, 30), ("/websockify", 10)] {
        let mut socket = Socket::new(path);
        let mut at = |frames, seconds| socket.sort(data(frames, LONG), Duration::from_secs(seconds));
        assert_eq!(at(100, handshake - 1), Usage::Presence, "{path}");
        assert_eq!(at(1, handshake), Usage::Presence, "{path}");
        assert_eq!(at(4, handshake), Usage::User, "{path}");
    }
}

#[test]
fn short_frames_are_no_act_of_vs_code_alone() {
    // A key of ttyd, a movement of the mouse of noVNC, and the longest that is short.
    for bytes in [2, 6, LONG - 1] {
        for other in ["/ws", "/websockify", "/a/proxy/6080/websockify"] {
            assert_eq!(
                last_of(other, data(1, bytes), 200),
                Usage::User,
                "{other} {bytes}"
            );
        }
        assert_eq!(last_of(CODE, data(1, bytes), 200), Usage::Presence, "{bytes}");
    }
    assert_eq!(last_of(CODE, data(1, LONG), 200), Usage::User);
}

/// Why [`LONG`] is there: the same page's frames, on the socket of an application that the door does not know.
#[test]
fn a_forgotten_vs_code_would_act_for_ever_if_its_short_frames_counted() {
    let mut trace = Trace::all()
        .into_iter()
        .find(|trace| trace.name == "code-forgotten")
        .unwrap();
    assert_eq!(minutes(&trace), (3.0, 11.0));
    for event in &mut trace.events {
        if let What::Request {
            path,
            socket: Some(_),
            ..
        } = &mut event.what
        {
            "/ws".clone_into(path);
        }
    }
    let (user, _) = minutes(&trace);
    assert!(user >= 10.0, "{user}");
}
