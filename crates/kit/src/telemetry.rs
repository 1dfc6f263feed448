//! environment -> one JSON line per event on standard error (IO).

use std::panic;

use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Where the Kubernetes client says what it was answered: whatever it cannot read it repeats as a whole, Secrets included. Whoever
/// asked says what failed.
const REPEATS: &str = "kube_client::client";

/// Starts logging and makes panics log lines.
///
/// `LOG_LEVEL` holds the filter in `tracing`'s notation; unset, empty or unreadable, it is `info`. An unreadable one is
/// told once.
pub fn init() {
    let level = std::env::var_os("LOG_LEVEL").unwrap_or_default();
    let level = level.to_string_lossy();
    let (filter, unreadable) = filter(&level);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false);
    // A second call, as tests make it, keeps the first subscriber.
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
            tracing::warn!(LOG_LEVEL = %level, error, "LOG_LEVEL cannot be read: it is taken for info");
        }
    }
}

/// Whether an event holds no answer of the API server.
pub fn holds_no_answer(event: &Metadata<'_>) -> bool {
    event.target() != REPEATS
}

/// The filter, and what is wrong with `level` if it is not that.
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
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What comes of asking an API server that answers this.
    async fn asked(answer: &'static str) -> Result<k8s_openapi::api::core::v1::Secret, kube::Error> {
        let service = tower::service_fn(move |_| async move {
            Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::from(
                answer.as_bytes().to_vec(),
            )))
        });
        let client = kube::Client::new(service, "default");
        kube::Api::namespaced(client, "system").get("keys").await
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_read_is_not_in_the_log() {
        let log = Log::default();
        let written = log.clone();
        let lines = fmt::layer()
            .with_writer(move || written.clone())
            .with_filter(filter_fn(holds_no_answer));
        let _logging = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
        for answer in [
            r#"{"data": {"key": "not for logs"}"#,
            r#"{"data": "not for logs"}"#,
        ] {
            assert!(asked(answer).await.is_err());
            tracing::info!("and what is ours");
        }
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("not for logs"), "{text}");
        assert_eq!(text.matches("and what is ours").count(), 2, "{text}");
    }

    #[test]
    fn an_unreadable_level_is_info_and_told() {
        for (level, filtered, told) in [
            ("", "info", false),
            ("warn", "warn", false),
            ("info,kube=debug", "kube=debug,info", false),
            ("kube=loud", "info", true),
        ] {
            let (filter, unreadable) = filter(level);
            assert_eq!(
                (filter.to_string().as_str(), unreadable.is_some()),
                (filtered, told),
                "{level}"
            );
        }
    }
}
