//! Tickets of programs: what they open, in which state of the workspace, by ssh too, and what a denial says.

use api::manager::Ssh;
use api::workspace::{AccessType, Phase};
use axum::body::Body;
use gateway::index::{Domain, Target};
use gateway::tokens::cookies;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use rules::access::{Policy, Shared};
use serde_json::json;

use super::assertion::claims;
use super::programs::{admitted, ask, ask_ticket, error, get, is, ticket, with};
use crate::support::browser::{NAVIGATION, headers};
use crate::support::fixture::{BOBS, Fixture, LAB, NONE, OPEN, lab, origin, target};

const SSH: &str = "/jupyter-k8s/ssh";

fn beside(ticket: &str, lines: &[(&str, &str)]) -> HeaderMap {
    let mut all = with(ticket);
    all.extend(headers(lines));
    all
}

#[tokio::test]
async fn a_ticket_opens_one_workspace_and_names_the_user_as_a_script() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    let given = ask_ticket(&fixture, &token, &format!("{LAB}:8443")).await;
    let body = given.json();
    assert_eq!(body["ssh"], "Enabled");
    assert_eq!(body["expiresAt"], "2027-01-15T08:15:00Z");
    let ticket = body["ticket"].as_str().unwrap();

    let answer = get(&fixture, LAB, with(ticket)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let attested = claims(&answer.headers);
    assert_eq!(
        (&attested["sub"], &attested["bearer"]),
        (&json!("alice"), &json!(true))
    );
    // The browser's own stays what it was.
    let own = alice.send("GET", &lab(), headers(&NAVIGATION)).await;
    assert_eq!(own.status, StatusCode::OK);
    assert_eq!(claims(&own.headers).get("bearer"), None);
    for name in ["set-cookie", "workspace-ticket", "authorization"] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    let opened = fixture.records("opened", 2).await;
    let by: Vec<_> = opened.iter().map(|record| record["by"].clone()).collect();
    assert_eq!(by, [json!(null), json!("program")]);
    // Never renewed.
    fixture.pass(14 * 60);
    let late = get(&fixture, LAB, with(ticket)).await;
    assert_eq!(late.status, StatusCode::OK);
    assert!(!late.headers.contains_key("set-cookie"));
    fixture.pass(60);
    let over = get(&fixture, LAB, with(ticket)).await;
    assert_eq!(error(&over), is(401, "SignInRequired"));
}

