//! An uninstall before an API server in memory.

use testkit::api_server::{ApiServer, Call};

use super::*;

fn with(finalizers: &[&str]) -> PartialObjectMeta<Workspace> {
    let metadata = json!({"name": "a", "resourceVersion": "7", "finalizers": finalizers});
    serde_json::from_value(json!({"metadata": metadata})).unwrap()
}

#[test]
fn only_our_finalizers_are_removed() {
    assert!(without_ours(&with(&["example.org/theirs"])).is_none());
    let patch = without_ours(&with(&[
        "example.org/theirs",
        CLEANUP_FINALIZER,
        IN_USE_FINALIZER,
    ]))
    .unwrap();
    let wanted = json!({"resourceVersion": "7", "finalizers": ["example.org/theirs"]});
    assert_eq!(patch, json!({"metadata": wanted}));
}

/// An API server with three workspaces that have our finalizer.
fn with_workspaces() -> (ApiServer, Client) {
    let (server, client) = ApiServer::start();
    for name in ["one", "two", "three"] {
        let mut workspace = testkit::objects::workspace(name);
        workspace.metadata.finalizers = Some(vec![CLEANUP_FINALIZER.to_owned()]);
        server.put(&workspace);
    }
    (server, client)
}

/// The API server refuses one change of the workspace `two`.
fn refuse(server: &ApiServer, message: &str) {
    server.fail(testkit::api_server::Fault {
        method: http::Method::PATCH,
        path_part: "/workspaces/two",
        code: 422,
        reason: "Invalid",
        message: message.to_owned(),
        times: 1,
    });
}

/// Names of workspaces that have finalizers.
fn held(server: &ApiServer) -> Vec<String> {
    let mut all = server.all::<Workspace>();
    all.retain(|workspace| !workspace.finalizers().is_empty());
    all.iter().map(kube::ResourceExt::name_any).collect()
}

fn args() -> PrepareUninstall {
    PrepareUninstall::parse_from(["operator", NAME, "--namespace=system"])
}

#[tokio::test]
async fn an_object_that_is_refused_is_named_and_keeps_no_other_from_being_released() {
    let (server, client) = with_workspaces();
    refuse(&server, "spec.image: is too long");
    let all = Api::<Workspace>::all(client.clone());
    let refused = format!("{:#}", release(&client, &all, Write::Stored).await.unwrap_err());
    assert!(
        refused.contains("/two") && refused.contains("spec.image: is too long"),
        "{refused}"
    );
    assert_eq!(held(&server), ["two"]);
    release(&client, &all, Write::Stored).await.unwrap();
    assert_eq!(held(&server), [""; 0]);
}

#[tokio::test]
async fn an_object_that_is_refused_is_named_before_anything_is_changed() {
    let (server, client) = with_workspaces();
    let named = |metadata: &Value| json!({"metadata": metadata});
    let operator = json!({
        "metadata": {
            "name": "jupyter-k8s-operator", "namespace": "system",
            "annotations": {HELM_RELEASE: "jupyter-k8s"},
        },
        "spec": {"replicas": 1, "selector": {}, "template": {}},
    });
    let webhook = || named(&json!({"name": "jupyter-k8s-webhook"}));
    server.put::<Deployment>(&serde_json::from_value(operator).unwrap());
    server.put::<ValidatingWebhookConfiguration>(&serde_json::from_value(webhook()).unwrap());
    server.put::<MutatingWebhookConfiguration>(&serde_json::from_value(webhook()).unwrap());
    refuse(&server, "spec.image: is too long");
    let refused = format!("{:#}", prepare(&client, args()).await.unwrap_err());
    assert!(
        refused.starts_with("nothing is changed, because this is refused: Workspace ")
            && refused.contains("/two: ")
            && refused.contains("spec.image: is too long"),
        "{refused}"
    );
    let writes: Vec<_> = server.take_calls().into_iter().filter(Call::is_write).collect();
    assert!(writes.len() > 5, "{writes:?}");
    for call in writes {
        // A deletion has its options in the body.
        let is_dry = call.is_dry_run() || call.body["dryRun"] == json!(["All"]);
        assert!(is_dry, "{}", call.line());
    }
    assert_eq!(held(&server).len(), 3);
}

#[tokio::test]
async fn what_our_own_webhook_refuses_is_released_once_it_is_deleted() {
    for message in [
        r#"failed calling webhook "workspaces.workspaces.jupyter.org": no endpoints available"#,
        r#"admission webhook "audit.example.org" does not support dry run"#,
    ] {
        let (server, client) = with_workspaces();
        refuse(&server, message);
        prepare(&client, args()).await.unwrap();
        assert_eq!(held(&server), [""; 0], "{message}");
    }
    assert!(!says_nothing(
        r#"admission webhook "images.example.org" denied the request"#
    ));
}
