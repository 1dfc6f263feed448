//! Request of a program on this computer -> the workspace's answer, by a ticket (IO).

use std::sync::Arc;
use std::time::Duration;

use api::names::HOP_BY_HOP;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, HeaderMap,
    HeaderName, HeaderValue, LOCATION, ORIGIN, REFERER, REFERRER_POLICY, SET_COOKIE, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio::time::Instant;

use crate::remote::address::WorkspaceAddress;
use crate::remote::dial::Body;
use crate::remote::gateway::SignedIn;
use crate::remote::secret;
use crate::remote::tunnel::{TICKET, header};
use crate::remote::websocket;

/// Name of the parameter that Jupyter's clients send.
const TOKEN: &str = "token";
/// By which browsers say whose page sent a request. No page can write it or leave it out, and programs do not send it, not even Node's
/// fetch, which sends `Sec-Fetch-Mode`.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The connection to the workspace that one connection to this computer uses.
pub(super) type Upstream = Arc<Mutex<Option<SendRequest<Body>>>>;

/// Leave for one connection to this computer. A websocket keeps it to its end.
pub(super) type Permit = Arc<OwnedSemaphorePermit>;

/// A port of this computer for one workspace.
pub(super) struct Local {
    port: u16,
    token: String,
    signed_in: SignedIn,
    to: WorkspaceAddress,
    /// The ticket, and until when it is used.
    ticket: Mutex<Option<(HeaderValue, Instant)>>,
}

/// Why a request is not sent on.
#[derive(Debug)]
enum Refusal {
    /// For programs.
    Problem(StatusCode, String),
    /// A browser sent it.
    Browser,
}

/// How a request showed the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenPlace {
    /// In its address: a cookie shows it from then on.
    InAddress,
    InHeader,
}

impl Local {
    pub(super) fn new(port: u16, token: String, signed_in: SignedIn, to: WorkspaceAddress) -> Self {
        Self {
            port,
            token,
            signed_in,
            to,
            ticket: Mutex::default(),
        }
    }

    /// A ticket with at least a third of its life before it.
    pub(super) async fn ticket(&self) -> anyhow::Result<HeaderValue> {
        let mut kept = self.ticket.lock().await;
        if let Some((ticket, end)) = &*kept
            && Instant::now() < *end
        {
            return Ok(ticket.clone());
        }
        let ticket = self.signed_in.ticket(&self.to).await?;
        let value = header(&ticket.value)?;
        let used: Duration = ticket.life() * 2 / 3;
        *kept = Some((value.clone(), Instant::now() + used));
        Ok(value)
    }

    /// Answers a request.
    pub(super) async fn answer(
        self: Arc<Self>,
        upstream: Upstream,
        permit: Permit,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let answered = match self.admit(request.uri(), request.headers()) {
            Ok(shown) => self
                .send(&upstream, permit, request)
                .await
                .map(|response| (shown, response)),
            Err(refused) => Err(refused),
        };
        match answered {
            Ok((TokenPlace::InHeader, response)) => response,
            Ok((TokenPlace::InAddress, mut response)) => {
                let cookie = format!(
                    "{}={}; Path=/; HttpOnly; SameSite=Strict",
                    self.cookie(),
                    self.token
                );
                if let Ok(cookie) = HeaderValue::try_from(cookie) {
                    response.headers_mut().append(SET_COOKIE, cookie);
                }
                response
            }
            Err(Refusal::Problem(status, message)) => problem(status, &message),
            Err(Refusal::Browser) => self.page(),
        }
    }

    /// Cookies do not know ports, so the name does.
    fn cookie(&self) -> String {
        format!("kubectl-workspace-{}", self.port)
    }

    fn is_own_host(&self, host: &str) -> bool {
        let of_port = |name: &str| host == format!("{name}:{}", self.port);
        of_port("127.0.0.1") || of_port("localhost")
    }

