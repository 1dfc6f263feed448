//! Texts of others in objects -> every page in its states, through the router.

use std::sync::Arc;

use api::names::{CREATED_BY, DEPRECATED, LAST_UPDATED_BY, REPLACED_BY, WORKSPACE_LABEL};
use api::{Workspace, WorkspaceShare, WorkspaceTemplate};
use http::{Method, StatusCode};
use k8s_openapi::api::core::v1::{Event, Pod, ResourceQuota};
use portal::cluster::Mode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Fault};
use testkit::objects::{template, workspace};

use crate::common::{Portal, Reply, namespace, sharing};
use crate::forms::{MEMORY, NEW};
use crate::typing::Typed;

/// What is done to every text that others write, such as names and messages.
pub(crate) type Foreign<'a> = &'a dyn Fn(&str) -> String;

const TIME: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2126-01-01T00:00:00Z";

/// Alice may do everything with her workspaces and see those of the namespace.
const RIGHTS: &[(&str, &str, &str, &str)] = &[
    ("alice", "list", "workspaces", "team"),
    ("alice", "create", "workspaces", "team"),
    ("alice", "patch", "workspaces", "team"),
    ("alice", "delete", "workspaces", "team"),
    ("alice", "get", "pods/log", "team"),
    ("alice", "create", "workspaceshares", "team"),
    ("alice", "patch", "workspaceshares", "team"),
    ("alice", "use", "workspacetemplates", "team"),
];

/// Pages that are read: name, address, status.
const READ: [(&str, &str, u16); 30] = [
    ("list", "/", 200),
    ("list-nothing-found", "/?q=nothing", 200),
    ("account", "/account", 200),
    ("choose", "/new?namespace=team&template=", 200),
    ("new", NEW, 200),
    ("new-asking", "/new?namespace=team&template=asking", 200),
    ("new-deprecated", "/new?namespace=team&template=a-old", 200),
    ("new-not-usable", "/new?namespace=team&template=none", 404),
    ("new-copy", "/new?from=team/lab", 200),
    ("templates", "/templates", 200),
    ("template", "/templates/jupyterlab", 200),
    ("template-deprecated", "/templates/a-old", 200),
    ("namespace", "/namespaces/team", 200),
    ("workspace", "/w/team/lab", 200),
    ("workspace-new", "/w/team/starting?done=new", 200),
    ("workspace-failed", "/w/team/failed", 200),
    ("workspace-stopped", "/w/team/stopped", 200),
    ("workspace-guest", "/w/other/theirs", 200),
    ("edit", "/w/team/lab/edit", 200),
    ("yaml", "/w/team/lab/yaml", 200),
    ("logs", "/w/team/lab/logs", 200),
    ("logs-absent", "/w/team/stopped/logs", 200),
    ("share", "/w/team/lab/share", 200),
    ("share-end", "/w/team/lab/share/with-dave/end", 200),
    ("share-until", "/w/team/lab/share/with-dave/until", 200),
    ("owner", "/w/team/lab/owner", 200),
    ("restart", "/w/team/lab/restart", 200),
    ("delete", "/w/team/lab/delete", 200),
    ("stop-many", "/stop?namespace=team", 200),
    ("message", "/w/team/none", 404),
];

/// Pages where nothing can be changed.
const READ_ONLY: [(&str, &str); 6] = [
    ("list-read-only", "/"),
    ("new-read-only", NEW),
    ("workspace-read-only", "/w/team/lab"),
    ("edit-read-only", "/w/team/lab/edit"),
    ("share-read-only", "/w/team/lab/share"),
    ("stop-read-only", "/w/team/lab/stop"),
];

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn condition(type_: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": type_, "status": "True", "reason": reason, "message": message, "observedGeneration": 1,
        "lastTransitionTime": TIME,
    })
}

fn workspace_with(name: &str, spec: &Value, status: Value) -> Workspace {
    let mut value = serde_json::to_value(workspace(name)).unwrap();
    json_patch::merge(&mut value["spec"], spec);
    value["status"] = status;
    object(value)
}

