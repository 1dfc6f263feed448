//! `AdmissionReview` bytes -> request; answer -> `AdmissionReview` (pure).
//!
//! - `accounts`: accounts of controllers and of our own processes
//! - `changes`: changes of a request
//! - `findings`: violations and warnings -> answer
//! - `kind`: the kinds that this webhook admits

mod accounts;
mod changes;
mod findings;
mod kind;

pub use accounts::Accounts;
pub(crate) use changes::Changes;
pub use findings::Enforcement;
pub(crate) use findings::Findings;
pub(crate) use kind::Kind;

use k8s_openapi::api::authentication::v1::UserInfo;
use kube::api::DynamicObject;
use kube::core::Status;
use kube::core::admission::{
    AdmissionRequest, AdmissionResponse, AdmissionReview, META_API_VERSION_V1, META_KIND, Operation,
};
use kube::core::response::{StatusCause, StatusDetails};
use rules::{Violation, Violations};

/// Why a body is no valid `AdmissionReview`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReviewError {
    /// The body is not JSON of the expected structure.
    #[error("the body cannot be read as an AdmissionReview: {0}")]
    Json(#[from] serde_json::Error),
    /// The kind or version is wrong.
    #[error("expected an AdmissionReview of {META_API_VERSION_V1}, got {kind} of {version}")]
    Version {
        /// The received kind.
        kind: String,
        /// The received version.
        version: String,
    },
    /// The review contains no request.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// The review is about another resource.
    #[error(
        "only objects of {} are judged here, and only to be created, updated or deleted",
        api::names::GROUP
    )]
    Foreign,
    /// The request lacks the new or the stored object.
    #[error("the request has no {0}")]
    NoObject(&'static str),
}

/// A request to create, update or delete one of our objects.
#[derive(Debug)]
pub(crate) struct Request {
    /// Kind of the object.
    pub(crate) kind: Kind,
    /// The object as it would be stored; at deletion, the stored object.
    pub(crate) object: DynamicObject,
    /// The object as it is stored; `None` at creation.
    pub(crate) old: Option<DynamicObject>,
    /// The requesting user.
    pub(crate) user: UserInfo,
    /// Namespace of the object; empty for cluster-scoped kinds.
    pub(crate) namespace: String,
    /// Name of the object; empty until the API server has generated it.
    pub(crate) name: String,
    review: AdmissionRequest<DynamicObject>,
}

impl Request {
    /// Parses a request body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ReviewError> {
        let review: AdmissionReview<DynamicObject> = serde_json::from_slice(body)?;
        if review.types.api_version != META_API_VERSION_V1 || review.types.kind != META_KIND {
            return Err(ReviewError::Version {
                kind: review.types.kind,
                version: review.types.api_version,
            });
        }
        let mut request: AdmissionRequest<DynamicObject> =
            review.try_into().map_err(|_| ReviewError::NoRequest)?;
        let whole = request.sub_resource.as_deref().unwrap_or_default().is_empty();
        let kind = Kind::from_plural(&request.resource.resource)
            .filter(|_| whole && request.resource.group == api::names::GROUP)
            .ok_or(ReviewError::Foreign)?;
        let mut old = || {
            request
                .old_object
                .take()
                .ok_or(ReviewError::NoObject("oldObject"))
        };
        let old = match request.operation {
            Operation::Create => None,
            Operation::Update | Operation::Delete => Some(old()?),
            Operation::Connect => return Err(ReviewError::Foreign),
        };
        let object = match (&request.operation, &old) {
            (Operation::Delete, Some(stored)) => stored.clone(),
            _ => request.object.take().ok_or(ReviewError::NoObject("object"))?,
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

    /// The same request with another kind, for tests.
    #[cfg(test)]
    pub(crate) fn about(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Name of the requesting user. It is never empty in a request from the API server.
    pub(crate) fn user_name(&self) -> &str {
        self.user.username.as_deref().unwrap_or_default()
    }

    /// Whether the request creates the object.
    pub(crate) fn is_create(&self) -> bool {
        self.old.is_none()
    }

    /// Whether the request deletes the object.
    pub(crate) fn is_delete(&self) -> bool {
        self.review.operation == Operation::Delete
    }

    /// Whether the stored object is being deleted and waits for its finalizers.
    pub(crate) fn is_deleting(&self) -> bool {
        self.old
            .as_ref()
            .is_some_and(|old| old.metadata.deletion_timestamp.is_some())
    }

    /// The answer in the format of the API server.
    pub(crate) fn respond(&self, answer: Decision) -> AdmissionReview<DynamicObject> {
        let mut response = AdmissionResponse::from(&self.review);
        match answer {
            Decision::Allow { warnings } => {
                response.warnings = (!warnings.is_empty()).then_some(warnings);
            }
            Decision::Patch { patch, warnings } => match response.clone().with_patch(patch) {
                Ok(mut patched) => {
                    patched.warnings = (!warnings.is_empty()).then_some(warnings);
                    response = patched;
                }
                Err(error) => response = response.deny(error),
            },
            Decision::Refuse(refusal) => {
                response.allowed = false;
                response.result = refusal.status(self.kind, &self.name);
            }
        }
        response.into_review()
    }
}

/// Maximum number of violations in one answer. The object's size is not limited at this point.
const MAX_LISTED: usize = 200;

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// The request is allowed, with warnings for the user.
    Allow {
        /// One sentence each.
        warnings: Vec<String>,
    },
    /// The request is allowed with these changes, and with warnings for the user.
    Patch {
        /// The changes.
        patch: json_patch::Patch,
        /// One sentence each.
        warnings: Vec<String>,
    },
    /// The request is refused.
    Refuse(Refusal),
}

impl Decision {
    /// The label for metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Allow { .. } => "allowed",
            Self::Patch { .. } => "patched",
            Self::Refuse(Refusal::Unavailable(_)) => "unavailable",
            Self::Refuse(_) => "refused",
        }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    /// It violates rules. All violations are listed.
    Invalid(Violations),
    /// The user has no permission. Other violations are listed, too.
    Forbidden(Violations),
    /// The request cannot be validated now.
    Unavailable(String),
}

impl Refusal {
    /// The refusal when a dependency of the decision does not answer.
    pub(crate) fn not_now() -> Self {
        Self::Unavailable("the request cannot be validated now: try again in a few seconds".to_owned())
    }

    /// `reason` of the API server's `Status`.
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
        // kubectl prints the causes of an invalid object one by one, each with its field.
        let cause = |violation: &Violation| StatusCause {
            reason: "FieldValueInvalid".to_owned(),
            message: violation.detail(),
            field: violation.field.clone(),
        };
        let mut messages: Vec<_> = violations
            .iter()
            .take(MAX_LISTED)
            .map(ToString::to_string)
            .collect();
        if violations.len() > MAX_LISTED {
            messages.push(format!("and {} more", violations.len() - MAX_LISTED));
        }
        Status::failure(&messages.join("; "), self.reason())
            .with_code(code)
            .with_details(StatusDetails {
                name: name.to_owned(),
                group: api::names::GROUP.to_owned(),
                kind: kind.name(),
                uid: String::new(),
                causes: violations.iter().take(MAX_LISTED).map(cause).collect(),
                retry_after_seconds: 0,
            })
    }
}

#[cfg(test)]
pub(crate) mod tests;
