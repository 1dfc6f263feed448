//! authorization response of the identity provider -> new session and its cookie (IO).

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};
use kit::limit::LogLimit;
use serde_json::{Map, Value};

use crate::audit::Audit;
use crate::index::Domain;
use crate::login::{App, authorize, home, link};
use crate::oidc::admission::Outside;
use crate::oidc::{Binding, JwtError, RedeemError};
use crate::pages::{self, Failure};
use crate::session::content::Content;
use crate::tokens::cookies;
use crate::tokens::{ENTER_LIFE, Enter, LoginAttempt, SessionCookie, Token as _};
use crate::verify::AppState;
use crate::verify::answers::redirect;
use crate::verify::request::parameter;

/// Limits log lines, since any client can send responses that are refused.
static REFUSALS: LogLimit = LogLimit::new(1, Duration::from_secs(1));

/// Answers `GET https://auth.<base>/callback?code=…&state=…`, and the same under `/callback/<name>` for further providers.
pub(super) async fn callback(State(app): App, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let state = parameter(&uri, "state")?.unwrap_or_default();
    let Some(login) = authorize::resume(&app, &headers, &state)? else {
        return lost(&app, &domain, &uri, &headers, &state).await;
    };
    let attempt = &login.attempt;
    if login.is_late(app.clock.now()) {
        let mut response = begin_anew(&app, &domain, (attempt.enter.clone(), true), &attempt.provider);
        login.end(response.headers_mut());
        return Ok(response);
    }
    let Some(_place) = app.sessions.login_permit(&attempt.state).await? else {
        return Ok(stale(&domain, Some(another_go(&app, &attempt.enter))));
    };
    let mut response = match complete(&app, &domain, &uri, &headers, attempt).await {
        Ok(response) => response,
        Err(problem) => {
            let begins_anew = problem.is_temporary() && attempt.enter.attempt == 0;
            if !begins_anew {
                problem.record(&app.audit);
            }
            // This also logs the reason.
            let page = problem.answer(&another_go(&app, &attempt.enter));
            if begins_anew {
                begin_anew(&app, &domain, (attempt.enter.clone(), true), &attempt.provider)
            } else {
                page
            }
        }
    };
    // This attempt is over, whatever its result.
    login.end(response.headers_mut());
    Ok(response)
}

/// Answers a response without its login: that has ended, began in another browser, or other logins have replaced its cookies. If the
/// user has signed in meanwhile, the browser goes on to the target, as by a link to it. If this browser began the login, it begins anew,
/// once. Nothing of the response is used but the target.
async fn lost(
    app: &AppState,
    domain: &Domain,
    uri: &Uri,
    headers: &HeaderMap,
    state: &str,
) -> Result<Response, Failure> {
    let mut providers = app.providers.iter();
    let Some(registered) = providers.find(|provider| provider.callback == uri.path()) else {
        return Ok(pages::bare(StatusCode::NOT_FOUND));
    };
    let target = authorize::target_in(app, domain, headers, state)?;
    let Some((enter, is_own)) = target.filter(|(enter, _)| link::is_ours(domain, enter)) else {
        return Ok(stale(domain, None));
    };
    if !enter.again && is_signed_in(app, domain, headers).await? {
        let on = format!("{}{}", domain.auth_origin(), another_go(app, &enter));
        return Ok(redirect(StatusCode::FOUND, &on));
    }
    Ok(begin_anew(app, domain, (enter, is_own), &registered.name))
}

