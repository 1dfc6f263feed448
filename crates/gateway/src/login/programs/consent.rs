//! user at `/programs` -> the page that asks, and by its button a code for the program (IO).

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};

use super::program_request::ProgramRequest;
use crate::login::authorize::{self, LoginOptions};
use crate::login::{App, link};
use crate::pages::{self, Failure};
use crate::tokens::{PROGRAM_CODE_LIFE, ProgramCode, RandomId, Token as _};
use crate::verify::answers::redirect;
use crate::verify::request::is_form;
use crate::verify::request::source_rule::Source;

/// Answers `GET https://auth.<base>/programs?…`, after a sign-in if needed. It changes nothing: a link alone admits no program.
pub(super) async fn page(State(app): App, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let query = uri.query().unwrap_or_default();
    let asked = match ProgramRequest::read(form_urlencoded::parse(query.as_bytes())) {
        Ok(asked) => asked,
        Err(wrong) => return Ok(not_valid(wrong)),
    };
    let Some(session) = app.signed_in(&domain, &headers).await? else {
        let (enter, sealed) = link::to_page(&app, &domain, asked.path())?;
        return authorize::begin(
            &app,
            &domain,
            &headers,
            (enter, &sealed),
            &LoginOptions::default(),
        );
    };
    Ok(pages::program_form(
        &domain,
        pages::Program {
            name: &asked.name,
            origin: asked.origin(),
            fields: asked.fields(),
        },
        &session.identity.user_name,
        session.end,
    ))
}

/// Answers `POST https://auth.<base>/programs`, the page's button. `body`: the form, at most [`super::MAX_BODY`] bytes.
pub(super) async fn admit(State(app): App, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    let domain = app.domain()?;
    if !Source::from_headers(&headers)?.is_from(&domain.auth_origin()) {
        return Err(Failure::CrossOrigin);
    }
    if !is_form(&headers)? {
        return Err(Failure::BadRequest);
    }
    let asked = match ProgramRequest::read(form_urlencoded::parse(&body)) {
        Ok(asked) => asked,
        Err(wrong) => return Ok(not_valid(wrong)),
    };
    let Some(session) = app.signed_in(&domain, &headers).await? else {
        return Ok(pages::message_with_link(
            StatusCode::UNAUTHORIZED,
            "You are not signed in",
            "Your session has ended, so the program got nothing.",
            asked.path(),
            "Sign in and ask again",
        ));
    };
    let now = app.clock.now();
    let (origin, state) = (asked.origin(), asked.state);
    let code = ProgramCode {
        id: RandomId::new()?,
        session: session.id,
        host: domain.auth_host(),
        challenge: asked.challenge,
        name: asked.name,
        expires: now + PROGRAM_CODE_LIFE,
    };
    let code = code.seal(&app.keys, now)?;
    Ok(match origin {
        Some(origin) => redirect(
            StatusCode::SEE_OTHER,
            &format!("{origin}/?code={code}&state={state}"),
        ),
        None => pages::program_code(&domain, &code),
    })
}

fn not_valid(wrong: &str) -> Response {
    let text = format!("{wrong} Start the sign-in of your program again.");
    pages::message(StatusCode::BAD_REQUEST, "This link is not valid", &text)
}
