//! CRDs of our kinds in the cluster -> statuses with only the fields that the CRDs declare (IO).
//!
//! CRDs may be older than the operator, for example where Helm's hooks do not run. An API server refuses a status with an unknown
//! field. An operator that is newer than its CRDs leaves out the missing fields and enum values, goes on working, and reports them.

use std::collections::HashMap;

use api::names::VERSION;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::support::failure::message_of;

/// What the CRDs in the cluster lack.
#[derive(Debug, Default)]
pub struct Definitions {
    /// The status schema of each kind whose CRD lacks something.
    lacking: Mutex<HashMap<String, Box<JSONSchemaProps>>>,
    /// Paths of missing fields and enum values.
    missing: watch::Sender<Vec<String>>,
    doubt: tokio::sync::Notify,
}

impl Definitions {
    /// The status of an object of this kind, without what its CRD lacks.
    pub fn fit<S: Serialize + DeserializeOwned>(&self, kind: &str, status: S) -> S {
        let lacking = self.lacking.lock();
        let Some(schema) = lacking.get(kind) else {
            return status;
        };
        let fitting = serde_json::to_value(&status)
            .ok()
            .and_then(|status| fit(status, schema));
        fitting
            .and_then(|fitting| serde_json::from_value(fitting).ok())
            .unwrap_or(status)
    }

    /// Records a failed status write: the CRDs may be older than known.
    pub fn suspect(&self, error: &kube::Error) {
        if is_of_schema(error) {
            self.doubt.notify_one();
        }
    }

    /// Resolves when a failed status write was recorded since the last call.
    pub(crate) async fn until_suspected(&self) {
        self.doubt.notified().await;
    }

    /// A receiver that changes when other fields are missing than before.
    pub fn changes(&self) -> watch::Receiver<Vec<String>> {
        self.missing.subscribe()
    }

    /// Compares what this operator writes with the CRDs in the cluster, and lists what is missing. If a CRD cannot be read, its last known
    /// result stays. A CRD that does not exist lacks nothing.
    pub async fn read(&self, client: &Client) -> Vec<String> {
        let api = Api::<CustomResourceDefinition>::all(client.clone());
        let (mut lacking, mut missing) = (HashMap::new(), Vec::new());
        for ours in api::crds() {
            let name = ours.metadata.name.as_deref().unwrap_or_default();
            let Some(wanted) = status_of(&ours) else { continue };
            let stored = match api.get_opt(name).await {
                Ok(stored) => stored,
                Err(error) => {
                    let error = message_of(&error);
                    tracing::warn!(definition = name, error, "the definition cannot be read");
                    return self.missing.borrow().clone();
                }
            };
            let Some(declared) = stored.as_ref().and_then(status_of) else {
                continue;
            };
            let kind = ours.spec.names.kind.clone();
            let before = missing.len();
            compare(wanted, declared, &format!("{kind}.status"), &mut missing);
            if missing.len() > before {
                lacking.insert(kind, Box::new(declared.clone()));
            }
        }
        *self.lacking.lock() = lacking;
        self.missing.send_if_modified(|known| {
            let changed = *known != missing;
            known.clone_from(&missing);
            changed
        });
        missing
    }
}

/// Whether the API server refused a status because its schema lacks a field or an enum value.
fn is_of_schema(error: &kube::Error) -> bool {
    let kube::Error::Api(answer) = error else {
        return false;
    };
    match answer.code {
        500 => answer.message.contains("field not declared in schema"),
        422 => answer.message.contains("Unsupported value"),
        _ => false,
    }
}

/// The status schema of a kind.
fn status_of(definition: &CustomResourceDefinition) -> Option<&JSONSchemaProps> {
    let versions = &definition.spec.versions;
    let version = versions.iter().find(|version| version.name == VERSION)?;
    let schema = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
    schema.properties.as_ref()?.get("status")
}

/// Lists the fields and enum values of `ours` that `theirs` lacks.
fn compare(ours: &JSONSchemaProps, theirs: &JSONSchemaProps, path: &str, missing: &mut Vec<String>) {
    for (name, field) in ours.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        match theirs.properties.as_ref().and_then(|declared| declared.get(name)) {
            Some(declared) => compare(field, declared, &path, missing),
            None => missing.push(path),
        }
    }
    if let (Some(ours), Some(theirs)) = (item(ours), item(theirs)) {
        compare(ours, theirs, &format!("{path}[]"), missing);
    }
    if let Some(declared) = &theirs.enum_ {
        let values = ours.enum_.iter().flatten();
        let unknown = values.filter(|value| !declared.contains(value));
        missing.extend(unknown.map(|value| format!("{path} {}", value.0)));
    }
}

