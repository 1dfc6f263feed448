//! Browsers that reach the gateway by the proxy's routes.

use std::collections::BTreeMap;
use std::sync::Mutex;

use http::StatusCode;
use http::header::{CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};

use crate::support::fixture::{AUTH, Fixture, ISSUER, PARTNERS};

/// Whether the chart's route sends a request to the gateway without an authorization request.
fn is_gateways(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    let first = segments.next();
    let own = if first == Some("workspaces") {
        segments.nth(2)
    } else {
        first
    };
    own == Some("_workspace")
}

/// Host without port, and path with query.
pub(crate) fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("https://").unwrap_or_else(|| panic!("{url}"));
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    (authority.split(':').next().unwrap(), path)
}

/// The value of a parameter of an address.
pub(crate) fn parameter(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').unwrap();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(known, _)| known == name).unwrap().1.into_owned()
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// The request's identifier. It differs from one request to the next, and is left out of headers and body.
    pub(crate) request: Option<String>,
}

impl Answer {
    pub(crate) async fn of(response: axum::response::Response) -> Self {
        let (mut head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut body = String::from_utf8(body.to_vec()).unwrap();
        let request = head.headers.remove(gateway::pages::REQUEST_ID);
        let request = request.map(|id| id.to_str().unwrap().to_owned());
        if let Some(request) = &request {
            body = body.replace(request, "");
        }
        Self {
            status: head.status,
            headers: head.headers,
            body,
            request,
        }
    }

    pub(crate) fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION).map(|value| value.to_str().unwrap())
    }

    /// The value that a Set-Cookie gives this cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|line| line.to_str().unwrap().split(';').next()?.split_once('='))
            .find_map(|(found, value)| (found == name).then_some(value))
    }

    /// Where the link with this text leads, on the auth host.
    pub(crate) fn link(&self, text: &str) -> Option<String> {
        let (before, _) = self.body.split_once(&format!("\">{text}</a>"))?;
        let (_, path) = before.rsplit_once("href=\"")?;
        Some(format!("{AUTH}{}", path.replace("&#38;", "&")))
    }

    /// The whole answer without the encrypted copy of the requested address, which the client already knows.
    pub(crate) fn visible_answer(&self) -> (StatusCode, HeaderMap, String) {
        let mut headers = self.headers.clone();
        headers.remove(CONTENT_LENGTH);
        let mut body = self.body.clone();
        if let Some((before, after)) = self.body.split_once("/enter?t=") {
            let end = after.find(['&', '"']).unwrap();
            body = format!("{before}{}", &after[end..]);
        }
        (self.status, headers, body)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Where a navigation ended.
#[derive(Debug)]
pub(crate) struct Landing {
    pub(crate) url: String,
    pub(crate) answer: Answer,
    /// Every address on the way, the last one included.
    pub(crate) trail: Vec<String>,
}

impl Landing {
    /// Whether the pod was reached.
    pub(crate) fn is_inside(&self) -> bool {
        self.answer.status == StatusCode::OK && !self.url.starts_with(AUTH)
    }
}

/// Keeps cookies by where they count, a host or `host/folder`, and follows redirects.
pub(crate) struct Browser<'w> {
    pub(crate) fixture: &'w Fixture,
    pub(crate) claims: Map<String, Value>,
    pub(crate) jar: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
}

/// What a browser says of a user who opens a page.
pub(crate) const NAVIGATION: [(&str, &str); 3] = [
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
];

pub(crate) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

