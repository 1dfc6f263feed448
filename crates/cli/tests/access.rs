//! Refused accesses of golden/access.yaml -> the text of `kubectl workspace explain`, as golden/access.txt has it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use api::{Workspace, WorkspaceManager, WorkspaceShare, WorkspaceTemplate, names};
use cli::{Failure, exit_code};
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Fault};
use testkit::objects::{NAMESPACE, OWNER, manager, template, workspace};

use crate::workspace::{Ran, run};

/// Cases at least.
const CASES: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    name: String,
    /// In place of a question about the user's access to the workspace.
    line: Option<String>,
    #[serde(default)]
    user: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    generated_groups: usize,
    right: Option<bool>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    manager: Value,
    #[serde(default)]
    shares: Vec<Share>,
    fault: Option<Refusal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Share {
    name: String,
    workspace: Option<String>,
    #[serde(rename = "workspaceUID")]
    workspace_uid: Option<String>,
    by: Option<String>,
    subjects: Value,
    expires_at: Option<String>,
    /// Status, reason and message of the condition.
    active: Option<[String; 3]>,
    deleted: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    path: String,
    message: String,
}

fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// The object with the parts of a case.
fn with<T: serde::Serialize + DeserializeOwned>(object: &T, change: &Value) -> T {
    let mut object = serde_json::to_value(object).unwrap();
    json_patch::merge(&mut object, change);
    from(object)
}

impl Share {
    fn object(&self) -> WorkspaceShare {
        let conditions = self.active.iter().map(|[status, reason, message]| {
            json!({
                "type": "Active", "status": status, "reason": reason, "message": message,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        });
        from(json!({
            "metadata": {
                "name": self.name, "namespace": NAMESPACE, "creationTimestamp": "2020-01-01T00:00:00Z",
                "deletionTimestamp": self.deleted,
                "annotations": {names::CREATED_BY: self.by.as_deref().unwrap_or(OWNER)},
            },
            "spec": {
                "workspaceRef": self.workspace.as_deref().unwrap_or("demo"),
                "workspaceUID": self.workspace_uid.as_deref().unwrap_or("uid-of-demo"),
                "subjects": self.subjects, "expiresAt": self.expires_at,
            },
            "status": {"conditions": conditions.collect::<Vec<_>>()},
        }))
    }
}

fn fault(refusal: &Refusal) -> Fault {
    let is_review = refusal.path.ends_with("reviews");
    let method = if is_review { Method::POST } else { Method::GET };
    // The tests end with the process, and few cases have one.
    let path_part = Box::leak(refusal.path.clone().into_boxed_str());
    Fault {
        method,
        path_part,
        code: 403,
        reason: "Forbidden",
        message: refusal.message.clone(),
        times: 9,
    }
}

impl Case {
    async fn ran(&self) -> Ran {
        let (server, client) = ApiServer::start();
        let usual = json!({
            "status": {"phase": "Running", "observedGeneration": 1, "resolved": {"manager": "main", "accessType": "OwnerOnly"}},
        });
        let mut own = json!({"metadata": self.metadata, "spec": self.spec, "status": self.status});
        own.as_object_mut().unwrap().retain(|_, part| !part.is_null());
        server.put::<Workspace>(&with(&with(&workspace("demo"), &usual), &own));
        let spec = if self.manager.is_null() {
            json!({})
        } else {
            json!({"spec": self.manager})
        };
        server.put::<WorkspaceManager>(&with(&manager("main"), &spec));
        server.put::<WorkspaceTemplate>(&template("production"));
        for share in &self.shares {
            server.put(&share.object());
        }
        let right = self.right.unwrap_or(true);
        server.review(move |_| right);
        if let Some(refusal) = &self.fault {
            server.fail(fault(refusal));
        }
        run(&client, &self.line()).await
    }

    fn line(&self) -> String {
        if let Some(line) = &self.line {
            return line.clone();
        }
        let mut line = format!("explain demo --access --user {}", self.user);
        let generated = (0..self.generated_groups).map(|number| format!("group-{number}"));
        for group in self.groups.iter().cloned().chain(generated) {
            let _ = write!(line, " --group {group}");
        }
        line
    }
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

#[tokio::test]
async fn each_refused_access_has_its_text() {
    let text = fs::read_to_string(golden("access.yaml")).unwrap();
    let cases: Vec<Case> = serde_saphyr::from_str(&text).unwrap();
    assert!(cases.len() >= CASES, "only {} cases", cases.len());
    let mut actual = String::new();
    for case in &cases {
        let ran = case.ran().await;
        let is_decided = ["The user may not connect", "You may not use"]
            .iter()
            .any(|words| ran.out.starts_with(words));
        let code = if is_decided {
            exit_code::NOT_AS_WANTED
        } else {
            exit_code::FAILED
        };
        assert_eq!(ran.code(), code, "{}: {}", case.name, ran.out);
        let error = match &ran.outcome {
            Err(Failure::Explained) | Ok(()) => String::new(),
            Err(other) => format!("error: {other}\n"),
        };
        let says_what_to_do = ["can: ", "Not read", "error: "]
            .iter()
            .any(|words| ran.out.contains(words) || error.contains(words));
        assert!(says_what_to_do, "{}: no remedy in\n{}", case.name, ran.out);
        actual.extend(["=== ", &case.name, "\n", &ran.out, &error, "\n"]);
    }
    let file = golden("access.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&file, &actual).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        actual == expected,
        "explain says something else than {}; see the difference with UPDATE_EXPECT=1 and git diff:\n{actual}",
        file.display()
    );
}
