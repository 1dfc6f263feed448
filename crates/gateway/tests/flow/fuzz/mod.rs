//! Any bytes: a request passes only with a valid ticket of this workspace, sent by its own pages or by a user.
//!
//! Requests are valid ones with exchanged parts, so that most pass the first checks. `GATEWAY_FUZZ_CASES` (default 1500)
//! is their number.

mod asked;
mod folders;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::GatewaySession;
use api::workspace::AccessType;
use axum::body::Body;
use gateway::index::Target;
use gateway::tokens::TICKET_LIFE;
use gateway::tokens::cookies;
use http::{Request, StatusCode};
use kube::ResourceExt as _;
use proptest::prelude::*;
use rules::access::Shared;
use serde_json::json;
use tokio::runtime::Runtime;

use self::asked::{Asked, Cookie, Mutation, OWN, Parts, Wallet, cookie, mostly, mutated, one_of};
use crate::support::browser::Answer;
use crate::support::fixture::{BOBS, Fixture, LAB, OPEN, SYSTEM, origin, target};
use crate::support::pod::counting;

/// Bob's, shared with alice.
const SHARED: &str = "shared-b.ws.example";
/// Bob's, shared with the group that everybody is in.
const GROUPED: &str = "grouped-b.ws.example";

/// Who may enter what, written down apart from the code that decides.
const MAY: [(&str, &str); 7] = [
    ("alice", LAB),
    ("alice", OPEN),
    ("alice", SHARED),
    ("alice", GROUPED),
    ("bob", BOBS),
    ("bob", OPEN),
    ("bob", GROUPED),
];

const HOSTS: [&str; 6] = [LAB, BOBS, OPEN, SHARED, GROUPED, "none.ws.example"];

fn cases() -> u32 {
    let cases = std::env::var("GATEWAY_FUZZ_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(1_500)
}

/// A gateway, a pod that counts who reaches it, and tickets.
struct Site {
    runtime: Runtime,
    fixture: Fixture,
    dials: Arc<AtomicUsize>,
    /// Valid tickets by value, with the host that each is for.
    valid: BTreeMap<String, &'static str>,
    /// Those, and texts that never admit: tickets that ended or whose session did, cookies for something else.
    texts: Vec<String>,
}

impl Site {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (fixture, dials, valid, texts) = runtime.block_on(async {
            let fixture = Fixture::new().await;
            fixture.watch().await;
            let (pod, dials) = counting().await;
            fixture.publish(workspaces(pod));
            let (valid, texts) = tickets(&fixture).await;
            (fixture, dials, valid, texts)
        });
        Self {
            runtime,
            fixture,
            dials,
            valid,
            texts,
        }
    }

    /// The answer, and whether a pod was reached.
    fn ask(&self, asked: &Asked) -> (Answer, bool) {
        let before = self.dials.load(Ordering::Relaxed);
        let answer = self
            .runtime
            .block_on(self.fixture.ask_verify(self.request(asked)));
        (answer, self.dials.load(Ordering::Relaxed) > before)
    }

    fn request(&self, asked: &Asked) -> Request<Body> {
        asked.request(self)
    }

    /// Why this request must not pass, if it must not: read from what is sent and from nothing of the gateway's.
    fn objection(&self, request: &Request<Body>, relayed: bool) -> Option<&'static str> {
        let all = |name: &str| -> Vec<&str> {
            let values = request.headers().get_all(name).iter();
            values.map(|value| value.to_str().unwrap_or("\u{fffd}")).collect()
        };
        let host_header = if relayed { "host" } else { "x-forwarded-host" };
        let [host] = all(host_header)[..] else {
            return Some("not one host");
        };
        let Some(host) = host.strip_suffix(":8443") else {
            return Some("another port");
        };
        let cookies = all("cookie");
        let pairs = cookies.iter().flat_map(|line| line.split(';'));
        let named = pairs.filter_map(|pair| pair.split_once('='));
        let ours: Vec<&str> = named
            .filter(|(name, _)| name.trim() == cookies::TICKET)
            .map(|(_, value)| value.trim())
            .collect();
        let [ticket] = ours[..] else {
            return Some("not one ticket");
        };
        if self
            .valid
            .get(ticket)
            .is_none_or(|of| !of.eq_ignore_ascii_case(host))
        {
            return Some("no valid ticket of this workspace");
        }
        let own = format!("https://{}:8443", host.to_ascii_lowercase());
        let [site, mode, dest, from] =
            ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "origin"].map(&all);
        if relayed && request.method() != http::Method::GET {
            return Some("no handshake");
        }
        if relayed {
            return (from != [own.as_str()]).then_some("another origin");
        }
        if !matches!(all("x-forwarded-proto")[..], ["https" | "wss"]) {
            return Some("not encrypted");
        }
        let reads = matches!(all("x-forwarded-method")[..], ["GET" | "HEAD"]);
        let silent = site.is_empty() && mode.is_empty() && dest.is_empty();
        let navigates = mode == ["navigate"] && dest == ["document"];
        let may = site == ["same-origin"]
            || reads && (navigates || site == ["none"])
            || silent && (from == [own.as_str()] || from.is_empty() && reads);
        (!may).then_some("a page of another origin")
    }
}

