//! Client error -> what went wrong, for pages (pure).

use http::StatusCode;
use kube::core::Status;

/// Why the API server did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// Its answer.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
    /// It did not answer, or not readably.
    #[error("{0}")]
    Unanswered(String),
}

impl Failure {
    /// The workspace is not the one that a page showed.
    pub fn another_workspace() -> Self {
        Self::conflict(
            "The workspace was deleted and another one of the same name was created since this page was loaded.",
        )
    }

    /// The object is not the one that the change was made for.
    pub fn conflict(message: &str) -> Self {
        Self::Refused(Box::new(Status {
            code: 409,
            reason: "Conflict".to_owned(),
            message: message.to_owned(),
            ..Status::default()
        }))
    }

    /// Status code of the answer; 503 without one.
    pub fn code(&self) -> u16 {
        match self {
            Self::Refused(status) => status.code,
            Self::Unanswered(_) => 503,
        }
    }

    /// The same for an answer of the portal.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code()).unwrap_or(StatusCode::BAD_GATEWAY)
    }

    /// Fields that the answer names, with their problems.
    pub fn causes(&self) -> Vec<(String, String)> {
        let Self::Refused(status) = self else {
            return Vec::new();
        };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes
            .filter(|cause| !cause.field.is_empty())
            .map(|cause| (cause.field.clone(), cause.message.clone()))
            .collect()
    }

    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code() == 404
    }

    /// Whether an object of that name exists already.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 409 && status.reason == "AlreadyExists")
    }

    /// Whether the API server refused to take the portal's request for the user's, as it words that.
    pub fn is_of_impersonation(&self) -> bool {
        self.code() == 403 && self.to_string().contains("cannot impersonate")
    }

    /// Whether the object was changed meanwhile.
    pub fn is_conflict(&self) -> bool {
        self.code() == 409
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if !status.reason.is_empty() && status.code != 0 => {
                let message = kit::api_error::for_users(&kube::Error::Api(status.clone()));
                Self::Refused(Box::new(Status { message, ..*status }))
            }
            error => Self::Unanswered(kit::api_error::message(&error)),
        }
    }
}
