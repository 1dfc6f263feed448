//! signing in: with whom, why not as this person, why not now -> a page (pure).

use std::fmt::Write as _;

use axum::response::Response;
use http::StatusCode;
use http::header::RETRY_AFTER;

use super::{Page, RETRY_SECONDS, escape};

/// An identity provider that a person may choose.
#[derive(Debug)]
pub struct Offer<'a> {
    /// What people call it.
    pub title: &'a str,
    /// Where choosing it leads to, a path of ours; `None`: it does not answer.
    pub link: Option<String>,
}

/// Asks a person with whom they want to sign in.
pub fn choice(offers: &[Offer<'_>]) -> Response {
    let mut list = String::from("<ul>");
    for offer in offers {
        let title = escape(offer.title);
        let _ = match &offer.link {
            Some(link) => write!(list, "<li><a href=\"{}\">{title}</a></li>", escape(link)),
            None => write!(list, "<li>{title} does not answer at the moment</li>"),
        };
    }
    list.push_str("</ul>");
    Page {
        title: "Sign in",
        text: "Choose where you have your account.",
        form: &list,
        form_action: "'none'",
        ..Page::default()
    }
    .respond(StatusCode::OK)
}

/// For somebody whom `provider` vouches for and this site does not admit. By which rule is nobody's business but the
/// administrator's. `person`: as they know themselves; `again`: path of ours that begins another login.
pub fn not_admitted(person: &str, provider: &str, again: &str) -> Response {
    let text = format!(
        "You are signed in at {provider} as {person}. This account is not admitted here. If it should be, ask your administrator."
    );
    let link = format!(
        "<p><a href=\"{}\">Sign in with another account</a></p>",
        escape(again)
    );
    Page {
        title: "This account is not admitted",
        text: &text,
        form: &link,
        form_action: "'none'",
        ..Page::default()
    }
    .respond(StatusCode::FORBIDDEN)
}

/// For somebody who wants to sign in at a provider that does not answer.
pub fn unreachable(provider: &str) -> Response {
    let mut response = super::message(
        StatusCode::SERVICE_UNAVAILABLE,
        "Try again shortly",
        &format!(
            "{provider}, where you would sign in, does not answer at the moment. Reload this page in a few seconds."
        ),
    );
    response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn html(response: Response) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn names_of_people_and_providers_are_text() {
        let offers = [
            Offer {
                title: "<b>One</b>",
                link: Some("/enter?t=x&with=one".into()),
            },
            Offer {
                title: "Two",
                link: None,
            },
        ];
        let page = html(choice(&offers)).await;
        assert!(
            page.contains("<a href=\"/enter?t=x&amp;with=one\">&lt;b&gt;One&lt;/b&gt;</a>"),
            "{page}"
        );
        assert!(
            page.contains("Two does not answer") && !page.contains("<b>"),
            "{page}"
        );
        let page = html(not_admitted("<i>x</i>", "<b>P</b>", "/enter?t=x&as=another")).await;
        assert!(!page.contains("<i>") && !page.contains("<b>"), "{page}");
        let response = unreachable("<b>P</b>");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(RETRY_AFTER));
        assert!(!html(response).await.contains("<b>"));
    }
}
