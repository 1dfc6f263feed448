//! one-time code and its verifier -> token of the login session (IO).

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{answer, bad_body, rfc3339, sign_in_required};
use crate::login::App;
use crate::pages::{self, Failure};
use crate::session::{CodeUser, Spent};
use crate::tokens::random::{equal, fingerprint};
use crate::tokens::{ProgramCode, ProgramToken, Token as _};

#[derive(Deserialize)]
struct Redeemed {
    code: String,
    /// PKCE verifier: the challenge is its SHA-256.
    verifier: String,
}

/// Answers `POST https://auth.<base>/programs/token`. A used code is recorded in the session's object, so it counts once for all
/// replicas together.
pub(super) async fn redeem(State(app): App, body: Bytes) -> Result<Response, Failure> {
    let Ok(Redeemed { code, verifier }) = serde_json::from_slice(&body) else {
        return Ok(bad_body(r#"{"code": "…", "verifier": "…"}"#));
    };
    let domain = app.domain()?;
    let now = app.clock.now();
    let Some(code) = ProgramCode::open(&app.keys, &code, now).filter(|code| code.host == domain.auth_host())
    else {
        return Ok(invalid());
    };
    let Some(session) = app.sessions.find(code.session).await? else {
        return Ok(sign_in_required());
    };
    // Before the check of the verifier: a code that another program has seen becomes invalid for the right one, too.
    match app
        .sessions
        .spend(code.session, code.id, code.expires, CodeUser::Program)
        .await?
    {
        Spent::Now => {}
        Spent::Before => return Ok(invalid()),
        Spent::NoSession => return Ok(sign_in_required()),
    }
    if !equal(&fingerprint(&verifier), &code.challenge) {
        return Ok(invalid());
    }
    let token = ProgramToken {
        session: session.id,
        host: code.host,
        issued: now,
        expires: session.end,
    };
    let token = token.seal(&app.keys, now)?;
    app.audit.record_admitted_program(&session, &code.name);
    Ok(answer(json!({
        "token": token,
        "user": session.identity.user_name,
        "expiresAt": rfc3339(session.end),
    })))
}

/// One answer for all reasons.
fn invalid() -> Response {
    pages::problem(
        StatusCode::BAD_REQUEST,
        "InvalidCode",
        "The code has expired, was used before, or belongs to another program.",
    )
}
