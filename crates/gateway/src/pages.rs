//! what a person or a script must be told -> a response that nothing can be injected into (pure).

mod account;
mod identity;

use std::fmt::Write as _;
use std::sync::LazyLock;

use api::workspace::Phase;
use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY, RETRY_AFTER,
};
use http::{HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};

pub use self::account::{signed_in, signed_out};
pub use self::identity::{Offer, choice, not_admitted, unreachable};
use crate::index::{Domain, Target};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto 0;padding:0 1rem;\
color:#222;background:#fff}button{font:inherit;padding:.4rem 1.2rem}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}";

/// Asks in the background, first after 250 ms, and loads the page anew as soon as the answer is another one. A HEAD
/// request, because it has no effects in the workspace that may answer it by then.
const WATCHER: &str = "let wait=250;const page=document.documentElement.dataset.page;\
const look=async()=>{try{const answer=await fetch(location.href,{method:'HEAD',cache:'no-store',redirect:'manual'});\
if(answer.status!==503||answer.headers.get('etag')!==page){location.reload();return}}catch{}\
wait=Math.min(wait*2,4000);setTimeout(look,wait)};setTimeout(look,wait)";

static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| source(STYLE));
static WATCHER_SOURCE: LazyLock<String> = LazyLock::new(|| source(WATCHER));

/// Seconds after which a script may ask again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Refusal. The same for a workspace that does not exist, so that it reveals nothing. Leads to where one can sign out, to come
/// back as somebody else.
pub fn denied(domain: &Domain) -> Response {
    let link = format!(
        "<p><a href=\"{}/\">Who is signed in? Sign out</a></p>",
        escape(&domain.auth_origin())
    );
    Page {
        title: "No access",
        text: "There is no such workspace, or you may not open it. Ask its owner.",
        form: &link,
        form_action: "'none'",
        ..Page::default()
    }
    .respond(StatusCode::FORBIDDEN)
}

/// The gateway cannot decide at the moment.
pub fn unavailable() -> Response {
    let mut response = message(
        StatusCode::SERVICE_UNAVAILABLE,
        "Try again shortly",
        "The gateway cannot answer at the moment. Reload this page in a few seconds.",
    );
    response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    response
}

/// A page with a title and one paragraph; both are escaped.
pub fn message(status: StatusCode, title: &str, text: &str) -> Response {
    Page {
        title,
        text,
        ..Page::default()
    }
    .respond(status)
}

/// An answer for scripts: `{"error": ..., "message": ...}`.
pub fn problem(status: StatusCode, error: &str, message: &str) -> Response {
    json(status, &serde_json::json!({"error": error, "message": message}))
}

/// An answer for scripts that tells more than [`problem`].
pub fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    guarded(
        status,
        "application/json",
        "default-src 'none'; frame-ancestors 'none'".into(),
        body.to_string(),
    )
}

/// The page on `auth.<base>` that asks before it starts a workspace. Its button sends a POST with the field `host` to
/// `/start`, from the origin that alone may do so.
pub fn start_form(domain: &Domain, target: &Target) -> Response {
    let form = format!(
        "<form method=\"post\" action=\"/start\"><input type=\"hidden\" name=\"host\" value=\"{}\">\
         <button>Start</button></form>",
        escape(target.site.as_str())
    );
    let response = Page {
        title: &format!("Start {}?", target.name),
        text: &format!("The workspace is stopped. {}", target.message),
        form: &form,
        // Browsers apply form-action to the redirect that follows as well.
        form_action: &format!("'self' {}", domain.origin_of(&target.site)),
        ..Page::default()
    }
    .respond(StatusCode::OK);
    with_origin(response)
}

/// Under `no-referrer` browsers send `Origin: null` with a form, and a POST to the auth host needs this very origin.
fn with_origin(mut response: Response) -> Response {
    let policy = HeaderValue::from_static("same-origin");
    response.headers_mut().insert(REFERRER_POLICY, policy);
    response
}

