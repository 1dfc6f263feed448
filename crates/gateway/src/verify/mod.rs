//! proxy headers -> 200 with headers for the pod, or the browser's answer (IO for unknown rights).
//!
//! - here: the choice between a redirect to the sign-in, 401 and 403.
//! - `admit`: opens and checks tickets; holds all that an answer needs. `sockets`: the same for websockets, as long as they are open.
//! - `scripts`: tokens and programs' tickets. `bearer`: checks tokens. `pre_cookie`: ties a sign-in to one browser.
//! - `portal`: the answer for the portal.
//! - `decision`: applies `rules::access`. `rights`: what the cluster's roles allow.
//!
//! From `router.rs` to the decision: `question`, `respond`, [`AppState::verify`], `answer`, [`AppState::admit`],
//! `AppState::check_access`, `decision::decide`, `rules::access::connect`.
//! - `request`: reads a request. `answers`: refusals and redirects. `adapters`: nginx, Envoy.

pub mod adapters;
mod admit;
pub(crate) mod answers;
pub(crate) mod bearer;
pub(crate) mod decision;
mod portal;
pub(crate) mod pre_cookie;
pub(crate) mod request;
pub(crate) mod rights;
mod scripts;
mod sockets;

use api::manager::Start;
use axum::response::Response;
use http::header::HeaderMap;
use http::{Method, StatusCode};
use rules::access::Audience;

pub use self::adapters::ProxyKind;
use self::admit::AdmittedTicket;
pub use self::admit::AppState;
pub use self::bearer::{Bearer, BearerSettings};
use self::decision::{Admitted, Allow};
pub use self::request::forwarded::Forwarded;
pub use self::request::source_rule::Source;
pub use self::rights::Rights;
use self::scripts::{admit_program, admit_token, program_ticket, with_challenge};
pub use self::sockets::Grant;
use crate::audit::By;
use crate::index::{Destination, Domain};
use crate::pages::accepts_html;
use crate::pages::{self, Failure};
use crate::site::Site;
use crate::tokens::cookies;
use crate::tokens::{ENTER_LIFE, Enter, Ticket, Token as _};
use crate::verify::answers::{
    Refusal, empty, into_folder, nowhere, redirect, refuse, refuse_page, sign_in_elsewhere,
};
use crate::verify::request::forwarded::{is_at_the_top, is_reserved, is_ssh, target};
use crate::verify::request::pod_headers;
use crate::verify::request::source_rule::single;

impl AppState {
    /// Answers `GET /verify`. `headers`: the headers of the proxy's auth request.
    pub async fn verify(&self, headers: &HeaderMap) -> Response {
        let answer = self
            .audit
            .about(|| self.throttle.client(headers), answer(self, headers));
        answer.await.unwrap_or_else(Failure::answer)
    }

    /// What the pages' listener shows at `site` when no route leads to the workspace. It shows the workspace's state to users whom
    /// a ticket admits, with the same checks as `/verify`. It also shows it to users whom this gateway has just attested: a
    /// proxy that asked `/verify` has removed their ticket. All others get the same page for every site.
    pub async fn state_page(&self, site: &Site, method: &Method, headers: &HeaderMap) -> Response {
        let page = state_page(self, site, method, headers);
        let page = self.audit.about(|| self.throttle.client(headers), page);
        page.await.unwrap_or_else(Failure::answer)
    }
}

