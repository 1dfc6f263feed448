//! Case -> `AdmissionReview`s as the API server writes them (pure).

use api::names;
use serde_json::{Value, json};

use super::objects::{FULL, GROUP, NAMESPACE, PRODUCTION, PROFILE};

/// Users who send requests in turns. The webhook has their permissions in its cache, except once in ten seconds.
const USERS: usize = 20;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// A new workspace of an everyday template: `/mutate`, then `/validate`.
    Create,
    /// The same with a template that has variables and patterns.
    CreateFull,
    /// Another display name.
    Rename,
    /// A new workspace that breaks as many rules as possible.
    Refused,
}

impl Case {
    pub(super) const ALL: [Self; 4] = [Self::Create, Self::CreateFull, Self::Rename, Self::Refused];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create, everyday template",
            Self::CreateFull => "create, template with variables and patterns",
            Self::Rename => "update of the display name",
            Self::Refused => "create, refused with 25 violations",
        }
    }

    /// The requests of all users, in sequence.
    pub(super) fn requests(self) -> String {
        (0..USERS)
            .flat_map(|number| self.of(&format!("user-{number}")))
            .collect()
    }

    /// The requests for one user's action: to `/mutate` and to `/validate`.
    fn of(self, user: &str) -> [String; 2] {
        let refused = json!({"allowed": false});
        let allowed = json!({"allowed": true});
        let (operation, spec, labels) = match self {
            Self::Create | Self::Rename => ("CREATE", everyday(), json!({})),
            Self::CreateFull => ("CREATE", full(), json!({"example.com/cost-center": "4711"})),
            Self::Refused => ("CREATE", faulty(), json!({})),
        };
        let wanted = if self == Self::Refused {
            refused
        } else {
            allowed.clone()
        };
        let bare = created(&spec, &labels);
        let mutated = owned(bare.clone(), user);
        if self == Self::Rename {
            let stored = stored(mutated);
            let mut renamed = stored.clone();
            renamed["spec"]["displayName"] = json!("Another name");
            renamed["metadata"]["generation"] = json!(2);
            let review = review(user, "UPDATE", &renamed, &stored);
            return [
                line("/mutate", &allowed, &review),
                line("/validate", &wanted, &review),
            ];
        }
        [
            line("/mutate", &allowed, &review(user, operation, &bare, &Value::Null)),
            line(
                "/validate",
                &wanted,
                &review(user, operation, &mutated, &Value::Null),
            ),
        ]
    }
}

/// One request per user. The webhook's cache has none of these users. `round` makes their names differ from those of other rounds.
pub(super) fn unknown_users(round: &str, count: usize) -> String {
    (0..count)
        .map(|number| {
            let user = format!("{round}-{number}");
            let object = owned(created(&everyday(), &json!({})), &user);
            let review = review(&user, "CREATE", &object, &Value::Null);
            line("/validate", &json!({"allowed": true}), &review)
        })
        .collect()
}

/// The access reviews that [`unknown_users`] cause, as the webhook requests them.
pub(super) fn rights(round: &str, count: usize) -> String {
    let asked = [
        ("workspacetemplates", PRODUCTION),
        ("workspaceexecutionprofiles", PROFILE),
    ];
    (0..count)
        .flat_map(|number| {
            let user = format!("{round}-{number}");
            asked.map(|(resource, name)| {
                let review = json!({
                    "apiVersion": "authorization.k8s.io/v1",
                    "kind": "SubjectAccessReview",
                    "metadata": {},
                    "spec": {
                        "user": user,
                        "groups": groups(),
                        "resourceAttributes": {
                            "group": names::GROUP, "version": names::VERSION, "resource": resource, "verb": names::USE_VERB,
                            "namespace": NAMESPACE, "name": name,
                        },
                    },
                });
                line("/apis/authorization.k8s.io/v1/subjectaccessreviews", &json!({"allowed": true}), &review)
            })
        })
        .collect()
}

