//! Any bytes at the real listener with its own parser: a request passes only with a valid ticket of its workspace.
//!
//! The streams of bytes are handshakes, and authorization requests of each proxy. Their bytes are exchanged, cut,
//! repeated, or taken from each other. Hosts and folders get half of `GATEWAY_FUZZ_CASES` (default 1500) each.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::GatewaySession;
use api::manager::RoutingMode;
use api::workspace::AccessType;
use gateway::index::{Domain, Target};
use gateway::metrics::Metrics;
use gateway::router;
use gateway::server::{Bounds, Most, at_entrance};
use gateway::server::{Limits, Listener, Owners};
use gateway::tokens::TICKET_LIFE;
use gateway::tokens::cookies;
use kube::ResourceExt as _;
use proptest::prelude::*;
use rules::access::Policy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::browser::Browser;
use crate::support::fixture::{Fixture, SYSTEM, target};
use crate::support::pod::counting;

/// The streams that pass with a valid ticket. `{host}`, `{path}` and `{cookies}` are filled in.
const SEEDS: [&str; 5] = [
    "GET /verify HTTP/1.1\r\nhost: gateway.system.svc:8443\r\nx-forwarded-method: GET\r\nx-forwarded-proto: https\r\n\
     x-forwarded-host: {host}\r\nx-forwarded-uri: {path}\r\nsec-fetch-site: same-origin\r\nsec-fetch-mode: cors\r\n\
     sec-fetch-dest: empty\r\ncookie: {cookies}\r\nconnection: close\r\n\r\n",
    "GET /verify HTTP/1.1\r\nHost: gateway.system.svc\r\nX-Forwarded-Method: HEAD\r\nX-Forwarded-Proto: wss\r\n\
     X-Forwarded-Host: {host}\r\nX-Forwarded-Uri: {path}?a=%2F\r\nCookie: _xsrf=1; {cookies}\r\nUser-Agent: x\r\n\r\n",
    "GET /verify/nginx HTTP/1.1\r\nhost: gateway.system.svc\r\nx-original-url: https://{host}{path}\r\n\
     x-original-method: GET\r\nconnection: close\r\nsec-fetch-site: same-origin\r\ncookie: {cookies}\r\n\r\n",
    "GET /ext_authz{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nx-forwarded-proto: https\r\nsec-fetch-site: same-origin\r\n\
     cookie: {cookies}\r\n\r\n",
    "GET {path} HTTP/1.1\r\nhost: {host}\r\norigin: https://{host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\ncookie: {cookies}\r\n\r\n",
];

/// What parsers stumble over, and what could change whose request it is.
const PIECES: [&str; 24] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "\u{e9}",
    "content-length: 5\r\n",
    "content-length: 0\r\ncontent-length: 1\r\n",
    "transfer-encoding: chunked\r\n",
    "transfer-encoding: identity, chunked\r\n0\r\n\r\n",
    "x-forwarded-host: lab-b.ws.example:8443\r\n",
    "x-forwarded-uri: /workspaces/team/lab-b/\r\n",
    "x-forwarded-host : lab-b.ws.example:8443\r\n",
    " folded\r\n",
    "host: lab-b.ws.example:8443\r\n",
    "connection: x-forwarded-host, cookie\r\n",
    "expect: 100-continue\r\n",
    "upgrade: h2c\r\n",
    "HTTP/1.0",
];

const NAMES: [(&str, &str); 2] = [("lab-a", "alice"), ("lab-b", "bob")];

/// Number of the first user's cookies among all; the others' follow.
const OWN: usize = 4;

