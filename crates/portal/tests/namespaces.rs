//! The page of a namespace: all its workspaces, page by page, its quotas, and the stop of all that run.

use api::Workspace;
use api::workspace::{DesiredStatus, OwnershipType};
use http::StatusCode;
use k8s_openapi::api::core::v1::ResourceQuota;
use serde_json::{Value, json};
use testkit::api_server::ApiServer;
use testkit::objects::workspace;

use crate::common::{Portal, next};
use crate::typing::Typed;

const PAGE: &str = "/namespaces/team";
const STREAM: &str = "/events?view=namespace&in=team";
const ERIN: &[(&str, &str, &str, &str)] = &[
    ("erin", "list", "workspaces", "team"),
    ("erin", "patch", "workspaces", "team"),
    ("erin", api::names::ADMINISTER_VERB, "workspaces", "team"),
];

/// A namespace with so many running workspaces of Alice, and one of hers in another namespace.
async fn portal(count: usize) -> Portal {
    let portal = Portal::start(|server: &ApiServer| {
        for number in 0..count {
            server.put(&workspace(&format!("w{number:04}")));
        }
        let mut other = workspace("elsewhere");
        other.metadata.namespace = Some("other".to_owned());
        server.put(&other);
        let quota = json!({
            "metadata": {"name": "team", "namespace": "team"},
            "spec": {"hard": {"pods": "40", "requests.nvidia.com/gpu": "2"}},
            "status": {"hard": {"pods": "40", "requests.nvidia.com/gpu": "2"}, "used": {"pods": "30", "requests.nvidia.com/gpu": "2"}},
        });
        server.put(&serde_json::from_value::<ResourceQuota>(quota).unwrap());
    })
    .await;
    portal.grant(ERIN);
    portal
}

