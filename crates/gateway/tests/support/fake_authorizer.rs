//! An authorizer that checks only a cookie with the value `ticket`.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::response::Response;
use gateway::index::{Index, Target};
use gateway::pages;
use gateway::site::Site;
use gateway::verify::{Authorizer, Holder};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rules::access::Audience;

const ASSERTION: &str = "workspace-assertion";

/// Admits each client that sends the cookie, while `holds` is true.
#[derive(Debug)]
pub(crate) struct FakeAuthorizer {
    pub(crate) index: Arc<Index>,
    pub(crate) holds: AtomicBool,
    /// Whether answers renew the ticket, and try to set another cookie.
    pub(crate) renews: AtomicBool,
    /// Whether the clients are guests of the workspace.
    pub(crate) is_guest: AtomicBool,
    /// Headers of the last authorization request.
    pub(crate) asked: Mutex<HeaderMap>,
}

impl FakeAuthorizer {
    pub(crate) fn new(index: Arc<Index>) -> Self {
        Self {
            index,
            holds: AtomicBool::new(true),
            renews: AtomicBool::new(false),
            is_guest: AtomicBool::new(false),
            asked: Mutex::default(),
        }
    }
}

impl Authorizer for FakeAuthorizer {
    type Grant = ();

    async fn verify(&self, headers: &HeaderMap) -> Response {
        *self.asked.lock().unwrap() = headers.clone();
        if !has_ticket(headers) {
            return pages::problem(StatusCode::UNAUTHORIZED, "SignInRequired", "no ticket");
        }
        let mut response = Response::default();
        response
            .headers_mut()
            .insert("cookie", HeaderValue::from_static("_xsrf=1"));
        response
            .headers_mut()
            .insert("workspace-assertion", HeaderValue::from_static("attested"));
        if self.renews.load(Ordering::Relaxed) {
            for line in [
                "__Host-ws=renewed; Path=/; Max-Age=900; Secure; HttpOnly; SameSite=Lax",
                "__Secure-ws=renewed; Path=/workspaces/team/ws1/; Max-Age=900; Secure; HttpOnly; SameSite=Lax",
                "other=1",
            ] {
                response
                    .headers_mut()
                    .append("set-cookie", HeaderValue::from_static(line));
            }
        }
        response
    }

    async fn admit(&self, site: &Site, _: &str, headers: &HeaderMap) -> Result<(Arc<Target>, ()), Response> {
        match self.index.load().target(site) {
            Some(target) if has_ticket(headers) => Ok((Arc::clone(target), ())),
            _ => Err(pages::denied(&gateway::index::Domain::new("ws.example", 443))),
        }
    }

    fn attest(&self, _: &Target, (): &()) -> Result<HeaderValue, Box<Response>> {
        Ok(HeaderValue::from_static("attested"))
    }

    fn holder(&self, _: &Target, (): &()) -> Holder {
        let is_guest = self.is_guest.load(Ordering::Relaxed);
        Holder {
            user: if is_guest { "bob" } else { "alice" }.to_owned(),
            is_owner: !is_guest,
        }
    }

    fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        headers.get("x-forwarded-for")?.to_str().ok()?.parse().ok()
    }

    async fn state(&self, site: &Site, _: &Method, headers: &HeaderMap) -> Response {
        let domain = gateway::index::Domain::new("ws.example", 443);
        let known = has_ticket(headers)
            || headers
                .get(ASSERTION)
                .is_some_and(|message| message == "attested");
        match self.index.load().target(site) {
            Some(target) if known => pages::workspace_page(&domain, target, Audience::Starter, 0),
            _ => pages::denied(&domain),
        }
    }

    fn is_valid(&self, (): &()) -> bool {
        self.holds.load(Ordering::Relaxed)
    }
}

/// HTTP/2 clients send each cookie in a header of its own.
fn has_ticket(headers: &HeaderMap) -> bool {
    headers
        .get_all("cookie")
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .any(|cookies| cookies.contains("__Host-ws=ticket") || cookies.contains("__Secure-ws=ticket"))
}
