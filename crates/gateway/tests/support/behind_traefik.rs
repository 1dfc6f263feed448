//! Traefik in front of the whole gateway, users who signed in through both, and pods that count connections.

use std::collections::BTreeMap;

use api::manager::RoutingMode;
use api::workspace::AccessType;
use axum::body::Body;
use gateway::index::{Domain, Target};
use gateway::tokens::cookies;
use http::header::{LOCATION, SET_COOKIE};
use http::{Request, StatusCode, Version};
use rules::access::Policy;
use serde_json::json;

use crate::support::behind_proxy::Behind;
use crate::support::browser::{NAVIGATION, split};
use crate::support::fixture::{Fixture, ISSUER, target};
use crate::support::pod::Pod;
use crate::support::proxy::{Answer, BASE, Site};

pub(crate) const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// What a page of the workspace itself says of its fetches.
pub(crate) const OWN_PAGE: [(&str, &str); 3] = [
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
];

/// A page's own fetch, with this ticket.
pub(crate) fn own_page(cookie: &str) -> Vec<(&str, &str)> {
    let mut headers = OWN_PAGE.to_vec();
    headers.push(("cookie", cookie));
    headers
}

/// Workspaces with their owners; the names of some begin as others do.
const WORKSPACES: [(&str, &str); 4] = [
    ("ws1", "alice"),
    ("ws10", "alice"),
    ("ws", "bob"),
    ("bobs", "bob"),
];

/// All that is real but the cluster and the identity provider.
pub(crate) struct BehindTraefik {
    pub(crate) fixture: Fixture,
    pub(crate) site: Site,
    mode: RoutingMode,
    pods: BTreeMap<&'static str, Pod>,
}

/// What came of a request: the answer, and the names of the workspaces whose pods were reached.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) answer: Result<Answer, String>,
    pub(crate) reached: Vec<&'static str>,
}

impl Outcome {
    pub(crate) fn status(&self) -> Option<StatusCode> {
        self.answer.as_ref().ok().map(|(status, ..)| *status)
    }

    /// Asserts that no pod was reached, and that the answer contains no secret.
    pub(crate) fn is_refused(&self, what: &str) {
        assert_eq!(self.reached, [""; 0], "{what}: {:?}", self.answer);
        if let Ok((status, headers, _)) = &self.answer {
            let refused = status.is_client_error() || status.is_redirection();
            assert!(refused, "{what}: {status}");
            // The only other answer is the proxy's own, for a request that it cannot parse.
            if *status != StatusCode::BAD_REQUEST {
                assert_eq!(headers["cache-control"], "no-store", "{what}: {headers:?}");
            }
            for secret in ["workspace-assertion", "cookie", "authorization"] {
                assert!(!headers.contains_key(secret), "{what}: {headers:?}");
            }
            let set = headers.get_all(SET_COOKIE).iter();
            let tickets = set.filter(|line| {
                let line = line.to_str().unwrap_or_default();
                ["__Host-ws=", "__Secure-ws="].iter().any(|name| {
                    line.strip_prefix(name)
                        .is_some_and(|value| !value.starts_with(';'))
                })
            });
            assert_eq!(tickets.count(), 0, "{what}: {headers:?}");
        }
    }
}

impl BehindTraefik {
    pub(crate) async fn start(mode: RoutingMode) -> Self {
        let fixture = Fixture::new().await;
        fixture.watch().await;
        let mut pods = BTreeMap::new();
        for (name, _) in WORKSPACES {
            pods.insert(name, Pod::start(name).await);
        }
        publish(&fixture, mode, &pods);
        let site = Site::before(mode, Behind::gateway(&fixture.app)).await;
        Self {
            fixture,
            site,
            mode,
            pods,
        }
    }

    /// Host of a workspace, and the path at which it begins.
    pub(crate) fn place(&self, name: &str) -> (String, String) {
        place(self.mode, name)
    }

    /// Label of a workspace's host, and a path in it.
    pub(crate) fn at(&self, name: &str, path: &str) -> (String, String) {
        let (_, begin) = self.place(name);
        let label = match self.mode {
            RoutingMode::Subdomain => name.to_owned(),
            RoutingMode::Path => String::new(),
        };
        (label, format!("{begin}{}", path.trim_start_matches('/')))
    }

    pub(crate) fn pod(&self, name: &str) -> &Pod {
        &self.pods[name]
    }

    /// Sends a request for a path of a workspace, and looks who was reached.
    pub(crate) async fn ask(
        &self,
        version: Version,
        (method, name, path): (&str, &str, &str),
        headers: &[(&str, &str)],
    ) -> Outcome {
        let (label, path) = self.at(name, path);
        self.ask_at(version, (method, &label, &path), headers).await
    }

    /// The same at any host and path.
    pub(crate) async fn ask_at(
        &self,
        version: Version,
        (method, label, path): (&str, &str, &str),
        headers: &[(&str, &str)],
    ) -> Outcome {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let (answer, reached) = self.watched(self.site.send_in(version, label, request)).await;
        Outcome { answer, reached }
    }

