//! environment -> one JSON line per event on standard error (IO).

use std::panic;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

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
        .with(lines.with_writer(std::io::stderr))
        .try_init()
        .is_ok()
    {
        panic::set_hook(Box::new(|info| tracing::error!(panic = %info, "a task panicked")));
        if let Some(error) = unreadable {
            tracing::warn!(LOG_LEVEL = %level, error, "LOG_LEVEL cannot be read: it is taken for info");
        }
    }
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
    use super::*;

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
