//! Random numbers -> requests as the proxy sends them, each part chosen independently (pure).

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request};
use proptest::prelude::*;

/// Placeholder for the origin of the requested host.
pub(super) const OWN: &str = "own";

/// What cookies are made of.
pub(super) trait Wallet {
    /// The value that the requested workspace set for this cookie.
    fn own(&self, asked: &Asked, name: &str) -> Option<&String>;

    /// Everything that ever was a cookie of ours.
    fn texts(&self) -> &[String];
}

/// Parts that depend on where workspaces are.
pub(super) struct Parts {
    pub(super) hosts: BoxedStrategy<String>,
    pub(super) uris: BoxedStrategy<String>,
    pub(super) cookies: BoxedStrategy<Vec<Cookie>>,
    pub(super) origins: BoxedStrategy<Option<String>>,
}

/// A request as the proxy sends it. Each part is chosen independently.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// A handshake for the relay, instead of a request to `/verify`.
    pub(super) relayed: bool,
    pub(super) asks_with: String,
    pub(super) asks_for: &'static str,
    pub(super) asks_as: &'static str,
    pub(super) method: String,
    pub(super) proto: String,
    pub(super) host: String,
    pub(super) uri: String,
    pub(super) cookies: Vec<Cookie>,
    pub(super) joined_by: &'static str,
    pub(super) fetch: [Option<String>; 3],
    pub(super) origin: Option<String>,
    /// Sent once more, with this value: number of the header.
    pub(super) again: Option<(usize, String)>,
    pub(super) left_out: Option<usize>,
    pub(super) extra: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
pub(super) struct Cookie {
    pub(super) name: String,
    /// Index of the text. `None`: the value that the requested workspace set under this name, if any.
    pub(super) text: Option<usize>,
    pub(super) mutated: Mutation,
}

/// What becomes of a cookie's text.
#[derive(Debug, Clone)]
pub(super) enum Mutation {
    Not,
    Flipped(usize, char),
    Cut(usize),
    Longer(String),
    Other(String),
}

impl Cookie {
    fn line(&self, wallet: &impl Wallet, asked: &Asked) -> String {
        let texts = wallet.texts();
        let text = match self.text {
            Some(number) => &texts[number % texts.len()],
            None => wallet.own(asked, &self.name).unwrap_or(&texts[0]),
        };
        let value = match &self.mutated {
            Mutation::Not => text.to_owned(),
            Mutation::Flipped(at, with) => {
                let at = at % text.len();
                format!("{}{with}{}", &text[..at], &text[at + 1..])
            }
            Mutation::Cut(at) => text[..at % text.len()].to_owned(),
            Mutation::Longer(more) => format!("{text}{more}"),
            Mutation::Other(other) => other.clone(),
        };
        format!("{}={value}", self.name)
    }
}

impl Asked {
    /// The request itself.
    pub(super) fn request(&self, wallet: &impl Wallet) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        let (method, path) = if self.relayed {
            (&self.method, self.uri.as_str())
        } else {
            (&self.asks_with, self.asks_for)
        };
        if let Ok(method) = method.parse() {
            *request.method_mut() = method;
        }
        if let Ok(uri) = path.parse() {
            *request.uri_mut() = uri;
        }
        for (name, value) in self.headers(wallet) {
            let value = HeaderValue::from_bytes(value.as_bytes());
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value) {
                request.headers_mut().append(name, value);
            }
        }
        request
    }

    fn headers(&self, wallet: &impl Wallet) -> Vec<(String, String)> {
        let line = |cookie: &Cookie| cookie.line(wallet, self);
        let cookies: Vec<String> = self.cookies.iter().map(line).collect();
        let mut headers: Vec<(&str, Option<&str>)> = if self.relayed {
            vec![
                ("host", Some(&self.host)),
                ("connection", Some("Upgrade")),
                ("upgrade", Some("websocket")),
                ("sec-websocket-version", Some("13")),
                ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ==")),
            ]
        } else {
            vec![
                ("host", Some(self.asks_as)),
                ("x-forwarded-method", Some(&self.method)),
                ("x-forwarded-proto", Some(&self.proto)),
                ("x-forwarded-host", Some(&self.host)),
                ("x-forwarded-uri", Some(&self.uri)),
            ]
        };
        let names = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"];
        headers.extend(names.into_iter().zip(self.fetch.iter().map(Option::as_deref)));
        let own = format!("https://{}", self.host);
        let origin = self.origin.as_deref();
        headers.push((
            "origin",
            origin.map(|origin| if origin == OWN { &own } else { origin }),
        ));
        let joined = cookies.join(self.joined_by);
        if self.joined_by.is_empty() {
            headers.extend(cookies.iter().map(|line| ("cookie", Some(line.as_str()))));
        } else {
            headers.push(("cookie", Some(&joined)));
        }
        let mut all: Vec<(String, String)> = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        if let Some((at, value)) = &self.again {
            let name = all[at % all.len()].0.clone();
            all.push((name, value.clone()));
        }
        if let Some(at) = self.left_out {
            all.remove(at % all.len());
        }
        all.extend(self.extra.iter().cloned());
        all
    }
}