/// Path, expected part of the answer, body, as the load generator reads it.
fn line(path: &str, piece: &Value, body: &Value) -> String {
    let piece = piece.to_string();
    format!("{path}\t{}\t{body}\n", piece.trim_matches(['{', '}']))
}

fn groups() -> [&'static str; 3] {
    [GROUP, "oidc:everybody", "system:authenticated"]
}

fn review(user: &str, operation: &str, object: &Value, old: &Value) -> Value {
    let kind = json!({"group": names::GROUP, "version": names::VERSION, "kind": "Workspace"});
    let resource = json!({"group": names::GROUP, "version": names::VERSION, "resource": "workspaces"});
    let options = if operation == "CREATE" {
        "CreateOptions"
    } else {
        "PatchOptions"
    };
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "0f3c9a44-6c2e-4b0c-9a54-3d0e5a6f7b18",
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": object["metadata"]["name"],
            "namespace": NAMESPACE,
            "operation": operation,
            "userInfo": {"username": user, "groups": groups()},
            "object": object,
            "oldObject": old,
            "dryRun": false,
            "options": {"kind": options, "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl-client-side-apply"},
        },
    })
}

/// As `/mutate` receives it: with the schema's defaults and the API server's metadata.
fn created(spec: &Value, labels: &Value) -> Value {
    let mut spec = spec.clone();
    spec["desiredStatus"] = json!("Running");
    spec["updatePolicy"] = json!("OnStop");
    json!({
        "apiVersion": format!("{}/{}", names::GROUP, names::VERSION),
        "kind": "Workspace",
        "metadata": {
            "name": "analysis",
            "namespace": NAMESPACE,
            "uid": "daefa327-992d-4932-8ea9-217f7e6e520a",
            "creationTimestamp": "2026-11-20T15:15:32Z",
            "generation": 1,
            "labels": labels,
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": spec.to_string()},
            "managedFields": [managed(&spec, "spec", "kubectl-client-side-apply")],
        },
        "spec": spec,
    })
}

/// As `/validate` receives it.
fn owned(mut object: Value, user: &str) -> Value {
    object["metadata"]["annotations"][names::CREATED_BY] = json!(user);
    object["metadata"]["finalizers"] = json!([names::CLEANUP_FINALIZER]);
    object
}

/// As a running one is stored.
fn stored(mut object: Value) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "observedGeneration": 1, "lastTransitionTime": "2026-11-20T15:15:37Z",
        })
    };
    object["metadata"]["resourceVersion"] = json!("6295");
    object["status"] = json!({
        "phase": "Running",
        "reason": "Ready",
        "message": "The workspace is ready.",
        "observedGeneration": 1,
        "conditions": [
            condition("Valid", "True", "AllRulesHold", "Every rule holds."),
            condition("Available", "True", "Ready", "The pod is ready."),
            condition("Progressing", "False", "Ready", "Nothing is under way."),
            condition("Degraded", "False", "AsExpected", "Nothing is wrong."),
            condition("Stopped", "False", "Ready", "A pod is running or starting."),
        ],
        "containers": {"ready": 1, "total": 1},
        "deploymentName": "workspace-analysis",
        "serviceName": "workspace-analysis",
        "runID": "s5gaxkckkh",
        "url": "https://analysis-o6t2pss5qi6skzuq.workspaces.example.org/",
        "resolved": {
            "manager": "bench",
            "image": "registry.example.org/jupyter:1",
            "resources": {"requests": {"cpu": "200m", "memory": "384Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
            "storage": {"claimName": "workspace-analysis", "ephemeral": false, "mountPath": "/home/jovyan", "size": "5Gi"},
        },
    });
    let of_status = managed(&object["status"], "status", "jupyter-k8s-operator-status");
    if let Some(all) = object["metadata"]["managedFields"].as_array_mut() {
        all.push(of_status);
    }
    object
}

/// The managed fields of `part`.
fn managed(part: &Value, name: &str, manager: &str) -> Value {
    json!({
        "manager": manager,
        "operation": "Update",
        "apiVersion": format!("{}/{}", names::GROUP, names::VERSION),
        "time": "2026-11-20T15:15:32Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {format!("f:{name}"): fields(part)},
    })
}

fn fields(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (format!("f:{key}"), fields(value)))
            .collect(),
        _ => json!({}),
    }
}

