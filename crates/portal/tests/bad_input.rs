//! Addresses and forms that are wrong: a page says what is wrong and what to do, and nothing is done.

use api::WorkspaceManager;
use axum::body::Body;
use http::{Method, StatusCode};
use testkit::objects::workspace;

use crate::common::{Portal, Reply, get, posted};

async fn portal() -> Portal {
    Portal::start(|server| server.put(&workspace("lab"))).await
}

/// A page with this sentence, the request's identifier and a way back.
fn assert_page(answer: &Reply, status: StatusCode, sentence: &str, back: &str) {
    let text = &answer.text;
    assert_eq!(answer.status, status, "{text}");
    assert!(text.contains("<h1>"), "no page: {text}");
    assert!(text.contains(sentence), "{sentence}: {text}");
    assert!(text.contains("name this request"), "{text}");
    assert!(text.contains(&format!("href=\"{back}\"><bdi>Back")), "{text}");
}

#[tokio::test]
async fn a_parameter_that_is_unknown_repeated_or_wrong_is_named() {
    let portal = portal().await;
    for (path, query, sentence) in [
        ("/", "q=a&q=b", "&quot;q&quot; was sent more than once"),
        ("/", "page=two", "no parameter &quot;page&quot;"),
        ("/new", "tmplate=x", "no parameter &quot;tmplate&quot;"),
        (
            "/w/team/lab",
            "done=a&done=b",
            "&quot;done&quot; was sent more than once",
        ),
        ("/w/team/lab", "what=1", "no parameter &quot;what&quot;"),
        (
            "/w/team/lab/share",
            "done=a&done=b",
            "&quot;done&quot; was sent more than once",
        ),
        ("/w/team/lab/yaml", "fields=x", "no parameter &quot;fields&quot;"),
        (
            "/w/team/lab/logs",
            "previous=perhaps",
            "no parameter &quot;previous&quot;",
        ),
    ] {
        let answer = portal.get("alice", &format!("{path}?{query}")).await;
        assert_page(&answer, StatusCode::BAD_REQUEST, sentence, path);
    }
    let stop = portal.get("alice", "/stop?workspaces=team%2Flab").await;
    assert_page(
        &stop,
        StatusCode::BAD_REQUEST,
        "no field &quot;workspaces&quot;",
        "/",
    );
    for path in [
        "/w/team/%ff",
        "/w/team/%ff/edit",
        "/namespaces/%ff",
        "/templates/%ff",
    ] {
        let answer = portal.get("alice", path).await;
        assert_page(
            &answer,
            StatusCode::BAD_REQUEST,
            "A name in the address must be text",
            "/",
        );
    }
    assert!(portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn a_field_that_is_unknown_or_repeated_is_named_and_nothing_is_done() {
    let portal = portal().await;
    for (path, form, sentence, back) in [
        (
            "/w/team/lab/stop",
            "uid=uid-of-lab&uid=uid-of-lab",
            "&quot;uid&quot; was sent more than once",
            "/w/team/lab/stop",
        ),
        (
            "/w/team/lab/delete",
            "uid=uid-of-lab&name=lab&force=true",
            "no field &quot;force&quot;",
            "/w/team/lab/delete",
        ),
        (
            "/w/team/lab/owner",
            "uid=uid-of-lab&before=alice&owner=bob&owner=eve",
            "&quot;owner&quot; was sent more than once",
            "/w/team/lab/owner",
        ),
        (
            "/w/team/lab/share",
            "uid=uid-of-lab&kind=User&name=bob&until=8h&role=admin",
            "no field &quot;role&quot;",
            "/w/team/lab/share",
        ),
        (
            "/stop",
            "workspace=team%2Flab%2Fuid-of-lab&namespace=team",
            "no field &quot;namespace&quot;",
            "/",
        ),
        (
            "/stop",
            "workspace=team%2Flab%2Fuid-of-lab&from=a&from=b",
            "&quot;from&quot; was sent more than once",
            "/",
        ),
    ] {
        let answer = portal.post("alice", path, form).await;
        assert_page(&answer, StatusCode::BAD_REQUEST, sentence, back);
    }
    let bare = portal.post("alice", "/new", "metadata.name=a").await;
    assert_eq!(bare.status, StatusCode::BAD_REQUEST);
    assert!(bare.text.contains("must name namespace"), "{}", bare.text);
    assert!(portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn a_form_that_cannot_be_read_gets_a_page_and_nothing_is_done() {
    let portal = portal().await;
    let long = format!(
        "workspace=team%2Flab%2Fuid-of-lab&from={}",
        "x".repeat(257 * 1024)
    );
    for (path, back) in [
        ("/stop", "/"),
        ("/w/team/lab/stop", "/w/team/lab/stop"),
        ("/new/check", "/new"),
    ] {
        let answer = portal.post("alice", path, &long).await;
        assert_page(
            &answer,
            StatusCode::PAYLOAD_TOO_LARGE,
            "A form may have 256 KiB",
            back,
        );
        let mut json = posted("alice", path, "{\"uid\": \"uid-of-lab\"}");
        let json_type = http::HeaderValue::from_static("application/json");
        json.headers_mut().insert("content-type", json_type);
        let answer = portal.send(json).await;
        assert_page(&answer, StatusCode::UNSUPPORTED_MEDIA_TYPE, "content type", back);
    }
    let answer = portal.post("alice", "/account", "").await;
    assert_page(&answer, StatusCode::METHOD_NOT_ALLOWED, "loaded by GET", "/");
    assert!(portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn a_form_that_is_cut_short_gets_a_page_and_nothing_is_done() {
    let portal = portal().await;
    for path in ["/new", "/new/check"] {
        let parts = [
            Ok("namespace=team&template=jup"),
            Err(std::io::Error::other("the connection is gone")),
        ];
        let body = Body::from_stream(futures::stream::iter(parts));
        let answer = portal.send(posted("alice", path, body)).await;
        assert_page(
            &answer,
            StatusCode::BAD_REQUEST,
            "It did not arrive whole. Nothing was changed.",
            "/new",
        );
    }
    assert!(portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn a_user_above_the_limit_gets_the_time_of_the_next_request() {
    let portal = portal().await;
    for _ in 0..60 {
        let answer = portal.post("alice", "/stop", "").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    let mut answer = portal.post("alice", "/stop", "").await;
    // One more is allowed for each second that this takes.
    for _ in 0..600 {
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        answer = portal.post("alice", "/stop", "").await;
    }
    assert_page(&answer, StatusCode::TOO_MANY_REQUESTS, "60 changes at once", "/");
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(portal.get("alice", "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_before_any_page_is_a_page_as_well() {
    let portal = portal().await;
    let mut foreign = get("alice", "/w/team/lab/stop");
    *foreign.method_mut() = Method::POST;
    let answer = portal.send(foreign).await;
    let sentence = "did not come from a page of the portal";
    assert_page(&answer, StatusCode::FORBIDDEN, sentence, "/w/team/lab/stop");
    let mut unsigned = get("alice", "/");
    unsigned.headers_mut().remove("workspace-assertion");
    let answer = portal.send(unsigned).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text.contains("<h1>"), "{}", answer.text);
    assert!(
        answer.text.contains("Open this page by its address"),
        "{}",
        answer.text
    );
    portal.server.remove::<WorkspaceManager>(None, "main");
    for _ in 0..1_000 {
        let answer = portal.get("alice", "/").await;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            assert!(answer.text.contains("<h1>"), "{}", answer.text);
            assert!(
                answer
                    .text
                    .contains("No WorkspaceManager is marked as the default"),
                "{}",
                answer.text
            );
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the portal keeps its addresses without a manager");
}
