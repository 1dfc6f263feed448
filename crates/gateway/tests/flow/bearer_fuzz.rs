//! Any Authorization header: a request without a ticket passes only with one valid token of a user with access.
//!
//! Requests are valid ones with exchanged parts. `GATEWAY_FUZZ_CASES` (default 1500) is their number.

use std::cell::Cell;

use axum::body::Body;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use proptest::prelude::*;
use serde_json::json;
use testkit::issuer::Signature;
use tokio::runtime::Runtime;

use crate::support::browser::Answer;
use crate::support::fixture::{AUTH, BOBS, LAB, NONE, NOW, OPEN, origin};
use crate::support::tokens::{CLUSTER, SERVICE_ACCOUNT, Tokens, token};

const HOSTS: [&str; 4] = [LAB, BOBS, OPEN, NONE];

/// A gateway, and tokens of all kinds.
struct Site {
    runtime: Runtime,
    tokens: Tokens,
    /// What counts, and where its owner may go: written down apart from the code that decides.
    valid: Vec<(String, &'static [&'static str])>,
    /// What never counts.
    worthless: Vec<String>,
}

impl Site {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let tokens = runtime.block_on(Tokens::new());
        let valid = vec![
            (tokens.account(SERVICE_ACCOUNT), &[OPEN][..]),
            (tokens.user_token("alice", &json!({})), &[LAB, OPEN]),
            (tokens.user_token("bob", &json!({})), &[BOBS, OPEN]),
        ];
        let account = |changes: serde_json::Value| {
            let mut claims =
                json!({"iss": CLUSTER, "aud": [AUTH], "exp": NOW + 3600, "sub": SERVICE_ACCOUNT});
            let fields = claims.as_object_mut().unwrap();
            fields.extend(changes.as_object().unwrap().clone());
            token(&claims, 7)
        };
        let mut worthless = vec![
            account(json!({})),
            account(json!({"aud": [CLUSTER]})),
            account(json!({"aud": [AUTH, CLUSTER]})),
            account(json!({"exp": NOW})),
            account(json!({"iss": "kubernetes/serviceaccount"})),
            tokens.user_token("alice", &json!({"aud": "gateway"})),
            tokens.user_token("alice", &json!({"aud": "other"})),
            tokens.user_token("alice", &json!({"azp": "gateway"})),
            tokens.user_token("alice", &json!({"exp": NOW - 61})),
            tokens.user_token("alice", &json!({"preferred_username": "system:admin"})),
            tokens.fixture.issuer.logout_token(&json!({"sub": "id-of-alice"})),
            LAB.to_owned(),
            "alice".to_owned(),
            String::new(),
        ];
        for signature in [
            Signature::ForeignKey,
            Signature::PublicKeyAsSecret,
            Signature::None,
        ] {
            tokens
                .fixture
                .issuer
                .change(|issuer| issuer.signature = signature);
            worthless.push(tokens.user_token("alice", &json!({})));
        }
        tokens
            .fixture
            .issuer
            .change(|issuer| issuer.signature = Signature::Valid);
        Self {
            runtime,
            tokens,
            valid,
            worthless,
        }
    }

    fn value(&self, header: &AuthorizationHeader) -> String {
        let all: Vec<&str> = self.valid.iter().map(|(token, _)| token.as_str()).collect();
        let token = match header.which {
            Which::Valid(number) => all[number % all.len()],
            Which::Worthless(number) => &self.worthless[number % self.worthless.len()],
        };
        let parts: Vec<&str> = token.split('.').collect();
        let other: Vec<&str> = all[header.other % all.len()].split('.').collect();
        let token = match &header.mutated {
            Mutation::Flipped(at, with) if !token.is_empty() => {
                let at = at % token.len();
                format!("{}{with}{}", &token[..at], &token[at + 1..])
            }
            Mutation::Cut(at) if !token.is_empty() => token[..at % token.len()].to_owned(),
            Mutation::Longer(more) => format!("{token}{more}"),
            Mutation::Part(at) if parts.len() == 3 => {
                let mut parts = parts;
                parts[at % 3] = other[at % 3];
                parts.join(".")
            }
            Mutation::Not | Mutation::Flipped(..) | Mutation::Cut(_) | Mutation::Part(_) => token.to_owned(),
            Mutation::Other(text) => text.clone(),
        };
        format!("{}{token}{}", header.before, header.after)
    }

    fn ask(&self, asked: &Asked) -> (HeaderMap, Answer) {
        let mut request = Request::get("/verify")
            .header("host", "gateway.system.svc")
            .header("x-forwarded-method", asked.method)
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", format!("{}:8443", asked.host))
            .header("x-forwarded-uri", "/api/status")
            .body(Body::empty())
            .unwrap();
        let mut lines = HeaderMap::new();
        let mut add = |name: &str, value: &str| {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                lines.append(name.parse::<HeaderName>().unwrap(), value);
            }
        };
        for header in &asked.headers {
            add(header.name, &self.value(header));
        }
        if let Some(from) = &asked.from {
            add("origin", from);
        }
        if asked.ticket {
            add("cookie", "__Host-ws=forged");
        }
        request.headers_mut().extend(lines.clone());
        (
            lines,
            self.runtime.block_on(self.tokens.fixture.ask_verify(request)),
        )
    }

    /// Why this must not pass, if it must not: read from what is sent and from nothing of the gateway's.
    fn objection(&self, lines: &HeaderMap, host: &str) -> Option<&'static str> {
        if lines.contains_key("cookie") {
            return Some("a ticket that is none");
        }
        let all: Vec<_> = lines.get_all("authorization").iter().collect();
        let [one] = all[..] else {
            return Some("not one Authorization");
        };
        let text = one.to_str().unwrap_or_default();
        let token = text
            .split_at_checked(7)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer "))
            .map(|(_, token)| token);
        let known = self.valid.iter().find(|(valid, _)| Some(valid.as_str()) == token);
        let Some((_, may)) = known else {
            return Some("no valid token");
        };
        if !may.contains(&host) {
            return Some("a user who may not");
        }
        let from = lines.get("origin");
        from.is_some_and(|from| *from != origin(host))
            .then_some("a page of another origin")
    }
}

