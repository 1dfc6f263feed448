//! Name and groups -> requests that the gateway would let through: with its assertion about that user (pure).

use http::Request;
use http::request::Builder;
use jiff::Timestamp;
use kit::assertion::{Claims, Signer};
use kit::rotating_keys::MasterKey;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// A user who opens a page.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
    pub(crate) path: String,
    /// What is sent to the path; none: the page is read.
    #[serde(default)]
    pub(crate) sent: Option<Sent>,
}

/// What is sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Sent {
    /// A form of the portal: origin and body.
    Form(String, String),
    /// An object for the API server, in the name of this user, as the portal sends it.
    Object(Value),
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

impl User {
    /// This user's request, whose assertion ends in so many seconds.
    pub(crate) fn request(&self, signer: &Signer, seconds: i64) -> anyhow::Result<Request<Body>> {
        match &self.sent {
            None => {
                let page = self.page(signer, seconds)?;
                Ok(page.header("accept-encoding", "gzip, br").body(Body::empty())?)
            }
            Some(Sent::Form(origin, body)) => {
                let form = self.page(signer, seconds)?.method("POST");
                let form = form
                    .header("origin", origin)
                    .header("content-type", "application/x-www-form-urlencoded");
                Ok(form.body(body.clone().into_bytes().into())?)
            }
            Some(Sent::Object(object)) => {
                let mut request = Request::post(&self.path).header("impersonate-user", &self.name);
                for group in &self.groups {
                    request = request.header("impersonate-group", group);
                }
                let request = request.header("content-type", "application/json");
                Ok(request.body(serde_json::to_vec(object)?.into())?)
            }
        }
    }

    fn page(&self, signer: &Signer, seconds: i64) -> anyhow::Result<Builder> {
        let assertion = self.assertion(signer, seconds)?;
        let request = Request::get(&self.path).header(api::names::ASSERTION_HEADER, assertion);
        Ok(request.header("accept", "text/html"))
    }

    /// What the gateway says about this user, for so many seconds.
    pub(crate) fn assertion(&self, signer: &Signer, seconds: i64) -> anyhow::Result<String> {
        let now = Timestamp::now().as_second();
        let claims = Claims {
            ends: now + seconds,
            groups: Some(&self.groups),
            session_end: Some(now + 3600),
            ..Claims::new(api::names::GATEWAY, api::names::PORTAL_AUDIENCE, &self.name, now)
        };
        Ok(signer.sign(&claims)?)
    }
}

/// A client by a kubeconfig: of the API server, or of the portal, whose listener asks for a certificate as well.
pub(crate) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