/// What is shown instead of a workspace that no route leads to: its state, and the way on.
///
/// Everybody gets 503, because nothing of the workspace itself was reached: a person (`page_load`) as a page, a script as
/// JSON.
pub fn state(domain: &Domain, target: &Target, page_load: bool) -> Response {
    let (title, text) = told(target);
    let mut response = if page_load {
        let form = match target.phase {
            Phase::Stopped => format!(
                "<form action=\"{}/start\"><input type=\"hidden\" name=\"host\" value=\"{}\">\
                 <button>Start …</button></form>",
                escape(&domain.auth_origin()),
                escape(target.site.as_str())
            ),
            _ => String::new(),
        };
        Page {
            title: &title,
            text: &text,
            form: &form,
            form_action: &domain.auth_origin(),
            watch: true,
        }
        .respond(StatusCode::SERVICE_UNAVAILABLE)
    } else {
        problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "WorkspaceNotReady",
            &format!("{title}. {text}"),
        )
    };
    if let Ok(tag) = HeaderValue::try_from(tag(&title, &text)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    response
}

/// Title and text for the state of `target`.
fn told(target: &Target) -> (String, String) {
    let name = &target.name;
    let (title, text) = match target.phase {
        Phase::Running => (format!("{name} is ready"), "It opens in a moment."),
        Phase::Starting => (format!("{name} is starting"), "It opens by itself."),
        Phase::Stopping => (
            format!("{name} is stopping"),
            "It can be started again afterwards.",
        ),
        Phase::Stopped => (format!("{name} is stopped"), "It can be started again."),
        Phase::Failed => (
            format!("{name} cannot run"),
            "It opens by itself when the cause is gone.",
        ),
        Phase::Invalid => (
            format!("{name} is not valid"),
            "It starts by itself when that is corrected.",
        ),
        Phase::Deleting => (format!("{name} is being deleted"), ""),
    };
    // What becomes of the files is in the operator's words: it knows whether there is a disk.
    let says_why = matches!(
        target.phase,
        Phase::Starting | Phase::Failed | Phase::Invalid | Phase::Stopped
    );
    let told = says_why && !target.message.is_empty();
    if told {
        (title, format!("{} {text}", target.message))
    } else {
        (title, text.into())
    }
}

/// One page: parts that are not escaped yet, but for `form`, which is markup.
#[derive(Default)]
struct Page<'a> {
    title: &'a str,
    text: &'a str,
    form: &'a str,
    /// Sources for the directive; empty: no form may be sent.
    form_action: &'a str,
    /// Whether the page loads itself anew when there is something else to see.
    watch: bool,
}

impl Page<'_> {
    fn respond(&self, status: StatusCode) -> Response {
        let title = escape(self.title);
        let text = escape(self.text);
        let mut html = String::with_capacity(2048);
        let tag = if self.watch {
            tag(self.title, self.text)
        } else {
            String::new()
        };
        let _ = write!(
            html,
            "<!doctype html><html lang=\"en\" data-page=\"{}\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style>",
            escape(&tag)
        );
        if self.watch {
            html.push_str("<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>");
        }
        let _ = write!(html, "<h1>{title}</h1><p>{text}</p>{}", self.form);
        if self.watch {
            let _ = write!(html, "<script>{WATCHER}</script>");
        }
        let mut policy = format!(
            "default-src 'none'; style-src {}; base-uri 'none'; frame-ancestors 'none'; form-action {};",
            *STYLE_SOURCE,
            if self.form.is_empty() {
                "'none'"
            } else {
                self.form_action
            }
        );
        if self.watch {
            let _ = write!(policy, " script-src {}; connect-src 'self';", *WATCHER_SOURCE);
        }
        guarded(status, "text/html; charset=utf-8", policy, html)
    }
}

