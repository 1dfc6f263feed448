//! `AdmissionReview` bytes -> request; answer -> `AdmissionReview` (pure).

use k8s_openapi::api::authentication::v1::UserInfo;
use kube::api::DynamicObject;
use kube::core::Status;
use kube::core::admission::{
    AdmissionRequest, AdmissionResponse, AdmissionReview, META_API_VERSION_V1, META_KIND, Operation,
};
use kube::core::response::{StatusCause, StatusDetails};
use rules::{Violation, Violations};

use crate::kind::Kind;

/// Why a body is no `AdmissionReview` that can be answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    /// Not JSON of the expected shape.
    #[error("the body is no AdmissionReview: {0}")]
    Json(#[from] serde_json::Error),
    /// Another kind or version.
    #[error("expected an AdmissionReview of {META_API_VERSION_V1}, got {kind} of {version}")]
    Version {
        /// The kind that came.
        kind: String,
        /// Its version.
        version: String,
    },
    /// The review asks nothing.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// The review asks about something else.
    #[error(
        "only objects of {} are judged here, and only to be created, updated or deleted",
        api::names::GROUP
    )]
    Foreign,
    /// The request lacks the wanted or the stored object.
    #[error("the request has no {0}")]
    NoObject(&'static str),
}

/// A request to create, update or delete an object of ours.
#[derive(Debug)]
pub(crate) struct Request {
    /// What it is about.
    pub(crate) kind: Kind,
    /// The object as it would be stored; at deletion as it is stored.
    pub(crate) object: DynamicObject,
    /// The object as it is stored; `None` at creation.
    pub(crate) old: Option<DynamicObject>,
    /// Who asks.
    pub(crate) user: UserInfo,
    /// Namespace of the object; empty for kinds of the whole cluster.
    pub(crate) namespace: String,
    /// Name of the object; empty while the API server has yet to generate it.
    pub(crate) name: String,
    review: AdmissionRequest<DynamicObject>,
}

impl Request {
    /// Reads a request body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let review: AdmissionReview<DynamicObject> = serde_json::from_slice(body)?;
        if review.types.api_version != META_API_VERSION_V1 || review.types.kind != META_KIND {
            return Err(Malformed::Version {
                kind: review.types.kind,
                version: review.types.api_version,
            });
        }
        let mut request: AdmissionRequest<DynamicObject> =
            review.try_into().map_err(|_| Malformed::NoRequest)?;
        let whole = request.sub_resource.as_deref().unwrap_or_default().is_empty();
        let kind = Kind::of(&request.resource.resource)
            .filter(|_| whole && request.resource.group == api::names::GROUP)
            .ok_or(Malformed::Foreign)?;
        let mut old = || request.old_object.take().ok_or(Malformed::NoObject("oldObject"));
        let old = match request.operation {
            Operation::Create => None,
            Operation::Update | Operation::Delete => Some(old()?),
            Operation::Connect => return Err(Malformed::Foreign),
        };
        let object = match (&request.operation, &old) {
            (Operation::Delete, Some(stored)) => stored.clone(),
            _ => request.object.take().ok_or(Malformed::NoObject("object"))?,
        };
        Ok(Self {
            kind,
            namespace: request.namespace.clone().unwrap_or_default(),
            name: object
                .metadata
                .name
                .clone()
                .unwrap_or_else(|| request.name.clone()),
            user: request.user_info.clone(),
            object,
            old,
            review: request,
        })
    }

    /// The same about another kind, for tests.
    #[cfg(test)]
    pub(crate) fn about(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// User name of who asks; empty for nobody, which the API server never sends.
    pub(crate) fn user_name(&self) -> &str {
        self.user.username.as_deref().unwrap_or_default()
    }

    /// Whether the object is to be created.
    pub(crate) fn is_create(&self) -> bool {
        self.old.is_none()
    }

    /// Whether the object is to be deleted.
    pub(crate) fn is_delete(&self) -> bool {
        self.review.operation == Operation::Delete
    }

    /// Whether the stored object waits for its finalizers.
    pub(crate) fn is_deleting(&self) -> bool {
        self.old
            .as_ref()
            .is_some_and(|old| old.metadata.deletion_timestamp.is_some())
    }

    /// The answer as the API server takes it.
    pub(crate) fn respond(&self, answer: Answer) -> AdmissionReview<DynamicObject> {
        let mut response = AdmissionResponse::from(&self.review);
        match answer {
            Answer::Allow { warnings } => {
                response.warnings = (!warnings.is_empty()).then_some(warnings);
            }
            Answer::Patch { patch, warnings } => match response.clone().with_patch(patch) {
                Ok(mut patched) => {
                    patched.warnings = (!warnings.is_empty()).then_some(warnings);
                    response = patched;
                }
                Err(error) => response = response.deny(error),
            },
            Answer::Refuse(refusal) => {
                response.allowed = false;
                response.result = refusal.status(self.kind, &self.name);
            }
        }
        response.into_review()
    }
}

