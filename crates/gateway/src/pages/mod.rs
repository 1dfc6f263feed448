//! message to a user or a script -> a page or JSON that is safe from injection (pure).
//!
//! Here are the texts of refusals. `failure` is the type of errors that do not depend on the user. `message` is the type of an answer's content. `render` makes a page of it (`html`, with the installation's `theme`) or JSON. `workspace_page`
//! is the page in place of a workspace that is starting, stopped or failed; `start_steps` counts the steps of a start for it. `account` and `identity` show users, `program` asks
//! whether a program may act as one. `settings` reads the theme's files.

mod account;
mod failure;
mod html;
mod identity;
mod message;
mod program;
mod render;
pub(crate) mod settings;
mod start_steps;
mod theme;
mod workspace_page;

use std::borrow::Cow;

use api::workspace::Phase;
use axum::response::Response;
use http::StatusCode;
use http::header::{ACCEPT, HeaderMap};
use kit::assertion_signer::IdentityError;
use serde_json::{Map, Value, json};

pub use self::account::{
    Account, Another, SHARED, Shelf, denied_to, on_to_another, signed_in, signed_out, signing_out,
};
pub use self::failure::Failure;
pub use self::identity::{Offer, choice, not_admitted, unreachable};
pub(crate) use self::message::NOT_READY;
use self::message::{Action, Message, Part, Tone};
pub use self::program::{Program, program_code, program_form};
pub use self::render::{REQUEST_ID, Reader, render};
pub use self::theme::Theme;
pub use self::workspace_page::workspace_page;
pub(crate) use self::workspace_page::{ONLY_OWNERS_START, in_portal};
use crate::index::{Domain, Target};
use crate::tokens::MAX_TARGET;

/// Maximum length of a link on a page, in bytes: the proxy takes pages of 64 KiB, and a logo may have half of them.
const MAX_LINK: usize = 12 * 1024;

/// The refusal. It is the same for a workspace that does not exist, so it reveals nothing. It links to the sign-out, for a return
/// as another user.
pub fn denied(domain: &Domain) -> Response {
    let hint = "If you have another account, sign out and open the address again.";
    Message {
        parts: vec![Part::Soft(format!("{HOW_TO_GET_IN} {hint}"))],
        ..refusal(domain)
    }
    .respond(StatusCode::FORBIDDEN)
}

const HOW_TO_GET_IN: &str = "If you were sent its address, ask the sender to share the workspace with you.";

fn refusal(domain: &Domain) -> Message {
    Message {
        tone: Tone::Bad,
        account: Some(domain.auth_origin()),
        ..Message::new(
            "NoAccess",
            "No access",
            "There is no such workspace, or you may not open it.",
        )
    }
}

/// The portal cannot act as the signed-in user.
pub fn unusable_identity(domain: &Domain, error: &IdentityError) -> Response {
    let what_now = "Ask your administrator to change the name at the identity provider, or in the sign-in settings. Your workspaces \
                    open at their own addresses.";
    Message {
        tone: Tone::Bad,
        account: Some(domain.auth_origin()),
        parts: vec![Part::Soft(what_now.to_owned())],
        ..Message::new(
            "UnusableIdentity",
            "The portal cannot act as you",
            format!("Your user or group name cannot be sent to Kubernetes: {error}."),
        )
    }
    .respond(StatusCode::FORBIDDEN)
}

/// For a request without session that is no page load. The answer contains the URL of the sign-in.
pub fn sign_in_required(login_url: String) -> Response {
    let base = Message::new(
        "SignInRequired",
        "You are not signed in",
        "Sign in by opening the address of this site in a browser tab, then try again.",
    );
    let more = [("loginUrl".to_owned(), login_url.clone().into())];
    Message {
        more: more.into_iter().collect(),
        parts: vec![Part::Actions(vec![Action::link(login_url, "Sign in")])],
        ..base
    }
    .respond(StatusCode::UNAUTHORIZED)
}

/// For a form of the portal that was sent without a session. The proxy keeps the body to itself, so only the browser has what was
/// typed.
pub fn form_not_sent(login_url: &str) -> Response {
    let link = Action::NewTab {
        to: login_url.to_owned(),
        text: "Sign in (new tab)".to_owned(),
    };
    let base = Message::new(
        "SignInRequired",
        "You are signed out, and nothing was saved",
        "Your session ended before you sent the form. Your browser still has what you typed.",
    );
    Message {
        more: [("loginUrl".to_owned(), login_url.into())].into_iter().collect(),
        parts: vec![
            Part::Soft(
                "Sign in in a new tab. Then come back to this tab, go back one page with your browser, and send the form again. Do not \
                 reload this page."
                    .to_owned(),
            ),
            Part::Actions(vec![link]),
        ],
        ..base
    }
    .respond(StatusCode::UNAUTHORIZED)
}

