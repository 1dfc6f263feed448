//! `explain template` and its `-o`, from an API server in memory.

use cli::exit_code;
use serde_json::{Value, json};
use testkit::api_server::ApiServer;
use testkit::objects::{NAMESPACE, template};

use crate::workspace::{in_phase, run};

#[tokio::test]
async fn a_template_is_explained_for_a_namespace() {
    let (server, client) = ApiServer::start();
    let mut object = template("production");
    object.spec.execution_profile_ref = Some("gpu".to_owned());
    server.put(&object);
    server.put(&testkit::objects::execution_profile("gpu", &json!({})));
    server.review(|review| review["resourceAttributes"]["namespace"] == NAMESPACE);
    let ran = run(&client, "explain template production").await;
    assert_eq!(ran.code(), 0, "{}", ran.out);
    assert!(
        ran.out.starts_with("You may use it in namespace team.\n"),
        "{}",
        ran.out
    );
    let ran = run(&client, "explain template production --for other").await;
    assert_eq!(ran.code(), exit_code::NOT_AS_WANTED);
    assert!(
        ran.out.starts_with("You may not use it in namespace other.\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("Namespace other has no WorkspaceExecutionProfile gpu"),
        "{}",
        ran.out
    );
    let shown = run(&client, "explain template production --for other -o json").await;
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["findings"][1]["reason"], "ExecutionProfileNotFound");
    let none = run(&client, "explain template none").await;
    assert!(
        none.error().contains("\"none\" does not exist"),
        "{}",
        none.error()
    );
    let unnamed = run(&client, "explain template").await;
    assert_eq!(unnamed.code(), exit_code::USAGE);
    let usage = "the name of the template is missing: write kubectl workspace explain template NAME";
    assert!(unnamed.error().starts_with(usage), "{}", unnamed.error());
    server.put(&in_phase("template", "Running", "Running"));
    assert_eq!(run(&client, "explain template").await.code(), 0);
    let wrong = run(&client, "explain demo production").await;
    assert_eq!(wrong.code(), exit_code::USAGE);
    assert!(
        wrong
            .error()
            .contains("kubectl workspace explain template production"),
        "{}",
        wrong.error()
    );
}
