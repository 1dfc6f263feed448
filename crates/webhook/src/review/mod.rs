//! `AdmissionReview` bytes -> request; answer -> `AdmissionReview` (pure).
//!
//! - `accounts`: accounts of controllers and of our own processes
//! - `changes`: what a request changes
//! - `findings`: broken rules and warnings -> answer
//! - `kind`: the kinds that are admitted here

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

/// Why a body is no `AdmissionReview` that can be answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReviewError {
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
    /// The requesting user.
    pub(crate) user: UserInfo,
    /// Namespace of the object; empty for kinds of the whole cluster.
    pub(crate) namespace: String,
    /// Name of the object; empty while the API server has yet to generate it.
    pub(crate) name: String,
    /// It is refused whatever else is found. Rights that matter only to stored objects are then not asked for.
    pub(crate) is_refused: bool,
    /// Bytes of the body.
    pub(crate) size: usize,
    review: AdmissionRequest<DynamicObject>,
}

impl Request {
    /// Reads a request body.
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
        let kind = Kind::of(&request.resource.resource)
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
            is_refused: false,
            size: body.len(),
            review: request,
        })
    }

    /// The same about another `object`.
    pub(crate) fn with(&self, object: DynamicObject) -> Self {
        Self {
            kind: self.kind,
            object,
            old: self.old.clone(),
            user: self.user.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            is_refused: self.is_refused,
            size: self.size,
            review: self.review.clone(),
        }
    }

    /// The same about another kind, for tests.
    #[cfg(test)]
    pub(crate) fn about(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Name of the requesting user; never empty in what the API server sends.
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

/// Most broken rules in one answer: the size of the object is not bounded yet.
const MAX_LISTED: usize = 200;

/// What is answered to a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// It may pass, with warnings for the user.
    Allow {
        /// One sentence each.
        warnings: Vec<String>,
    },
    /// It may pass with these changes, with warnings for the user.
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

/// Why a request may not pass.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Refusal {
    /// Rules are broken, all of them listed.
    Invalid(Violations),
    /// The user has no right to do this; other broken rules are listed too.
    Forbidden(Violations),
    /// It cannot be judged at the moment.
    Unavailable(String),
}

impl Refusal {
    /// The refusal when something that the decision needs does not answer.
    pub(crate) fn not_now() -> Self {
        Self::Unavailable("the request cannot be judged at the moment: try again in a few seconds".to_owned())
    }

    /// `reason` of the API server's Status.
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
        // kubectl prints the causes of an invalid object one by one, each after its field.
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
