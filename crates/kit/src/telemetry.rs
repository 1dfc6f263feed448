//! environment -> one JSON line per event on standard error (IO).

use std::panic;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Starts logging and makes panics log lines.
///
/// `LOG_LEVEL` holds the filter in `tracing`'s notation; unset or unreadable, it is `info`.
pub fn init() {
    let filter = EnvFilter::try_from_env("LOG_LEVEL").unwrap_or_else(|_| EnvFilter::new("info"));
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
    }
}
