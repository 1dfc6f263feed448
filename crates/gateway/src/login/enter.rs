//! browser that requests a workspace -> one-time code for its host, after a login if needed (IO).

use axum::extract::State;
use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};

use crate::login::authorize::{self, LoginOptions};
use crate::login::{App, home, link};
use crate::pages::Failure;
use crate::tokens::{CODE_LIFE, Code, Enter, RandomId, Token as _};
use crate::verify::answers::redirect;
use crate::verify::request::parameter;

/// Answers `GET https://auth.<base>/enter?t=…`.
pub(super) async fn enter(State(app): App, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let sealed = parameter(&uri, "t")?.unwrap_or_default();
    let Some(enter) =
        Enter::open_even_expired(&app.keys, &sealed).filter(|enter| link::is_ours(&domain, enter))
    else {
        return Ok(link::unknown(&domain));
    };
    if enter.expires <= app.clock.now() {
        // An old link of the gateway: the workspace's host makes a new one.
        return Ok(redirect(StatusCode::FOUND, &link::address(&domain, &enter)));
    }
    let login_options = LoginOptions::from_query(&uri)?;
    let session = match app.signed_in(&domain, &headers).await? {
        Some(session) if !login_options.is_for_another() && !enter.again => session,
        _ => return authorize::begin(&app, &domain, &headers, (enter, &sealed), &login_options),
    };
    if enter.site == link::home(&domain) {
        return Ok(redirect(StatusCode::FOUND, &link::address(&domain, &enter)));
    }
    let admitted = match app.check_access(&enter.site, None, &session).await {
        Ok(admitted) => admitted,
        Err(refusal) => {
            return home::refuse(&app, &domain, (refusal, &session), &headers, &sealed);
        }
    };
    let now = app.clock.now();
    let callback = format!("{}/_workspace/callback", domain.address(&enter.site));
    let code = Code {
        id: RandomId::new()?,
        session: session.id,
        uid: admitted.uid().to_owned(),
        enter: Enter {
            expires: now + CODE_LIFE,
            ..enter
        },
    };
    let code = code.seal(&app.keys, now)?;
    Ok(redirect(StatusCode::FOUND, &format!("{callback}?code={code}")))
}