    /// What browsers get. All ports of this computer are one site for cookies, and later pages of a port run what earlier ones left in the
    /// browser's cache. So nothing of a workspace reaches a browser here.
    fn page(&self) -> Response<Body> {
        let to = &self.to;
        let html = format!(
            "<!doctype html><meta charset=utf-8><title>kubectl workspace connect</title>\
             <p>This port is for programs. In the browser, open <a href=\"{to}\" rel=noreferrer>{to}</a>.</p>\n"
        );
        let mut response = respond(StatusCode::FORBIDDEN, "text/html; charset=utf-8", html);
        for (name, value) in [
            (
                CONTENT_SECURITY_POLICY,
                "default-src 'none'; frame-ancestors 'none'",
            ),
            (CACHE_CONTROL, "no-store"),
            (REFERRER_POLICY, "no-referrer"),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }

    /// Whether the request may be sent on: it is for this port, of no page, and shows the token.
    fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<TokenPlace, Refusal> {
        let refuse = |message: &str| Err(Refusal::Problem(StatusCode::FORBIDDEN, message.to_owned()));
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if headers.get_all(HOST).iter().count() != 1 || !text(HOST).is_some_and(|host| self.is_own_host(host))
        {
            return refuse("The host must be 127.0.0.1 with the port of kubectl workspace connect.");
        }
        let is_own = |origin: &str| {
            origin
                .strip_prefix("http://")
                .is_some_and(|host| self.is_own_host(host))
        };
        if headers.contains_key(FETCH_SITE) || headers.contains_key("service-worker") {
            return Err(Refusal::Browser);
        }
        // Some programs write the address that they call.
        if headers.contains_key(ORIGIN) && !text(ORIGIN).is_some_and(is_own) {
            return refuse("Pages of other addresses must not use this port.");
        }
        let path = uri.path();
        let within = path.strip_prefix(self.to.path.as_str());
        if !within.is_some_and(|rest| rest.starts_with('/')) {
            let message = format!("The workspace is at {}/ here.", self.to.path);
            return Err(Refusal::Problem(StatusCode::NOT_FOUND, message));
        }
        let is_token = |text: &str| secret::same(text, &self.token);
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        if pairs
            .into_iter()
            .any(|(key, value)| key == TOKEN && is_token(&value))
        {
            return Ok(TokenPlace::InAddress);
        }
        let of_header = text(AUTHORIZATION).and_then(|value| value.split_once(' '));
        let is_scheme =
            |scheme: &str| scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer");
        if of_header.is_some_and(|(scheme, value)| is_scheme(scheme) && is_token(value.trim())) {
            return Ok(TokenPlace::InHeader);
        }
        let own = self.cookie();
        let is_ours = |(name, value): (&str, &str)| name == own && is_token(value);
        if cookies(headers).any(|pair| pair.split_once('=').is_some_and(is_ours)) {
            return Ok(TokenPlace::InHeader);
        }
        refuse("This port asks for the token in the URL that kubectl workspace connect printed.")
    }

    async fn send(
        &self,
        upstream: &Upstream,
        permit: Permit,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, Refusal> {
        let unreachable =
            |error: &dyn std::fmt::Display| Refusal::Problem(StatusCode::BAD_GATEWAY, format!("{error:#}"));
        let ticket = self
            .ticket()
            .await
            .map_err(|error| Refusal::Problem(StatusCode::UNAUTHORIZED, format!("{error:#}")))?;
        let here = is_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        let mut sent = Request::new(body.boxed_unsync());
        *sent.method_mut() = head.method;
        *sent.uri_mut() = without_token(&head.uri).into();
        *sent.headers_mut() = self.headers(&head.headers, here.is_some());
        sent.headers_mut().insert(TICKET, ticket);
        let mut kept = upstream.lock().await;
        let mut sender = if let Some(sender) = reusable(kept.take()).await {
            sender
        } else {
            let connected = self.signed_in.dialer.connect(&self.to.place).await;
            connected.map_err(|error| unreachable(&error))?
        };
        let answered = sender.send_request(sent).await;
        let mut answer = answered.map_err(|error| unreachable(&anyhow::Error::from(error)))?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // It may be of a session that has ended.
            *self.ticket.lock().await = None;
        }
        match here {
            Some(here) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                let there = hyper::upgrade::on(&mut answer);
                tokio::spawn(async move {
                    if let (Ok(here), Ok(there)) = tokio::join!(here, there) {
                        websocket::carry(TokioIo::new(here), TokioIo::new(there)).await;
                    }
                    drop(permit);
                });
            }
            _ => {
                *kept = Some(sender);
                for name in HOP_BY_HOP {
                    answer.headers_mut().remove(name);
                }
            }
        }
        // A program keeps it for all ports of this computer, also for a Jupyter of its own.
        answer.headers_mut().remove(SET_COOKIE);
        self.keep_here(answer.headers_mut())?;
        Ok(answer.map(BodyExt::boxed_unsync))
    }