impl Wallet for Site {
    fn own(&self, asked: &Asked, _name: &str) -> Option<&String> {
        let mut valid = self.valid.iter();
        valid
            .find(|(_, of)| asked.host.starts_with(**of))
            .map(|(ticket, _)| ticket)
    }

    fn texts(&self) -> &[String] {
        &self.texts
    }
}

/// Requests to hosts.
fn asked() -> impl Strategy<Value = Asked> {
    asked::asked(Parts {
        hosts: hosts(),
        uris: uris(),
        cookies: cookies(),
        origins: origins(),
    })
}

fn workspaces(pod: SocketAddr) -> Vec<Target> {
    let shared = |kind: &str, name: &str| {
        let mut shared = Shared::default();
        let subject = serde_json::from_value(json!({"kind": kind, "name": name})).unwrap();
        shared.add(&subject, None);
        Arc::new(shared)
    };
    let all = [
        target(LAB, "alice", AccessType::OwnerOnly),
        target(BOBS, "bob", AccessType::OwnerOnly),
        target(OPEN, "bob", AccessType::Public),
        Target {
            shared: shared("User", "alice"),
            ..target(SHARED, "bob", AccessType::OwnerOnly)
        },
        Target {
            shared: shared("Group", "oidc:users"),
            ..target(GROUPED, "bob", AccessType::OwnerOnly)
        },
    ];
    let running = all.map(|target| Target {
        endpoint: Some(pod),
        ..target
    });
    running.into()
}

async fn tickets(fixture: &Fixture) -> (BTreeMap<String, &'static str>, Vec<String>) {
    let enter = async |user: &'static str, host: &str| {
        let browser = fixture.browser(user);
        assert!(browser.open(&format!("{}/", origin(host))).await.is_inside());
        browser
    };
    let ticket = async |user, host| {
        let browser = enter(user, host).await;
        browser.cookie(host, cookies::TICKET).unwrap()
    };
    let revoked = ticket("alice", LAB).await;
    let over = fixture.sessions().remove(0).name_any();
    fixture.server.remove::<GatewaySession>(Some(SYSTEM), &over);
    let mut texts = vec![revoked, ticket("alice", LAB).await];
    fixture.pass(TICKET_LIFE);
    let browser = enter("alice", LAB).await;
    let pre = browser.cookie(LAB, cookies::PRE);
    let session = browser.cookie("auth.ws.example", cookies::SESSION);
    texts.extend(pre.into_iter().chain(session));
    let mut valid = BTreeMap::new();
    for (user, host) in MAY {
        let ticket = ticket(user, host).await;
        texts.push(ticket.clone());
        valid.insert(ticket, host);
    }
    (valid, texts)
}