fn everyday() -> Value {
    json!({
        "displayName": "Analysis",
        "templateRef": PRODUCTION,
        "executionProfileRef": PROFILE,
        "resources": {"requests": {"cpu": "200m", "memory": "384Mi"}},
        "storage": {"size": "5Gi"},
        "env": [{"name": "LANG", "value": "C.UTF-8"}, {"name": "EDITOR", "value": "nano"}],
    })
}

fn full() -> Value {
    json!({
        "displayName": "Within the bounds of the full template",
        "templateRef": FULL,
        "env": [{"name": "COURSE", "value": "ml-2026"}],
    })
}

/// Twenty variables without names, and five other errors.
fn faulty() -> Value {
    let env: Vec<Value> = (0..20)
        .map(|number| json!({"name": format!("={number}"), "value": "x"}))
        .collect();
    json!({
        "displayName": "Nothing but faults",
        "templateRef": PRODUCTION,
        "image": "elsewhere.example.org/other:1",
        "resources": {"requests": {"cpu": "8"}, "limits": {"cpu": "9", "memory": "64Gi"}},
        "storage": {"size": "900Gi"},
        "env": env,
    })
}

#[cfg(test)]
mod tests {
    use api::Workspace;

    use super::*;

    fn bodies(lines: &str) -> Vec<(String, Value)> {
        let parts = |line: &str| {
            let parts: Vec<&str> = line.splitn(3, '\t').collect();
            (parts[0].to_owned(), serde_json::from_str(parts[2]).unwrap())
        };
        lines.lines().map(parts).collect()
    }

    #[test]
    fn every_case_calls_both_webhooks_for_a_workspace_of_each_user() {
        for case in Case::ALL {
            let bodies = bodies(&case.requests());
            assert_eq!(bodies.len(), 2 * USERS);
            for (index, (path, body)) in bodies.iter().enumerate() {
                assert_eq!(path, ["/mutate", "/validate"][index % 2]);
                let object = &body["request"]["object"];
                serde_json::from_value::<Workspace>(object.clone()).unwrap();
                let owner = &object["metadata"]["annotations"][names::CREATED_BY];
                let recorded = index % 2 == 1 || case == Case::Rename;
                assert_eq!(owner == &body["request"]["userInfo"]["username"], recorded);
            }
        }
    }

    #[test]
    fn an_update_changes_the_display_name_alone() {
        let (_, body) = bodies(&Case::Rename.requests()).remove(0);
        let (old, mut new) = (&body["request"]["oldObject"], body["request"]["object"].clone());
        assert_ne!(*old, new);
        new["spec"]["displayName"] = old["spec"]["displayName"].clone();
        new["metadata"]["generation"] = old["metadata"]["generation"].clone();
        assert_eq!(*old, new);
    }

    #[test]
    fn each_unknown_user_is_reviewed_once_for_two_permissions() {
        let users = |lines: &str, pointer: &str| -> std::collections::BTreeSet<String> {
            let found = bodies(lines);
            found
                .iter()
                .map(|(_, body)| body.pointer(pointer).unwrap().to_string())
                .collect()
        };
        let asking = users(&unknown_users("a", 30), "/request/userInfo/username");
        assert_eq!(asking.len(), 30);
        assert_eq!(rights("a", 30).lines().count(), 60);
        assert_eq!(users(&rights("a", 30), "/spec/user"), asking);
        assert!(asking.is_disjoint(&users(&unknown_users("b", 30), "/request/userInfo/username")));
    }
}
