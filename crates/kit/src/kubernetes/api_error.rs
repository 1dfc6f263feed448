//! Kubernetes client error -> log text without the content of the answer (pure).
//!
//! An answer may hold a Secret. The client's own error for an unreadable answer repeats that answer.

/// The reason that the client sets when an answer is neither the expected object nor a `Status`.
/// The message of such an error contains the whole answer.
const NO_STATUS: &str = "Failed to parse error data";

/// Describes the error for logs, and for errors that are not passed on.
pub fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::SerdeError(error) => format!(
            "the API server's answer cannot be read (line {}, column {})",
            error.line(),
            error.column()
        ),
        kube::Error::Api(status) if status.reason == NO_STATUS => {
            format!("the API server answered {}, and not why", status.code)
        }
        error => error.to_string(),
    }
}

/// Describes the error for users: the API server's message alone, or else [`message`].
pub fn for_users(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.reason != NO_STATUS => status.message.clone(),
        error => message(error),
    }
}

#[cfg(test)]
mod tests {
    use http::{Response, StatusCode};
    use k8s_openapi::api::core::v1::Secret;

    use super::*;

    /// The descriptions of the error that this answer causes, for logs and for users.
    async fn texts(status: StatusCode, answer: &'static str) -> [String; 2] {
        let service = tower::service_fn(move |_| async move {
            let mut response = Response::new(kube::client::Body::from(answer.as_bytes().to_vec()));
            *response.status_mut() = status;
            Ok::<_, std::convert::Infallible>(response)
        });
        let client = kube::Client::new(service, "default");
        let asked: Result<Secret, _> = kube::Api::namespaced(client, "system").get("keys").await;
        let error = asked.unwrap_err();
        [message(&error), for_users(&error)]
    }

    #[tokio::test]
    async fn messages_of_the_api_server_are_shown_and_unreadable_answers_are_not() {
        for (status, answer, message) in [
            (StatusCode::OK, r#"{"data": "hush"}"#, "cannot be read (line 1, "),
            (StatusCode::OK, r#"{"data": {"key": "hush"#, "cannot be read"),
            (StatusCode::BAD_GATEWAY, "upstream said hush", "answered 502"),
            (
                StatusCode::FORBIDDEN,
                r#"{"kind": "Status", "status": "Failure", "message": "no such right", "reason": "Forbidden", "code": 403}"#,
                "no such right",
            ),
        ] {
            for text in texts(status, answer).await {
                assert!(text.contains(message) && !text.contains("hush"), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn users_read_the_api_server_s_message_alone() {
        let refusal = r#"{"kind": "Status", "status": "Failure", "message": "no such right", "reason": "Forbidden", "code": 403}"#;
        let [_, text] = texts(StatusCode::FORBIDDEN, refusal).await;
        assert_eq!(text, "no such right");
    }
}