/// For a page load without session whose address is too long to be kept during a sign-in. `home`: the first page of that site.
pub fn link_too_long(home: &str, link: String) -> Response {
    let what_now = "Sign in in a new tab. Then come back to this tab and open the link again.";
    let sign_in = Action::NewTab {
        to: home.to_owned(),
        text: "Sign in (new tab)".to_owned(),
    };
    let escaped = link.len() + 4 * link.matches(['&', '<', '>', '"', '\'']).count();
    let open = (escaped <= MAX_LINK).then(|| Action::link(link, "Open the link"));
    let base = Message::new(
        "LinkTooLong",
        "Sign in before you open this link",
        format!(
            "You are not signed in, and a sign-in leads to links of at most {MAX_TARGET} bytes. This one is longer."
        ),
    );
    Message {
        more: [("loginUrl".to_owned(), home.into())].into_iter().collect(),
        parts: vec![
            Part::Soft(what_now.to_owned()),
            Part::Actions(std::iter::once(sign_in).chain(open).collect()),
        ],
        ..base
    }
    .respond(StatusCode::URI_TOO_LONG)
}

/// Adds to an answer that this site accepts no tokens, so that users do not look for an error in theirs.
pub(crate) fn without_tokens(response: &mut Response) {
    if let Some(message) = response.extensions_mut().get_mut::<Message>() {
        let notice = "This site does not accept tokens (Authorization: Bearer).";
        message.text.push(notice.to_owned());
    }
}

/// A request exceeds the limit of headers, which usually means too many cookies. `removes`: whether the answer removes some.
pub fn headers_too_large(removes: bool) -> Response {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let what_now = if removes {
        "The largest of them are removed now, and this page loads itself anew until the rest fits. If it does not end, close your \
         other tabs of this site. Then remove the cookies of this site, and of the domain above it, in the settings of your browser."
    } else {
        "Remove the cookies of this site, and of the domain above it, in the settings of your browser; then reload this page."
    };
    let mut message = render::generic(status);
    message.text.push(what_now.to_owned());
    message.reload = removes.then_some(1);
    message.respond(status)
}

/// A page with a title and one paragraph.
pub fn message(status: StatusCode, title: &str, text: &str) -> Response {
    plain(status, title, text).respond(status)
}

/// As [`message`], with a link.
pub fn message_with_link(status: StatusCode, title: &str, text: &str, to: String, link: &str) -> Response {
    Message {
        parts: vec![Part::Actions(vec![Action::link(to, link)])],
        ..plain(status, title, text)
    }
    .respond(status)
}

/// The default answer of a status.
pub fn bare(status: StatusCode) -> Response {
    render::generic(status).respond(status)
}

/// For an unknown address of the sign-in host.
pub fn lost() -> Response {
    let link = Action::link("/", "Your account and workspaces");
    Message {
        parts: vec![Part::Actions(vec![link])],
        ..render::generic(StatusCode::NOT_FOUND)
    }
    .respond(StatusCode::NOT_FOUND)
}

fn plain(status: StatusCode, title: &str, text: &str) -> Message {
    Message {
        title: title.to_owned(),
        text: vec![text.to_owned()],
        ..render::generic(status)
    }
}

/// An error answer for scripts: `{"error": ..., "title": ..., "message": ..., "requestId": ...}`.
pub fn problem(status: StatusCode, error: &str, message: &str) -> Response {
    Message {
        error: Cow::Owned(error.to_owned()),
        text: vec![message.to_owned()],
        ..render::generic(status)
    }
    .respond(status)
}

/// For a websocket of a workspace that does not run.
pub(crate) fn not_running(target: &Target) -> Response {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Message {
        error: NOT_READY.into(),
        text: vec![format!(
            "The workspace is not running: its phase is {:?}.",
            target.phase
        )],
        more: phase(target.phase),
        ..render::generic(status)
    }
    .respond(status)
}

/// The field by which programs tell whether a start would help.
fn phase(phase: Phase) -> Map<String, Value> {
    [("phase".to_owned(), json!(phase))].into_iter().collect()
}

/// The page on `auth.<base>` that asks before it starts a workspace. Its button sends a POST with the field `host` to `/start`,
/// from the only origin that may do so. `user_name`: the signed-in user.
pub fn start_form(domain: &Domain, target: &Target, user_name: &str) -> Response {
    let host = ("host", target.site.as_str().to_owned());
    let form = Action::post("/start", vec![host], "Start");
    let base = Message::new(
        "Stopped",
        format!("Start {}?", target.name),
        format!("The workspace is stopped. {}", target.message),
    );
    Message {
        kind: "Stopped",
        parts: vec![
            Part::Soft(format!("You are signed in as {user_name}.")),
            Part::Actions(vec![form]),
        ],
        account: Some(domain.auth_origin()),
        // Browsers apply form-action to the following redirect as well.
        forms_to: Some(domain.origin_of(&target.site)),
        ..base
    }
    .respond(StatusCode::OK)
}

/// Whether the Accept header asks for a page.
pub fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"))
}
