//! The start button: which users may use it, from which pages, and what it writes.

use api::Workspace;
use api::manager::Start;
use api::workspace::{DesiredStatus, Phase};
use gateway::index::{Domain, Target};
use http::{Method, StatusCode};
use rules::access::Policy;
use serde_json::json;
use testkit::api_server::Fault;

use crate::support::browser::{Answer, Browser, headers};
use crate::support::fixture::{AUTH, BOBS, Fixture, LAB, OPEN, origin, target};
use api::workspace::AccessType;

/// Alice's workspace, stopped, and she is signed in.
async fn stopped(fixture: &Fixture) -> Browser<'_> {
    let alice = fixture.signed_in("alice", LAB).await;
    fixture.publish(vec![
        Target {
            phase: Phase::Stopped,
            ..target(LAB, "alice", AccessType::OwnerOnly)
        },
        target(BOBS, "bob", AccessType::OwnerOnly),
    ]);
    store(fixture, DesiredStatus::Stopped);
    fixture.server.take_calls();
    alice
}

fn store(fixture: &Fixture, desired: DesiredStatus) {
    let workspace: Workspace = serde_json::from_value(json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": "lab-a", "namespace": "team", "uid": format!("uid-of-{LAB}")},
        "spec": {"displayName": "Lab", "desiredStatus": desired},
    }))
    .unwrap();
    fixture.server.put(&workspace);
}

fn stored(fixture: &Fixture) -> Workspace {
    fixture.server.get(Some("team"), "lab-a").unwrap()
}

