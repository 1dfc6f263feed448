//! kubeconfig or service account -> Kubernetes client (IO).

use std::time::Duration;

use http::HeaderValue;
use kube::{Client, Config};

use crate::retry::with_retries;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a kubeconfig nor a pod's service account was found, or it cannot be read.
    #[error("no Kubernetes configuration: {0}")]
    Config(#[from] kube::config::InferConfigError),
    /// The configuration was refused.
    #[error("the Kubernetes client cannot be made: {0}")]
    Client(#[from] kube::Error),
    /// The user agent is not a header value.
    #[error("user agent {0:?} is not a header value")]
    UserAgent(String),
}

/// Makes a client from the environment. `user_agent` is the component's name, which is also its field manager, so that
/// audit logs and managed fields agree.
pub async fn new(user_agent: &str) -> Result<Client, Error> {
    with_turns(user_agent, usize::MAX).await
}

/// The same; so many requests are under way at a time, watches and those about leases not counted.
pub async fn with_turns(user_agent: &str, at_a_time: usize) -> Result<Client, Error> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(WRITE_TIMEOUT);
    config.default_retry = false;
    let agent = HeaderValue::from_str(user_agent).map_err(|_| Error::UserAgent(user_agent.to_owned()))?;
    config.headers.push((http::header::USER_AGENT, agent));
    Ok(with_retries(Client::try_from(config)?, at_a_time))
}