    /// What `asking` comes to, and which pods were dialled meanwhile.
    pub(crate) async fn watched<T>(&self, asking: impl Future<Output = T>) -> (T, Vec<&'static str>) {
        let dials = || self.pods.iter().map(|(name, pod)| (*name, pod.dials()));
        let before: BTreeMap<_, _> = dials().collect();
        let answer = asking.await;
        (
            answer,
            dials()
                .filter(|(name, now)| before[name] < *now)
                .map(|(name, _)| name)
                .collect(),
        )
    }

    /// Asserts that these headers open a workspace to its own pod, in both versions. Waits for its route.
    pub(crate) async fn opens(&self, name: &'static str, headers: &[(&str, &str)]) {
        for version in VERSIONS {
            for _ in 0..100 {
                let outcome = self.ask(version, ("GET", name, "/lab"), headers).await;
                if outcome.status() != Some(StatusCode::SERVICE_UNAVAILABLE) {
                    assert_eq!(outcome.status(), Some(StatusCode::OK), "{version:?} {outcome:?}");
                    assert_eq!(outcome.reached, [name], "{version:?}");
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }

    /// Signs a user in at a workspace as a browser does, by way of the proxy alone. Returns all cookies, by host and path.
    pub(crate) async fn sign_in(&self, user: &str, name: &str) -> Jar {
        let mut jar = Jar::default();
        let (host, path) = self.place(name);
        let mut url = format!("https://{host}{path}");
        for _ in 0..12 {
            if url.starts_with(ISSUER) {
                let claims =
                    json!({"sub": format!("id-of-{user}"), "preferred_username": user, "groups": ["users"]});
                let claims = claims.as_object().unwrap().clone();
                self.fixture.issuer.change(|issuer| issuer.claims = claims);
                url = self.fixture.issuer.authorize(&url).unwrap();
                continue;
            }
            let (host, path) = split(&url);
            let cookies = jar.header(host, path);
            let mut headers = NAVIGATION.to_vec();
            headers.extend(cookies.iter().map(|line| ("cookie", line.as_str())));
            let label = host.strip_suffix(BASE).unwrap().trim_end_matches('.');
            let mut request = Request::get(path);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let request = request.body(Body::empty()).unwrap();
            // A route may still be on its way to the proxy.
            let (status, headers, body) = self.site.send(label, request).await.unwrap();
            for line in headers.get_all(SET_COOKIE) {
                jar.keep(host, line.to_str().unwrap());
            }
            match headers.get(LOCATION) {
                Some(next) => url = next.to_str().unwrap().to_owned(),
                None if status == StatusCode::OK => return jar,
                None if status == StatusCode::SERVICE_UNAVAILABLE => {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                None => panic!("{url}: {status} {}", String::from_utf8_lossy(&body)),
            }
        }
        panic!("{user} does not arrive at {name}: {url} {jar:?}");
    }

    /// The ticket of a user who signs in at a workspace.
    pub(crate) async fn ticket(&self, user: &str, name: &str) -> String {
        let jar = self.sign_in(user, name).await;
        let (host, path) = self.place(name);
        jar.get(&host, &path, self.ticket_name()).unwrap()
    }

    /// A ticket, as a cookie.
    pub(crate) fn cookie(&self, ticket: &str) -> String {
        format!("{}={ticket}", self.ticket_name())
    }

    pub(crate) fn ticket_name(&self) -> &'static str {
        match self.mode {
            RoutingMode::Subdomain => cookies::TICKET,
            RoutingMode::Path => cookies::FOLDER_TICKET,
        }
    }
}

fn place(mode: RoutingMode, name: &str) -> (String, String) {
    match mode {
        RoutingMode::Subdomain => (format!("{name}.{BASE}"), "/".to_owned()),
        RoutingMode::Path => (BASE.to_owned(), format!("/workspaces/team/{name}/")),
    }
}

fn publish(fixture: &Fixture, mode: RoutingMode, pods: &BTreeMap<&str, Pod>) {
    let targets = WORKSPACES.iter().map(|(name, owner)| {
        let (host, path) = place(mode, name);
        Target {
            site: format!("{host}{}", path.trim_end_matches('/')).into(),
            name: (*name).to_owned(),
            endpoint: Some(pods[name].address),
            ..target(name, owner, AccessType::OwnerOnly)
        }
    });
    fixture.serve(Domain::new(BASE, 443).in_mode(mode), Policy::default(), targets);
}

/// A browser's cookies, by host, path and name.
#[derive(Debug, Default)]
pub(crate) struct Jar(BTreeMap<(String, String, String), String>);

impl Jar {
    fn keep(&mut self, host: &str, line: &str) {
        let mut parts = line.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let path = parts.clone().find_map(|part| part.strip_prefix("Path=")).unwrap();
        let key = (host.to_owned(), path.to_owned(), name.to_owned());
        if parts.any(|part| part == "Max-Age=0") {
            self.0.remove(&key);
        } else {
            self.0.insert(key, value.to_owned());
        }
    }

    /// The Cookie header for a path of a host.
    pub(crate) fn header(&self, host: &str, path: &str) -> Option<String> {
        let sent = self
            .0
            .iter()
            .filter(|((of, under, _), _)| of == host && path.starts_with(under.as_str()));
        let pairs: Vec<String> = sent
            .map(|((_, _, name), value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub(crate) fn get(&self, host: &str, path: &str, name: &str) -> Option<String> {
        let key = (host.to_owned(), path.to_owned(), name.to_owned());
        self.0.get(&key).cloned()
    }
}