async fn press(browser: &Browser<'_>, origin: Option<&str>, form: &str) -> Answer {
    let cookies = browser.cookies("auth.ws.example").unwrap_or_default();
    let mut lines = vec![
        ("cookie", cookies.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    lines.extend(origin.map(|origin| ("origin", origin)));
    browser
        .fixture
        .page(
            Method::POST,
            &format!("{AUTH}/start"),
            headers(&lines),
            form.to_owned(),
        )
        .await
}

fn wrote_nothing(fixture: &Fixture) -> bool {
    !fixture
        .server
        .take_calls()
        .iter()
        .any(testkit::api_server::Call::is_write)
}

#[tokio::test]
async fn the_owner_starts_a_stopped_workspace_and_is_named() {
    let fixture = Fixture::new().await;
    let alice = stopped(&fixture).await;
    let page = alice.step(&format!("{AUTH}/start?host={LAB}")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains(">Start</button>"), "{}", page.body);
    assert!(wrote_nothing(&fixture));

    let answer = press(&alice, Some(AUTH), &format!("host={LAB}")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.location(), Some(format!("{}/", origin(LAB)).as_str()));
    let workspace = stored(&fixture);
    assert_eq!(workspace.spec.desired_status, DesiredStatus::Running);
    assert_eq!(
        workspace.metadata.annotations.unwrap()[api::names::STARTED_BY],
        "alice"
    );
    let write = fixture
        .server
        .take_calls()
        .into_iter()
        .find(testkit::api_server::Call::is_write)
        .unwrap();
    assert_eq!(write.method, Method::PATCH);
    assert_eq!(write.content_type, "application/json-patch+json");
    let tested: Vec<_> = write
        .body
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["op"] == "test")
        .map(|step| step["path"].as_str().unwrap())
        .collect();
    assert_eq!(tested, ["/metadata/resourceVersion"]);
}

/// The page of a stopped workspace does not reload, so nobody is sent to it after a start.
#[tokio::test]
async fn a_start_is_answered_when_the_page_can_show_it() {
    let fixture = Fixture::new().await;
    let alice = stopped(&fixture).await;
    let form = format!("host={LAB}");
    let mut pressed = std::pin::pin!(press(&alice, Some(AUTH), &form));
    let written = async {
        while stored(&fixture).spec.desired_status == DesiredStatus::Stopped {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = pressed.as_mut() => panic!("answered before: {:?}", answer.status),
        () = written => {}
    }
    fixture.publish(vec![Target {
        phase: Phase::Starting,
        ..target(LAB, "alice", AccessType::OwnerOnly)
    }]);
    assert_eq!(pressed.await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_start_is_in_the_audit_log_once_and_what_starts_nothing_is_not() {
    let fixture = Fixture::new().await;
    let alice = stopped(&fixture).await;
    press(&alice, Some("https://evil.example"), &format!("host={LAB}")).await;
    fixture
        .server
        .fail(Fault::forbidden(Method::PATCH, "workspaces/lab-a", "quota", 1));
    let refused = press(&alice, Some(AUTH), &format!("host={LAB}")).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    press(&alice, Some(AUTH), &format!("host={LAB}")).await;
    // Runs by now.
    press(&alice, Some(AUTH), &format!("host={LAB}")).await;
    press(&alice, Some(AUTH), &format!("host={BOBS}")).await;
    fixture.records("denied", 1).await;
    let started = fixture.records("started", 1).await;
    assert_eq!(started.len(), 1, "{started:?}");
    let login = fixture.records("login", 1).await;
    for (field, value) in [
        ("user", "alice"),
        ("namespace", "team"),
        ("workspace", "lab-a"),
        ("rule", "owner"),
    ] {
        assert_eq!(started[0][field], value, "{field}");
    }
    assert_eq!(started[0]["uid"], format!("uid-of-{LAB}"));
    assert_eq!(started[0]["session"], login[0]["session"]);
    assert!(started[0]["runID"].is_string());
    assert_eq!(started[0]["request"].as_str().unwrap().len(), 16);
}

#[tokio::test]
async fn a_form_of_another_origin_starts_nothing() {
    let fixture = Fixture::new().await;
    let alice = stopped(&fixture).await;
    let own = origin(LAB);
    for sender in [
        None,
        Some("null"),
        Some(own.as_str()),
        Some("https://auth.ws.example"),
        Some("https://auth.ws.example:8443/"),
    ] {
        let answer = press(&alice, sender, &format!("host={LAB}")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{sender:?}");
    }
    assert!(wrote_nothing(&fixture));
    let framed = [
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-site", "same-site"),
    ];
    let answer = alice
        .send("GET", &format!("{AUTH}/start?host={LAB}"), headers(&framed))
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn strangers_and_users_who_are_not_signed_in_start_nothing() {
    let fixture = Fixture::new().await;
    stopped(&fixture).await;
    let stranger = fixture.browser("stranger");
    assert_eq!(
        press(&stranger, Some(AUTH), &format!("host={LAB}")).await.status,
        StatusCode::UNAUTHORIZED
    );
    let bob = fixture.signed_in("bob", BOBS).await;
    fixture.server.take_calls();
    let existing = press(&bob, Some(AUTH), &format!("host={LAB}")).await;
    let missing = press(&bob, Some(AUTH), "host=none.ws.example").await;
    assert_eq!(existing.status, StatusCode::FORBIDDEN);
    assert_eq!((existing.body, existing.headers), (missing.body, missing.headers));
    assert!(wrote_nothing(&fixture));
}

#[tokio::test]
async fn forms_that_say_something_else_are_refused() {
    let fixture = Fixture::new().await;
    let alice = stopped(&fixture).await;
    let long = format!("host={LAB}&x={}", "x".repeat(5000));
    for form in [
        "",
        "host=",
        "host=evil.example",
        "host=auth.ws.example",
        &format!("host={LAB}&host={LAB}"),
        &long,
    ] {
        let status = press(&alice, Some(AUTH), form).await.status;
        let refusal = if form == long {
            StatusCode::PAYLOAD_TOO_LARGE
        } else {
            StatusCode::BAD_REQUEST
        };
        assert_eq!(status, refusal, "{form}");
    }
    assert!(wrote_nothing(&fixture));
}

#[tokio::test]
async fn a_workspace_that_runs_or_is_another_one_stays_as_it_is() {
    let fixture = Fixture::new().await;
    let alice = stopped(&fixture).await;
    store(&fixture, DesiredStatus::Running);
    assert_eq!(
        press(&alice, Some(AUTH), &format!("host={LAB}")).await.status,
        StatusCode::SEE_OTHER
    );
    store(&fixture, DesiredStatus::Stopped);
    fixture.server.edit::<Workspace>(Some("team"), "lab-a", |object| {
        object["metadata"]["uid"] = json!("another");
    });
    assert_eq!(
        press(&alice, Some(AUTH), &format!("host={LAB}")).await.status,
        StatusCode::SEE_OTHER
    );
    assert!(wrote_nothing(&fixture));
    assert_eq!(stored(&fixture).spec.desired_status, DesiredStatus::Stopped);
}

#[tokio::test]
async fn a_change_by_another_user_meanwhile_is_asked_about_again() {
    let fixture = Fixture::new().await;
    let alice = stopped(&fixture).await;
    fixture.server.fail(Fault {
        method: Method::PATCH,
        path_part: "workspaces/lab-a",
        code: 422,
        reason: "Invalid",
        message: "testing value /metadata/resourceVersion failed".into(),
        times: 1,
    });
    assert_eq!(
        press(&alice, Some(AUTH), &format!("host={LAB}")).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(stored(&fixture).spec.desired_status, DesiredStatus::Running);
}

/// A workspace of alice's that everybody may open and that is stopped, and bob, who is signed in.
async fn open_to_guests(fixture: &Fixture, start: Start) -> Browser<'_> {
    let bob = fixture.signed_in("bob", OPEN).await;
    let policy = Policy {
        start,
        ..Policy::default()
    };
    let lab = Target {
        phase: Phase::Stopped,
        ..target(LAB, "alice", AccessType::Public)
    };
    fixture.serve(Domain::new("ws.example", 8443), policy, [lab]);
    store(fixture, DesiredStatus::Stopped);
    fixture.server.take_calls();
    bob
}

#[tokio::test]
async fn users_who_may_connect_start_it_only_with_start_connectors() {
    for start in [Start::Owners, Start::Connectors] {
        let fixture = Fixture::new().await;
        let bob = open_to_guests(&fixture, start).await;
        let may = start == Start::Connectors;
        let page = bob.open(&format!("{}/", origin(LAB))).await.answer;
        assert!(page.body.contains("is stopped"), "{}", page.body);
        assert_eq!(page.body.contains("/start\""), may, "{}", page.body);
        let form = bob.step(&format!("{AUTH}/start?host={LAB}")).await;
        assert_eq!(form.body.contains(">Start</button>"), may, "{}", form.body);
        let pressed = press(&bob, Some(AUTH), &format!("host={LAB}")).await;
        if may {
            assert_eq!(pressed.status, StatusCode::SEE_OTHER);
            assert_eq!(stored(&fixture).spec.desired_status, DesiredStatus::Running);
        } else {
            for refusal in [form, pressed] {
                assert_eq!(refusal.status, StatusCode::FORBIDDEN);
                assert!(
                    refusal.body.contains("Only its owner and administrators"),
                    "{}",
                    refusal.body
                );
            }
            assert_eq!(stored(&fixture).spec.desired_status, DesiredStatus::Stopped);
            let denied = fixture.records("denied", 2).await;
            assert!(
                denied
                    .iter()
                    .all(|record| record["user"] == "bob" && record["rule"] == "start"),
                "{denied:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_owner_without_the_template_permission_cannot_start() {
    let fixture = Fixture::new().await;
    let alice = stopped(&fixture).await;
    fixture.server.edit::<Workspace>(Some("team"), "lab-a", |object| {
        object["spec"]["templateRef"] = json!("production");
    });
    let is_about_template = |asked: &serde_json::Value| {
        let right = &asked["resourceAttributes"];
        right["resource"] == "workspacetemplates" && right["verb"] == "use" && right["name"] == "production"
    };
    fixture.server.review(move |asked| !is_about_template(asked));
    let form = alice.step(&format!("{AUTH}/start?host={LAB}")).await;
    assert!(!form.body.contains(">Start</button>"), "{}", form.body);
    let pressed = press(&alice, Some(AUTH), &format!("host={LAB}")).await;
    for refusal in [form, pressed] {
        assert_eq!(refusal.status, StatusCode::FORBIDDEN);
        assert!(
            refusal.body.contains("may not use its template"),
            "{}",
            refusal.body
        );
    }
    assert_eq!(stored(&fixture).spec.desired_status, DesiredStatus::Stopped);
    fixture
        .server
        .fail(Fault::internal(Method::POST, "subjectaccessreviews", 1));
    let unknown = press(&alice, Some(AUTH), &format!("host={LAB}")).await;
    assert_eq!(unknown.status, StatusCode::SERVICE_UNAVAILABLE);
    fixture.server.review(|_| true);
    let pressed = press(&alice, Some(AUTH), &format!("host={LAB}")).await;
    assert_eq!(pressed.status, StatusCode::SEE_OTHER);
    assert_eq!(stored(&fixture).spec.desired_status, DesiredStatus::Running);
}

#[tokio::test]
async fn behind_another_proxy_the_owner_of_the_assertion_sees_the_start_button() {
    let fixture = Fixture::new().await;
    let lab = format!("{}/", origin(LAB));
    let public = target(LAB, "alice", AccessType::Public);
    fixture.publish(vec![public.clone()]);
    let mut attested = Vec::new();
    for name in ["alice", "bob"] {
        let browser = fixture.browser(name);
        let landing = browser.open(&lab).await;
        assert!(landing.is_inside(), "{landing:#?}");
        attested.push((name, landing.answer.headers["workspace-assertion"].clone()));
    }
    fixture.publish(vec![Target {
        phase: Phase::Stopped,
        ..public
    }]);
    for (name, assertion) in attested {
        let lines = headers(&[
            ("workspace-assertion", assertion.to_str().unwrap()),
            ("accept", "text/html"),
        ]);
        let page = fixture.page(Method::GET, &lab, lines, String::new()).await;
        assert!(page.body.contains("is stopped"), "{}", page.body);
        assert_eq!(page.body.contains("/start\""), name == "alice", "{}", page.body);
    }
}