fn names(page: &Value) -> Vec<String> {
    let rows = page["rows"]["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The stop of all, as the page offers it.
fn stop_all(page: &Value) -> (String, String) {
    let action = &page["actions"]["actions"][0];
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{page:#}")).to_owned();
    (text(&action["label"]), text(&action["way"]["dialog"]["to"]))
}

fn running(portal: &Portal) -> usize {
    let all: Vec<Workspace> = portal.server.all();
    all.iter()
        .filter(|one| one.spec.desired_status == DesiredStatus::Running)
        .count()
}

#[tokio::test]
async fn it_has_fifty_rows_a_page_and_its_links_stay_on_it() {
    let portal = portal(60).await;
    let first = portal.json("erin", PAGE).await;
    assert_eq!(names(&first).len(), 50);
    assert_eq!(names(&first)[0], "w0000");
    assert_eq!(first["rows"]["pages"]["total"], 60);
    assert_eq!(first["rows"]["pages"]["next"], "/namespaces/team?page=2");
    assert_eq!(first["layout"]["live"], STREAM);
    let second = portal.json("erin", "/namespaces/team?page=2").await;
    assert_eq!(names(&second).len(), 10);
    assert_eq!(second["rows"]["pages"]["previous"], PAGE);
    let counts = second["counts"]["counts"].as_array().unwrap();
    assert_eq!(
        (&counts[0]["label"], &counts[0]["count"]),
        (&json!("All"), &json!(60))
    );
    assert_eq!(counts[1]["to"], "/namespaces/team?state=running");
    let sorted = portal.json("erin", "/namespaces/team?sort=-name").await;
    assert_eq!(names(&sorted)[0], "w0059");
    let wrong = portal.get("erin", "/namespaces/team?what=1").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    for user in ["alice", "eve"] {
        assert_eq!(
            portal.get(user, PAGE).await.status,
            StatusCode::NOT_FOUND,
            "{user}"
        );
    }
}

#[tokio::test]
async fn each_quota_says_which_part_is_used() {
    let portal = portal(1).await;
    let lines = portal.json("erin", PAGE).await["quotas"]["lines"].clone();
    let shown: Vec<_> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            json!([
                line["resource"],
                line["used"],
                line["hard"],
                line["percent"],
                line["tone"]
            ])
        })
        .collect();
    assert_eq!(
        shown,
        [
            json!(["pods", "30", "40", 75, "calm"]),
            json!(["requests.nvidia.com/gpu", "2", "2", 100, "warn"]),
        ]
    );
    let html = portal.get("erin", PAGE).await.text;
    assert!(html.contains("75 %") && !html.contains("Asked"), "{html}");
}

#[tokio::test]
async fn a_stop_of_all_covers_more_than_the_shown_rows_and_leads_back() {
    let portal = portal(60).await;
    for page in [PAGE, "/namespaces/team?page=2", "/namespaces/team?state=stopped"] {
        let (label, to) = stop_all(&portal.json("erin", page).await);
        assert_eq!(label, "Stop all 60…", "{page}");
        assert_eq!(to, "/stop?namespace=team&from=team");
    }
    let question = portal.json("erin", "/stop?namespace=team&from=team").await;
    assert_eq!(question["layout"]["title"], "Stop 60 workspaces?");
    assert_eq!(question["names"].as_array().unwrap().len(), 60);
    assert_eq!(question["cancel"], PAGE);
    assert_eq!(running(&portal), 61, "the question changes nothing");
    let mut form: Typed = serde_json::from_value(question["hidden"].clone()).unwrap();
    for left in [11, 1] {
        let progress = portal.sent("erin", "/stop", &form).await.json();
        assert_eq!(progress["back"]["way"]["link"]["to"], PAGE);
        assert_eq!(running(&portal), left, "{progress:#}");
        let end = &progress["result"]["end"]["way"]["post"]["hidden"];
        form = serde_json::from_value(end.clone()).unwrap_or_default();
        if left == 1 {
            assert_eq!(progress["result"]["end"], Value::Null);
        }
    }
    let chosen = portal
        .json("erin", "/stop?from=team&workspace=other%2Felsewhere")
        .await;
    assert_eq!(
        chosen["kind"], "Bad request",
        "erin does not see that one: {chosen:#}"
    );
    let elsewhere = portal
        .json("alice", "/stop?from=%2F%2Fevil&workspace=other%2Felsewhere")
        .await;
    assert_eq!(elsewhere["cancel"], "/", "only a namespace is led back to");
}

#[tokio::test]
async fn a_stop_of_all_leaves_out_what_only_its_owner_may_stop() {
    let portal = Portal::start(|server: &ApiServer| {
        for (name, ownership) in [
            ("of-all", OwnershipType::Public),
            ("of-alice", OwnershipType::OwnerOnly),
        ] {
            let mut workspace = workspace(name);
            workspace.spec.ownership_type = Some(ownership);
            server.put(&workspace);
        }
    })
    .await;
    portal.grant(&[
        ("frank", "list", "workspaces", "team"),
        ("frank", "patch", "workspaces", "team"),
    ]);
    let (label, to) = stop_all(&portal.json("frank", PAGE).await);
    assert_eq!(label, "Stop all 1…");
    let question = portal.json("frank", &to).await;
    assert_eq!(question["names"], json!(["team/of-all"]));
    let chosen = portal.json("frank", "/stop?workspace=team%2Fof-alice").await;
    assert_eq!(
        chosen["names"],
        json!(["team/of-alice"]),
        "the API server decides"
    );
    portal.server.remove::<Workspace>(Some("team"), "of-all");
    let nothing = loop {
        let answer = portal.get("frank", &to).await;
        if answer.status != StatusCode::OK {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST);
    assert!(
        nothing.text.contains("Nothing runs there that you may stop."),
        "{}",
        nothing.text
    );
}

#[tokio::test]
async fn a_stop_of_all_leaves_out_what_is_being_deleted() {
    let portal = portal(2).await;
    portal.server.edit::<Workspace>(Some("team"), "w0000", |object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        object["metadata"]["finalizers"] = json!(["x.example/y"]);
    });
    let to = loop {
        let (label, to) = stop_all(&portal.json("erin", PAGE).await);
        if label == "Stop all 1…" {
            break to;
        }
        tokio::task::yield_now().await;
    };
    let question = portal.json("erin", &to).await;
    assert_eq!(question["names"], json!(["team/w0001"]));
}

#[tokio::test]
async fn a_question_about_more_than_a_thousand_says_so() {
    let portal = portal(1_001).await;
    let (label, to) = stop_all(&portal.json("erin", PAGE).await);
    assert_eq!(label, "Stop all 1001…");
    let question = portal.json("erin", &to).await;
    assert_eq!(question["layout"]["title"], "Stop 1000 workspaces?");
    let text = question["text"][0].as_str().unwrap();
    assert!(text.contains("You may stop 1001 workspaces that run"), "{text}");
    assert_eq!(question["names"].as_array().unwrap().len(), 1_000);
}

#[tokio::test]
async fn without_the_right_to_stop_nothing_of_it_is_offered() {
    let portal = portal(2).await;
    portal.grant(&[("erin", "list", "workspaces", "team")]);
    let page = portal.json("erin", PAGE).await;
    assert_eq!(page["actions"]["actions"], json!([]));
    assert_eq!(page["bulk"], Value::Null);
    // Who may change workspaces, but not those that only their owner may change.
    let portal = self::portal(2).await;
    portal.grant(&[
        ("erin", "list", "workspaces", "team"),
        ("erin", "patch", "workspaces", "team"),
    ]);
    let page = portal.json("erin", PAGE).await;
    assert_eq!(names(&page).len(), 2);
    assert_eq!(page["actions"]["actions"], json!([]));
    assert_eq!(page["bulk"], Value::Null);
}

#[tokio::test]
async fn a_namesake_of_a_chosen_workspace_is_not_stopped() {
    let portal = portal(2).await;
    let question = portal.json("erin", "/stop?namespace=team&from=team").await;
    let form: Typed = serde_json::from_value(question["hidden"].clone()).unwrap();
    portal.server.edit::<Workspace>(Some("team"), "w0000", |object| {
        object["metadata"]["uid"] = json!("another");
    });
    while !portal.json("erin", "/stop?namespace=team").await["hidden"]
        .to_string()
        .contains("team/w0000/another")
    {
        tokio::task::yield_now().await;
    }
    let progress = portal.sent("erin", "/stop", &form).await.json();
    assert_eq!(progress["result"]["done"], 1, "{progress:#}");
    assert_eq!(running(&portal), 2, "the namesake and the one elsewhere run");
    let again = portal.sent("erin", "/stop", &form).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST, "{}", again.text);
}

