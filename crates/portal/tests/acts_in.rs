//! Outside the namespaces in which the portal acts for users, its pages show commands, and nothing is sent as the user.

use api::Workspace;
use api::workspace::DesiredStatus;
use http::StatusCode;
use kit::scope::Scope;
use testkit::api_server::ApiServer;
use testkit::objects::workspace;

use crate::common::{Portal, next, prepare};

const WHY: &str = "In namespace other the portal only reads: an administrator limited where it acts (portal.scope: UserNamespaces).";
const STOP: &str = "kubectl workspace stop far -n other";
const RIGHTS: &[(&str, &str, &str, &str)] = &[
    ("alice", "list", "workspaces", "*"),
    ("alice", "patch", "workspaces", "*"),
    ("alice", "delete", "workspaces", "*"),
    ("alice", "create", "workspaceshares", "*"),
    ("alice", "get", "pods/log", "*"),
    ("alice", api::names::ASSIGN_OWNER_VERB, "workspaces", "*"),
];

/// Alice's workspaces `team/lab`, where the portal acts, and `other/far`, where it does not.
async fn portal() -> Portal {
    let portal = Portal::start_acting_in(&["team"], Scope::Cluster, |server: &ApiServer| {
        server.put(&workspace("lab"));
        put_far(server);
    })
    .await;
    portal.grant(RIGHTS);
    portal
}

/// The same namespaces, with templates. Alice may create workspaces in both.
pub(crate) async fn creating() -> Portal {
    let portal = Portal::start_acting_in(&["team"], Scope::Cluster, |server: &ApiServer| {
        prepare(server);
        put_far(server);
    })
    .await;
    portal.grant(&[
        ("alice", "create", "workspaces", "*"),
        ("alice", "use", "workspacetemplates", "*"),
    ]);
    portal
}

fn put_far(server: &ApiServer) {
    let mut far = workspace("far");
    far.metadata.namespace = Some("other".to_owned());
    server.put(&far);
}

#[tokio::test]
async fn pages_about_another_namespace_show_commands_and_why() {
    let portal = portal().await;
    for (path, command) in [
        ("/w/other/far", STOP),
        ("/w/other/far/stop", STOP),
        ("/w/other/far/edit", "Show the command"),
        ("/w/other/far/share", "kubectl"),
        ("/w/other/far/owner", "kubectl annotate"),
        ("/w/other/far/logs", "kubectl workspace logs far -n other"),
        ("/stop?workspace=other/far&workspace=team/lab", STOP),
        ("/namespaces/other", STOP),
    ] {
        let page = portal.get("alice", path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        assert!(page.text.contains(WHY), "{path}: {}", page.text);
        assert!(page.text.contains(command), "{path}: {}", page.text);
        assert!(!page.text.contains("/stop?namespace=other"), "{path}");
        assert!(!page.text.contains("cannot impersonate"), "{path}");
    }
    let mut stream = portal
        .open("alice", "/events?view=workspace&namespace=other&name=far")
        .await;
    let part = next(&mut stream).await.unwrap();
    assert!(part.contains(STOP), "{part}");
    assert!(portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn forms_about_another_namespace_are_refused_without_a_request_as_the_user() {
    let portal = portal().await;
    for (path, form) in [
        ("/w/other/far/stop", "uid=uid-of-far"),
        ("/w/other/far/delete", "uid=uid-of-far&name=far"),
        (
            "/w/other/far/share",
            "uid=uid-of-far&kind=User&name=dave&until=8h",
        ),
        ("/stop", "workspace=other/far/uid-of-far"),
    ] {
        let answer = portal.post("alice", path, form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.text);
        assert!(answer.text.contains(WHY), "{path}: {}", answer.text);
    }
    assert!(portal.calls_as_users().is_empty());
    let far: Workspace = portal.server.get(Some("other"), "far").unwrap();
    assert_eq!(far.spec.desired_status, DesiredStatus::Running);
}

#[tokio::test]
async fn a_list_has_buttons_where_the_portal_acts_and_commands_elsewhere() {
    let portal = portal().await;
    let list = portal.json("alice", "/").await;
    assert_eq!(list["layout"]["readOnly"], "");
    for (name, select, stop, other) in [
        ("lab", "team/lab", "/w/team/lab/stop", "kubectl workspace stop"),
        ("far", "", STOP, "/w/other/far/stop"),
    ] {
        let rows = list["rows"]["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        assert_eq!(row["select"], select, "{row:#}");
        let row = row.to_string();
        assert!(row.contains(stop) && !row.contains(other), "{row}");
    }
    let page = portal.get("alice", "/w/team/lab").await;
    assert!(!page.text.contains("switched changes off"), "{}", page.text);
    assert!(page.text.contains("/w/team/lab/stop"), "{}", page.text);
    let stopped = portal.post("alice", "/w/team/lab/stop", "uid=uid-of-lab").await;
    assert_eq!(stopped.status, StatusCode::SEE_OTHER, "{}", stopped.text);
}

#[tokio::test]
async fn a_new_workspace_of_another_namespace_is_shown_as_a_manifest() {
    let portal = creating().await;
    let page = portal
        .get("alice", "/new?namespace=other&template=jupyterlab")
        .await;
    assert!(page.text.contains(WHY), "{}", page.text);
    assert!(page.text.contains("Show the manifest"), "{}", page.text);
    let form = "namespace=other&template=jupyterlab&metadata.name=new&written=form";
    let shown = portal.post("alice", "/new", form).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    assert!(shown.text.contains("kubectl apply"), "{}", shown.text);
    assert!(portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn strangers_do_not_learn_in_which_namespaces_the_portal_acts() {
    let portal = portal().await;
    for place in ["team", "other", "none"] {
        for path in [
            format!("/w/{place}/lab"),
            format!("/w/{place}/lab/stop"),
            format!("/namespaces/{place}"),
        ] {
            let page = portal.get("dave", &path).await;
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
            assert!(
                !page.text.contains("switched changes off"),
                "{path}: {}",
                page.text
            );
        }
        let wrong = portal
            .post("dave", &format!("/w/{place}/lab/stop"), "what=1")
            .await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
        assert!(!wrong.text.contains("switched changes off"), "{}", wrong.text);
    }
}
