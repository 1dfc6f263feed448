//! Name and groups -> requests that the gateway would let through: with its assertion about that user (pure).

use http::Request;
use jiff::Timestamp;
use kit::assertion::{Claims, Signer};
use kit::rotating_keys::MasterKey;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Deserialize;
use std::path::Path;

/// Somebody who looks at a page.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
    pub(crate) path: String,
}

/// The gateway's keys: the same in every process of a run.
pub(crate) fn signer() -> anyhow::Result<Signer> {
    let signer = Signer::default();
    signer.replace(&[MasterKey {
        id: "0101010101010101".to_owned(),
        active_from: 0,
        bytes: [1; 32].into(),
    }])?;
    Ok(signer)
}

impl Person {
    /// A request for this person's page whose assertion ends in so many seconds.
    pub(crate) fn request(&self, signer: &Signer, seconds: i64) -> anyhow::Result<Request<Body>> {
        let now = Timestamp::now().as_second();
        let claims = Claims {
            ends: now + seconds,
            groups: Some(&self.groups),
            session_end: Some(now + 3600),
            ..Claims::new(api::names::GATEWAY, api::names::PORTAL_AUDIENCE, &self.name, now)
        };
        let request = Request::get(&self.path)
            .header(api::names::ASSERTION_HEADER, signer.sign(&claims)?)
            .header("accept", "text/html")
            .header("accept-encoding", "gzip, br");
        Ok(request.body(Body::empty())?)
    }
}

/// A client by a kubeconfig: of the API server, or of the portal, whose listener asks for a certificate as well.
pub(crate) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