fn workspaces(f: Foreign<'_>) -> Vec<Workspace> {
    let back_off = f("Back-off pulling the image");
    let lab = workspace_with(
        "lab",
        &json!({
            "displayName": f("Thesis"), "templateRef": "jupyterlab", "options": {"gpu": "old"}, "env": [{"name": "COURSE", "value": f("algebra")}],
            "tolerations": [{"key": "gpu"}],
        }),
        json!({
            "phase": "Running", "observedGeneration": 1, "runID": "two", "url": "https://lab.workspaces.localhost:8443/",
            "startedAt": TIME, "stopsAt": LATER, "stopsBecause": "MaxAge", "pendingUpdate": ["spec.image"],
            "disk": {"claimUID": "c", "size": "1Gi"},
            "resolved": {
                "options": {"gpu": "old"}, "image": f("r/jupyter:1"), "idleTimeoutInMinutes": 60, "executionProfile": f("restricted"),
                "resources": {"limits": {"cpu": "2", "memory": "4Gi"}},
            },
            "conditions": [condition("Available", "Ready", "")],
        }),
    );
    let failed = workspace_with(
        "failed",
        &json!({"displayName": f("Failed")}),
        json!({
            "phase": "Failed", "observedGeneration": 1, "reason": "ImagePullFailed", "message": back_off,
            "conditions": [condition("Degraded", "ImagePullFailed", &back_off)],
        }),
    );
    let starting = workspace_with(
        "starting",
        &json!({"displayName": f("Starting")}),
        json!({
            "phase": "Starting", "observedGeneration": 1, "startingSince": TIME,
            "conditions": [condition("Progressing", "Starting", &f("waits"))],
        }),
    );
    let stopped = workspace_with(
        "stopped",
        &json!({"displayName": f("Stopped"), "desiredStatus": "Stopped"}),
        json!({
            "phase": "Stopped", "observedGeneration": 1, "disk": {"claimUID": "c", "size": "1Gi"},
            "conditions": [condition("Stopped", "Stopped", "")],
            "stoppedBecause": {"rule": "Failed", "time": TIME, "reason": "ImagePullFailed"},
        }),
    );
    let mut theirs = workspace_with(
        "theirs",
        &json!({"displayName": f("Theirs")}),
        json!({
            "phase": "Running", "observedGeneration": 1, "url": "https://theirs.workspaces.localhost:8443/",
            "conditions": [condition("Available", "Ready", "")],
        }),
    );
    theirs.metadata.namespace = Some("other".to_owned());
    let annotations = theirs.metadata.annotations.get_or_insert_default();
    annotations.insert(CREATED_BY.to_owned(), f("bob"));
    vec![lab, failed, starting, stopped, theirs]
}

fn templates(f: Foreign<'_>) -> [WorkspaceTemplate; 3] {
    let with = |name: &str, metadata: &Value, spec: &Value| -> WorkspaceTemplate {
        let mut value = serde_json::to_value(template(name)).unwrap();
        json_patch::merge(&mut value["metadata"], metadata);
        json_patch::merge(&mut value["spec"], spec);
        object(value)
    };
    let images = json!([{"image": "uv", "displayName": f("Python"), "description": f("With uv")}]);
    let gpu = json!({"displayName": f("GPU"), "description": f("What computes"), "choices": {
        "none": {"displayName": f("None"), "description": f("No device")},
        "old": {"displayName": f("Old"), "description": f("A K80"), "deprecated": f("It is removed in May")},
    }});
    let spec = json!({
        "displayName": f("JupyterLab"), "description": f("For notebooks"), "allowedImages": ["uv", "r/other:1"],
        "allowCustomImages": true, "presentation": {"images": images, "options": {"gpu": gpu}},
        "options": [{"name": "gpu", "choices": [{"name": "none", "default": true}, {"name": "old"}]}],
    });
    let asked = json!([{"name": "COURSE", "required": true, "regex": f("[a-z]+")}]);
    let old = json!({"annotations": {DEPRECATED: f("too old"), REPLACED_BY: f("jupyterlab")}});
    [
        with("jupyterlab", &json!({}), &spec),
        with(
            "asking",
            &json!({}),
            &json!({"displayName": f("Asking"), "envRequirements": asked}),
        ),
        with("a-old", &old, &json!({"displayName": f("Old")})),
    ]
}

fn put_all(server: &ApiServer, f: Foreign<'_>) {
    server.put(&namespace("team"));
    server.put(&sharing(&json!({"enabled": true, "allowGroups": true})));
    for one in workspaces(f) {
        server.put(&one);
    }
    for one in templates(f) {
        server.put(&one);
    }
    let amounts = json!({"requests.memory": "8Gi", "pods": "1"});
    server.put(&object::<ResourceQuota>(json!({
        "metadata": {"name": "small", "namespace": "team"}, "spec": {"hard": amounts},
        "status": {"hard": amounts, "used": {"pods": "1"}},
    })));
    for (name, namespace, workspace, owner, with) in [
        ("with-dave", "team", "lab", "alice".to_owned(), f("dave")),
        ("with-alice", "other", "theirs", f("bob"), "alice".to_owned()),
    ] {
        server.put(&object::<WorkspaceShare>(json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceShare",
            "metadata": {"name": name, "namespace": namespace, "uid": name, "annotations": {CREATED_BY: owner}, "creationTimestamp": TIME},
            "spec": {"workspaceRef": workspace, "workspaceUID": format!("uid-of-{workspace}"),
                "subjects": [{"kind": "User", "name": with}], "expiresAt": LATER, "reason": f("Review")},
            "status": {"conditions": [condition("Active", "Active", "")]},
        })));
    }
    server.put(&object::<Pod>(json!({
        "metadata": {"name": "workspace-lab", "namespace": "team", "uid": "p", "creationTimestamp": TIME, "labels": {WORKSPACE_LABEL: "lab"}},
        "spec": {"containers": [{"name": "workspace"}, {"name": f("beside")}]},
    })));
    for (name, reason) in [("one", "FailedScheduling".to_owned()), ("two", f("Odd"))] {
        server.put(&object::<Event>(json!({
            "metadata": {"name": name, "namespace": "team"}, "reason": reason, "message": f("Back-off restarting"), "type": "Warning",
            "lastTimestamp": TIME, "involvedObject": {"kind": "Workspace", "name": "lab", "namespace": "team", "uid": "uid-of-lab"},
        })));
    }
    let line = f("Server started");
    server.write_logs(move |_| format!("{TIME} {line}\n"));
}