/// Mostly `usual`, now and then something else.
pub(super) fn mostly<T: Clone + std::fmt::Debug + 'static>(
    usual: impl Strategy<Value = T> + 'static,
    other: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![6 => usual, 1 => other].boxed()
}

pub(super) fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(texts).prop_map(str::to_owned)
}

pub(super) fn mutated() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<usize>(), prop::char::range('!', '~')).prop_map(|(at, with)| Mutation::Flipped(at, with)),
        any::<usize>().prop_map(Mutation::Cut),
        "[=A-Za-z0-9%\" ]{1,3}".prop_map(Mutation::Longer),
        "[A-Za-z0-9_-]{0,300}".prop_map(Mutation::Other),
    ]
}

/// A cookie of this name, mostly with what belongs there.
pub(super) fn cookie(name: BoxedStrategy<String>) -> impl Strategy<Value = Cookie> {
    let mutated = mostly(Just(Mutation::Not), mutated());
    let text = mostly(Just(None), any::<usize>().prop_map(Some));
    (name, text, mutated).prop_map(|(name, text, mutated)| Cookie { name, text, mutated })
}

fn fetch() -> impl Strategy<Value = [Option<String>; 3]> {
    let set = |site, mode, dest| Just([site, mode, dest].map(|value: Option<&str>| value.map(str::to_owned)));
    let part = |texts| prop::option::of(one_of(texts));
    prop_oneof![
        4 => set(Some("same-origin"), Some("cors"), Some("empty")),
        2 => set(Some("cross-site"), Some("navigate"), Some("document")),
        2 => set(None, None, None),
        1 => set(Some("none"), Some("navigate"), Some("document")),
        1 => set(Some("same-site"), Some("cors"), Some("empty")),
        2 => (
            part(&["same-origin", "same-site", "cross-site", "none", "Same-Origin", "same-origin, none", ""]),
            part(&["navigate", "cors", "no-cors", "websocket", "Navigate"]),
            part(&["document", "iframe", "empty", "serviceworker", "Document"]),
        ).prop_map(|(site, mode, dest)| [site, mode, dest]),
    ]
}

fn extra() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        Just((
            "authorization".to_owned(),
            "Bearer eyJhbGciOiJub25lIn0.e30.".to_owned()
        )),
        Just(("connection".to_owned(), "x-forwarded-host, cookie".to_owned())),
        Just(("x-forwarded-for".to_owned(), "127.0.0.1".to_owned())),
        Just(("x-forwarded-user".to_owned(), "alice".to_owned())),
        Just(("x_forwarded_host".to_owned(), "lab-a.ws.example:8443".to_owned())),
        Just(("upgrade".to_owned(), "h2c".to_owned())),
        Just(("x-http-method-override".to_owned(), "GET".to_owned())),
        ("[a-z_.-]{1,20}", "\\PC{0,30}"),
    ]
}

/// Requests of these parts.
pub(super) fn asked(parts: Parts) -> impl Strategy<Value = Asked> {
    let methods = || {
        mostly(
            one_of(&["GET", "POST"]),
            one_of(&["HEAD", "OPTIONS", "DELETE", "get", "", "GET,GET"]),
        )
    };
    let question = (
        prop::bool::weighted(0.3),
        mostly(
            Just("GET".to_owned()),
            one_of(&["POST", "HEAD", "CONNECT", "OPTIONS"]),
        ),
        mostly(
            Just("/verify"),
            prop::sample::select(&["/verify?x=1", "//verify", "/Verify", "/", "/verify/"][..]),
        ),
        mostly(
            Just("gateway.system.svc"),
            prop::sample::select(&["lab-a.ws.example:8443", "gateway.system.svc:8443", ""][..]),
        ),
    );
    let text = (
        methods(),
        mostly(
            one_of(&["https", "wss"]),
            one_of(&["http", "ws", "HTTPS", "https, http", ""]),
        ),
        parts.hosts,
        parts.uris,
    );
    let carried = (
        parts.cookies,
        prop::sample::select(&["; ", ";", "", ",", " ; "][..]),
        fetch(),
        parts.origins,
    );
    let mutated = (
        mostly(
            Just(None),
            (any::<usize>(), one_of(&["", "GET", "https", "same-origin"])).prop_map(Some),
        ),
        mostly(Just(None), any::<usize>().prop_map(Some)),
        mostly(Just(vec![]), prop::collection::vec(extra(), 0..4)),
    );
    (question, text, carried, mutated).prop_map(|(question, text, carried, mutated)| Asked {
        relayed: question.0,
        asks_with: question.1,
        asks_for: question.2,
        asks_as: question.3,
        method: text.0,
        proto: text.1,
        host: text.2,
        uri: text.3,
        cookies: carried.0,
        joined_by: carried.1,
        fetch: carried.2,
        origin: carried.3,
        again: mutated.0,
        left_out: mutated.1,
        extra: mutated.2,
    })
}