#[tokio::test(start_paused = true)]
async fn an_open_page_outlasts_access_reviews_without_answer() {
    let portal = portal(2).await;
    // The first read of the stream has no answer, and the next one has.
    portal.server.disrupt(
        http::Method::POST,
        "subjectaccessreviews",
        testkit::api_server::Disruption::NoAnswer,
    );
    let mut body = portal.open("erin", STREAM).await;
    let first = next(&mut body).await.unwrap();
    assert!(
        first.contains("id=\"rows\"") && !first.contains("event: end"),
        "{first}"
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_kept_up_to_date_until_the_right_ends() {
    let portal = portal(2).await;
    let mut body = portal.open("erin", STREAM).await;
    let first = next(&mut body).await.unwrap();
    for part in ["id=\"rows\"", "id=\"counts\"", "id=\"actions\"", "id=\"quotas\""] {
        assert!(first.contains(part), "{part}: {first}");
    }
    assert!(first.contains("Stop all 2…"), "{first}");
    assert!(first.contains("href=\"/namespaces/team\">Reload"), "{first}");
    assert!(!first.contains("elsewhere"), "{first}");
    portal.server.edit::<Workspace>(Some("team"), "w0000", |object| {
        object["spec"]["desiredStatus"] = json!("Stopped");
        object["status"] = json!({"phase": "Stopped"});
    });
    let second = next(&mut body).await.unwrap();
    assert!(
        second.contains("Stop all 1…") && second.contains("Stopped"),
        "{second}"
    );
    // Quotas change without a change of a workspace.
    portal
        .server
        .edit::<ResourceQuota>(Some("team"), "team", |object| {
            object["status"]["used"]["pods"] = json!("10");
        });
    while next(&mut body).await.is_some() {}
    let third = next(&mut portal.open("erin", STREAM).await).await.unwrap();
    assert!(
        third.contains("25 %") && third.contains("id=\"quotas\""),
        "{third}"
    );
    let refused = next(&mut portal.open("eve", STREAM).await).await.unwrap();
    assert_eq!(refused, "event: end\ndata: gone\n\n");
}
