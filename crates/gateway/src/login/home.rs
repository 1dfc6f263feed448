//! first page of the auth host -> user and workspaces, or the sign-in (IO for unknown sessions).

use axum::extract::State;
use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};

use crate::index::Domain;
use crate::index::freshness::Age;
use crate::login::authorize::{self, LoginOptions};
use crate::login::{App, link, listing};
use crate::oidc::{Provider, Registered};
use crate::pages::{self, Account, Another, Failure, Offer};
use crate::session::Session;
use crate::tokens::{MAX_STATE, cookies};
use crate::verify::AppState;
use crate::verify::answers::{Refusal, redirect};
use crate::verify::request::parameter;

/// Path that begins a login which leads back to the first page.
pub(super) const SIGN_IN: &str = "/sign-in";

/// Answers `GET https://auth.<base>/`. `state`: the target of a user who signed out to return as another user. The provider
/// returns it.
pub(super) async fn home(State(app): App, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let state = parameter(&uri, "state")?.filter(|sealed| link::open(&app, &domain, sealed).is_some());
    if let Some(session) = app.signed_in(&domain, &headers).await? {
        return known(&app, &domain, &session, &headers);
    }
    let mut response = match state {
        Some(sealed) => pages::on_to_another(&format!("/enter?t={sealed}&as=another")),
        None => pages::signed_out(&offers(&app)),
    };
    // The session ended elsewhere: by the portal's sign-out, or at the provider.
    if app.session_cookie(&domain, &headers)?.is_some() {
        cookies::clear_logins(response.headers_mut());
    }
    Ok(response)
}

/// Answers `GET https://auth.<base>/sign-in`, the button of that page. `as=another` begins a login despite an existing session.
pub(super) async fn sign_in(State(app): App, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let login_options = LoginOptions::from_query(&uri)?;
    if !login_options.is_for_another() && app.signed_in(&domain, &headers).await?.is_some() {
        let home = format!("{}/", domain.auth_origin());
        return Ok(redirect(StatusCode::FOUND, &home));
    }
    let (enter, sealed) = link::to_home(&app, &domain)?;
    authorize::begin(&app, &domain, &headers, (enter, &sealed), &login_options)
}

/// A refusal on the auth host, which may name the user. `sealed`: the target for another user.
///
/// # Errors
/// A cookie came twice.
pub(super) fn refuse(
    app: &AppState,
    domain: &Domain,
    (refusal, session): (Refusal, &Session),
    headers: &HeaderMap,
    sealed: &str,
) -> Result<Response, Failure> {
    Ok(match refusal {
        Refusal::Failed(failure) => failure.answer(),
        Refusal::Denied | Refusal::NotSignedIn | Refusal::NoSsh => {
            with_account(app, domain, session, headers, |account, provider| {
                let another = if provider.is_some_and(Provider::knows_one_account) {
                    Another::SigningOut(Some(sealed).filter(|sealed| sealed.len() <= MAX_STATE))
                } else {
                    Another::Choosing(sealed)
                };
                pages::denied_to(domain, account, another)
            })?
        }
    })
}

fn known(
    app: &AppState,
    domain: &Domain,
    session: &Session,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let index = app.index.load();
    let is_known = app.freshness.age() < Age::Stale;
    let shelf = is_known.then(|| listing::shelf(&index, &session.identity, app.clock.now(), listing::MAX));
    with_account(app, domain, session, headers, |account, _| {
        pages::signed_in(domain, account, shelf.as_ref())
    })
}

fn with_account(
    app: &AppState,
    domain: &Domain,
    session: &Session,
    headers: &HeaderMap,
    page: impl FnOnce(Account<'_>, Option<&Provider>) -> Response,
) -> Result<Response, Failure> {
    let found = app.providers.iter().filter_map(Registered::get);
    let origins: Vec<String> = found.filter_map(Provider::end_session_origin).collect();
    let cookie = app.session_cookie(domain, headers)?;
    let provider = cookie.and_then(|cookie| app.providers.by_name(&cookie.provider));
    let account = Account {
        user_name: &session.identity.user_name,
        provider: provider.map(|provider| provider.title.as_str()),
        leads_to: &origins.join(" "),
    };
    Ok(page(account, provider.and_then(Registered::get)))
}

/// A button for each provider. A single provider is not named.
fn offers(app: &AppState) -> Vec<Offer<'_>> {
    let is_only = app.providers.single().is_some();
    let mut offers = Vec::new();
    for registered in app.providers.iter() {
        let title = registered.title.as_str();
        offers.push(match registered.get() {
            None => Offer { title, link: None },
            Some(_) if is_only => Offer {
                title: "Sign in",
                link: Some(SIGN_IN.to_owned()),
            },
            Some(_) => Offer {
                title,
                link: Some(format!("{SIGN_IN}?with={}", registered.name)),
            },
        });
    }
    offers
}