fn guarded(status: StatusCode, content_type: &'static str, policy: String, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Hosts and ports of a manager are checked by its schema; a policy that is no header value must not be left out.
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// Tells one state from another; as an entity tag it is quoted.
fn tag(title: &str, text: &str) -> String {
    let digest = Sha256::digest(format!("{title}\n{text}"));
    format!("\"{}\"", &STANDARD.encode(digest)[..16])
}

/// The Content-Security-Policy source that admits exactly this inline text.
fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::workspace::AccessType;
    use http_body_util::BodyExt as _;

    use super::*;

    fn target(phase: Phase, message: &str) -> Target {
        Target {
            uid: "u".into(),
            namespace: "team".into(),
            name: "lab".into(),
            site: "lab-abc.ws.example".into(),
            owner: "alice".into(),
            access_type: AccessType::OwnerOnly,
            shared: Arc::default(),
            run_id: String::new(),
            phase,
            message: message.into(),
            endpoint: None,
        }
    }

    fn domain() -> Domain {
        Domain::new("ws.example", 8443)
    }

    async fn text(response: Response) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn header<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).unwrap().to_str().unwrap()
    }

    #[tokio::test]
    async fn what_a_user_wrote_is_shown_as_text() {
        let response = state(
            &domain(),
            &target(Phase::Failed, "<img src=x onerror=alert(1)> & 'more'"),
            true,
        );
        let html = text(response).await;
        assert!(
            html.contains("&lt;img src=x onerror=alert(1)&gt; &amp; &#39;more&#39;"),
            "{html}"
        );
        assert!(!html.contains("<img"));
    }

    #[tokio::test]
    async fn a_starting_workspace_is_503_for_everybody_and_the_page_watches_by_itself() {
        let page = state(&domain(), &target(Phase::Starting, "Pulling the image."), true);
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(header(&page, "cache-control"), "no-store");
        assert_eq!(header(&page, "retry-after"), "1");
        let policy = header(&page, "content-security-policy").to_owned();
        let tag = header(&page, "etag").to_owned();
        let html = text(page).await;
        // The policy admits exactly the two inline texts of the page.
        for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
            let inline = html.split(open).nth(1).unwrap().split(close).next().unwrap();
            assert!(policy.contains(&source(inline)), "{policy}");
        }
        assert!(
            policy.contains("default-src 'none'") && policy.contains("form-action 'none'"),
            "{policy}"
        );
        assert!(html.contains("Pulling the image. It opens by itself."));
        assert!(html.contains("<noscript><meta http-equiv=\"refresh\""));
        // What the script compares: the tag of this page with the tag of a later answer.
        assert!(html.contains(&format!("data-page=\"{}\"", escape(&tag))));
        let later = state(
            &domain(),
            &target(Phase::Starting, "Starting the container."),
            false,
        );
        assert_ne!(header(&later, "etag"), tag);
        let same = state(&domain(), &target(Phase::Starting, "Pulling the image."), false);
        assert_eq!(header(&same, "etag"), tag);
        assert_eq!(header(&same, "content-type"), "application/json");
        let problem: serde_json::Value = serde_json::from_str(&text(same).await).unwrap();
        assert_eq!(problem["error"], "WorkspaceNotReady");
    }

    #[tokio::test]
    async fn a_stopped_workspace_leads_to_the_form_on_the_auth_host_and_only_there_is_it_sent() {
        let page = state(&domain(), &target(Phase::Stopped, ""), true);
        assert!(
            header(&page, "content-security-policy").contains("form-action https://auth.ws.example:8443;")
        );
        let html = text(page).await;
        assert!(
            html.contains("<form action=\"https://auth.ws.example:8443/start\">"),
            "{html}"
        );
        assert!(html.contains("value=\"lab-abc.ws.example\""));

        let form = start_form(&domain(), &target(Phase::Stopped, ""));
        assert_eq!(form.status(), StatusCode::OK);
        assert_eq!(
            header(&form, "referrer-policy"),
            "same-origin",
            "or browsers hide the form's origin"
        );
        assert!(
            header(&form, "content-security-policy")
                .contains("form-action 'self' https://lab-abc.ws.example:8443")
        );
        assert!(
            text(form)
                .await
                .contains("<form method=\"post\" action=\"/start\">")
        );
    }

    #[tokio::test]
    async fn a_refusal_names_nothing() {
        let response = denied(&domain());
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let html = text(response).await;
        assert!(html.contains("There is no such workspace, or you may not open it."));
        assert!(!html.contains("<script") && !html.contains("<form"));
    }
}
