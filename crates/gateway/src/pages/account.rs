//! who is signed in -> the first page of the auth host, which is where people sign out (pure).

use axum::response::Response;
use http::StatusCode;

use super::{Page, with_origin};

/// For somebody who is signed in. Its buttons send a POST to `/sign-out`. `leads_to`: origin of the provider's sign-out, which
/// the answer leads to.
pub fn signed_in(user_name: &str, leads_to: Option<&str>) -> Response {
    let form = "<form method=\"post\" action=\"/sign-out\"><p><button>Sign out</button></p>\
                <p><button name=\"everywhere\" value=\"yes\">Sign out everywhere</button></p></form>";
    let response = Page {
        title: "You are signed in",
        text: &format!(
            "You are {user_name}. Signing out closes your workspaces in this browser; signing out everywhere closes them in \
             all browsers. They go on running."
        ),
        form,
        // Browsers apply form-action to the redirect that follows as well.
        form_action: &format!("'self' {}", leads_to.unwrap_or_default()),
        ..Page::default()
    }
    .respond(StatusCode::OK);
    with_origin(response)
}

/// For somebody who is not.
pub fn signed_out() -> Response {
    super::message(
        StatusCode::OK,
        "You are signed out",
        "To sign in, open the address of a workspace.",
    )
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::super::escape;
    use super::*;

    #[tokio::test]
    async fn the_page_of_a_person_shows_names_as_text_and_sends_forms_to_itself_and_the_provider_only() {
        let response = signed_in("<img src=x>", Some("https://identity.example"));
        assert_eq!(response.headers()["referrer-policy"], "same-origin");
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            policy.contains("form-action 'self' https://identity.example;"),
            "{policy}"
        );
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let html = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            html.contains(&escape("<img src=x>")) && !html.contains("<img"),
            "{html}"
        );
        assert!(!html.contains("<script"), "{html}");
    }
}