/// Whether a session is known. Without an answer about it, which is logged, the login goes on as without one.
async fn is_signed_in(app: &AppState, domain: &Domain, headers: &HeaderMap) -> Result<bool, Failure> {
    match app.signed_in(domain, headers).await {
        Ok(session) => Ok(session.is_some()),
        Err(Failure::Unavailable) => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Begins a login anew at this provider: once by itself in the browser that began it, else by the user's click.
fn begin_anew(app: &AppState, domain: &Domain, (enter, is_own): (Enter, bool), provider: &str) -> Response {
    let by_itself = is_own && enter.attempt == 0;
    let enter = Enter {
        attempt: u8::from(by_itself),
        ..enter
    };
    let again = format!("{}&with={provider}", another_go(app, &enter));
    if by_itself {
        redirect(StatusCode::FOUND, &format!("{}{again}", domain.auth_origin()))
    } else {
        stale(domain, Some(again))
    }
}

/// `again`: path that begins the login anew.
fn stale(domain: &Domain, again: Option<String>) -> Response {
    let what_now = match again {
        Some(_) => "Sign in again to open what you wanted.",
        None => "Open the link again, or choose your workspace from the list.",
    };
    let text = "It took too long, was completed before or was started in another browser.";
    let (to, link) = match again {
        Some(again) => (again, "Sign in again"),
        None => (format!("{}/", domain.auth_origin()), "Go to your workspaces"),
    };
    pages::message_with_link(
        StatusCode::BAD_REQUEST,
        "This sign-in cannot be completed",
        &format!("{text} {what_now}"),
        to,
        link,
    )
}

/// Path that begins the login anew. Loading this response again would fail.
fn another_go(app: &AppState, enter: &Enter) -> String {
    let now = app.clock.now();
    let enter = Enter {
        expires: now + ENTER_LIFE,
        ..enter.clone()
    };
    match enter.seal(&app.keys, now) {
        Ok(enter) => format!("/enter?t={enter}"),
        // Without keys this cannot begin a login either, and says so.
        Err(_) => format!("{}?", home::SIGN_IN),
    }
}

async fn complete(
    app: &AppState,
    domain: &Domain,
    uri: &Uri,
    headers: &HeaderMap,
    attempt: &LoginAttempt,
) -> Result<Response, Problem> {
    let given = |name| parameter(uri, name).map_err(Failure::from);
    // The attempt records the provider that the browser was sent to. A response at another provider's callback is not from that
    // provider: its code must not be sent to any provider (mix-up attack).
    let registered = app.providers.by_name(&attempt.provider).ok_or(Problem::Foreign)?;
    if uri.path() != registered.callback {
        return Err(Problem::Foreign);
    }
    let provider = registered.get().ok_or(Failure::Unavailable)?;
    if !provider.is_sender(given("iss")?.as_deref()) {
        return Err(Problem::Foreign);
    }
    if given("error")?.is_some() {
        return Err(Problem::Declined);
    }
    let code = given("code")?.ok_or(Failure::BadRequest)?;
    let redirect_uri = authorize::callback_address(domain, registered);
    let binding = Binding {
        nonce: &attempt.nonce,
        verifier: &attempt.verifier,
        redirect_uri: &redirect_uri,
    };
    let login = provider
        .redeem(&code, binding)
        .await
        .map_err(|error| match error {
            RedeemError::Unavailable(reason) => Problem::Unreachable {
                title: registered.title.clone(),
                reason,
            },
            error => Problem::Redeem(error),
        })?;
    let identity = registered
        .mapping
        .identify(&login.claims)
        .map_err(|error| Problem::Unusable(error.to_string()))?;
    let now = app.clock.now();
    let enter = Enter {
        again: false,
        expires: now + ENTER_LIFE,
        ..attempt.enter.clone()
    };
    let enter = enter.seal(&app.keys, now).map_err(Failure::from)?;
    if let Err(outside) = registered.admission.check(&login.claims, &identity.groups) {
        return Err(Problem::NotAdmitted {
            user: known_as(&login.claims, &identity.user_name).to_owned(),
            provider: registered.title.clone(),
            user_name: identity.user_name,
            issuer: registered.issuer.clone(),
            outside,
        });
    }
    let life = app.sessions.limits().life;
    let content = Content::new(
        provider.issuer(),
        &login.subject,
        identity,
        &login.tokens,
        now..now + life,
    );
    // Another tab may have signed in since this login began.
    let before = app.session_cookie(domain, headers).map_err(Failure::from)?;
    let lineage = before.map_or(attempt.lineage, |cookie| cookie.lineage);
    let content = content.in_browser(lineage);
    let session = app.sessions.create(&content).await.map_err(Failure::from)?;
    tracing::info!(?session, "a user signed in");
    app.audit
        .login(session, &content.user_name, &content.groups, content.end);

    let cookie = SessionCookie {
        session,
        lineage,
        host: domain.auth_host(),
        provider: registered.name.clone(),
        issued: now,
        expires: content.end,
    };
    let mut response = redirect(
        StatusCode::FOUND,
        &format!("{}/enter?t={enter}", domain.auth_origin()),
    );
    let cookie = cookie.seal(&app.keys, now).map_err(Failure::from)?;
    cookies::set(response.headers_mut(), cookies::SESSION, &cookie, Some(life));
    Ok(response)
}

/// The name by which users recognize their account, from the provider's claims.
fn known_as<'a>(claims: &'a Map<String, Value>, user_name: &'a str) -> &'a str {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let known = ["email", "preferred_username"].into_iter().find_map(text);
    known.filter(|name| !name.is_empty()).unwrap_or(user_name)
}

/// Logs the reason, within a rate limit, since any client can cause this.
fn log_refusal(reason: &dyn std::fmt::Display) {
    if let Some(left_out) = REFUSALS.turn(Instant::now()) {
        tracing::warn!(%reason, left_out, "a login failed");
    }
}

/// Why a login gives no session.
enum Problem {
    /// The response names another issuer, or none where it must name one.
    Foreign,
    /// The user or the provider declined.
    Declined,
    /// The provider's answer fails a check.
    Redeem(RedeemError),
    /// The provider did not answer.
    Unreachable { title: String, reason: String },
    /// The claims map to no identity.
    Unusable(String),
    /// The provider confirms a user whom the settings do not admit.
    NotAdmitted {
        /// The name by which users recognize their account.
        user: String,
        /// The provider's title.
        provider: String,
        user_name: String,
        issuer: String,
        outside: Outside,
    },
    /// A failure that is not specific to logins.
    Failure(Failure),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Problem {
    fn record(&self, audit: &Audit) {
        match self {
            Self::NotAdmitted {
                user_name,
                issuer,
                outside,
                ..
            } => audit.record_not_admitted(user_name, issuer, outside.reason()),
            other => audit.record_refused_login(other.label()),
        }
    }

    /// Whether another login may succeed at once, without the user's doing.
    fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Failure(Failure::Unavailable)
        )
    }

    /// A stable label for the audit log.
    fn label(&self) -> &'static str {
        match self {
            Self::Foreign => "foreign_issuer",
            Self::Declined => "declined",
            Self::NotAdmitted { outside, .. } => outside.reason(),
            Self::Unreachable { .. } | Self::Redeem(RedeemError::Unavailable(_)) | Self::Failure(_) => {
                "unavailable"
            }
            Self::Redeem(RedeemError::Client(_)) => "client_refused",
            Self::Redeem(_) => "answer_refused",
            Self::Unusable(_) => "no_identity",
        }
    }

    /// `again`: path that begins the login anew.
    fn answer(self, again: &str) -> Response {
        let go = |status, text: &str, to: String, link| {
            pages::message_with_link(status, "You are not signed in", text, to, link)
        };
        let message = |status, text: &str| go(status, text, again.to_owned(), "Try again");
        let another = format!("{again}&as=another");
        match self {
            Self::Foreign => {
                log_refusal(&"the authorization response names another issuer, or none");
                message(
                    StatusCode::BAD_REQUEST,
                    "The answer does not come from the identity provider that was asked.",
                )
            }
            Self::Declined => message(
                StatusCode::FORBIDDEN,
                "The identity provider did not sign you in.",
            ),
            Self::Unreachable { title, reason } => {
                tracing::warn!(provider = title, reason, "a login failed");
                pages::unreachable(&title, Some(again))
            }
            Self::NotAdmitted { user, provider, .. } => pages::not_admitted(&user, &provider, &another),
            Self::Redeem(error @ RedeemError::Client(_)) => {
                tracing::error!(%error, "logins fail");
                message(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The identity provider does not accept this gateway. Tell your administrator to look at the gateway's log.",
                )
            }
            Self::Redeem(error @ RedeemError::Token(JwtError::Time)) => {
                tracing::error!(%error, "logins fail");
                message(
                    StatusCode::FORBIDDEN,
                    "The clocks of the identity provider and of this gateway differ by more than a minute, so its answer \
                     cannot be trusted. Tell your administrator.",
                )
            }
            Self::Redeem(error) => {
                log_refusal(&error);
                message(
                    StatusCode::FORBIDDEN,
                    "The identity provider's answer was refused. If trying again does not help, tell your administrator to \
                     look at the gateway's log.",
                )
            }
            Self::Unusable(reason) => {
                log_refusal(&reason);
                go(
                    StatusCode::FORBIDDEN,
                    &format!("Tell your administrator: {reason}."),
                    another,
                    "Sign in with another account",
                )
            }
            Self::Failure(Failure::Unavailable) => message(
                StatusCode::SERVICE_UNAVAILABLE,
                "The gateway cannot complete the sign-in at the moment. Try again in a few seconds.",
            ),
            Self::Failure(failure) => failure.answer(),
        }
    }
}
