//! Files of traces -> what happened, in order, and for how long (IO).
//!
//! `../traces/*.jsonl`: a line about the trace, then one for each request, frame, close of a websocket, or look at what the application
//! tells of its use. Those that `../record` wrote name what they were recorded with; others are scripted: `every` and `until` repeat a line.

use std::path::Path;

use serde_json::Value;

/// What is recorded in the last of these seconds is repeated, if a trace is to last longer. By then JupyterLab has saved what was typed, and pages do
/// nothing at longer intervals than a minute.
const STEADY: f64 = 180.0;

#[derive(Debug)]
pub(super) struct Trace {
    pub(super) name: String,
    pub(super) about: String,
    /// With what it was recorded.
    pub(super) recorded: Option<String>,
    /// When somebody last typed, clicked or scrolled.
    pub(super) acted: f64,
    /// `--background-path` of the image.
    pub(super) background: Vec<String>,
    pub(super) events: Vec<Event>,
}

/// Times are seconds since the trace's begin.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at: f64,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// With a socket it is its handshake.
    Request {
        method: String,
        path: String,
        mode: Option<String>,
        socket: Option<u64>,
    },
    /// Data that the client sends.
    Frame {
        socket: u64,
        bytes: u64,
    },
    /// A ping or a pong of the client.
    Control,
    Close {
        socket: u64,
    },
    Told(State),
}

/// What the application tells of its use, and what it takes.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Processors that were busy since the last look.
    pub(super) cores: f64,
    /// Jupyter's `last_activity` of the server, or the last heartbeat of code-server.
    pub(super) server: f64,
    /// Whether each kernel is idle, and its `last_activity`. `None`: it is no Jupyter.
    pub(super) kernels: Option<Vec<(bool, f64)>>,
    /// `last_activity` of each terminal of Jupyter.
    pub(super) terminals: Vec<f64>,
}

impl Trace {
    pub(super) fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/usage/traces");
        let files = std::fs::read_dir(folder).unwrap();
        let mut all: Vec<_> = files.map(|file| Self::read(&file.unwrap().path())).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let head: Value = lines.next().unwrap();
        let words = |name: &str| head[name].as_str().map(str::to_owned);
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let named = head["background"].as_array().into_iter().flatten();
        let named = named.map(|path| path.as_str().unwrap().to_owned());
        let background = if name.starts_with("lab-") {
            of_image()
        } else {
            named.collect()
        };
        let mut used = None;
        let events = lines.flat_map(|line: Value| {
            let what = What::read(&line, &mut used);
            let what = what.into_iter();
            what.flat_map(move |what| {
                times(&line)
                    .map(move |at| Event {
                        at,
                        what: what.clone(),
                    })
                    .collect::<Vec<_>>()
            })
        });
        let mut events: Vec<_> = events.collect();
        events.sort_by(|one, other| one.at.total_cmp(&other.at));
        Self {
            name,
            about: words("about").unwrap(),
            recorded: words("recorded"),
            acted: head["acted"].as_f64().unwrap_or_default(),
            background,
            events,
        }
    }

    pub(super) fn end(&self) -> f64 {
        self.events.last().map_or(0.0, |event| event.at)
    }

    /// The same, with what happens last repeated until so many seconds have passed.
    pub(super) fn lasting(mut self, seconds: f64) -> Self {
        let from = self.end() - STEADY;
        let steady: Vec<_> = self
            .events
            .iter()
            .filter(|event| event.at > from)
            .cloned()
            .collect();
        let mut later = STEADY;
        while from + later < seconds {
            self.events
                .extend(steady.iter().map(|event| event.later(later, from)));
            later += STEADY;
        }
        self.events.retain(|event| event.at <= seconds);
        self
    }
}

impl Event {
    /// The same so many seconds later. Times before `from` stay.
    fn later(&self, seconds: f64, from: f64) -> Self {
        let moved = |time: f64| if time > from { time + seconds } else { time };
        let mut what = self.what.clone();
        if let What::Told(state) = &mut what {
            state.server = moved(state.server);
            for (_, last) in state.kernels.iter_mut().flatten() {
                *last = moved(*last);
            }
            for last in &mut state.terminals {
                *last = moved(*last);
            }
        }
        Self {
            at: self.at + seconds,
            what,
        }
    }
}

impl What {
    /// `used`: when, and how many seconds of a processor had been used until then. What a server sends tells nothing of its users.
    fn read(line: &Value, used: &mut Option<(f64, f64)>) -> Option<Self> {
        let words = |name: &str| line[name].as_str().map(str::to_owned);
        let socket = line["socket"].as_u64();
        match line["kind"].as_str().unwrap() {
            "request" => Some(Self::Request {
                method: words("method").unwrap(),
                path: words("path").unwrap(),
                mode: words("mode"),
                socket,
            }),
            "frame" => Some(Self::Frame {
                socket: socket.unwrap(),
                bytes: line["bytes"].as_u64().unwrap(),
            }),
            "control" => Some(Self::Control),
            "close" => socket.map(|socket| Self::Close { socket }),
            "answer" => None,
            "state" => {
                let now = (line["at"].as_f64().unwrap(), line["cpu"].as_f64().unwrap());
                let (at, seconds) = used.replace(now).unwrap_or_default();
                let list = |name: &str| line[name].as_array().cloned();
                let idle = |kernel: &Value| (kernel["state"] == "idle", kernel["last"].as_f64().unwrap());
                Some(Self::Told(State {
                    cores: (now.1 - seconds) / (now.0 - at),
                    server: line["server"].as_f64().unwrap(),
                    kernels: list("kernels").map(|kernels| kernels.iter().map(idle).collect()),
                    terminals: list("terminals")
                        .into_iter()
                        .flatten()
                        .map(|last| last.as_f64().unwrap())
                        .collect(),
                }))
            }
            other => panic!("{other}"),
        }
    }
}

/// The paths that the JupyterLab image names to its door.
fn of_image() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/images/jupyter-uv/behind-door.sh");
    let command = std::fs::read_to_string(file).unwrap();
    let mut words = command.split_whitespace();
    let mut paths = Vec::new();
    while words.any(|word| word == "--background-path") {
        paths.extend(words.next().map(str::to_owned));
    }
    assert!(!paths.is_empty());
    paths
}

/// When a line happens.
fn times(line: &Value) -> impl Iterator<Item = f64> + use<> {
    let seconds = |name: &str| line[name].as_f64();
    let (at, every, until) = (seconds("at").unwrap(), seconds("every"), seconds("until"));
    let count = (0_u32..).map(move |count| at + f64::from(count) * every.unwrap_or(f64::MAX));
    count.take_while(move |time| *time <= until.unwrap_or(at))
}
