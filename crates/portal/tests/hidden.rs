//! A hidden workspace and a missing one look the same to a user without access, and many such requests cost little.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderMap, Method};
use serde_json::Value;
use testkit::api_server::Disruption;
use tokio::time::{Instant, sleep};

use crate::common::{Portal, Reply, next, prepare};
use crate::listing::{share, workspace_of};

/// Pages about the workspace that Dave may not see.
const PAGES: [&str; 6] = [
    "/w/team/his",
    "/w/team/his/delete",
    "/w/team/his/edit",
    "/w/team/his/yaml",
    "/w/team/his/logs",
    "/w/team/his/share",
];

/// Dave sees one workspace of Alice. Bob has one that Dave may not see, or has none.
async fn portal(has_his: bool) -> Portal {
    Portal::start(|server| {
        prepare(server);
        server.put(&workspace_of("alice", "hers", "team"));
        server.put(&share("hers", "dave", true));
        if has_his {
            server.put(&workspace_of("bob", "his", "team"));
        }
    })
    .await
}

/// The text without times, and without the identifier that each request has.
fn without_times(text: &str) -> String {
    let mut parts = text.split("<time ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |whole, part| whole + part.split_once("</time>").unwrap().1)
}

fn answered(answer: &Reply) -> (u16, HeaderMap, String) {
    let text = without_times(&answer.text);
    // The footer of each page names the request.
    let id = text
        .split_once("<p>Request <code>")
        .map(|(_, rest)| rest.split('<').next().unwrap());
    let text = match id {
        Some(id) => text.replace(id, "ID"),
        None => text.clone(),
    };
    (answer.status.as_u16(), answer.headers.clone(), text)
}

#[tokio::test]
async fn a_hidden_workspace_looks_like_one_that_does_not_exist() {
    let (with, without) = (portal(true).await, portal(false).await);
    let others = [
        "/w/team/his/owner",
        "/w/team/his/share/his-share/end",
        "/stop?workspace=team%2Fhis",
        "/stop?namespace=team",
        "/new?from=team/his",
        "/namespaces/team",
        "/templates",
        "/account",
        // Counts, filters, search and sort.
        "/",
        "/?q=his",
        "/?q=bob",
        "/?namespace=team",
        "/?state=running",
        "/?state=starting",
        "/?template=jupyterlab",
        "/?sort=-owner",
        "/?page=2",
        "/?deleted=team/his",
        "/events?view=workspace&namespace=team&name=his",
    ];
    for path in PAGES.into_iter().chain(others) {
        let (one, other) = (with.get("dave", path).await, without.get("dave", path).await);
        assert_eq!(answered(&one), answered(&other), "{path}");
        assert!(
            !one.text.contains("of-his") && !one.text.contains("bob</bdi>"),
            "{path}: {}",
            one.text
        );
    }
    for (path, form) in [
        ("/w/team/his/stop", "uid=uid-of-his"),
        ("/w/team/his/delete", "uid=uid-of-his&name=his"),
        ("/w/team/his/share", "uid=uid-of-his&kind=User&name=dave&until=8h"),
        ("/stop", "workspace=team%2Fhis%2Fuid-of-his"),
    ] {
        let (one, other) = (
            with.post("dave", path, form).await,
            without.post("dave", path, form).await,
        );
        assert_eq!(answered(&one), answered(&other), "{path}");
    }
    let (one, other) = (with.json("dave", "/").await, without.json("dave", "/").await);
    assert_eq!(one["counts"], other["counts"]);
    assert_eq!(one["rows"], other["rows"]);
    let asked: Vec<_> = with
        .calls_as_users()
        .into_iter()
        .map(|call| call.line())
        .collect();
    assert!(asked.iter().all(|line| !line.contains("his")), "{asked:?}");
}

/// How often each question was asked: user, verb, resource with subresource, namespace.
fn questions(portal: &Portal) -> BTreeMap<[String; 4], usize> {
    let mut all = BTreeMap::new();
    for call in portal.server.take_calls() {
        if !call.path.ends_with("subjectaccessreviews") {
            let is_of_roles = call.path.starts_with("/apis/rbac.authorization.k8s.io/");
            assert!(is_of_roles || call.query.contains("watch=true"), "{call:?}");
            continue;
        }
        let (spec, asked) = (&call.body["spec"], &call.body["spec"]["resourceAttributes"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resource = format!("{}/{}", text(&asked["resource"]), text(&asked["subresource"]));
        let question = [
            text(&spec["user"]),
            text(&asked["verb"]),
            resource,
            text(&asked["namespace"]),
        ];
        *all.entry(question).or_default() += 1;
    }
    all
}

#[tokio::test(start_paused = true)]
async fn two_hundred_open_lists_cause_few_requests_to_the_api_server() {
    const PEOPLE: usize = 40;
    const PAGES: usize = 5;
    let portal = Portal::start(|server| {
        for number in 0..PEOPLE {
            server.put(&workspace_of(
                "alice",
                &format!("lab-{number}"),
                &format!("team-{number}"),
            ));
        }
    })
    .await;
    // Each may list the workspaces of one namespace, and change nothing.
    portal.server.review(|spec| {
        let (user, asked) = (spec["user"].as_str().unwrap(), &spec["resourceAttributes"]);
        asked["verb"] == "list" && asked["namespace"] == user.replace("reader", "team")
    });
    for number in 0..PEOPLE {
        for _ in 0..PAGES {
            let (reader, list) = (format!("reader-{number}"), "/events?view=list");
            let mut body = portal.open(&reader, list).await;
            let first = next(&mut body).await.unwrap();
            assert!(first.contains(&format!("team-{number}/lab-{number}")), "{first}");
            portal.keep_open(&reader, list, body);
        }
    }
    sleep(Duration::from_secs(25)).await;
    let first = questions(&portal);
    let people = first
        .keys()
        .filter(|question| question[1] == "list" && !question[3].is_empty());
    assert_eq!(
        people.count(),
        PEOPLE * PEOPLE,
        "one for each person and namespace"
    );
    assert!(first.values().all(|times| *times == 1), "{first:#?}");
    // Afterwards only granted rights are reviewed again, once in 30 s, while the pages stay open.
    sleep(Duration::from_secs(28)).await;
    let then = questions(&portal);
    let own: Vec<_> = then
        .iter()
        .filter(|([user, verb, _, namespace], _)| {
            verb == "list" && *namespace == user.replace("reader", "team")
        })
        .collect();
    assert_eq!(own.len(), PEOPLE, "{then:#?}");
    assert_eq!(
        own.len(),
        then.len(),
        "a refusal is not asked about again: {then:#?}"
    );
    assert!(then.values().all(|times| *times == 1), "{then:#?}");
}

/// How late each read and each answer about rights is.
const LATE: Duration = Duration::from_millis(100);

/// How long the page takes then.
async fn time_of_answer(portal: &Portal, path: &str) -> Duration {
    for (method, part) in [
        (Method::POST, "subjectaccessreviews"),
        (Method::GET, "namespaces/team"),
    ] {
        for _ in 0..20 {
            portal
                .server
                .disrupt(method.clone(), part, Disruption::Late(LATE));
        }
    }
    let begin = Instant::now();
    let answer = portal.get("dave", path).await;
    assert!(!answer.text.contains("of-his"), "{path}: {}", answer.text);
    begin.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_workspace_of_others_is_answered_in_the_same_time_as_none() {
    let others = [
        "/new?from=team/his",
        "/events?view=workspace&namespace=team&name=his",
        "/?q=his",
    ];
    for path in PAGES.into_iter().chain(others) {
        // With nothing cached, and a second time.
        let (with, without) = (portal(true).await, portal(false).await);
        let first = time_of_answer(&with, path).await;
        assert!(first >= LATE, "{path} did not ask: {first:?}");
        assert_eq!(first, time_of_answer(&without, path).await, "{path}");
        let second = time_of_answer(&with, path).await;
        assert_eq!(second, time_of_answer(&without, path).await, "{path}");
    }
}
