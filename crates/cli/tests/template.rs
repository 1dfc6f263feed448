//! `lint`, `explain template`, and `-o`, from files and an API server in memory.

use std::path::PathBuf;

use api::{Workspace, WorkspaceTemplate};
use clap::Parser as _;
use cli::args::Cli;
use cli::run::workspace as run_command;
use cli::{Console, exit_code};
use http::Method;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Fault};
use testkit::objects::{NAMESPACE, template, workspace};

use crate::workspace::{Ran, in_phase, run};

/// A folder of files that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn with(test: &str, files: &[(&str, String)]) -> Self {
        let folder = std::env::temp_dir().join(format!("cli-template-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a command that must not ask a cluster: there is none.
async fn offline(line: &str) -> Ran {
    let words = ["kubectl-workspace", "--kubeconfig", "/nonexistent"];
    let cli = Cli::parse_from(words.into_iter().chain(line.split_whitespace()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console::new(&mut out, &mut err, None);
    let outcome = run_command(&cli, &mut console).await;
    Ran {
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
        outcome,
    }
}

fn yaml(template: &WorkspaceTemplate) -> String {
    serde_json::to_string(template).unwrap()
}

#[tokio::test]
async fn lint_writes_reports_for_people_and_machines() {
    let object = |image: &str| {
        json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace", "metadata": {"name": "demo"},
            "spec": {"displayName": "d", "templateRef": "t", "image": image},
        })
    };
    let folder = Folder::with(
        "lint",
        &[
            ("w.yaml", format!("{}\n---\n{}", object("none"), object("uv"))),
            ("t.yaml", yaml(&template("t"))),
        ],
    );
    let line = format!(
        "lint {} --template {}",
        folder.path("w.yaml"),
        folder.path("t.yaml")
    );
    let ran = offline(&line).await;
    assert_eq!(ran.code(), exit_code::NOT_AS_WANTED);
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
    assert!(
        ran.out.contains("Workspace demo: spec.image: \"none\""),
        "{}",
        ran.out
    );
    assert!(
        ran.err.starts_with("2 objects checked"),
        "the reference is not checked: {}",
        ran.err
    );
    let report: Value = serde_json::from_str(&offline(&format!("{line} -o json")).await.out).unwrap();
    assert_eq!(
        (&report["kind"], &report["problems"][0]["field"]),
        (&json!("LintReport"), &json!("spec.image"))
    );
}

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
