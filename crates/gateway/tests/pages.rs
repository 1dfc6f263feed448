//! Every page of the gateway, for all kinds of users, is well-formed and contains only what its policy allows.
//!
//! `JUPYTER_K8S_PAGES=<folder> cargo test -p gateway every_page` also writes them there, to be looked at.

use api::workspace::Phase;
use axum::response::Response;
use gateway::index::Target;
use gateway::pages::{self, Reader, render};
use http::StatusCode;
use http_body_util::BodyExt as _;
use rules::access::Audience;

use crate::support::all_pages::{NO_IMAGE, NOW, all, domain, signed_in, target, with};
use crate::support::page::check;

async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

fn of(target: &Target, audience: Audience) -> Response {
    pages::workspace_page(&domain(), target, audience, NOW)
}

async fn page(response: Response) -> String {
    text(render(response, Reader::Browser)).await
}

async fn json(response: Response) -> serde_json::Value {
    serde_json::from_str(&text(render(response, Reader::Script)).await).unwrap()
}

#[tokio::test]
async fn every_page_is_well_formed_and_holds_nothing_that_its_policy_does_not_name() {
    let folder = std::env::var_os("JUPYTER_K8S_PAGES").map(std::path::PathBuf::from);
    for ((name, response), (_, again)) in all().into_iter().zip(all()) {
        let is_of_workspace = json(again).await["error"] == "WorkspaceNotReady";
        let response = render(response, Reader::Browser);
        let status = response.status();
        assert_eq!(header(&response, "cache-control"), "no-store", "{name}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff", "{name}");
        let request = header(&response, "x-request-id").to_owned();
        let policy = header(&response, "content-security-policy").to_owned();
        let referrer = header(&response, "referrer-policy").to_owned();
        let html = text(response).await;
        check(&html, &policy);
        let shows = html.contains(&format!("<code>{request}</code>"));
        let is_error = status.is_client_error() || status.is_server_error();
        assert_eq!(shows, is_error && !is_of_workspace, "{name}: {html}");
        assert_eq!(
            html.contains("<form") && name != "blank",
            referrer == "same-origin",
            "{name}"
        );
        assert!(
            html.len() < 20_000,
            "{name}: the proxy takes 64 KiB, and a logo may have half of them"
        );
        if let Some(folder) = &folder {
            let name = if name == "blank" {
                status.as_str().to_owned()
            } else {
                name.to_owned()
            };
            std::fs::write(folder.join(format!("{name}.html")), html).unwrap();
        }
    }
}

#[tokio::test]
async fn every_answer_to_a_script_has_one_shape() {
    for (name, response) in all() {
        let response = render(response, Reader::Script);
        assert_eq!(header(&response, "content-type"), "application/json", "{name}");
        let request = header(&response, "x-request-id").to_owned();
        let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        let word = body["error"].as_str().unwrap();
        assert!(
            word.starts_with(|first: char| first.is_ascii_uppercase()),
            "{name}: {word}"
        );
        assert!(!body["message"].as_str().unwrap().is_empty(), "{name}");
        assert_eq!(body["requestId"], request, "{name}");
    }
}

#[tokio::test]
async fn a_workspace_is_called_by_its_display_name_and_the_one_in_its_address() {
    let called = "Waves &#38; &#60;quakes&#62; (seismic-lab)";
    let list = page(signed_in("alice")).await;
    assert!(list.contains(&format!("\">{called}</a>")), "{list}");
    let stopped = Target {
        display_name: Some("Waves & <quakes>".into()),
        ..target(Phase::Stopped, "Stopped", "")
    };
    let shown = page(of(&stopped, Audience::OwnerOrAdmin)).await;
    assert!(shown.contains(&format!("{called} is stopped")), "{shown}");
}

#[tokio::test]
async fn what_a_user_wrote_is_shown_as_text() {
    let hostile = "<img src=x onerror=alert(1)> & 'more' \"x\" </script> `<b>`";
    let html = page(of(
        &target(Phase::Failed, "ImagePullFailed", hostile),
        Audience::OwnerOrAdmin,
    ))
    .await;
    assert!(
        html.contains("&#60;img src=x onerror=alert(1)&#62; &#38; &#39;more&#39;"),
        "{html}"
    );
    assert!(!html.contains("<img") && !html.contains("<b>"));
    let html = page(signed_in("<img src=x>")).await;
    assert!(
        html.contains("&lt;img src=x&gt;") && !html.contains("<img"),
        "{html}"
    );
}

