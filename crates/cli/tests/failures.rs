//! Every command without rights, without CRDs and without an API server: a sentence and an exit code.

use cli::exit_code;
use serde_json::json;
use testkit::api_server::ApiServer;

use crate::canned::canned;
use crate::workspace::run;

/// All commands that ask a cluster.
const LINES: [&str; 18] = [
    "create demo",
    "list",
    "list -A --mine",
    "open demo --print",
    "start demo",
    "stop demo --yes",
    "restart demo --yes",
    "delete demo --yes",
    "explain demo",
    "explain demo --access",
    "explain template t",
    "share demo --user bob",
    "unshare demo --all",
    "shares",
    "set demo --cpu 1",
    "logs demo",
    "template list",
    "template show t",
];

#[tokio::test]
async fn an_api_server_that_is_away_is_said_by_every_command() {
    let (server, client) = ApiServer::start();
    server.partition(true);
    for line in LINES
        .into_iter()
        .chain(["version", "whoami", "template compare a b"])
    {
        let ran = run(&client, line).await;
        assert_eq!(ran.code(), exit_code::FAILED, "{line}");
        assert!(
            ran.error().starts_with("the API server cannot be reached: "),
            "{line}: {}",
            ran.error()
        );
        assert_eq!(ran.out, "", "{line}");
    }
}

#[tokio::test]
async fn a_cluster_without_our_kinds_is_distinguished_from_a_missing_workspace() {
    let (client, _) = canned(|path, _| match path {
        "/version" => json!({"gitVersion": "v1.33.1"}),
        _ if path.contains("/workspaces.jupyter.org/") => {
            json!({"code": 404, "message": "404 page not found"})
        }
        _ if path.ends_with("/selfsubjectreviews") => json!({"status": {"userInfo": {"username": "alice"}}}),
        _ => json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"}),
    });
    for line in LINES {
        let ran = run(&client, line).await;
        assert_eq!(ran.code(), exit_code::FAILED, "{line}: {:?}", ran.outcome);
        assert!(
            ran.error().contains("is jupyter-k8s installed there?"),
            "{line}: {}",
            ran.error()
        );
    }
    let version = run(&client, "version").await;
    assert!(
        version.error().contains("is jupyter-k8s installed there?"),
        "{}",
        version.error()
    );
}

#[tokio::test]
async fn a_missing_right_is_said_in_the_words_of_the_api_server() {
    let (client, _) = canned(
        |_, _| json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "User \"bob\" cannot do this in namespace \"team\""}),
    );
    for line in LINES {
        let ran = run(&client, line).await;
        assert_eq!(ran.code(), exit_code::FAILED, "{line}: {:?}", ran.outcome);
        assert!(
            ran.error().contains("User \"bob\" cannot do this"),
            "{line}: {}",
            ran.error()
        );
        assert_eq!(ran.out, "", "{line}");
    }
}

#[tokio::test]
async fn a_namespace_that_does_not_exist_is_named_with_what_to_do() {
    let (client, _) = canned(|_, _| {
        json!({
            "kind": "Status", "code": 404, "reason": "NotFound", "message": "namespaces \"team\" not found",
            "details": {"name": "team", "kind": "namespaces"},
        })
    });
    let ran = run(&client, "create demo").await;
    assert_eq!(ran.code(), exit_code::FAILED);
    assert_eq!(
        ran.error(),
        "namespace \"team\" does not exist: correct it, or choose another with -n; kubectl get namespaces lists them"
    );
}

#[tokio::test]
async fn a_field_that_older_crds_do_not_have_is_refused_and_not_dropped() {
    let (client, calls) = canned(|_, _| {
        json!({
            "kind": "Status", "code": 400, "reason": "BadRequest",
            "message": "Workspace in version \"v1alpha1\" cannot be handled as a Workspace: strict decoding error: unknown field \"spec.variables\"",
        })
    });
    for line in ["create demo --variable a=b", "set demo --variable a=b"] {
        let ran = run(&client, line).await;
        assert_eq!(ran.code(), exit_code::FAILED, "{line}");
        assert!(
            ran.error().contains("unknown field \"spec.variables\""),
            "{}",
            ran.error()
        );
        assert!(
            ran.error().ends_with("see kubectl workspace version"),
            "{}",
            ran.error()
        );
    }
    let calls = calls.lock().unwrap().clone();
    assert!(
        calls.iter().all(|call| call.contains("fieldValidation=Strict")),
        "{calls:?}"
    );
}
