//! The same with workspaces in folders of one host (routing mode Path).
//!
//! A request passes only with an unambiguous path, and one ticket that was issued for this folder and this browser.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use api::manager::RoutingMode;
use gateway::index::Domain;
use gateway::tokens::cookies::{FOLDER_PRE, FOLDER_TICKET, SESSION};
use rules::access::Policy;

use super::*;

const ORIGIN: &str = "https://ws.example:8443";
const HOST: &str = "ws.example:8443";
/// Names in the namespace `team`, with their owners. Guests do not count here.
const ROWS: [(&str, &str, AccessType); 4] = [
    ("ws1", "alice", AccessType::OwnerOnly),
    ("ws10", "bob", AccessType::OwnerOnly),
    ("open", "bob", AccessType::Public),
    ("lab", "alice", AccessType::OwnerOnly),
];

/// A ticket's folder, and the cookie of the browser that it was made for.
type Ticket = (&'static str, String);

struct Folders {
    runtime: Runtime,
    fixture: Fixture,
    dials: Arc<AtomicUsize>,
    /// By value.
    valid: BTreeMap<String, Ticket>,
    texts: Vec<String>,
}

impl Wallet for Folders {
    fn own(&self, asked: &Asked, name: &str) -> Option<&String> {
        let path = asked.uri.strip_prefix("/workspaces/team/")?;
        let folder = path.split('/').next()?;
        let (ticket, (_, browser)) = self.valid.iter().find(|(_, (of, _))| *of == folder)?;
        Some(if name == FOLDER_PRE { browser } else { ticket })
    }

    fn texts(&self) -> &[String] {
        &self.texts
    }
}

fn site(name: &str) -> String {
    format!("ws.example/workspaces/team/{name}")
}

fn targets(pod: SocketAddr) -> impl Iterator<Item = Target> {
    ROWS.into_iter().map(move |(name, owner, access)| Target {
        name: name.into(),
        endpoint: Some(pod),
        ..target(&site(name), owner, access)
    })
}

impl Folders {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (fixture, dials, valid, texts) = runtime.block_on(async {
            let fixture = Fixture::new().await;
            fixture.watch().await;
            let (pod, dials) = counting().await;
            let domain = Domain::new("ws.example", 8443).in_mode(RoutingMode::Path);
            let policy = Policy {
                disables_sharing: true,
                ..Policy::default()
            };
            fixture.serve(domain, policy, targets(pod));
            let (valid, texts) = tickets_of_folders(&fixture).await;
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
        let request = asked.request(self);
        let answer = self.runtime.block_on(self.fixture.ask_verify(request));
        (answer, self.dials.load(Ordering::Relaxed) > before)
    }

    fn passes(&self, asked: &Asked) -> bool {
        let (answer, dialed) = self.ask(asked);
        answer.status == StatusCode::OK || dialed
    }

    /// Why this request must not pass, if it must not: read from what is sent and from nothing of the gateway's.
    fn objection(&self, request: &Request<Body>, relayed: bool) -> Option<&'static str> {
        let all = |name: &str| -> Vec<&str> {
            let values = request.headers().get_all(name).iter();
            values.map(|value| value.to_str().unwrap_or("\u{fffd}")).collect()
        };
        let host_header = if relayed { "host" } else { "x-forwarded-host" };
        if !matches!(all(host_header)[..], [host] if host.eq_ignore_ascii_case(HOST)) {
            return Some("another host");
        }
        let asked_for = request.uri().to_string();
        let uris = if relayed {
            vec![asked_for.as_str()]
        } else {
            all("x-forwarded-uri")
        };
        let [uri] = uris[..] else {
            return Some("not one path");
        };
        let Some(folder) = folder_of(uri) else {
            return Some("no folder, or more than one reading of it");
        };
        let cookies = all("cookie");
        let pairs = cookies.iter().flat_map(|line| line.split(';'));
        let pairs: Vec<_> = pairs.filter_map(|pair| pair.split_once('=')).collect();
        let named = |wanted: &str| -> Vec<&str> {
            let found = pairs.iter().filter(|(name, _)| name.trim() == wanted);
            found.map(|(_, value)| value.trim()).collect()
        };
        let ([ticket], [browser]) = (&named(FOLDER_TICKET)[..], &named(FOLDER_PRE)[..]) else {
            return Some("not one ticket, or not one browser");
        };
        match self.valid.get(*ticket) {
            Some((of, made_for)) if *of == folder && made_for == browser => {}
            _ => return Some("no valid ticket of this folder and browser"),
        }
        let [from, site, mode, dest] =
            ["origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"].map(&all);
        if relayed {
            let shakes_hands = request.method() == http::Method::GET && from == [ORIGIN];
            return (!shakes_hands).then_some("no handshake of the own page");
        }
        if !matches!(all("x-forwarded-proto")[..], ["https" | "wss"]) {
            return Some("not encrypted");
        }
        let reads = matches!(all("x-forwarded-method")[..], ["GET" | "HEAD"]);
        let silent = site.is_empty() && mode.is_empty() && dest.is_empty();
        let navigates = mode == ["navigate"] && dest == ["document"];
        let may = site == ["same-origin"]
            || reads && (navigates || site == ["none"])
            || silent && (from == [ORIGIN] || from.is_empty() && reads);
        (!may).then_some("a page of another origin")
    }
}

/// The folder that a path leads to, however a server reads it: decoded not at all, once or twice.
fn folder_of(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next()?;
    let rest = path.strip_prefix("/workspaces/team/")?;
    let (name, _) = rest.split_once('/')?;
    let (folder, ..) = ROWS.into_iter().find(|(folder, ..)| *folder == name)?;
    let mut read = path.to_owned();
    for _ in 0..3 {
        let (mut segments, mut inside): (Vec<&str>, bool) = (Vec::new(), false);
        for segment in read.split(['/', '\\']) {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop()),
                segment => segments.push(segment),
            }
            let depth = segments.len().min(3);
            if segments[..depth] != ["workspaces", "team", folder][..depth] || inside && depth < 3 {
                return None;
            }
            // From now on it may not even leave and come back.
            inside = depth == 3;
        }
        if segments.len() < 3 || segments.get(3) == Some(&"_workspace") {
            return None;
        }
        read = decoded(&read);
    }
    Some(folder)
}

