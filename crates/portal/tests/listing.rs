//! What each user sees, and that the rest looks as if it did not exist.

use std::time::Duration;

use api::names::CREATED_BY;
use api::workspace::AccessType;
use api::{Workspace, WorkspaceManager, WorkspaceShare};
use serde_json::{Value, json};
use testkit::objects::{deep_template, too_deep, workspace};

use crate::common::Portal;

pub(crate) fn workspace_of(owner: &str, name: &str, namespace: &str) -> Workspace {
    let mut workspace = workspace(name);
    workspace.metadata.namespace = Some(namespace.to_owned());
    let annotations = workspace.metadata.annotations.get_or_insert_default();
    annotations.insert(CREATED_BY.to_owned(), owner.to_owned());
    workspace
}

pub(crate) fn share(workspace: &str, user: &str, active: bool) -> WorkspaceShare {
    let share = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceShare",
        "metadata": {"name": format!("{workspace}-share"), "namespace": "team", "uid": "s", "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {CREATED_BY: "alice"}},
        "spec": {"workspaceRef": workspace, "workspaceUID": format!("uid-of-{workspace}"), "subjects": [{"kind": "User", "name": user}]},
        "status": {"conditions": [{"type": "Active", "status": if active { "True" } else { "False" }, "reason": "Active", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    });
    serde_json::from_value(share).unwrap()
}

async fn portal() -> Portal {
    Portal::start(|server| {
        server.put(&workspace_of("alice", "hers", "team"));
        server.put(&workspace_of("bob", "his", "team"));
        // What is too deep to be read takes nothing from a list.
        server.put(&too_deep(workspace_of("bob", "other", "lab")));
        server.put(&deep_template("deep", 125));
        let mut public = workspace_of("carol", "open", "lab");
        public.spec.access_type = Some(AccessType::Public);
        let status = public.status.get_or_insert_default();
        status.resolved.get_or_insert_default().access_type = Some(AccessType::Public);
        server.put(&public);
        server.put(&share("hers", "dave", true));
    })
    .await
}

fn names(list: &Value) -> Vec<String> {
    let rows = list["rows"]["rows"].as_array().unwrap();
    let mut names: Vec<_> = rows
        .iter()
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn users_see_their_own_what_is_shared_what_they_may_list_and_what_is_public() {
    let portal = portal().await;
    portal.grant(&[
        ("erin", "list", "workspaces", "team"),
        ("root", "list", "workspaces", "*"),
        ("frank", "create", "workspaces/connect", "lab"),
    ]);
    for (user, expected) in [
        ("alice", &["hers"][..]),
        ("bob", &["his", "other"]),
        ("dave", &["hers"]),
        ("erin", &["hers", "his"]),
        ("root", &["hers", "his", "open", "other"]),
        ("frank", &["open"]),
        ("nobody", &[]),
        ("Alice", &[]),
    ] {
        assert_eq!(names(&portal.json(user, "/").await), expected, "{user}");
    }
}

#[tokio::test]
async fn administrators_of_a_manager_see_its_workspaces() {
    let portal = portal().await;
    portal.server.edit::<WorkspaceManager>(None, "main", |manager| {
        manager["spec"]["authorization"] = json!({"adminGroups": ["admins"], "adminUsers": ["grace"]});
    });
    let all = ["hers", "his", "open", "other"];
    let mut seen = Vec::new();
    for _ in 0..50 {
        seen = names(&portal.json("eve|admins", "/").await);
        if seen == all {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(seen, all);
    assert_eq!(names(&portal.json("grace", "/").await), all);
    assert_eq!(names(&portal.json("eve|others", "/").await), [""; 0]);
}

#[tokio::test]
async fn guests_see_state_owner_and_link_and_nothing_else() {
    let portal = portal().await;
    portal.server.edit::<Workspace>(Some("team"), "hers", |object| {
        object["status"] = json!({"phase": "Failed", "reason": "ImagePullFailed", "message": "registry.internal says no",
            "resolved": {"image": "secret/image"}, "url": "https://hers.workspaces.localhost:8443/"});
    });
    let row = |list: &Value| list["rows"]["rows"][0].clone();
    let is_guest = |row: &Value| row["state"]["word"] == "Failed";
    for _ in 0..100 {
        if is_guest(&row(&portal.json("dave", "/").await)) {
            break;
        }
        tokio::task::yield_now().await;
    }
    let seen = row(&portal.json("dave", "/").await);
    assert_eq!(
        (&seen["state"]["word"], &seen["owner"]),
        (&json!("Failed"), &json!("alice"))
    );
    assert_eq!(
        (&seen["reason"], &seen["image"], &seen["size"]),
        (&json!(""), &json!(""), &json!([]))
    );
    let page = portal.get("dave", "/w/team/hers").await;
    assert_eq!(page.status, 200);
    for hidden in ["registry.internal", "ImagePullFailed", "secret/image"] {
        assert!(!page.text.contains(hidden), "{hidden}");
    }
    assert!(portal.calls_as_users().is_empty(), "nothing is read for a guest");
    let owner = row(&portal.json("alice", "/").await);
    assert_eq!(owner["reason"], "registry.internal says no");
}

#[tokio::test]
async fn a_long_message_is_one_line_of_the_list_and_whole_on_the_workspace_s_page() {
    let message = format!(
        "Back-off pulling image {}: not found",
        "registry.example.com/".repeat(9)
    );
    let portal = Portal::start(|server| {
        let mut hers = workspace_of("alice", "hers", "team");
        hers.status = serde_json::from_value(json!({"phase": "Failed", "reason": "ImagePullFailed", "message": message,
            "conditions": [{"type": "Degraded", "status": "True", "reason": "ImagePullFailed", "message": message,
                "lastTransitionTime": "2026-01-01T00:00:00Z"}]}))
        .unwrap();
        server.put(&hers);
    })
    .await;
    let list = portal.get("alice", "/").await.text;
    let shown = format!(
        "<small class=\"why\" title=\"{message}\"><bdi>{}…</bdi></small>",
        &message[..100]
    );
    assert!(list.contains(&shown), "{list}");
    let page = portal.get("alice", "/w/team/hers").await.text;
    assert!(page.contains(&message), "{page}");
}

#[tokio::test]
async fn an_image_without_a_name_for_users_is_shown_by_name_and_tag() {
    let digest = format!("@sha256:{}", "a".repeat(64));
    for (image, shown, is_whole) in [
        (
            "registry.example.com:5000/team/notebooks/scipy:2026",
            "scipy:2026",
            false,
        ),
        (&*format!("ghcr.io/team/scipy:2026{digest}"), "scipy:2026", false),
        ("uv", "uv", true),
    ] {
        let portal = Portal::start(|server| {
            let mut hers = workspace_of("alice", "hers", "team");
            hers.spec.image = Some(image.to_owned());
            server.put(&hers);
        })
        .await;
        let list = portal.get("alice", "/").await.text;
        let title = if is_whole {
            String::new()
        } else {
            format!(" title=\"{image}\"")
        };
        assert!(list.contains(&format!("<bdi{title}>{shown}</bdi>")), "{list}");
    }
}

#[tokio::test]
async fn the_brand_is_no_second_entry_of_the_navigation() {
    let page = portal().await.get("alice", "/").await.text;
    let (header, _) = page.split_once("</header>").unwrap();
    let (_, header) = header.split_once("<header>").unwrap();
    assert_eq!(header.matches(">Workspaces<").count(), 1, "{header}");
}

/// A workspace of alice with this status, which she shares with dave.
async fn shared_with_dave(status: Value) -> Portal {
    Portal::start(|server| {
        let mut hers = workspace_of("alice", "hers", "team");
        hers.status = serde_json::from_value(status).unwrap();
        server.put(&hers);
        server.put(&share("hers", "dave", true));
    })
    .await
}

#[tokio::test]
async fn a_guest_of_a_stopped_workspace_learns_how_it_starts() {
    let url = "https://hers.workspaces.localhost:8443/";
    for (start, text, offers) in [
        ("Owners", "Only its owner and administrators may start it.", false),
        ("Connectors", "You may start it at its address.", true),
    ] {
        let portal = Portal::start(|server| {
            let mut manager = testkit::objects::manager("main");
            manager.spec.authorization = serde_json::from_value(json!({"start": start})).unwrap();
            server.put(&manager);
            let mut hers = workspace_of("alice", "hers", "team");
            hers.spec.desired_status = api::workspace::DesiredStatus::Stopped;
            hers.status = serde_json::from_value(
                json!({"phase": "Stopped", "url": url, "disk": {"claimUID": "c", "size": "1Gi"}}),
            )
            .unwrap();
            server.put(&hers);
            server.put(&share("hers", "dave", true));
        })
        .await;
        let page = portal.json("dave", "/w/team/hers").await;
        assert_eq!(page["head"]["sentence"], text);
        let actions = page["head"]["actions"].as_array().unwrap();
        assert_eq!(
            actions.iter().any(|action| action["way"]["link"]["to"] == url),
            offers,
            "{actions:?}"
        );
        let owner = portal.json("alice", "/w/team/hers").await;
        assert_eq!(owner["head"]["sentence"], "The disk is kept.");
    }
}

#[tokio::test]
async fn a_workspace_without_a_url_has_no_link_and_says_where_it_is_opened() {
    for url in [None, Some("https://hers.workspaces.localhost:8443/")] {
        let portal = Portal::start(|server| {
            let routing = match url {
                Some(_) => json!({"baseDomain": "workspaces.localhost", "port": 8443, "traefik": {}}),
                None => json!({"external": {}}),
            };
            let mut manager = serde_json::to_value(testkit::objects::manager("main")).unwrap();
            manager["spec"]["routing"] = routing;
            let way = if url.is_some() { "gateway" } else { "application" };
            manager["spec"]["authentication"] = json!({way: {}});
            let manager: WorkspaceManager = serde_json::from_value(manager).unwrap();
            server.put(&manager);
            let mut hers = workspace_of("alice", "hers", "team");
            let condition = json!({
                "type": "Available", "status": "True", "reason": "Ready", "message": "",
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            });
            let status = json!({"phase": "Running", "url": url, "conditions": [condition]});
            hers.status = serde_json::from_value(status).unwrap();
            server.put(&hers);
        })
        .await;
        let head = portal.json("alice", "/w/team/hers").await["head"].clone();
        let sentence = head["sentence"].as_str().unwrap();
        assert_eq!(
            sentence.starts_with("It has no address of its own"),
            url.is_none(),
            "{sentence}"
        );
        let labels: Vec<_> = head["actions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["label"].clone())
            .collect();
        for label in ["Open", "Open in VS Code"] {
            assert_eq!(labels.contains(&json!(label)), url.is_some(), "{labels:?}");
        }
    }
}

/// Texts that only users who may list workspaces see.
const HIDDEN: [&str; 9] = [
    "registry.internal",
    "ImagePullFailed",
    "secret/image",
    "1 GiB",
    "1Gi",
    "workspace-hers",
    "deleted with all files",
    "its disk",
    "retain",
];

#[tokio::test]
async fn no_address_tells_a_guest_more() {
    let portal = shared_with_dave(
        json!({"phase": "Failed", "reason": "ImagePullFailed", "message": "registry.internal says no",
        "resolved": {"image": "secret/image", "storage": {"mountPath": "/home", "size": "1Gi", "retain": "Delete"}}}),
    )
    .await;
    let owner = portal.get("alice", "/w/team/hers").await;
    assert!(owner.text.contains("secret/image"), "{}", owner.text);
    portal.calls_as_users();
    let of_workspace = [
        "delete",
        "stop",
        "restart",
        "start",
        "share",
        "edit",
        "yaml",
        "logs",
        "logs/file",
        "logs/stream",
    ];
    for page in of_workspace {
        let answer = portal.get("dave", &format!("/w/team/hers/{page}")).await;
        assert_eq!(answer.status, 404, "{page}");
        assert!(
            answer.text.contains("There is nothing here for you"),
            "{page}: {}",
            answer.text
        );
    }
    for action in ["delete", "stop", "restart", "start", "share", "edit", "yaml"] {
        let answer = portal
            .post(
                "dave",
                &format!("/w/team/hers/{action}"),
                "uid=uid-of-hers&name=hers",
            )
            .await;
        assert_eq!(answer.status, 404, "{action}");
    }
    let pages = [
        "/",
        "/?sort=image",
        "/?deleted=team/hers",
        "/w/team/hers",
        "/w/team/hers?done=stop",
        "/new?from=team/hers",
        "/namespaces/team",
        "/account",
        "/templates",
    ];
    for page in pages {
        let answer = portal.get("dave", page).await;
        for hidden in HIDDEN {
            assert!(!answer.text.contains(hidden), "{page}: {hidden}");
        }
    }
    let writes = portal.calls_as_users();
    assert!(writes.iter().all(|call| !call.is_write()), "{writes:#?}");
}

#[tokio::test]
async fn a_guest_whose_roles_allow_an_action_does_it_without_seeing_more() {
    let portal = shared_with_dave(json!({"phase": "Running",
        "resolved": {"ownershipType": "Public", "storage": {"mountPath": "/home", "size": "1Gi", "retain": "Delete"}}}))
    .await;
    portal.grant(&[("dave", "delete", "workspaces", "team")]);
    let question = portal.get("dave", "/w/team/hers/delete").await;
    assert_eq!(question.status, 200);
    assert!(question.text.contains("Ask its owner first"), "{}", question.text);
    for hidden in HIDDEN {
        assert!(!question.text.contains(hidden), "{hidden}");
    }
    assert_eq!(
        portal.get("dave", "/w/team/hers/stop").await.status,
        404,
        "no right to patch"
    );
    let wrong = portal
        .post("dave", "/w/team/hers/delete", "uid=uid-of-hers&name=his")
        .await;
    assert_eq!(wrong.status, 422);
    let right = portal
        .post("dave", "/w/team/hers/delete", "uid=uid-of-hers&name=hers")
        .await;
    assert_eq!(right.status, 303, "{}", right.text);
}

#[tokio::test]
async fn the_order_of_rows_does_not_tell_the_image_of_a_guest() {
    let mut orders = Vec::new();
    for image in ["a", "m", "z"] {
        let portal = Portal::start(|server| {
            for (name, owner, image) in [
                ("one", "dave", "b"),
                ("hers", "alice", image),
                ("two", "dave", "n"),
            ] {
                let mut workspace = workspace_of(owner, name, "team");
                workspace.spec.image = Some(image.to_owned());
                workspace.status = serde_json::from_value(
                    json!({"phase": "Running", "startedAt": format!("2026-01-0{}T00:00:00Z", image.len())}),
                )
                .unwrap();
                server.put(&workspace);
            }
            server.put(&share("hers", "dave", true));
        })
        .await;
        let list = portal.json("dave", "/?sort=image").await;
        let rows = list["rows"]["rows"].as_array().unwrap();
        orders.push(rows.iter().map(|row| row["name"].clone()).collect::<Vec<_>>());
    }
    assert_eq!(orders[0].len(), 3);
    assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
}

#[tokio::test]
async fn namespaces_of_the_account_are_those_whose_workspaces_one_may_list() {
    let portal = portal().await;
    portal.grant(&[
        ("erin", "list", "workspaces", "team"),
        ("erin", "create", "workspaces", "lab"),
    ]);
    let account = portal.json("erin", "/account").await;
    assert_eq!(account["namespaces"], json!([["team", "/namespaces/team"]]));
}

#[tokio::test]
async fn an_inactive_share_opens_nothing() {
    let portal = Portal::start(|server| {
        server.put(&workspace_of("alice", "hers", "team"));
        server.put(&share("hers", "dave", false));
    })
    .await;
    assert!(names(&portal.json("dave", "/").await).is_empty());
    assert_eq!(portal.get("dave", "/w/team/hers").await.status, 404);
}

#[tokio::test]
async fn search_filters_and_pages_are_in_the_address() {
    let portal = Portal::start(|server| {
        for number in 0..120 {
            server.put(&workspace_of("alice", &format!("w{number:03}"), "team"));
        }
        server.put(&workspace_of("bob", "his", "lab"));
    })
    .await;
    portal.grant(&[("alice", "list", "workspaces", "*")]);
    let first = portal.json("alice", "/?of=mine").await;
    assert_eq!(first["rows"]["rows"].as_array().unwrap().len(), 50);
    assert_eq!(first["rows"]["pages"]["total"], 120);
    assert_eq!(first["rows"]["pages"]["next"], "/?of=mine&page=2");
    let last = portal.json("alice", "/?of=mine&page=3").await;
    assert_eq!(last["rows"]["rows"].as_array().unwrap().len(), 20);
    let beyond = portal.json("alice", "/?of=mine&page=99").await;
    assert_eq!(beyond["rows"]["pages"]["first"], 101);
    assert_eq!(names(&portal.json("alice", "/?q=W01").await).len(), 10);
    assert_eq!(names(&portal.json("alice", "/?q=bob").await), ["his"]);
    assert_eq!(names(&portal.json("alice", "/?namespace=lab").await), ["his"]);
    assert!(names(&portal.json("alice", "/?q=nothing").await).is_empty());
    let wrong = portal.get("alice", "/?what=1").await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn guests_stop_nothing_in_bulk_and_learn_nothing_by_asking() {
    let portal = portal().await;
    for (path, why) in [
        (
            "/stop?workspace=team%2Fhers",
            "None of the chosen workspaces runs.",
        ),
        ("/stop?namespace=team", "Nothing runs there that you may stop."),
    ] {
        let answer = portal.get("dave", path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text.contains(why), "{}", answer.text);
    }
    assert_eq!(
        portal.get("alice", "/stop?workspace=team%2Fhers").await.status,
        200
    );
}

#[tokio::test]
async fn who_may_list_a_namespace_is_offered_to_open_only_what_is_open_to_them() {
    let portal = Portal::start(|server| {
        for (owner, name) in [("alice", "hers"), ("bob", "his")] {
            let mut workspace = workspace_of(owner, name, "team");
            let status = json!({"phase": "Running", "observedGeneration": 1, "url": format!("https://{name}.workspaces.localhost:8443/")});
            workspace.status = Some(serde_json::from_value(status).unwrap());
            server.put(&workspace);
        }
        server.put(&share("hers", "erin", true));
    })
    .await;
    portal.grant(&[("erin", "list", "workspaces", "team")]);
    let rows = portal.json("erin", "/").await["rows"]["rows"].clone();
    let opens = |name: &str| {
        let row = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["name"] == name)
            .unwrap();
        row.to_string().contains("\"Open\"")
    };
    assert!(opens("hers") && !opens("his"), "{rows:#}");
    assert_eq!(names(&portal.json("erin", "/?of=shared").await), ["hers"]);
}