/// What is answered to a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// It may pass, with sentences for the person who asked.
    Allow {
        /// One sentence each.
        warnings: Vec<String>,
    },
    /// It may pass with these changes, with sentences for the person who asked.
    Patch {
        /// The changes.
        patch: json_patch::Patch,
        /// One sentence each.
        warnings: Vec<String>,
    },
    /// It may not pass.
    Refuse(Refusal),
}

impl Answer {
    /// One word for metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Allow { .. } => "allowed",
            Self::Patch { .. } => "patched",
            Self::Refuse(Refusal::Unavailable(_)) => "unavailable",
            Self::Refuse(_) => "refused",
        }
    }
}

/// Why a request may not pass.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    /// Rules are broken, all of them listed.
    Invalid(Violations),
    /// The person who asked may not do this; other broken rules are listed too.
    Forbidden(Violations),
    /// It cannot be judged at the moment.
    Unavailable(String),
}

impl Refusal {
    /// What is said when something that the verdict needs does not answer.
    pub(crate) fn not_now() -> Self {
        Self::Unavailable("the request cannot be judged at the moment: try again in a few seconds".to_owned())
    }

    /// The reason in the API server's words.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "Invalid",
            Self::Forbidden(_) => "Forbidden",
            Self::Unavailable(_) => "ServiceUnavailable",
        }
    }

    fn status(&self, kind: Kind, name: &str) -> Status {
        let (code, violations) = match self {
            Self::Invalid(violations) => (422, violations),
            Self::Forbidden(violations) => (403, violations),
            Self::Unavailable(message) => return Status::failure(message, self.reason()).with_code(503),
        };
        // kubectl prints the causes of an invalid object one by one, with the field in front.
        let cause = |violation: &Violation| StatusCause {
            reason: "FieldValueInvalid".to_owned(),
            message: violation.detail(),
            field: violation.field.clone(),
        };
        Status::failure(&violations.to_string(), self.reason())
            .with_code(code)
            .with_details(StatusDetails {
                name: name.to_owned(),
                group: api::names::GROUP.to_owned(),
                kind: kind.name(),
                uid: String::new(),
                causes: violations.iter().map(cause).collect(),
                retry_after_seconds: 0,
            })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::accounts::Accounts;

    pub(crate) const OPERATOR: &str = "system:serviceaccount:sys:op";
    pub(crate) const GATEWAY: &str = "system:serviceaccount:sys:gw";
    pub(crate) const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

    pub(crate) fn accounts() -> Accounts {
        Accounts {
            operator: OPERATOR.to_owned(),
            gateway: GATEWAY.to_owned(),
            controllers: vec![COLLECTOR.to_owned()],
        }
    }

    pub(crate) fn body(user: &str, operation: &str, old: &Value, new: &Value) -> Value {
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "r-1",
                "kind": {"group": "workspaces.jupyter.org", "version": "v1alpha1", "kind": "Workspace"},
                "resource": {"group": "workspaces.jupyter.org", "version": "v1alpha1", "resource": "workspaces"},
                "name": "demo",
                "namespace": "team",
                "operation": operation,
                "userInfo": {"username": user, "groups": ["system:authenticated"]},
                "object": new,
                "oldObject": old,
                "dryRun": false,
            },
        })
    }

    pub(crate) fn create(user: &str, new: &Value) -> Request {
        Request::parse(body(user, "CREATE", &Value::Null, new).to_string().as_bytes()).unwrap()
    }

    pub(crate) fn update(user: &str, old: &Value, new: &Value) -> Request {
        Request::parse(body(user, "UPDATE", old, new).to_string().as_bytes()).unwrap()
    }

    pub(crate) fn delete(user: &str, stored: &Value) -> Request {
        Request::parse(body(user, "DELETE", stored, &Value::Null).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_no_review_of_a_workspace_is_refused() {
        let good = body(
            "alice",
            "CREATE",
            &Value::Null,
            &json!({"metadata": {"name": "demo"}}),
        );
        assert!(Request::parse(good.to_string().as_bytes()).is_ok());
        let changed = |pointer: &str, value: Value| {
            let mut body = good.clone();
            *body.pointer_mut(pointer).unwrap() = value;
            Request::parse(body.to_string().as_bytes())
                .map(drop)
                .unwrap_err()
                .to_string()
        };
        assert!(changed("/apiVersion", json!("admission.k8s.io/v1beta1")).contains("v1beta1"));
        assert!(changed("/kind", json!("Pod")).contains("Pod"));
        assert!(changed("/request", Value::Null).contains("no request"));
        assert!(changed("/request/operation", json!("CONNECT")).contains("created, updated or deleted"));
        assert!(changed("/request/operation", json!("DELETE")).contains("oldObject"));
        assert!(changed("/request/operation", json!("UPDATE")).contains("oldObject"));
        assert!(changed("/request/object", Value::Null).contains("object"));
        assert!(changed("/request/resource/resource", json!("pods")).contains("workspaces.jupyter.org"));
        assert!(changed("/request/resource/group", json!("apps")).contains("workspaces.jupyter.org"));
        assert!(Request::parse(b"").is_err());
        assert!(Request::parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn a_deletion_is_about_the_stored_object() {
        let stored = json!({"metadata": {"name": "stored", "annotations": {"a": "b"}}});
        let body = body("alice", "DELETE", &stored, &Value::Null);
        let request = Request::parse(body.to_string().as_bytes()).unwrap();
        assert!(request.is_delete() && !request.is_create());
        assert_eq!(request.name, "stored");
        assert_eq!(request.object, request.old.unwrap());
    }

    #[test]
    fn a_refusal_carries_one_cause_per_broken_rule() {
        let request = create("alice", &json!({"metadata": {"name": "demo"}}));
        let violations = Violations::of(vec![
            Violation::new("spec.image", "evil", "is not allowed"),
            Violation::new("spec.port", "80", "is no port"),
        ]);
        let answer = Answer::Refuse(Refusal::Invalid(violations.unwrap()));
        let review = serde_json::to_value(request.respond(answer)).unwrap();
        assert_eq!(
            review,
            json!({
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "response": {
                    "uid": "r-1",
                    "allowed": false,
                    "status": {
                        "status": "Failure",
                        "code": 422,
                        "reason": "Invalid",
                        "message": "spec.image: \"evil\" is not allowed; spec.port: \"80\" is no port",
                        "details": {
                            "name": "demo",
                            "group": "workspaces.jupyter.org",
                            "kind": "Workspace",
                            "causes": [
                                {"reason": "FieldValueInvalid", "field": "spec.image", "message": "\"evil\" is not allowed"},
                                {"reason": "FieldValueInvalid", "field": "spec.port", "message": "\"80\" is no port"},
                            ],
                        },
                    },
                },
            })
        );
    }
}
