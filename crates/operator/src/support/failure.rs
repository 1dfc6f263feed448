//! An API error -> a label for metrics, a message for logs (pure).

/// The label `reason` of an API error in metrics.
pub(crate) fn reason_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.reason.is_empty() => status.reason.clone(),
        kube::Error::Api(status) => status.code.to_string(),
        kube::Error::SerdeError(_) => "Unreadable".to_owned(),
        _ => "Unreachable".to_owned(),
    }
}

/// What the API server answered, or why the request failed.
pub(crate) fn message_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => other.to_string(),
    }
}

/// Whether an error is expected in normal operation: a write conflict, or a namespace that is being deleted.
pub(crate) fn is_expected(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            matches!(status.code, 404 | 409) || status.message.contains("because it is being terminated")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_message_holds_the_answer_of_the_api_server() {
        let answer = Status::failure("the object has been modified", "Conflict")
            .with_code(409)
            .boxed();
        let error = kube::Error::Api(answer);
        assert_eq!(reason_of(&error), "Conflict");
        assert_eq!(message_of(&error), "the object has been modified (409)");
    }
}