async fn answer(app: &AppState, headers: &HeaderMap) -> Result<Response, Failure> {
    let request = Forwarded::from_headers(headers)?;
    let source = Source::from_headers(headers)?;
    let domain = app.domain()?;
    let site = match domain.destination(request.authority, request.uri) {
        Destination::Workspace(site) | Destination::Portal(site) => site,
        Destination::Folder(site) => return Ok(into_folder(&domain, &site, request.method)),
        Destination::Nowhere => return Ok(nowhere()),
        Destination::Unclear => return Err(Failure::BadRequest),
        Destination::Auth | Destination::Outside => return Err(Failure::Misdirected),
    };
    if is_reserved(site.within(request.uri)) {
        return Ok(pages::problem(
            StatusCode::NOT_FOUND,
            "NotFound",
            "The gateway answers this path itself.",
        ));
    }
    let is_portal = domain.is_portal(&site);
    if headers.contains_key("service-worker") && is_portal {
        return Ok(portal::no_service_worker());
    }
    if headers.contains_key("service-worker") && is_at_the_top(site.within(request.uri)) {
        return Ok(pages::problem(
            StatusCode::FORBIDDEN,
            "ServiceWorkerTooWide",
            "A service worker's script must lie in a folder of the workspace: at the top it would also answer for the gateway's own paths.",
        ));
    }
    let token = match &app.bearer {
        Some(bearer) if !is_portal => bearer::from_headers(headers)?.map(|token| (bearer, token)),
        // The portal is for browsers alone.
        _ => None,
    };
    let program = if is_portal {
        None
    } else {
        program_ticket(&source, headers)?
    };
    let by = is_ssh(site.within(request.uri)).then_some(By::Ssh);
    let refusal = match cookies::find(headers, site.ticket())? {
        None => match (program, token) {
            // These futures are large and rarely needed. Boxing keeps them out of the common path.
            (Some(ticket), _) => {
                return Box::pin(by_program(app, (&domain, &site, by), ticket, headers)).await;
            }
            (None, Some(token)) => {
                return Box::pin(by_token(app, (&domain, &site, by), token, headers)).await;
            }
            (None, None) => Refusal::NotSignedIn,
        },
        Some(_) if !source.may_use_cookie(request.method, || domain.origin_of(&site)) => {
            return Err(Failure::CrossOrigin);
        }
        Some(ticket) => match app.admit((&site, by), ticket, headers).await {
            Ok(admission) => {
                let mut response = match &admission.admitted {
                    Admitted::Workspace(allow) if allow.target().may_run() => {
                        forward(app, headers, allow, false)?
                    }
                    Admitted::Workspace(allow) => not_running(app, &domain, allow),
                    Admitted::Portal(allow) => {
                        Box::pin(portal::forward(app, &domain, allow, headers)).await?
                    }
                };
                renew(app, &mut response, &admission);
                return Ok(response);
            }
            Err(refusal) => refusal,
        },
    };
    let page_load = source.is_page_load(request.method, accepts_html(headers));
    match refusal {
        Refusal::NotSignedIn if page_load => sign_in(app, &domain, (site, false), headers, request.uri),
        Refusal::NotSignedIn if is_portal && source.is_form(request.method, accepts_html(headers)) => {
            Ok(pages::form_not_sent(&format!("{}/", domain.address(&site))))
        }
        Refusal::NotSignedIn if is_portal => Ok(sign_in_elsewhere(&domain, &site)),
        Refusal::NotSignedIn => Ok(with_challenge(app, &domain, sign_in_elsewhere(&domain, &site))),
        Refusal::Denied if page_load => Ok(pages::denied(&domain)),
        refusal => Ok(refuse(refusal, &domain, &site)),
    }
}

/// Answers a request with a token and without a ticket. It never redirects and never issues a ticket.
async fn by_token(
    app: &AppState,
    (domain, site, by): (&Domain, &Site, Option<By>),
    (bearer, token): (&Bearer, &str),
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let allow = match admit_token(app, bearer, (domain, site, by), token, headers).await {
        Ok((allow, _)) => allow,
        Err(response) => return Ok(response),
    };
    if allow.target().may_run() {
        forward(app, headers, &allow, false)
    } else {
        Ok(not_running(app, domain, &allow))
    }
}

/// Answers a request with a program's ticket. As [`by_token`], it neither redirects nor issues a ticket.
async fn by_program(
    app: &AppState,
    (domain, site, by): (&Domain, &Site, Option<By>),
    ticket: &str,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    match admit_program(app, (domain, site, by), ticket, headers).await {
        Ok(allow) if allow.target().may_run() => forward(app, headers, &allow, true),
        Ok(allow) => Ok(not_running(app, domain, &allow)),
        Err(response) => Ok(response),
    }
}

/// 200: the request may go on to the pod, with these headers in place of the browser's.
fn forward(
    app: &AppState,
    headers: &HeaderMap,
    allow: &Allow,
    is_program: bool,
) -> Result<Response, Failure> {
    let mut response = empty(StatusCode::OK);
    let assertion = app.attest(allow.target(), allow.session(), is_program)?;
    pod_headers::replace(response.headers_mut(), headers, &app.strip, assertion);
    Ok(response)
}

