//! browser without session -> redirect to an identity provider (pure but for randomness).
//!
//! Cookies bind the redirect to the browser. With several providers the user chooses first.

use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};

use crate::index::Domain;
use crate::oidc::{Binding, Provider, Registered};
use crate::pages::{self, Failure};
use crate::tokens::cookies::{self, MAX_LOGINS};
use crate::tokens::random::{equal, random_token};
use crate::tokens::seal::Purpose;
use crate::tokens::{Enter, LOGIN_LIFE, LoginAttempt, MAX_STATE, REDEEM_LIFE, RandomId, Token as _};
use crate::verify::AppState;
use crate::verify::answers::redirect;
use crate::verify::request::{Malformed, parameter};

/// Between the random value and the sealed text of a `state`. Both are base64url, which has no such character.
const BEHIND: char = '.';
/// Context of that text: it does not open as the target of a link.
const IN_STATE: &str = "state";

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
    pub(super) fn from_query(uri: &Uri) -> Result<Self, Malformed> {
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
    let lineage = match lineages(app, domain, headers, &under_way)?.next() {
        Some(lineage) => lineage,
        None => RandomId::new()?,
    };
    let attempt = LoginAttempt {
        state: random_token()?,
        nonce: random_token()?,
        verifier: random_token()?,
        provider: registered.name.clone(),
        lineage,
        enter: Enter {
            again: enter.again || another,
            ..enter
        },
        expires: now + LOGIN_LIFE,
    };
    let redirect_uri = callback_address(domain, registered);
    let binding = Binding {
        nonce: &attempt.nonce,
        verifier: &attempt.verifier,
        redirect_uri: &redirect_uri,
    };
    let state = state(app, &attempt)?;
    let url = provider
        .authorization_url(&state, binding, another)
        .map_err(|error| {
            tracing::error!(%error, "no login can begin");
            Failure::Unavailable
        })?;
    let mut response = redirect(StatusCode::FOUND, &url);
    let pieces = cookies::pieces(&attempt.seal(&app.keys, now)?);
    for (slot, piece) in free_slots(&under_way, pieces.len()).zip(&pieces) {
        cookies::set(
            response.headers_mut(),
            &cookies::login(slot),
            piece,
            Some(LOGIN_LIFE),
        );
    }
    Ok(response)
}

/// The redirect address of this identity provider. No two providers share one.
pub(super) fn callback_address(domain: &Domain, provider: &Registered) -> String {
    format!("{}{}", domain.auth_origin(), provider.callback)
}

/// `state` of the authorization request: the random value that belongs to the login's cookies, and behind it the browser and the
/// target. They serve when the cookies are lost. A long target is left out, because providers accept no long URLs.
fn state(app: &AppState, attempt: &LoginAttempt) -> Result<String, Failure> {
    let browser_and_target = (attempt.lineage, &attempt.enter);
    let sealed = app
        .keys
        .seal(Purpose::Enter, IN_STATE, &browser_and_target, app.clock.now())?;
    let state = format!("{}{BEHIND}{}", attempt.state, sealed.text);
    Ok(if state.len() <= MAX_STATE {
        state
    } else {
        attempt.state.clone()
    })
}

/// The target in a `state` of this gateway's, and whether this browser began that login. It may have ended.
///
/// # Errors
/// A cookie came twice.
pub(super) fn target_in(
    app: &AppState,
    domain: &Domain,
    headers: &HeaderMap,
    state: &str,
) -> Result<Option<(Enter, bool)>, Failure> {
    let sealed = state.split_once(BEHIND).map(|(_, sealed)| sealed);
    let opened = sealed.and_then(|sealed| app.keys.open(Purpose::Enter, IN_STATE, sealed));
    let Some((browser, enter)): Option<(RandomId, Enter)> = opened else {
        return Ok(None);
    };
    let under_way = under_way(app, headers)?;
    let is_own = lineages(app, domain, headers, &under_way)?.any(|lineage| lineage == browser);
    Ok(Some((enter, is_own)))
}

/// A login of this browser that has not ended.
pub(super) struct UnderWay {
    pub(super) attempt: LoginAttempt,
    /// Its cookies.
    slots: Vec<usize>,
}

impl UnderWay {
    /// Whether it began too long ago to give a session. Who began it may have left the browser to another user, and may still
    /// complete it at the provider elsewhere.
    pub(super) fn is_late(&self, now: i64) -> bool {
        self.attempt.expires - LOGIN_LIFE + REDEEM_LIFE <= now
    }

    /// Removes its cookies.
    pub(super) fn end(&self, headers: &mut HeaderMap) {
        for slot in &self.slots {
            cookies::clear(headers, &cookies::login(*slot));
        }
    }
}

/// The login that `state` belongs to.
///
/// # Errors
/// A cookie came twice.
pub(super) fn resume(app: &AppState, headers: &HeaderMap, state: &str) -> Result<Option<UnderWay>, Failure> {
    let random = state.split(BEHIND).next().unwrap_or_default();
    let mut under_way = under_way(app, headers)?.into_iter();
    Ok(under_way.find(|login| equal(&login.attempt.state, random)))
}

/// The logins of this browser that have not ended.
fn under_way(app: &AppState, headers: &HeaderMap) -> Result<Vec<UnderWay>, Malformed> {
    let value = |slot| cookies::find(headers, &cookies::login(slot));
    let values = (0..MAX_LOGINS).map(value).collect::<Result<Vec<_>, _>>()?;
    let now = app.clock.now();
    let in_slot = |slot: usize| {
        let (count, first) = cookies::first_piece(values[slot]?)?;
        let slots: Vec<usize> = slots(slot, count).collect();
        let mut text = first.to_owned();
        for slot in slots.iter().skip(1) {
            text.push_str(values[*slot]?);
        }
        let attempt = LoginAttempt::open(&app.keys, &text, now)?;
        Some(UnderWay { attempt, slots })
    };
    Ok((0..MAX_LOGINS).filter_map(in_slot).collect())
}

/// The names by which logins know this browser: that of its session, and those of its logins.
fn lineages(
    app: &AppState,
    domain: &Domain,
    headers: &HeaderMap,
    under_way: &[UnderWay],
) -> Result<impl Iterator<Item = RandomId>, Failure> {
    let session = app.session_cookie(domain, headers)?.map(|cookie| cookie.lineage);
    Ok(session
        .into_iter()
        .chain(under_way.iter().map(|login| login.attempt.lineage)))
}

/// Indices of `count` cookies in a row.
fn slots(first: usize, count: usize) -> impl Iterator<Item = usize> {
    (first..first + count).map(|slot| slot % MAX_LOGINS)
}

/// Indices of `count` cookies in a row that are absent or unusable, else of the logins that expire first.
fn free_slots(under_way: &[UnderWay], count: usize) -> impl Iterator<Item = usize> {
    let expires = |slot| {
        let here = under_way.iter().filter(|login| login.slots.contains(&slot));
        here.map(|login| login.attempt.expires).max()
    };
    let first = (0..MAX_LOGINS).min_by_key(|first| slots(*first, count).map(expires).max());
    slots(first.unwrap_or_default(), count)
}