fn decoded(text: &str) -> String {
    let bytes = percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn tickets_of_folders(fixture: &Fixture) -> (BTreeMap<String, Ticket>, Vec<String>) {
    let url = |name: &str| format!("{ORIGIN}/workspaces/team/{name}/");
    let alice = fixture.browser("alice");
    assert!(alice.open(&url("ws1")).await.is_inside());
    let mut texts = vec![alice.cookie(&site("ws1"), FOLDER_TICKET).unwrap()];
    let over = fixture.sessions().remove(0).name_any();
    fixture.server.remove::<GatewaySession>(Some(SYSTEM), &over);
    let alice = fixture.browser("alice");
    assert!(alice.open(&url("ws1")).await.is_inside());
    texts.extend(alice.cookie(&site("ws1"), FOLDER_TICKET));
    fixture.pass(TICKET_LIFE);
    let browsers = ["alice", "bob"].map(|user| (user, fixture.browser(user)));
    let mut valid = BTreeMap::new();
    for (name, owner, _) in ROWS {
        let (_, browser) = browsers.iter().find(|(user, _)| *user == owner).unwrap();
        assert!(browser.open(&url(name)).await.is_inside(), "{name}");
        let ticket = browser.cookie(&site(name), FOLDER_TICKET).unwrap();
        let made_for = browser.cookie("ws.example", FOLDER_PRE).unwrap();
        texts.extend([ticket.clone(), made_for.clone()]);
        texts.extend(browser.cookie("auth.ws.example", SESSION));
        valid.insert(ticket, (name, made_for));
    }
    (valid, texts)
}

fn paths() -> BoxedStrategy<String> {
    let name = || prop::sample::select(ROWS.map(|(name, ..)| name).to_vec());
    let behind = one_of(&["/", "/lab?reset", "/api/contents/C%23%2050%25.ipynb?content=0"]);
    let usual = (name(), behind).prop_map(|(name, behind)| format!("/workspaces/team/{name}{behind}"));
    let forms = one_of(&[
        "/workspaces/team/{}",
        "/workspaces/team/{}0/",
        "/workspaces/team/{}/../{other}/",
        "/workspaces/team/{}/..%2f{other}/",
        "/workspaces/team/{}/%2e%2e/{other}/",
        "/workspaces/team/{}/%252e%252e/{other}/",
        "/workspaces/team/{}/..\\{other}/",
        "/workspaces/team/{}/..%5c{other}/",
        "/workspaces/team/{}/..;/{other}/",
        "/workspaces/team/{};/{other}/",
        "/workspaces/team%2f{}/",
        "/workspaces/team/{}%2f",
        "/workspaces/team/{}%00/",
        "/workspaces/team/x/../{}/",
        "/workspaces/team//{}/",
        "//workspaces/team/{}/",
        "/%77orkspaces/team/{}/",
        "/WORKSPACES/team/{}/",
        "/workspaces/other/{}/",
        "/workspaces/team/{}/_workspace/callback?code=x",
        "/workspaces/team/{}/%5fworkspace/x",
        "https://ws.example/workspaces/team/{}/",
    ]);
    let odd = (forms, name(), name())
        .prop_map(|(form, name, other)| form.replace("{}", name).replace("{other}", other));
    let wild = (name(), "\\PC{0,30}").prop_map(|(name, wild)| format!("/workspaces/team/{name}/{wild}"));
    mostly(usual, prop_oneof![3 => odd, 1 => wild])
}

fn cookies_of_folders() -> BoxedStrategy<Vec<Cookie>> {
    let named = |name: &str| cookie(Just(name.to_owned()).boxed());
    let any_name = || {
        one_of(&[
            FOLDER_TICKET,
            FOLDER_PRE,
            "__secure-ws",
            " __Secure-ws ",
            "__Secure-ws-pre",
            "__Host-ws",
            "__host-ws-browser",
            "_xsrf",
        ])
        .boxed()
    };
    let both = (named(FOLDER_TICKET), named(FOLDER_PRE), any::<bool>());
    let usual = both.prop_map(|(ticket, browser, first)| {
        if first {
            vec![ticket, browser]
        } else {
            vec![browser, ticket]
        }
    });
    let more = (named(FOLDER_TICKET), named(FOLDER_PRE), cookie(any_name()))
        .prop_map(|(ticket, browser, other)| vec![ticket, browser, other]);
    let wild = prop::collection::vec(cookie(any_name()), 0..4);
    mostly(usual, prop_oneof![more, wild])
}

fn parts() -> Parts {
    let hosts = mostly(
        Just(HOST.to_owned()),
        one_of(&[
            "ws.example",
            "ws.example:443",
            "WS.example:8443",
            "ws1.ws.example:8443",
            "auth.ws.example:8443",
            "ws.example.evil.example:8443",
            "ws.example:8443, evil.example",
            "",
        ]),
    );
    let other = one_of(&[
        "null",
        "https://evil.example",
        "https://ws.example",
        "https://auth.ws.example:8443",
    ]);
    let own = Just(Some(OWN.to_owned()));
    Parts {
        hosts,
        uris: paths(),
        cookies: cookies_of_folders(),
        origins: prop_oneof![6 => own, 2 => Just(None), 1 => other.prop_map(Some)].boxed(),
    }
}

/// Everything as a page of the folder sends it, with its ticket.
fn usual_in(name: &str, relayed: bool) -> Asked {
    let cookie = |name: &str| Cookie {
        name: name.into(),
        text: None,
        mutated: Mutation::Not,
    };
    Asked {
        host: HOST.into(),
        uri: format!("/workspaces/team/{name}/lab"),
        cookies: vec![cookie(FOLDER_TICKET), cookie(FOLDER_PRE)],
        origin: Some(ORIGIN.into()),
        ..usual("ws.example", relayed)
    }
}

#[test]
fn in_folders_no_bytes_without_the_ticket_of_this_folder_and_browser_ever_pass() {
    let site = Folders::new();
    let counts = [Cell::new(0), Cell::new(0)];
    proptest!(ProptestConfig::with_cases(cases()), |(asked in asked::asked(parts()))| {
        let (answer, dialed) = site.ask(&asked);
        let passes = answer.status.is_success() || dialed;
        let objection = site.objection(&asked.request(&site), asked.relayed);
        prop_assert!(!passes || objection.is_none(), "{objection:?}, and yet {}", answer.status);
        prop_assert!(passes || answer.cookie(FOLDER_TICKET).is_none(), "a ticket without a user");
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
fn in_folders_each_part_of_a_request_that_passes_is_needed() {
    let site = Folders::new();
    for (relayed, (name, owner, _)) in [false, true]
        .into_iter()
        .flat_map(|relayed| ROWS.into_iter().map(move |row| (relayed, row)))
    {
        let usual = usual_in(name, relayed);
        assert!(site.passes(&usual), "{name}");
        assert_eq!(site.objection(&usual.request(&site), relayed), None, "{name}");
        let mutate = |change: &dyn Fn(&mut Asked)| {
            let mut asked = usual.clone();
            change(&mut asked);
            assert!(!site.passes(&asked), "{asked:?}");
        };
        mutate(&|asked| asked.cookies.clear());
        mutate(&|asked| drop(asked.cookies.remove(0)));
        mutate(&|asked| drop(asked.cookies.remove(1)));
        mutate(&|asked| asked.cookies.push(asked.cookies[0].clone()));
        mutate(&|asked| asked.cookies.push(asked.cookies[1].clone()));
        mutate(&|asked| asked.cookies[0].mutated = Mutation::Cut(40));
        mutate(&|asked| asked.cookies[1].mutated = Mutation::Cut(10));
        mutate(&|asked| asked.host = "ws.example:443".into());
        mutate(&|asked| asked.host = format!("{name}.ws.example:8443"));
        // With the very cookies of this folder.
        let (ticket, (_, browser)) = site.valid.iter().find(|(_, (of, _))| *of == name).unwrap();
        for other in [
            format!("team/{name}0"),
            format!("other/{name}"),
            "team/open".to_owned(),
        ] {
            if other == format!("team/{name}") {
                continue;
            }
            mutate(&|asked| {
                asked.uri = format!("/workspaces/{other}/lab");
                asked.cookies[0].mutated = Mutation::Other(ticket.clone());
                asked.cookies[1].mutated = Mutation::Other(browser.clone());
            });
        }
        mutate(&|asked| asked.uri = format!("/workspaces/team/{name}/_workspace/x"));
        mutate(&|asked| asked.uri = "/lab".into());
        // Every ticket there is but its own, and everything else that ever was a cookie of ours; and the other user's browser.
        for (number, text) in site.texts.iter().enumerate() {
            if site.valid.get(text).is_none_or(|(of, _)| *of != name) {
                mutate(&|asked| asked.cookies[0].text = Some(number));
            }
        }
        let others = ROWS.iter().find(|(_, other, _)| *other != owner).unwrap().0;
        let (_, (_, browser)) = site.valid.iter().find(|(_, (of, _))| *of == others).unwrap();
        mutate(&|asked| asked.cookies[1].mutated = Mutation::Other(browser.clone()));
    }
}