fn item(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(item) => Some(item),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

/// The part of a value that the schema declares; `None` if the schema accepts none of it.
fn fit(value: Value, schema: &JSONSchemaProps) -> Option<Value> {
    match (value, &schema.properties) {
        (Value::Object(fields), Some(declared)) => {
            let known = fields.into_iter().filter_map(|(name, field)| {
                let field = fit(field, declared.get(&name)?)?;
                Some((name, field))
            });
            let fields: Map<_, _> = known.collect();
            let mut required = schema.required.iter().flatten();
            required
                .all(|name| fields.contains_key(name))
                .then_some(Value::Object(fields))
        }
        (Value::Array(items), _) => {
            let fitting = match item(schema) {
                Some(declared) => items.into_iter().filter_map(|item| fit(item, declared)).collect(),
                None => items,
            };
            Some(Value::Array(fitting))
        }
        (value, _) => {
            let values = schema.enum_.as_ref();
            values
                .is_none_or(|values| values.iter().any(|declared| declared.0 == value))
                .then_some(value)
        }
    }
}

#[cfg(test)]
mod tests {
    use api::{
        Workspace, WorkspaceStatus,
        workspace::{DiskStatus, StopRule},
    };
    use kube::{CustomResourceExt as _, core::Status};
    use serde_json::json;
    use testkit::api_server::{ApiServer, Disruption};

    use super::*;

    fn status(change: impl FnOnce(&mut Value)) -> CustomResourceDefinition {
        let mut definition = json!(Workspace::crd());
        change(&mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]);
        serde_json::from_value(definition).unwrap()
    }

    /// An older CRD. It lacks a field, a nested field, an enum value and a field that is always written.
    fn older() -> CustomResourceDefinition {
        status(|schema| {
            let fields = schema["properties"].as_object_mut().unwrap();
            fields.remove("serviceName");
            fields["resolved"]["properties"]
                .as_object_mut()
                .unwrap()
                .remove("manager");
            fields["disk"]["properties"]
                .as_object_mut()
                .unwrap()
                .remove("replacesDeleted");
            fields["stopsBecause"]["enum"] = json!(["Whim"]);
        })
    }

    async fn read(definition: &CustomResourceDefinition) -> (Definitions, Vec<String>) {
        let (server, client) = ApiServer::start();
        server.put(definition);
        let definitions = Definitions::default();
        let missing = definitions.read(&client).await;
        (definitions, missing)
    }

    #[tokio::test]
    async fn what_older_definitions_lack_is_named_and_left_out() {
        let (definitions, missing) = read(&older()).await;
        assert_eq!(
            missing,
            [
                "Workspace.status.disk.replacesDeleted",
                "Workspace.status.resolved.manager",
                "Workspace.status.serviceName",
                "Workspace.status.stopsBecause \"Idle\"",
                "Workspace.status.stopsBecause \"MaxAge\"",
                "Workspace.status.stopsBecause \"Failed\"",
                "Workspace.status.stopsBecause \"Requested\"",
            ]
        );
        let written = json!(WorkspaceStatus {
            service_name: Some("s".to_owned()),
            run_id: Some("r".to_owned()),
            stops_because: Some(StopRule::Idle),
            disk: Some(DiskStatus {
                claim_uid: "u".to_owned(),
                ..DiskStatus::default()
            }),
            ..WorkspaceStatus::default()
        });
        let fitting = definitions.fit("Workspace", written.clone());
        assert_eq!(fitting, json!({"runID": "r", "disk": {"claimUID": "u"}}));
        assert_eq!(definitions.fit("WorkspaceShare", written.clone()), written);
    }

    #[tokio::test]
    async fn definitions_of_this_release_and_newer_ones_lack_nothing() {
        let newer = status(|schema| {
            schema["properties"]["later"] = json!({"type": "string"});
            schema["properties"]["stopsBecause"]["enum"] =
                json!(["Idle", "MaxAge", "Failed", "Requested", "Whim"]);
        });
        for definition in [Workspace::crd(), newer] {
            let (definitions, missing) = read(&definition).await;
            assert_eq!(missing, [""; 0]);
            let status = json!({"serviceName": "s"});
            assert_eq!(definitions.fit("Workspace", status.clone()), status);
        }
    }

    #[tokio::test]
    async fn unreadable_definitions_keep_the_last_result() {
        let (server, client) = ApiServer::start();
        server.put(&older());
        let definitions = Definitions::default();
        let missing = definitions.read(&client).await;
        server.disrupt(http::Method::GET, "customresourcedefinitions", Disruption::Lost);
        assert_eq!(definitions.read(&client).await, missing);
        assert_eq!(
            definitions.fit("Workspace", json!({"serviceName": "s"})),
            json!({})
        );
    }

    #[test]
    fn a_refusal_for_an_unknown_field_is_distinguished_from_other_failures() {
        let answer =
            |code, message: &str| kube::Error::Api(Status::failure(message, "").with_code(code).boxed());
        let undeclared = "failed to create typed patch object (/p; workspaces.jupyter.org/v1alpha1, Kind=Workspace): .status.serviceName: field not declared in schema";
        assert!(is_of_schema(&answer(500, undeclared)));
        assert!(is_of_schema(&answer(
            422,
            "status.stopsBecause: Unsupported value: \"Whim\""
        )));
        assert!(!is_of_schema(&answer(500, "etcd is away")));
        assert!(!is_of_schema(&answer(409, undeclared)));
    }
}
