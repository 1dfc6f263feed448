//! Kubeconfig or service account -> Kubernetes client (IO).

use std::time::Duration;

use http::HeaderValue;
use kube::config::AuthInfo;
use kube::{Client, Config};

use super::retry::with_retries;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why no client was created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No kubeconfig and no service account of a pod exists, or it cannot be read.
    #[error("no Kubernetes configuration: {0}")]
    Config(#[from] kube::config::InferConfigError),
    /// The configuration is invalid.
    #[error("the Kubernetes client cannot be made: {0}")]
    Client(#[from] kube::Error),
    /// The user agent is not a valid header value.
    #[error("user agent {0:?} is not a header value")]
    UserAgent(String),
}

/// Creates a client from the environment. What lists objects wraps it in `api::response::readable`. `user_agent` is the name of the component.
/// It is also the field manager, so that audit logs and managed fields agree.
pub async fn new(user_agent: &str) -> Result<Client, Error> {
    with_concurrency_limit(user_agent, usize::MAX).await
}

/// Like [`new`], with at most `at_a_time` concurrent requests. Watches and requests for leases do not count.
pub async fn with_concurrency_limit(user_agent: &str, at_a_time: usize) -> Result<Client, Error> {
    let config = config(user_agent).await?;
    Ok(with_retries(Client::try_from(config)?, at_a_time))
}

/// Like [`new`], but its requests have no credentials: the caller adds a user's to each, and no request is sent with those of the process.
pub async fn without_credentials(user_agent: &str) -> Result<Client, Error> {
    let mut config = config(user_agent).await?;
    config.auth_info = AuthInfo::default();
    Ok(with_retries(Client::try_from(config)?, usize::MAX))
}

async fn config(user_agent: &str) -> Result<Config, Error> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(WRITE_TIMEOUT);
    config.default_retry = false;
    let agent = HeaderValue::from_str(user_agent).map_err(|_| Error::UserAgent(user_agent.to_owned()))?;
    config.headers.push((http::header::USER_AGENT, agent));
    Ok(config)
}