#[tokio::test]
async fn a_ticket_counts_for_its_host_alone_and_never_in_a_browser() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    alice.open(&format!("{}/", origin(OPEN))).await;
    let token = admitted(&alice).await;
    let ticket = ticket(&fixture, &token, LAB).await;
    let cookie = alice.cookie(LAB, cookies::TICKET).unwrap();
    let session = alice.cookie("auth.ws.example", cookies::SESSION).unwrap();
    let kept = |pair: String| [("cookie".to_owned(), pair)];
    let ws = cookies::TICKET;
    let refused = [
        (OPEN, with(&ticket)),
        (NONE, with(&ticket)),
        // Sealed for another purpose.
        (LAB, with(&cookie)),
        (LAB, with(&session)),
        (LAB, with(&token)),
        (LAB, with("")),
        (LAB, headers(&[("cookie", &format!("{ws}={ticket}"))])),
        (LAB, headers(&[("authorization", &format!("Bearer {ticket}"))])),
        (LAB, headers(&[("authorization", &format!("Bearer {token}"))])),
    ];
    for (host, lines) in refused {
        let answer = get(&fixture, host, lines.clone()).await;
        assert_eq!(error(&answer), is(401, "SignInRequired"), "{host} {lines:?}");
        assert!(
            fixture.handshake(host, &lines).await.is_none(),
            "{host} {lines:?}"
        );
    }
    // With something that only browsers send.
    for (name, value) in [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("sec-purpose", "prefetch"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into_iter()
    .chain(kept(format!("{ws}=x")))
    .chain(kept(format!("_xsrf=1; {}=x", cookies::PRE)))
    .chain(kept(format!("{}=x", cookies::SESSION)))
    {
        let lines = beside(&ticket, &[(&name, &value)]);
        let answer = get(&fixture, LAB, lines.clone()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}: {value}");
        assert!(fixture.handshake(LAB, &lines).await.is_none(), "{name}: {value}");
    }
    // The cookie decides, as if the ticket were absent.
    let both = beside(&ticket, &[("cookie", &format!("{ws}={cookie}"))]);
    assert_eq!(
        claims(&get(&fixture, LAB, both).await.headers).get("bearer"),
        None
    );
    // Pages of other origins, and of the workspace.
    for sender in [&origin(OPEN), "null", "https://evil.example"] {
        let lines = beside(&ticket, &[("origin", sender)]);
        assert_eq!(
            error(&get(&fixture, LAB, lines.clone()).await),
            is(403, "CrossOrigin")
        );
        assert!(fixture.handshake(LAB, &lines).await.is_none(), "{sender}");
    }
    let mut twice = with(&ticket);
    twice.append("workspace-ticket", ticket.parse().unwrap());
    assert_eq!(get(&fixture, LAB, twice).await.status, StatusCode::BAD_REQUEST);
    // A page load is not redirected.
    let load = get(&fixture, NONE, beside(&ticket, &[("accept", "text/html")])).await;
    assert_eq!(load.status, StatusCode::UNAUTHORIZED);
    // The controls.
    for lines in [
        with(&ticket),
        beside(&ticket, &[("origin", &origin(LAB))]),
        beside(&ticket, &[("cookie", "_xsrf=1")]),
    ] {
        assert_eq!(get(&fixture, LAB, lines.clone()).await.status, StatusCode::OK);
        assert!(fixture.handshake(LAB, &lines).await.is_some());
    }
}

#[tokio::test]
async fn a_denial_says_nothing_of_what_exists() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    let theirs = ask_ticket(&fixture, &token, &format!("{BOBS}:8443")).await;
    assert_eq!(error(&theirs), is(403, "NoAccess"));
    for other in [
        format!("{NONE}:8443"),
        format!("{NONE}:8443/lab"),
        "auth.ws.example:8443".to_owned(),
        "evil.example".to_owned(),
        format!("{LAB}:443"),
        LAB.to_owned(),
        format!("https://{LAB}:8443/"),
        String::new(),
    ] {
        let answer = ask_ticket(&fixture, &token, &other).await;
        assert_eq!(
            (answer.status, &answer.body),
            (theirs.status, &theirs.body),
            "{other}"
        );
    }
    // Browsers are told the same.
    let bobs = fixture.signed_in("bob", BOBS).await;
    let strange = bobs.cookie(BOBS, cookies::TICKET).unwrap();
    fixture.publish(vec![
        target(LAB, "alice", AccessType::OwnerOnly),
        target(BOBS, "carol", AccessType::OwnerOnly),
    ]);
    let browsers = headers(&[("cookie", &format!("{}={strange}", cookies::TICKET))]);
    let browsers = get(&fixture, BOBS, browsers).await;
    assert_eq!(browsers.json()["message"], theirs.json()["message"]);
    // The controls: a path is no part of the question, and letters may be large.
    for own in [
        format!("{LAB}:8443/lab/tree?x"),
        format!("{}:8443", LAB.to_uppercase()),
    ] {
        assert_eq!(
            ask_ticket(&fixture, &token, &own).await.status,
            StatusCode::OK,
            "{own}"
        );
    }
    let wrong = ask(&fixture, "ticket", Some(&token), &json!({"hosts": []})).await;
    assert_eq!(error(&wrong), is(400, "BadRequest"));
}

#[tokio::test]
async fn guests_get_tickets_until_their_share_ends() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let bob = fixture.signed_in("bob", BOBS).await;
    let token = admitted(&bob).await;
    let host = format!("{LAB}:8443");
    assert_eq!(
        error(&ask_ticket(&fixture, &token, &host).await),
        is(403, "NoAccess")
    );
    let mut shared = Shared::default();
    shared.add(
        &serde_json::from_value(json!({"kind": "User", "name": "bob"})).unwrap(),
        None,
    );
    fixture.publish(vec![Target {
        shared: shared.into(),
        ..target(LAB, "alice", AccessType::OwnerOnly)
    }]);
    let header = ticket(&fixture, &token, LAB).await;
    assert_eq!(get(&fixture, LAB, with(&header)).await.status, StatusCode::OK);
    let grant = fixture.handshake_at(LAB, SSH, &with(&header)).await.unwrap();
    assert!(fixture.app.is_valid(&grant));
    // Of the browser, of the program's request, and of its connection.
    let opened = fixture.records("opened", 3).await;
    assert!(
        opened
            .iter()
            .any(|record| record["by"] == "ssh" && record["rule"] == "share")
    );
    fixture.publish(vec![target(LAB, "alice", AccessType::OwnerOnly)]);
    assert!(!fixture.app.is_valid(&grant), "the relay cuts it");
    assert_eq!(
        error(&get(&fixture, LAB, with(&header)).await),
        is(403, "NoAccess")
    );
    // Made anew under the same name: the ticket was for another workspace.
    fixture.publish(vec![Target {
        uid: "another".into(),
        ..target(LAB, "bob", AccessType::OwnerOnly)
    }]);
    assert_eq!(
        error(&get(&fixture, LAB, with(&header)).await),
        is(401, "SignInRequired")
    );
}