fn cases() -> u32 {
    let cases = std::env::var("GATEWAY_FUZZ_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(1_500) / 2
}

/// What a browser sends to a workspace, and whether that admits.
struct Carried {
    cookies: String,
    /// The valid ticket among them, with what its workspace is called in a request.
    valid: Option<(String, &'static str)>,
}

/// A gateway behind a socket, a pod that counts who reaches it, and cookies.
struct Site {
    runtime: Runtime,
    _world: Fixture,
    address: SocketAddr,
    dials: Arc<AtomicUsize>,
    mode: RoutingMode,
    carried: Vec<Carried>,
}

fn place(mode: RoutingMode, name: &str) -> (String, String) {
    match mode {
        RoutingMode::Subdomain => (format!("{name}.ws.example"), "/".to_owned()),
        RoutingMode::Path => ("ws.example".to_owned(), format!("/workspaces/team/{name}/")),
    }
}

impl Site {
    fn new(mode: RoutingMode) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (fixture, address, dials, carried) = runtime.block_on(async {
            let fixture = Fixture::new().await;
            fixture.watch().await;
            let (pod, dials) = counting().await;
            let targets = NAMES.map(|(name, owner)| {
                let (host, path) = place(mode, name);
                Target {
                    site: format!("{host}{}", path.trim_end_matches('/')).into(),
                    name: name.to_owned(),
                    endpoint: Some(pod),
                    ..target(name, owner, AccessType::OwnerOnly)
                }
            });
            fixture.serve(
                Domain::new("ws.example", 8443).in_mode(mode),
                Policy::default(),
                targets,
            );
            let carried = carried(&fixture, mode).await;
            let address = listen(&fixture).await;
            (fixture, address, dials, carried)
        });
        Self {
            runtime,
            _world: fixture,
            address,
            dials,
            mode,
            carried,
        }
    }

    /// A seed, asked with these cookies about this workspace.
    fn seed(&self, seed: usize, carried: usize, name: &str) -> Vec<u8> {
        let (host, path) = place(self.mode, name);
        let text = SEEDS[seed % SEEDS.len()]
            .replace("{host}", &format!("{host}:8443"))
            .replace("{path}", &path)
            .replace("{cookies}", &self.carried[carried % self.carried.len()].cookies);
        text.into_bytes()
    }

    /// All that comes back, and whether a pod was reached.
    fn send(&self, bytes: &[u8]) -> (String, bool) {
        let before = self.dials.load(Ordering::Relaxed);
        let answer = self.runtime.block_on(async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            // It may have hung up.
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let read = timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
            assert!(read.is_ok(), "no end: {}", String::from_utf8_lossy(bytes));
            answer
        });
        let dialled = self.dials.load(Ordering::Relaxed) > before;
        (String::from_utf8_lossy(&answer).into_owned(), dialled)
    }

    /// Whether one of the answers lets a user in.
    fn passes(&self, bytes: &[u8]) -> (bool, String) {
        let (answer, dialled) = self.send(bytes);
        let lets_in = ["HTTP/1.1 2", "HTTP/1.0 2", "HTTP/1.1 101"]
            .iter()
            .any(|line| answer.contains(line));
        (lets_in || dialled, answer)
    }

    /// Why these bytes must not pass, whatever is made of them.
    fn objection(&self, bytes: &[u8]) -> Option<&'static str> {
        let text = String::from_utf8_lossy(bytes);
        let valid = self.carried.iter().filter_map(|carried| carried.valid.as_ref());
        // Of several requests in one stream each may bring a ticket.
        let mut brought = valid
            .filter(|(ticket, _)| text.contains(ticket.as_str()))
            .peekable();
        if brought.peek().is_none() {
            return Some("no valid ticket");
        }
        let lower = text.to_ascii_lowercase();
        let fits = brought.any(|(_, name)| lower.contains(name));
        (!fits).then_some("another workspace's ticket")
    }
}

