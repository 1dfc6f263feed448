//! Between proxy and gateway: notes what a proxy asks, and admits the cookie value `ticket` in tests of the proxy alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use gateway::index::Destination;
use gateway::pages::{self, Reader, render};
use gateway::tokens::cookies::StripList;
use gateway::verify::adapters;
use gateway::verify::{AppState, ProxyKind};
use http::header::{HOST, SET_COOKIE, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode};
use kit::assertion_signer::Claims;

use crate::support::chart::GATEWAY;

const ASSERTION: &str = "workspace-assertion";

/// What a test sees of the proxy's questions, and sets of their answers.
#[derive(Debug, Default)]
pub(crate) struct Stub {
    /// Whether it answers in place of the gateway.
    answers: bool,
    /// Whether answers renew the ticket, and try to set another cookie.
    pub(crate) renews: AtomicBool,
    /// Headers of the last authorization request.
    pub(crate) asked: Mutex<HeaderMap>,
}

impl Stub {
    pub(crate) fn answering() -> Self {
        Self {
            answers: true,
            ..Self::default()
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        if !has_ticket(headers) {
            let refusal = pages::problem(StatusCode::UNAUTHORIZED, "SignInRequired", "no ticket");
            return render(refusal, Reader::from_headers(headers));
        }
        let mut response = Response::default();
        let lines = response.headers_mut();
        lines.insert("cookie", HeaderValue::from_static("_xsrf=1"));
        lines.insert(ASSERTION, HeaderValue::from_static("attested"));
        if self.renews.load(Ordering::Relaxed) {
            for line in [
                "__Host-ws=renewed; Path=/; Max-Age=900; Secure; HttpOnly; SameSite=Lax",
                "__Secure-ws=renewed; Path=/workspaces/team/ws1/; Max-Age=900; Secure; HttpOnly; SameSite=Lax",
                "other=1",
            ] {
                lines.append(SET_COOKIE, HeaderValue::from_static(line));
            }
        }
        response
    }
}

/// At the entrance: notes the proxy's own questions, and answers them if the stub does.
pub(crate) async fn at_entrance(State(stub): State<Arc<Stub>>, request: Request, next: Next) -> Response {
    let is_own = host(&request) == Some(GATEWAY) && !request.headers().contains_key(UPGRADE);
    let (proxy_kind, asked) = match request.uri().path() {
        "/verify" if is_own => (None, request.headers().clone()),
        "/verify/nginx" if is_own => {
            let (method, uri, headers) = (request.method(), request.uri(), request.headers());
            match adapters::question(ProxyKind::Nginx, method, uri, headers) {
                Ok(asked) => (Some(ProxyKind::Nginx), asked),
                Err(_) => return next.run(request).await,
            }
        }
        _ => return next.run(request).await,
    };
    *stub.asked.lock().unwrap() = asked.clone();
    if !stub.answers {
        return next.run(request).await;
    }
    let answer = stub.answer(&asked);
    match proxy_kind {
        Some(proxy_kind) => adapters::answer(proxy_kind, answer, &StripList::default()),
        None => answer,
    }
}

/// At the pages: signs what the stub attested, as the gateway would have done.
pub(crate) async fn at_pages(State(app): State<Arc<AppState>>, mut request: Request, next: Next) -> Response {
    if request
        .headers()
        .get(ASSERTION)
        .is_some_and(|value| value == "attested")
    {
        let snapshot = app.index.load();
        let authority = authority(&request).unwrap_or_default();
        let place = snapshot
            .domain()
            .map(|domain| domain.destination(authority, request.uri().path()));
        let target = match place {
            Some(Destination::Workspace(site)) => snapshot.target(&site).cloned(),
            _ => None,
        };
        if let Some(target) = target {
            let claims = Claims::new(api::names::GATEWAY, &target.uid, &target.owner, app.clock.now());
            let signed = app.assertions.sign(&claims).unwrap();
            request.headers_mut().insert(ASSERTION, signed);
        }
    }
    next.run(request).await
}

fn authority(request: &Request) -> Option<&str> {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    request
        .uri()
        .authority()
        .map(http::uri::Authority::as_str)
        .or(named)
}

fn host(request: &Request) -> Option<&str> {
    authority(request)?.split(':').next()
}

/// HTTP/2 clients send each cookie in a header of its own.
fn has_ticket(headers: &HeaderMap) -> bool {
    headers
        .get_all("cookie")
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .any(|cookies| cookies.contains("__Host-ws=ticket") || cookies.contains("__Secure-ws=ticket"))
}