#[tokio::test]
async fn a_manager_without_ssh_refuses_it_to_all_and_closes_what_is_open() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    let header = ticket(&fixture, &token, LAB).await;
    let open = fixture.handshake_at(LAB, SSH, &with(&header)).await.unwrap();
    let other = fixture.handshake(LAB, &with(&header)).await.unwrap();
    let targets = [
        target(LAB, "alice", AccessType::OwnerOnly),
        target(BOBS, "bob", AccessType::OwnerOnly),
    ];
    let policy = |ssh| Policy {
        ssh,
        ..Policy::default()
    };
    let domain = || Domain::new("ws.example", 8443);
    fixture.serve(domain(), policy(Ssh::Disabled), targets.clone());
    assert!(!fixture.app.is_valid(&open) && fixture.app.is_valid(&other));
    let cookie = alice.cookie(LAB, cookies::TICKET).unwrap();
    let page = headers(&[
        ("cookie", &format!("{}={cookie}", cookies::TICKET)),
        ("origin", &origin(LAB)),
    ]);
    for lines in [with(&header), page] {
        for path in [
            SSH,
            "/jupyter-k8s/ssh?x",
            "/jupyter-k8s//ssh/",
            "/x/../jupyter-k8s/%73sh",
        ] {
            let Err(refusal) = fixture.handshake_at(LAB, path, &lines).await else {
                panic!("{path}")
            };
            assert_eq!(refusal.status(), StatusCode::FORBIDDEN, "{path}");
            // Where a proxy leads websockets to pods itself.
            let answer = fixture
                .verify("GET", &format!("{}{path}", origin(LAB)), lines.clone())
                .await;
            assert_eq!(error(&answer), is(403, "SSHDisabled"), "{path}");
            let text = answer.json()["message"].to_string();
            assert!(text.contains("ssh is disabled by the WorkspaceManager"), "{text}");
        }
        for path in ["/", "/jupyter-k8s/activity", "/lab/jupyter-k8s/ssh"] {
            assert!(fixture.handshake_at(LAB, path, &lines).await.is_ok(), "{path}");
        }
    }
    let denied = fixture.records("denied", 1).await.remove(0);
    assert_eq!(
        (&denied["rule"], &denied["user"]),
        (&json!("ssh_disabled"), &json!("alice"))
    );
    let given = ask_ticket(&fixture, &token, &format!("{LAB}:8443")).await;
    assert_eq!(given.json()["ssh"], "Disabled");
    // Who may not connect learns nothing of it.
    let bob = fixture.signed_in("bob", BOBS).await;
    let stolen = with(&ticket(&fixture, &admitted(&bob).await, BOBS).await);
    let Err(refusal) = fixture.handshake_at(LAB, SSH, &stolen).await else {
        panic!("not his")
    };
    let refusal = Body::new(refusal.into_body()).collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&refusal).contains("ssh"), "{refusal:?}");
    fixture.serve(domain(), policy(Ssh::Enabled), targets);
    assert!(fixture.handshake_at(LAB, SSH, &with(&header)).await.is_ok());
}

#[tokio::test]
async fn the_relay_asks_with_the_path_and_says_in_which_state_a_workspace_is() {
    let fixture = Fixture::new().await;
    fixture.watch().await;
    let alice = fixture.signed_in("alice", LAB).await;
    let token = admitted(&alice).await;
    let stopped = || Target {
        phase: Phase::Stopped,
        ..target(LAB, "alice", AccessType::OwnerOnly)
    };
    fixture.publish(vec![stopped()]);
    let header = ticket(&fixture, &token, LAB).await;
    let handshake = || {
        let request = http::Request::get(SSH)
            .header("host", format!("{LAB}:8443"))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("workspace-ticket", &header)
            .body(Body::empty());
        fixture.ask_verify(request.unwrap())
    };
    for answer in [handshake().await, get(&fixture, LAB, with(&header)).await] {
        assert_eq!(error(&answer), is(503, "WorkspaceNotReady"));
        assert_eq!(answer.json()["phase"], "Stopped");
    }
    let policy = Policy {
        ssh: Ssh::Disabled,
        ..Policy::default()
    };
    fixture.serve(Domain::new("ws.example", 8443), policy, [stopped()]);
    assert_eq!(error(&handshake().await), is(403, "SSHDisabled"));
}