/// Valid cookies of both users, and others that once were or never were.
async fn carried(fixture: &Fixture, mode: RoutingMode) -> Vec<Carried> {
    let enter = async |name: &str, user: &'static str| -> Browser<'_> {
        let (host, path) = place(mode, name);
        let browser = fixture.browser(user);
        let landing = browser.open(&format!("https://{host}:8443{path}")).await;
        assert!(landing.is_inside(), "{landing:?}");
        browser
    };
    let all = |browser: &Browser<'_>, name: &str| {
        let (host, path) = place(mode, name);
        let folder = format!("{host}{}", path.trim_end_matches('/'));
        let mut places = vec![host, folder];
        places.dedup();
        let jars: Vec<String> = places.iter().filter_map(|place| browser.cookies(place)).collect();
        jars.join("; ")
    };
    let revoked = all(&enter("lab-a", "alice").await, "lab-a");
    let over = fixture.sessions().remove(0).name_any();
    fixture.server.remove::<GatewaySession>(Some(SYSTEM), &over);
    let ended = all(&enter("lab-a", "alice").await, "lab-a");
    fixture.pass(TICKET_LIFE);
    let mut found: Vec<Carried> = [revoked, ended, "__Host-ws=x".to_owned(), "_xsrf=1".to_owned()]
        .map(|cookies| Carried { cookies, valid: None })
        .into();
    let ticket = match mode {
        RoutingMode::Subdomain => cookies::TICKET,
        RoutingMode::Path => cookies::FOLDER_TICKET,
    };
    for (name, user) in NAMES {
        let cookies = all(&enter(name, user).await, name);
        let value = cookies
            .split("; ")
            .find_map(|pair| pair.strip_prefix(ticket)?.strip_prefix('='))
            .unwrap();
        found.push(Carried {
            valid: Some((value.to_owned(), name)),
            cookies,
        });
    }
    found
}

/// The listener of the process, without TLS.
async fn listen(fixture: &Fixture) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let entrance = router::entrance(Arc::clone(&fixture.at_entrance));
    let listener = Listener {
        name: "verify",
        socket,
        tls: None,
        // A connection on which nothing more comes ends at once. One whose other side is shut would be given up unanswered.
        limits: Limits {
            handshake: Duration::from_millis(40),
            age: Duration::from_millis(400),
            jitter: Duration::ZERO,
            ..Limits::default()
        },
        bounds: Bounds::new(Most::default(), Metrics::default()),
        kind: at_entrance,
        owners: Owners::default(),
        metrics: Metrics::default(),
    };
    tokio::spawn(listener.serve(move || entrance.clone(), CancellationToken::new()));
    address
}

/// What is done to a stream of bytes. Numbers are taken modulo its length.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(usize, u8),
    Insert(usize, Vec<u8>),
    Piece(usize, usize),
    Remove(usize, usize),
    /// Again, elsewhere: a part of itself.
    Repeat(usize, usize, usize),
    /// A part of another seed.
    Splice(usize, usize, usize, usize),
    SwapLines(usize, usize),
    RepeatLine(usize),
    RemoveLine(usize),
    Cut(usize),
    /// Another request behind it.
    Then(usize, usize),
}

fn mutate() -> impl Strategy<Value = Mutation> {
    let at = any::<usize>;
    prop_oneof![
        1 => (at(), any::<u8>()).prop_map(|(at, with)| Mutation::Flip(at, with)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        3 => (at(), at()).prop_map(|(at, piece)| Mutation::Piece(at, piece)),
        1 => (at(), 1_usize..40).prop_map(|(at, count)| Mutation::Remove(at, count)),
        1 => (at(), 1_usize..80, at()).prop_map(|(from, count, to)| Mutation::Repeat(from, count, to)),
        1 => (at(), at(), 1_usize..200, at()).prop_map(|(seed, from, count, to)| Mutation::Splice(seed, from, count, to)),
        1 => (at(), at()).prop_map(|(one, other)| Mutation::SwapLines(one, other)),
        2 => at().prop_map(Mutation::RepeatLine),
        2 => at().prop_map(Mutation::RemoveLine),
        1 => at().prop_map(Mutation::Cut),
        1 => (at(), at()).prop_map(|(seed, carried)| Mutation::Then(seed, carried)),
    ]
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    let at = at % (bytes.len() + 1);
    bytes.splice(at..at, more.iter().copied());
}

impl Mutation {
    fn apply(&self, site: &Site, bytes: &mut Vec<u8>) {
        let part = |bytes: &[u8], from: usize, count: usize| -> Vec<u8> {
            let from = from % bytes.len().max(1);
            bytes.iter().skip(from).take(count).copied().collect()
        };
        match self {
            Self::Flip(at, with) => {
                let length = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte = *with;
                }
            }
            Self::Insert(at, more) => insert(bytes, *at, more),
            Self::Piece(at, piece) => insert(bytes, *at, PIECES[piece % PIECES.len()].as_bytes()),
            Self::Remove(at, count) => {
                let from = at % bytes.len().max(1);
                bytes.drain(from.min(bytes.len())..(from + count).min(bytes.len()));
            }
            Self::Repeat(from, count, to) => {
                let again = part(bytes, *from, *count);
                insert(bytes, *to, &again);
            }
            Self::Splice(seed, from, count, to) => {
                let other = part(&site.seed(*seed, *seed / SEEDS.len(), "lab-b"), *from, *count);
                insert(bytes, *to, &other);
            }
            Self::SwapLines(one, other) => {
                let mut lines = lines(bytes);
                let count = lines.len().max(1);
                if !lines.is_empty() {
                    lines.swap(one % count, other % count);
                }
                *bytes = lines.concat();
            }
            Self::RepeatLine(at) => {
                let mut lines = lines(bytes);
                if let Some(line) = lines.get(at % lines.len().max(1)).cloned() {
                    lines.insert(at % lines.len(), line);
                }
                *bytes = lines.concat();
            }
            Self::RemoveLine(at) => {
                let mut lines = lines(bytes);
                if !lines.is_empty() {
                    lines.remove(at % lines.len());
                }
                *bytes = lines.concat();
            }
            Self::Cut(at) => bytes.truncate(at % bytes.len().max(1)),
            Self::Then(seed, carried) => {
                let next = site.seed(*seed, *carried, "lab-a");
                bytes.extend(next);
            }
        }
    }
}