impl Browser<'_> {
    /// The same browser, as another replica sees it.
    pub(crate) fn at<'o>(&self, fixture: &'o Fixture) -> Browser<'o> {
        Browser {
            fixture,
            claims: self.claims.clone(),
            jar: Mutex::new(self.jar.lock().unwrap().clone()),
        }
    }

    /// Opens an address and follows where it leads.
    pub(crate) async fn open(&self, url: &str) -> Landing {
        self.open_until(url, |_| false).await
    }

    /// As [`Browser::open`], but stops before an address that `stop` names.
    pub(crate) async fn open_until(&self, url: &str, stop: impl Fn(&str) -> bool) -> Landing {
        let mut trail = vec![url.to_owned()];
        let mut current = url.to_owned();
        for _ in 0..20 {
            let answer = self.step(&current).await;
            let next = answer
                .location()
                .filter(|_| answer.status.is_redirection())
                .map(str::to_owned);
            match next {
                Some(next) if !stop(&next) => {
                    trail.push(next.clone());
                    current = next;
                }
                _ => {
                    return Landing {
                        url: current,
                        answer,
                        trail,
                    };
                }
            }
        }
        panic!("goes round in circles: {trail:#?}");
    }

    /// One navigation, without following a redirect.
    pub(crate) async fn step(&self, url: &str) -> Answer {
        let issuers = [(ISSUER, &self.fixture.issuer), (PARTNERS, &self.fixture.partners)];
        if let Some((_, issuer)) = issuers.into_iter().find(|(at, _)| url.starts_with(at)) {
            issuer.change(|issuer| issuer.claims.clone_from(&self.claims));
            let location = issuer.authorize(url).unwrap();
            return Answer {
                status: StatusCode::FOUND,
                headers: headers(&[("location", &location)]),
                body: String::new(),
                request: None,
            };
        }
        self.send("GET", url, headers(&NAVIGATION)).await
    }

    /// A request with this browser's cookies, as the proxy routes it.
    pub(crate) async fn send(&self, method: &str, url: &str, mut lines: HeaderMap) -> Answer {
        let (host, path) = split(url);
        if let Some(cookies) = self.cookies_for(host, path) {
            lines.insert(COOKIE, HeaderValue::from_str(&cookies).unwrap());
        }
        let answer = if host == "auth.ws.example" || is_gateways(path) {
            let method = method.parse().unwrap();
            self.fixture.page(method, url, lines, String::new()).await
        } else {
            self.fixture.verify(method, url, lines).await
        };
        self.keep(host, &answer);
        answer
    }

    /// The Cookie header of a request.
    fn cookies_for(&self, host: &str, path: &str) -> Option<String> {
        let path = path.split('?').next().unwrap();
        let places: Vec<String> = self.jar.lock().unwrap().keys().cloned().collect();
        let sent = places.iter().filter(|place| {
            let (of, folder) = place.split_at(place.find('/').unwrap_or(place.len()));
            of == host && (folder.is_empty() || path.starts_with(&format!("{folder}/")))
        });
        let sent: Vec<String> = sent.filter_map(|place| self.cookies(place)).collect();
        (!sent.is_empty()).then(|| sent.join("; "))
    }

    pub(crate) fn cookies(&self, host: &str) -> Option<String> {
        let jar = self.jar.lock().unwrap();
        let cookies = jar.get(host)?;
        let pairs: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub(crate) fn cookie(&self, host: &str, name: &str) -> Option<String> {
        self.jar.lock().unwrap().get(host)?.get(name).cloned()
    }

    pub(crate) fn set_cookie(&self, host: &str, name: &str, value: Option<&str>) {
        let mut jar = self.jar.lock().unwrap();
        let cookies = jar.entry(host.to_owned()).or_default();
        match value {
            Some(value) => cookies.insert(name.to_owned(), value.to_owned()),
            None => cookies.remove(name),
        };
    }

    fn keep(&self, host: &str, answer: &Answer) {
        for line in answer.headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (pair, attributes) = line.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let path = attributes
                .strip_prefix("Path=")
                .unwrap()
                .split(';')
                .next()
                .unwrap();
            let place = format!("{host}{}", path.strip_suffix('/').unwrap());
            let prefix = if path == "/" { "__Host-" } else { "__Secure-ws" };
            assert!(name.starts_with(prefix), "{line}");
            assert!(attributes.ends_with("Secure; HttpOnly; SameSite=Lax"), "{line}");
            assert!(!attributes.contains("Domain"), "{line}");
            assert!(line.len() <= 4096, "{} bytes", line.len());
            let gone = attributes.contains("Max-Age=0;");
            self.set_cookie(&place, name, (!gone).then_some(value));
        }
    }
}