/// Every page in its states: name and HTML.
pub(crate) async fn pages(f: Foreign<'_>) -> Vec<(&'static str, String)> {
    let portal = Portal::start(|server| put_all(server, f)).await;
    portal.grant(RIGHTS);
    let mut pages = Vec::new();
    let mut put = |name, reply: Reply, status: u16| {
        assert_eq!(reply.status, status, "{name}: {}", reply.text);
        pages.push((name, reply.text));
    };
    for (name, path, status) in READ {
        put(name, portal.get("alice", path).await, status);
    }
    let mallory = serde_urlencoded::to_string([("", f("mallory"))]).unwrap();
    let mallory = mallory.trim_start_matches('=');
    for (name, path, status) in [
        ("list-empty", "/", 200),
        ("account-of-another", "/account", 200),
        ("new-nowhere", "/new", 403),
        ("templates-none", "/templates", 200),
    ] {
        put(name, portal.get(mallory, path).await, status);
    }
    let new = Typed::from_page(&portal.json("alice", NEW).await);
    let wrong = new.clone().with(MEMORY, &f("much"));
    let answer = portal.post("alice", "/new", &wrong.body()).await;
    put("new-wrong", answer, 422);
    let text = new.by("view", "yaml");
    put("new-yaml", portal.post("alice", "/new", &text.body()).await, 200);
    // A JSON text is YAML.
    let text = format!("spec: {}", json!({"displayName": "Lab", (f("odd")): 1}));
    let text = [
        ("uid", "uid-of-lab".to_owned()),
        ("written", "yaml".to_owned()),
        ("yaml", text),
    ];
    let text = serde_urlencoded::to_string(text).unwrap();
    put(
        "yaml-wrong",
        portal.post("alice", "/w/team/lab/yaml", &text).await,
        422,
    );
    let gone = [("uid", "u".to_owned()), ("spec.displayName", f("Mine"))];
    let gone = serde_urlencoded::to_string(gone).unwrap();
    put(
        "not-saved",
        portal.post("alice", "/w/team/gone/edit", &gone).await,
        404,
    );
    let share = [
        ("uid", "uid-of-lab".to_owned()),
        ("kind", "User".to_owned()),
        ("reason", f("Review")),
    ];
    let share = serde_urlencoded::to_string(share).unwrap();
    put(
        "share-wrong",
        portal.post("alice", "/w/team/lab/share", &share).await,
        422,
    );
    let name = serde_urlencoded::to_string([("name", f("wrong"))]).unwrap();
    let typed = format!("uid=uid-of-stopped&{name}");
    put(
        "delete-wrong",
        portal.post("alice", "/w/team/stopped/delete", &typed).await,
        422,
    );
    let refuse = || Fault::forbidden(Method::PATCH, "/workspaces/lab", &f("forbidden"), 1);
    portal.server.fail(refuse());
    put(
        "refused",
        portal.post("alice", "/w/team/lab/stop", "uid=uid-of-lab").await,
        403,
    );
    portal.server.fail(refuse());
    put(
        "stopped-many",
        portal
            .post("alice", "/stop", "workspace=team/lab/uid-of-lab")
            .await,
        200,
    );
    let mine =
        Typed::from_page(&portal.json("alice", "/w/team/lab/edit").await).with("spec.displayName", "Mine");
    portal.server.edit::<Workspace>(Some("team"), "lab", |object| {
        object["spec"]["displayName"] = json!(f("Theirs"));
        object["metadata"]["annotations"][LAST_UPDATED_BY] = json!(f("bob"));
        object["metadata"]["generation"] = json!(2);
    });
    put(
        "conflict",
        portal.post("alice", "/w/team/lab/edit", &mine.body()).await,
        409,
    );
    let read_only = Mode::ReadOnly(f("Impersonation is forbidden."));
    portal.mode.store(Arc::new(read_only));
    for (name, path) in READ_ONLY {
        put(name, portal.get("alice", path).await, StatusCode::OK.as_u16());
    }
    pages
}
