//! Every command without rights, without CRDs and without an API server: a sentence and an exit code.

use cli::exit_code;
use serde_json::json;
use testkit::api_server::ApiServer;

use crate::canned::canned;
use crate::workspace::run;

/// All commands that ask a cluster.
const LINES: [&str; 19] = [
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
    "keep demo 8h",
    "logs demo",
    "template list",
    "template show t",
];

#[tokio::test]
async fn an_api_server_that_is_away_is_said_by_every_command() {
    let (server, client) = ApiServer::start();
    server.partition(true);
    for line in LINES.into_iter().chain(["version", "whoami"]) {
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