#[derive(Debug, Clone)]
struct Asked {
    method: &'static str,
    host: &'static str,
    headers: Vec<AuthorizationHeader>,
    from: Option<String>,
    ticket: bool,
}

#[derive(Debug, Clone)]
struct AuthorizationHeader {
    name: &'static str,
    before: &'static str,
    which: Which,
    other: usize,
    mutated: Mutation,
    after: &'static str,
}

#[derive(Debug, Clone)]
enum Which {
    Valid(usize),
    Worthless(usize),
}

#[derive(Debug, Clone)]
enum Mutation {
    Not,
    Flipped(usize, char),
    Cut(usize),
    Longer(String),
    /// One of the three parts of another token in place of its own.
    Part(usize),
    Other(String),
}

fn mutated() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<usize>(), prop::char::range('!', '~')).prop_map(|(at, with)| Mutation::Flipped(at, with)),
        any::<usize>().prop_map(Mutation::Cut),
        "[=A-Za-z0-9%., ]{1,3}".prop_map(Mutation::Longer),
        any::<usize>().prop_map(Mutation::Part),
        "\\PC{0,60}".prop_map(Mutation::Other),
        "[A-Za-z0-9_-]{0,50}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,50}".prop_map(Mutation::Other),
    ]
}

fn header() -> impl Strategy<Value = AuthorizationHeader> {
    let which = prop_oneof![
        4 => any::<usize>().prop_map(Which::Valid),
        1 => any::<usize>().prop_map(Which::Worthless),
    ];
    let mostly = |usual: &'static str, others: &'static [&'static str]| prop_oneof![12 => Just(usual), 1 => prop::sample::select(others)];
    (
        mostly(
            "authorization",
            &["proxy-authorization", "x-authorization", "authorization_"],
        ),
        mostly(
            "Bearer ",
            &[
                "bearer ",
                "BEARER ",
                "",
                "Basic ",
                "token ",
                "Bearer",
                "Bearer\t",
                "Bearer  ",
                " Bearer ",
                "Bearer Bearer ",
            ],
        ),
        which,
        any::<usize>(),
        prop_oneof![4 => Just(Mutation::Not), 2 => mutated()],
        mostly("", &[" ", ",", ", Bearer x", "=", "\u{a0}"]),
    )
        .prop_map(
            |(name, before, which, other, mutated, after)| AuthorizationHeader {
                name,
                before,
                which,
                other,
                mutated,
                after,
            },
        )
}

fn asked() -> impl Strategy<Value = Asked> {
    let host = || prop::sample::select(&HOSTS[..]);
    let from = prop_oneof![
        5 => Just(None),
        2 => host().prop_map(|host| Some(origin(host))),
        1 => prop::sample::select(&["null", "https://evil.example", ""][..]).prop_map(|text| Some(text.to_owned())),
    ];
    (
        prop::sample::select(&["GET", "POST", "DELETE"][..]),
        host(),
        prop_oneof![8 => prop::collection::vec(header(), 1), 1 => prop::collection::vec(header(), 0..4)],
        from,
        prop::bool::weighted(0.1),
    )
        .prop_map(|(method, host, headers, from, ticket)| Asked {
            method,
            host,
            headers,
            from,
            ticket,
        })
}

#[test]
fn no_bytes_without_a_valid_token_ever_pass() {
    let cases = std::env::var("GATEWAY_FUZZ_CASES").ok();
    let cases = cases.and_then(|cases| cases.parse().ok()).unwrap_or(1_500);
    let (site, count) = (Site::new(), Cell::new(0_u32));
    proptest!(ProptestConfig::with_cases(cases), |(asked in asked())| {
        let (lines, answer) = site.ask(&asked);
        let objection = site.objection(&lines, asked.host);
        let passes = answer.status.is_success();
        prop_assert_eq!(passes, objection.is_none(), "{:?}: {} {}", objection, answer.status, answer.body);
        prop_assert!(!answer.headers.contains_key("set-cookie"), "a cookie for a script");
        prop_assert!(!passes || !answer.headers.contains_key("authorization"));
        count.set(count.get() + u32::from(passes));
    });
    // Else it would prove nothing.
    assert!(count.get() > cases / 20, "{} of {cases} passed", count.get());
}
