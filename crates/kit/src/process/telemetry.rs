//! Environment variable -> log with one JSON line per event on standard error (IO).

use std::panic;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// The log target of the Kubernetes client for answers. It repeats an unreadable answer as a whole, Secrets included.
/// The caller logs such errors by [`crate::api_error`].
const REPEATS: &str = "kube_client::client";
/// The same for watches. Its warnings are about refusals, which contain no answer.
const WATCHES: &str = "kube_runtime::watcher";

/// Starts logging, and logs panics as JSON lines.
///
/// `LOG_LEVEL` holds the filter in `tracing`'s notation. If it is unset, empty or unreadable, the filter is `info`.
/// An unreadable value is logged once.
pub fn init() {
    let level = std::env::var_os("LOG_LEVEL").unwrap_or_default();
    let level = level.to_string_lossy();
    let (filter, unreadable) = filter(&level);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false);
    // A second call, as in tests, keeps the first subscriber.
    if tracing_subscriber::registry()
        .with(filter)
        .with(
            lines
                .with_writer(std::io::stderr)
                .with_filter(filter_fn(holds_no_answer)),
        )
        .try_init()
        .is_ok()
    {
        panic::set_hook(Box::new(|info| tracing::error!(panic = %info, "a task panicked")));
        if let Some(error) = unreadable {
            tracing::warn!(LOG_LEVEL = %level, error, "LOG_LEVEL cannot be parsed; using info");
        }
    }
}

/// Whether an event contains no answer of the API server.
pub fn holds_no_answer(event: &Metadata<'_>) -> bool {
    match event.target() {
        REPEATS => false,
        WATCHES => *event.level() <= Level::WARN,
        _ => true,
    }
}

/// The filter, and a message if `level` is not a valid filter.
fn filter(level: &str) -> (EnvFilter, Option<String>) {
    let info = || EnvFilter::new("info");
    if level.is_empty() {
        return (info(), None);
    }
    match EnvFilter::try_new(level) {
        Ok(filter) => (filter, None),
        Err(error) => (info(), Some(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use testkit::log::Log;

    use super::*;
    use crate::{rotating_keys, shared_secret};

    /// The result of reading keys from a Secret when the API server gives this answer.
    async fn asked(answer: &'static str) -> Result<(), rotating_keys::Error> {
        let service = tower::service_fn(move |_| async move {
            Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::from(
                answer.as_bytes().to_vec(),
            )))
        });
        let client = kube::Client::new(service, "default");
        let spec = shared_secret::Spec {
            name: "keys".to_owned(),
            type_: "Opaque",
            labels: BTreeMap::new(),
            manager: "tester",
        };
        let secrets = kube::Api::namespaced(client, "system");
        rotating_keys::agree(&secrets, &spec, 0).await.map(drop)
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_read_is_not_in_the_log() {
        let log = Log::default();
        let lines = fmt::layer()
            .with_writer(log.clone())
            .with_filter(filter_fn(holds_no_answer));
        let _logging = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
        for answer in [
            r#"{"data": {"key": "not for logs"}"#,
            r#"{"data": "not for logs"}"#,
        ] {
            let error = asked(answer).await.unwrap_err();
            tracing::info!(%error, ?error, "and what is ours");
            let mut cause = std::error::Error::source(&error);
            while let Some(deeper) = cause {
                tracing::info!(%deeper, ?deeper, "its cause");
                cause = deeper.source();
            }
            tracing::debug!(target: WATCHES, "not for logs");
            tracing::warn!(target: WATCHES, "refused");
        }
        let text = log.text();
        assert!(!text.contains("not for logs"), "{text}");
        assert_eq!(text.matches("and what is ours").count(), 2, "{text}");
        assert_eq!(text.matches("refused").count(), 2, "{text}");
        assert!(text.contains("the API server's answer cannot be read"), "{text}");
    }

    #[test]
    fn an_invalid_log_level_becomes_info_and_is_logged() {
        for (level, filtered, text) in [
            ("", "info", false),
            ("warn", "warn", false),
            ("info,kube=debug", "kube=debug,info", false),
            ("kube=loud", "info", true),
        ] {
            let (filter, unreadable) = filter(level);
            assert_eq!(
                (filter.to_string().as_str(), unreadable.is_some()),
                (filtered, text),
                "{level}"
            );
        }
    }
}
