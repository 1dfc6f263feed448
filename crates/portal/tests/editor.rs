//! The link to VS Code: its address, who has it, and when.

use api::Workspace;
use serde_json::{Value, json};
use testkit::objects::{manager, workspace};

use crate::common::Portal;
use crate::listing::share;

const LABEL: &str = "Open in VS Code";
const AT_OWN_HOST: &str = "vscode://vscode-remote/ssh-remote+lab.workspaces.localhost/home/jovyan";
const AT_HOME: &str = "vscode://vscode-remote/ssh-remote+lab.team.workspace/home/jovyan";

/// A workspace of alice with this status.
fn lab(status: &Value) -> Workspace {
    let mut object = serde_json::to_value(workspace("lab")).unwrap();
    object["status"] = json!({"url": "https://lab.workspaces.localhost:8443/"});
    json_patch::merge(&mut object["status"], status);
    if status["phase"] == "Stopped" {
        object["spec"]["desiredStatus"] = json!("Stopped");
    }
    serde_json::from_value(object).unwrap()
}

/// Its portal, where she shares it with dave and its manager's spec has these changes.
async fn portal(lab: &Workspace, spec: &Value) -> Portal {
    let mut object = serde_json::to_value(manager("main")).unwrap();
    json_patch::merge(&mut object["spec"], spec);
    let manager: api::WorkspaceManager = serde_json::from_value(object).unwrap();
    Portal::start(|server| {
        server.put(&manager);
        server.put(lab);
        server.put(&share("lab", "dave", true));
    })
    .await
}

/// Targets of the links of this label, anywhere in a view.
fn links(view: &Value, label: &str) -> Vec<String> {
    let inside = |values: &mut dyn Iterator<Item = &Value>| -> Vec<String> {
        values.flat_map(|value| links(value, label)).collect()
    };
    match view {
        Value::Object(object) if object.get("label").is_some_and(|it| it == label) => {
            let to = &object["way"]["link"]["to"];
            vec![to.as_str().unwrap().to_owned()]
        }
        Value::Object(object) => inside(&mut object.values()),
        Value::Array(array) => inside(&mut array.iter()),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn who_may_open_a_running_workspace_has_the_link_beside_open() {
    let portal = portal(&lab(&json!({"phase": "Running"})), &json!({})).await;
    // Of a guest: by the workspace's own host, which needs no right in Kubernetes.
    for (user, link) in [("alice", AT_HOME), ("dave", AT_OWN_HOST)] {
        for path in ["/", "/w/team/lab"] {
            let view = portal.json(user, path).await;
            assert_eq!(links(&view, "Open").len(), 1, "{user} {path}");
            assert_eq!(links(&view, LABEL), [link], "{user} {path}");
        }
    }
    portal.grant(&[("bob", "list", "workspaces", "team")]);
    let view = portal.json("bob", "/w/team/lab").await;
    assert_eq!(links(&view, "Open").len(), 0, "who only reads may not connect");
    assert_eq!(links(&view, LABEL).len(), 0);
    let page = portal.get("alice", "/w/team/lab").await.text;
    assert!(page.contains(&format!("href=\"{AT_HOME}\"")), "{page}");
}

#[tokio::test]
async fn the_page_says_what_the_link_needs_once() {
    let portal = portal(&lab(&json!({"phase": "Running"})), &json!({})).await;
    let owner = portal.json("alice", "/w/team/lab").await;
    assert_eq!(
        owner["head"]["editor"],
        json!({"login": "kubectl workspace login https://auth.workspaces.localhost:8443", "byAddress": ""})
    );
    let guest = portal.json("dave", "/w/team/lab").await;
    assert_eq!(guest["head"]["editor"], owner["head"]["editor"]);
    let page = portal.get("alice", "/w/team/lab").await.text;
    assert!(page.contains("kubectl workspace ssh-config"), "{page}");
}

#[tokio::test]
async fn where_workspaces_share_a_host_a_guest_without_rights_is_given_a_command() {
    let url = "https://workspaces.localhost:8443/workspaces/team/lab/";
    let spec = json!({"routing": {"mode": "Path", "pathModeSharing": "AcceptRisk"}});
    let portal = portal(&lab(&json!({"phase": "Running", "url": url})), &spec).await;
    for (user, command) in [
        ("alice", String::new()),
        ("dave", format!("kubectl workspace ssh {url}")),
    ] {
        let view = portal.json(user, "/w/team/lab").await;
        assert_eq!(links(&view, LABEL), [AT_HOME], "{user}");
        assert_eq!(view["head"]["editor"]["byAddress"], command, "{user}");
    }
}

#[tokio::test]
async fn the_link_opens_the_folder_of_the_disk() {
    let storage = json!({"mountPath": "/data/my files", "ephemeral": false});
    let status = json!({"phase": "Running", "resolved": {"storage": storage}});
    let portal = portal(&lab(&status), &json!({})).await;
    assert_eq!(
        links(&portal.json("alice", "/w/team/lab").await, LABEL),
        ["vscode://vscode-remote/ssh-remote+lab.team.workspace/data/my%20files"]
    );
}

#[tokio::test]
async fn there_is_no_link_where_ssh_cannot_work() {
    let foreign = json!({
        "authentication": {"gateway": null, "forwardAuth": {"address": "https://a.example/"}},
        "routing": {"traefik": null, "custom": {"resources": []}},
    });
    for (phase, spec, opens, has_link) in [
        ("Running", json!({}), 1, true),
        ("Running", json!({"remoteAccess": {}}), 1, true),
        ("Running", json!({"remoteAccess": {"ssh": "Enabled"}}), 1, true),
        ("Running", json!({"remoteAccess": {"ssh": "Disabled"}}), 1, false),
        ("Running", foreign, 1, false),
        ("Starting", json!({}), 1, false),
        ("Stopped", json!({}), 0, false),
    ] {
        let portal = portal(&lab(&json!({"phase": phase})), &spec).await;
        for user in ["alice", "dave"] {
            let page = portal.json(user, "/w/team/lab").await;
            assert_eq!(links(&page, "Open").len(), opens, "{user} {phase} {spec}");
            assert_eq!(!links(&page, LABEL).is_empty(), has_link, "{user} {phase} {spec}");
            assert_eq!(
                !page["head"]["editor"].is_null(),
                has_link,
                "{user} {phase} {spec}"
            );
        }
    }
}