async fn state_page(
    app: &AppState,
    site: &Site,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let domain = app.domain()?;
    match app.admit_cookie(&domain, site, method.as_str(), headers).await {
        Ok(Some(admission)) => {
            let mut response = match &admission.admitted {
                Admitted::Workspace(allow) => not_running(app, &domain, allow),
                Admitted::Portal(_) => Failure::Unavailable.answer(),
            };
            renew(app, &mut response, &admission);
            return Ok(response);
        }
        Ok(None) => {}
        Err(refusal) => return Ok(refuse_page(refusal, &domain)),
    }
    let assertion = single(headers, &pod_headers::ASSERTION)?;
    let index = app.index.load();
    let known = index.target(site).and_then(|target| {
        let subject = app.assertions.subject(assertion?, &target.uid)?;
        Some((target, subject))
    });
    Ok(match known {
        // `/verify` has already checked this subject. The assertion does not carry the subject's groups or their further rights.
        Some((target, subject)) => {
            let starts = subject == target.owner || index.policy().start == Start::Connectors;
            let audience = if starts {
                Audience::Starter
            } else {
                Audience::Viewer
            };
            pages::workspace_page(&domain, target, audience, app.clock.now())
        }
        None => pages::denied(&domain),
    })
}

/// The page for an admitted user while the workspace does not run.
fn not_running(app: &AppState, domain: &Domain, allow: &Allow) -> Response {
    pages::workspace_page(domain, allow.target(), allow.audience(), app.clock.now())
}

/// Adds a new ticket when the present one expires soon.
fn renew(app: &AppState, response: &mut Response, admission: &AdmittedTicket) {
    let now = app.clock.now();
    if admission.expires - now < app.sessions.limits().renew_ticket_before() && app.may_issue() {
        let issued = issue(app, admission, now);
        // If no new ticket can be issued, the old one stays valid for minutes.
        if let Some((ticket, life)) = issued {
            let site = admission.admitted.site();
            let (path, name) = (site.cookie_path(), site.ticket());
            cookies::set_at(response.headers_mut(), &path, name, &ticket, Some(life));
        }
    }
}

/// A ticket that expires later than the present one, and its lifetime in seconds.
fn issue(app: &AppState, admission: &AdmittedTicket, now: i64) -> Option<(String, i64)> {
    let session = admission.admitted.session();
    let expires = (now + app.sessions.limits().ticket).min(session.end);
    if expires <= admission.expires {
        return None;
    }
    let ticket = Ticket {
        session: session.id,
        uid: admission.admitted.uid(),
        site: admission.admitted.site().as_str(),
        browser: admission.browser.as_deref(),
        issued: now,
        expires,
    };
    Some((ticket.seal(&app.keys, now).ok()?, expires - now))
}

/// Redirects a user to the auth host, and back to `wished`, a path of this site. `again`: to a new login although there is a session.
/// A path that is too long for that gets a page instead.
///
/// # Errors
/// The cookie came twice, or no sealing key is available.
pub(crate) fn sign_in(
    app: &AppState,
    domain: &Domain,
    (site, again): (Site, bool),
    headers: &HeaderMap,
    wished: &str,
) -> Result<Response, Failure> {
    let Some(target) = target(site.within(wished)) else {
        let (home, link) = (domain.address(&site), site.within(wished));
        return Ok(pages::link_too_long(&format!("{home}/"), format!("{home}{link}")));
    };
    let enter = Enter {
        target: target.into_owned(),
        site,
        attempt: 0,
        again,
        browser: String::new(),
        expires: 0,
    };
    send_to_enter(app, domain, enter, headers)
}

/// Redirects a browser from a workspace host to the auth host. A new value in the pre-cookie ties the sign-in to this browser.
///
/// # Errors
/// The cookie came twice, or no sealing key is available.
pub fn send_to_enter(
    app: &AppState,
    domain: &Domain,
    mut enter: Enter,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let (browser, cookie) = pre_cookie::begin(headers, &enter.site)?;
    let now = app.clock.now();
    enter.browser = browser;
    enter.expires = now + ENTER_LIFE;
    let sealed = enter.seal(&app.keys, now)?;
    let site = &enter.site;
    let mut response = redirect(
        StatusCode::FOUND,
        &format!("{}/enter?t={sealed}", domain.auth_origin()),
    );
    if let Some(value) = cookie {
        // The cookie belongs to the host even where workspaces have folders. Only so can no other host set it.
        cookies::set(response.headers_mut(), site.pre(), &value, None);
    }
    Ok(response)
}