fn hosts() -> BoxedStrategy<String> {
    let usual = prop::sample::select(&HOSTS[..]).prop_map(|host| format!("{host}:8443"));
    let odd = (
        prop::sample::select(&HOSTS[..]),
        one_of(&[
            "{}",
            "{}:443",
            "{}:08443",
            "{}.:8443",
            "x{}:8443",
            "{}.evil.example:8443",
            "user@{}:8443",
            "{}:8443, evil.example",
            "{}:8443:8443",
            "{}\u{212a}:8443",
            " {}:8443",
            "auth.ws.example:8443",
            "ws.example:8443",
            "",
        ]),
    );
    let odd = odd.prop_map(|(host, form)| form.replace("{}", host));
    let loud = usual.clone().prop_map(|host| host.to_uppercase());
    mostly(usual, prop_oneof![odd, loud])
}

fn uris() -> BoxedStrategy<String> {
    mostly(
        one_of(&["/", "/lab?reset", "/api/contents/a%20b.ipynb?content=0"]),
        prop_oneof![
            one_of(&[
                "/_workspace/callback?code=x",
                "/%5fworkspace/callback",
                "//evil.example",
                "/..;/lab",
                "/\\evil",
                "*",
                "",
                "https://evil.example/",
                "/lab%00",
            ]),
            "\\PC{0,30}",
        ],
    )
}

/// Mostly one ticket.
fn cookies() -> BoxedStrategy<Vec<Cookie>> {
    let names = || {
        mostly(
            Just(cookies::TICKET.to_owned()),
            one_of(&[
                "__host-ws",
                " __Host-ws ",
                "__Host-ws-pre",
                "__Host-session",
                "__Secure-ws-abc",
                "_xsrf",
                "$Version=1; __Host-ws",
                "\"__Host-ws",
            ]),
        )
    };
    mostly(
        prop::collection::vec(cookie(names()), 1),
        prop::collection::vec(cookie(names()), 0..4),
    )
}

fn origins() -> BoxedStrategy<Option<String>> {
    let one = prop::sample::select(&HOSTS[..]).prop_map(|host| Some(origin(host)));
    let other = one_of(&[
        "null",
        "https://evil.example",
        "http://lab-a.ws.example:8443",
        "https://lab-a.ws.example",
        "https://auth.ws.example:8443",
        "https://LAB-A.ws.example:8443",
        "https://lab-a.ws.example:8443/",
    ]);
    let own = Just(Some(OWN.to_owned()));
    prop_oneof![6 => own, 2 => Just(None), 1 => one, 1 => other.prop_map(Some)].boxed()
}

/// Everything as a page of `host` sends it, with the ticket of `host`.
fn usual(host: &str, relayed: bool) -> Asked {
    Asked {
        relayed,
        asks_with: "GET".into(),
        asks_for: "/verify",
        asks_as: "gateway.system.svc",
        method: "GET".into(),
        proto: "https".into(),
        host: format!("{host}:8443"),
        uri: "/lab".into(),
        cookies: vec![Cookie {
            name: cookies::TICKET.into(),
            text: None,
            mutated: Mutation::Not,
        }],
        joined_by: "; ",
        fetch: ["same-origin", "cors", "empty"].map(|value| Some(value.to_owned())),
        origin: Some(origin(host)),
        again: None,
        left_out: None,
        extra: vec![],
    }
}

#[test]
fn no_bytes_without_a_valid_ticket_ever_pass() {
    let site = Site::new();
    let counts = [Cell::new(0), Cell::new(0)];
    proptest!(ProptestConfig::with_cases(cases()), |(asked in asked())| {
        let (answer, dialed) = site.ask(&asked);
        let passes = answer.status.is_success() || dialed;
        let objection = site.objection(&site.request(&asked), asked.relayed);
        prop_assert!(!passes || objection.is_none(), "{objection:?}, and yet {}", answer.status);
        prop_assert!(passes || answer.cookie(cookies::TICKET).is_none(), "a ticket without a user");
        prop_assert!(!asked.relayed || !answer.status.is_success());
        let count = &counts[usize::from(asked.relayed)];
        count.set(count.get() + u32::from(passes));
    });
    // Else it would prove nothing.
    for count in counts {
        assert!(
            count.get() > cases() / 100,
            "{} of {} passed",
            count.get(),
            cases()
        );
    }
}

