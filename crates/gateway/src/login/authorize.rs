//! browser without session -> redirect to an identity provider (pure but for randomness).
//!
//! A cookie binds the redirect to the browser. With several providers the user chooses first.

use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};

use crate::index::Domain;
use crate::oidc::{Binding, Provider, Registered};
use crate::pages::{self, Failure};
use crate::tokens::cookies::{self, MAX_LOGINS};
use crate::tokens::random::{equal, random_token};
use crate::tokens::{ENTER_LIFE, Enter, LoginAttempt, RandomId, Token as _};
use crate::verify::AppState;
use crate::verify::answers::redirect;
use crate::verify::request::{Malformed, parameter};

/// The query parameters of a sign-in.
#[derive(Debug, Default)]
pub(super) struct LoginOptions {
    /// Name of the provider.
    with: Option<String>,
    /// Whether the user wants to sign in as another user than now.
    another: bool,
}

impl LoginOptions {
    /// Reads the query.
    ///
    /// # Errors
    /// A parameter came twice.
    pub(super) fn of(uri: &Uri) -> Result<Self, Malformed> {
        Ok(Self {
            with: parameter(uri, "with")?,
            another: parameter(uri, "as")?.as_deref() == Some("another"),
        })
    }

    /// Whether an existing session must not be used.
    pub(super) fn is_for_another(&self) -> bool {
        self.another
    }
}

/// Begins a login that continues at `enter` afterwards. Shows the choice of providers where there are several. `sealed`: `enter`
/// as received.
///
/// # Errors
/// A cookie came twice, or no sealing key is available.
pub(super) fn begin(
    app: &AppState,
    domain: &Domain,
    headers: &HeaderMap,
    (enter, sealed): (Enter, &str),
    login_options: &LoginOptions,
) -> Result<Response, Failure> {
    let chosen = match &login_options.with {
        Some(name) => app.providers.by_name(name),
        None => app.providers.single(),
    };
    let Some(registered) = chosen else {
        return Ok(choice(app, sealed, login_options));
    };
    match registered.get() {
        Some(provider) => send(
            app,
            domain,
            headers,
            enter,
            (registered, provider),
            login_options.another,
        ),
        None => Ok(pages::unreachable(&registered.title, None)),
    }
}

/// The page on which a user chooses the identity provider.
fn choice(app: &AppState, sealed: &str, login_options: &LoginOptions) -> Response {
    let another = if login_options.another { "&as=another" } else { "" };
    let offers = app.providers.iter().map(|registered| pages::Offer {
        title: &registered.title,
        link: registered
            .get()
            .map(|_| format!("/enter?t={sealed}&with={}{another}", registered.name)),
    });
    pages::choice(&offers.collect::<Vec<_>>())
}

fn send(
    app: &AppState,
    domain: &Domain,
    headers: &HeaderMap,
    enter: Enter,
    (registered, provider): (&Registered, &Provider),
    another: bool,
) -> Result<Response, Failure> {
    let now = app.clock.now();
    let under_way = under_way(app, headers)?;
    let lineage = match app.session_cookie(domain, headers)? {
        Some(cookie) => cookie.lineage,
        None => match under_way.iter().flatten().next() {
            Some(attempt) => attempt.lineage,
            None => RandomId::new()?,
        },
    };
    let attempt = LoginAttempt {
        state: random_token()?,
        nonce: random_token()?,
        verifier: random_token()?,
        provider: registered.name.clone(),
        lineage,
        enter,
        expires: now + ENTER_LIFE,
    };
    let redirect_uri = callback_address(domain, registered);
    let binding = Binding {
        nonce: &attempt.nonce,
        verifier: &attempt.verifier,
        redirect_uri: &redirect_uri,
    };
    let url = provider
        .authorization_url(&attempt.state, binding, another)
        .map_err(|error| {
            tracing::error!(%error, "no login can begin");
            Failure::Unavailable
        })?;
    let cookie_slot = free_slot(&under_way);
    let mut response = redirect(StatusCode::FOUND, &url);
    let cookie = attempt.seal(&app.keys, now)?;
    cookies::set(
        response.headers_mut(),
        &cookies::login(cookie_slot),
        &cookie,
        Some(ENTER_LIFE),
    );
    Ok(response)
}

/// The redirect address of this identity provider. No two providers share one.
pub(super) fn callback_address(domain: &Domain, provider: &Registered) -> String {
    format!("{}{}", domain.auth_origin(), provider.callback)
}

/// The login attempt that `state` belongs to, and the index of its cookie.
///
/// # Errors
/// A cookie came twice.
pub(super) fn resume(
    app: &AppState,
    headers: &HeaderMap,
    state: &str,
) -> Result<Option<(usize, LoginAttempt)>, Failure> {
    let under_way = under_way(app, headers)?.into_iter().enumerate();
    let mut open = under_way.filter_map(|(cookie_slot, attempt)| Some((cookie_slot, attempt?)));
    Ok(open.find(|(_, attempt)| equal(&attempt.state, state)))
}

/// The login attempts of this browser that have not ended, by index of their cookies.
fn under_way(app: &AppState, headers: &HeaderMap) -> Result<Vec<Option<LoginAttempt>>, Failure> {
    let in_slot = |cookie_slot| {
        let cookie = cookies::find(headers, &cookies::login(cookie_slot))?;
        Ok(cookie.and_then(|cookie| LoginAttempt::open(&app.keys, cookie, app.clock.now())))
    };
    (0..MAX_LOGINS).map(in_slot).collect()
}

/// The index of a cookie that is absent or unusable, else of the attempt that expires first.
fn free_slot(under_way: &[Option<LoginAttempt>]) -> usize {
    let ends =
        |(_, attempt): &(usize, &Option<LoginAttempt>)| attempt.as_ref().map(|attempt| attempt.expires);
    let first = under_way.iter().enumerate().min_by_key(ends);
    first.map_or(0, |(cookie_slot, _)| cookie_slot)
}