    /// What is sent on: nothing about this connection, and no cookie, since those of other ports of this computer come, too.
    fn headers(&self, received: &HeaderMap, upgrades: bool) -> HeaderMap {
        let named = received
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let named: Vec<_> = named.flat_map(|list| list.split(',')).map(str::trim).collect();
        let mut sent = HeaderMap::with_capacity(received.len());
        for (name, value) in received {
            let is_dropped = HOP_BY_HOP.contains(&name.as_str())
                || [HOST, AUTHORIZATION, COOKIE, REFERER, ORIGIN, TICKET].contains(name)
                // Node's fetch writes one. The gateway takes a ticket only from what is no browser.
                || name.as_str().starts_with("sec-fetch-")
                || named.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()));
            if !is_dropped {
                sent.append(name, value.clone());
            }
        }
        let place = self.to.place.to_string();
        if let Ok(value) = HeaderValue::try_from(&place) {
            sent.insert(HOST, value);
        }
        if received.contains_key(ORIGIN)
            && let Ok(origin) = HeaderValue::try_from(format!("https://{place}"))
        {
            sent.insert(ORIGIN, origin);
        }
        if upgrades {
            sent.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            sent.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        sent
    }

    /// Leads redirects within the workspace to this port. Others are refused: what follows them would leave the port.
    fn keep_here(&self, headers: &mut HeaderMap) -> Result<(), Refusal> {
        let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
            headers.remove(LOCATION);
            return Ok(());
        };
        let elsewhere = || {
            let message = "The workspace's answer leads to another address, which this port does not follow.";
            Refusal::Problem(StatusCode::BAD_GATEWAY, message.to_owned())
        };
        let own = format!("https://{}", self.to.place);
        let path = match location.strip_prefix(&own) {
            Some(path) if path.is_empty() || path.starts_with('/') => path,
            Some(_) => return Err(elsewhere()),
            None => location,
        };
        let is_elsewhere = path.starts_with("//")
            || path.starts_with("/\\")
            || path
                .split(['/', '?', '#'])
                .next()
                .is_some_and(|first| first.contains([':', '\\']));
        if is_elsewhere {
            return Err(elsewhere());
        }
        let path =
            HeaderValue::from_str(if path.is_empty() { "/" } else { path }).map_err(|_| elsewhere())?;
        headers.insert(LOCATION, path);
        Ok(())
    }
}

/// A connection that takes another request.
async fn reusable(kept: Option<SendRequest<Body>>) -> Option<SendRequest<Body>> {
    let mut sender = kept?;
    sender.ready().await.is_ok().then_some(sender)
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    all.flat_map(|list| list.split(';')).map(str::trim)
}

/// Path and query, without the token. What else is in the query stays as it was sent.
fn without_token(uri: &Uri) -> PathAndQuery {
    let is_token = |pair: &str| {
        let mut pairs = form_urlencoded::parse(pair.as_bytes());
        pairs.next().is_some_and(|(key, _)| key == TOKEN)
    };
    let query = uri.query().unwrap_or_default().split('&');
    let query = query
        .filter(|pair| !pair.is_empty() && !is_token(pair))
        .collect::<Vec<_>>()
        .join("&");
    let text = match query.as_str() {
        "" => uri.path().to_owned(),
        query => format!("{}?{query}", uri.path()),
    };
    PathAndQuery::try_from(text).unwrap_or_else(|_| PathAndQuery::from_static("/"))
}

fn problem(status: StatusCode, message: &str) -> Response<Body> {
    respond(
        status,
        "application/json",
        json!({"message": message}).to_string(),
    )
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