#[test]
fn each_part_of_a_request_that_passes_is_needed() {
    let site = Site::new();
    let passes = |asked: &Asked| {
        let (answer, dialed) = site.ask(asked);
        answer.status == StatusCode::OK || dialed
    };
    for (relayed, host) in [false, true]
        .into_iter()
        .flat_map(|relayed| HOSTS[..5].iter().map(move |host| (relayed, *host)))
    {
        let usual = usual(host, relayed);
        assert!(passes(&usual), "{host}");
        let mutate = |change: &dyn Fn(&mut Asked)| {
            let mut asked = usual.clone();
            change(&mut asked);
            assert!(!passes(&asked), "{asked:?}");
        };
        mutate(&|asked| asked.cookies.clear());
        mutate(&|asked| asked.uri = "/_workspace/callback".into());
        mutate(&|asked| asked.uri = "/x/../%5Fworkspace/callback".into());
        mutate(&|asked| asked.cookies.push(asked.cookies[0].clone()));
        mutate(&|asked| asked.cookies[0].mutated = Mutation::Longer("=".into()));
        mutate(&|asked| asked.cookies[0].mutated = Mutation::Cut(40));
        mutate(&|asked| asked.cookies[0].name = "__host-ws".into());
        mutate(&|asked| asked.host = format!("{host}:443"));
        mutate(&|asked| asked.host = format!("{host}.evil.example:8443"));
        mutate(&|asked| asked.again = Some((if relayed { 0 } else { 3 }, "other.ws.example:8443".into())));
        // Everything else that ever was a cookie of ours, and tickets that ended.
        for (number, text) in site.texts.iter().enumerate() {
            if site.valid.get(text) != Some(&host) {
                mutate(&|asked| asked.cookies[0].text = Some(number));
            }
        }
        for other in HOSTS.into_iter().filter(|other| *other != host) {
            mutate(&|asked| {
                asked.cookies[0].mutated = Mutation::Other(
                    site.valid
                        .iter()
                        .find(|(_, of)| **of == other)
                        .map_or_else(String::new, |(ticket, _)| ticket.clone()),
                );
            });
        }
        if relayed {
            mutate(&|asked| asked.origin = None);
            mutate(&|asked| asked.origin = Some("null".into()));
            mutate(&|asked| asked.method = "POST".into());
        } else {
            mutate(&|asked| asked.fetch[0] = Some("same-site".into()));
            mutate(&|asked| asked.proto = "http".into());
            mutate(&|asked| asked.asks_with = "POST".into());
            mutate(&|asked| asked.asks_as = "lab-a.ws.example:8443");
            mutate(&|asked| asked.extra.push(("upgrade".into(), "websocket".into())));
            for header in 1..5 {
                mutate(&|asked| asked.left_out = Some(header));
                mutate(&|asked| asked.again = Some((header, "GET".into())));
            }
        }
    }
}

#[test]
fn no_changed_ticket_ever_passes() {
    let site = Site::new();
    let hosts = prop::sample::select(&HOSTS[..5]);
    proptest!(ProptestConfig::with_cases(500), |(host in hosts, relayed in any::<bool>(), mutated in mutated())| {
        let mut asked = usual(host, relayed);
        asked.cookies[0].mutated = mutated;
        // A character may have been exchanged for itself.
        prop_assume!(site.objection(&site.request(&asked), relayed).is_some());
        let (answer, dialed) = site.ask(&asked);
        prop_assert!(!answer.status.is_success() && !dialed, "{}", answer.status);
    });
}