#[tokio::test]
async fn owners_see_the_blocker_of_a_start_and_other_users_that_there_is_one() {
    let stuck = target(Phase::Starting, "ImagePullFailed", NO_IMAGE);
    let keeper = page(of(&stuck, Audience::OwnerOrAdmin)).await;
    for message in [
        "ImagePullFailed",
        "registry.example/lab:v9",
        "imagePullSecrets",
        "Waiting for 12 s",
    ] {
        assert!(keeper.contains(message), "{message} in {keeper}");
    }
    let steps = |html: &str| -> Vec<String> {
        html.split("<li ")
            .skip(1)
            .map(|item| {
                item.split("class=\"")
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    };
    assert_eq!(steps(&keeper), ["done", "done", "stuck", "next", "next", "next"]);
    let guest = page(of(&stuck, Audience::Viewer)).await;
    assert!(
        guest.contains("The start is blocked.") && guest.contains("The owner sees"),
        "{guest}"
    );
    assert!(
        !guest.contains("registry.example") && !guest.contains("ImagePullFailed"),
        "{guest}"
    );
    let fetched = json(of(&stuck, Audience::Viewer)).await.to_string();
    assert!(
        !fetched.contains("registry.example") && !fetched.contains("ImagePullFailed"),
        "{fetched}"
    );
    let runs = with(target(Phase::Starting, "Starting", ""), |status_detail| {
        status_detail.started = true;
    });
    let html = page(of(&runs, Audience::OwnerOrAdmin)).await;
    assert_eq!(steps(&html), ["done", "done", "done", "done", "now", "next"]);
    let ready = page(of(&target(Phase::Running, "", ""), Audience::Viewer)).await;
    assert_eq!(steps(&ready), ["done", "done", "done", "done", "done", "now"]);
}

#[tokio::test]
async fn only_a_page_that_changes_soon_reloads_itself_and_none_with_a_form_does() {
    for (name, response) in all() {
        let html = page(response).await;
        let reloads = html.contains("http-equiv=\"refresh\"");
        let changes = name.starts_with("starting") || ["ready", "stopping", "no-provider"].contains(&name);
        assert_eq!(reloads, changes, "{name}: {html}");
        assert!(!html.contains("<script"), "{name}: {html}");
        assert!(!reloads || !html.contains("<form"), "{name}: {html}");
    }
}

#[tokio::test]
async fn a_stopped_workspace_says_why_and_leads_to_the_form_on_the_auth_host() {
    let stopped = target(Phase::Stopped, "Stopped", "No pod is left; the disk is kept.");
    let starter = page(of(&stopped, Audience::Starter)).await;
    assert!(
        starter.contains("Stopped.") && starter.contains("/start\""),
        "{starter}"
    );
    let guest = page(of(&stopped, Audience::Viewer)).await;
    assert!(
        !guest.contains("/start\"") && guest.contains("Only its owner and administrators may start it."),
        "{guest}"
    );
    for page in [starter, guest] {
        assert!(!page.contains("the disk is kept"), "the status's message: {page}");
    }
    let html = page(of(&stopped, Audience::OwnerOrAdmin)).await;
    for message in [
        "Stopped.",
        "the disk is kept",
        "<form method=\"get\" action=\"https://auth.ws.example:8443/start\">",
        "value=\"seismic-lab-abc.ws.example\"",
    ] {
        assert!(html.contains(message), "{message} in {html}");
    }
    let idle = with(stopped.clone(), |status_detail| {
        status_detail.stopped_when = Some("after 60 min without use".to_owned());
    });
    let html = page(of(&idle, Audience::Viewer)).await;
    assert!(html.contains("Stopped after 60 min without use"), "{html}");

    let old = with(stopped.clone(), |status_detail| {
        status_detail.deletion = "It is deleted at 2026-01-31T00:00:00Z".to_owned();
    });
    let html = page(of(&old, Audience::OwnerOrAdmin)).await;
    assert!(html.contains("It is deleted at 2026-01-31T00:00:00Z"), "{html}");
    let html = page(of(&old, Audience::Viewer)).await;
    assert!(!html.contains("It is deleted"), "{html}");

    let form = render(pages::start_form(&domain(), &stopped, "alice"), Reader::Browser);
    assert_eq!(form.status(), StatusCode::OK);
    assert_eq!(
        header(&form, "referrer-policy"),
        "same-origin",
        "or browsers hide the form's origin"
    );
    assert!(
        header(&form, "content-security-policy")
            .contains("form-action 'self' https://seismic-lab-abc.ws.example:8443;")
    );
    let html = text(form).await;
    assert!(
        html.contains("<form method=\"post\" action=\"/start\">") && html.contains("signed in as alice"),
        "{html}"
    );
}

#[tokio::test]
async fn existing_headers_and_bodies_of_answers_stay() {
    let mut response = pages::Failure::Unavailable.answer();
    response
        .headers_mut()
        .insert("set-cookie", "a=b".parse().unwrap());
    assert_eq!(header(&render(response, Reader::Browser), "set-cookie"), "a=b");
    let mut own = Response::new(axum::body::Body::from("{}"));
    *own.status_mut() = StatusCode::BAD_REQUEST;
    own.headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    assert_eq!(text(render(own, Reader::Browser)).await, "{}");
    let fine = render(Response::new(axum::body::Body::from("callback")), Reader::Browser);
    assert_eq!(header(&fine, "x-request-id"), "");
    assert_eq!(text(fine).await, "callback");
}