fn no_bytes_pass(mode: RoutingMode) {
    let site = Site::new(mode);
    // Every seed passes with the cookies of whose workspace it is, and with no others.
    for seed in 0..SEEDS.len() {
        for (number, carried) in site.carried.iter().enumerate() {
            for (name, _) in NAMES {
                let allowed = carried.valid.as_ref().is_some_and(|(_, of)| *of == name);
                let (passes, answer) = site.passes(&site.seed(seed, number, name));
                assert_eq!(
                    passes, allowed,
                    "{mode:?} seed {seed}, cookies {number}, {name}: {answer}"
                );
            }
        }
    }
    let (entries, refusals) = (Cell::new(0_u32), Cell::new(0_u32));
    // Mostly the cookies of whose workspace it is.
    let carried = prop_oneof![2 => Just(None), 1 => any::<usize>().prop_map(Some)];
    let streams = prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..400).prop_map(|bytes| (None, vec![Mutation::Insert(0, bytes)])),
        20 => (
            (0..SEEDS.len(), carried, 0_usize..2).prop_map(Some),
            prop::collection::vec(mutate(), 0..4),
        ),
    ];
    proptest!(ProptestConfig::with_cases(cases()), |(drawn in streams)| {
        let (seed, bends) = drawn;
        let mut bytes = seed.map_or_else(Vec::new, |(seed, carried, name)| site.seed(seed, carried.unwrap_or(OWN + name), NAMES[name].0));
        for mutate in &bends {
            mutate.apply(&site, &mut bytes);
        }
        let (passes, answer) = site.passes(&bytes);
        let objection = site.objection(&bytes);
        prop_assert!(
            !passes || objection.is_none(),
            "{objection:?}, and yet: {answer}\nto: {}",
            String::from_utf8_lossy(&bytes)
        );
        refusals.set(refusals.get() + u32::from(answer.starts_with("HTTP/1.1 4")));
        entries.set(entries.get() + u32::from(passes && !bends.is_empty()));
    });
    // Else it would prove nothing: bent streams still pass now and then, and most are read and refused.
    assert!(entries.get() > 4, "{} of {} passed", entries.get(), cases());
    assert!(
        refusals.get() > cases() / 3,
        "{} of {} refused",
        refusals.get(),
        cases()
    );
}

#[test]
fn no_raw_bytes_without_a_valid_ticket_ever_pass() {
    no_bytes_pass(RoutingMode::Subdomain);
}

#[test]
fn no_raw_bytes_without_a_valid_ticket_ever_pass_in_folders() {
    no_bytes_pass(RoutingMode::Path);
}
