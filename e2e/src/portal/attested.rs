//! User and groups -> answers of the portal, by an assertion like the gateway's (IO).
//!
//! The installation has two accounts. Here a request can have any user: its assertion is signed with the gateway's key, and it goes to the
//! portal's own port with the proxy's certificate. [`super::Portal`] goes through proxy and sign-in instead.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use api::names;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Secret;
use kit::{
    assertion_signer::{Claims, Signer},
    rotating_keys::{self, MasterKey},
};
use kube::Api;
use reqwest::Url;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{Environment, cluster, http::replica::Replica, portal};

/// Rest of the session that an assertion names, in seconds.
const SESSION: i64 = 3600;

/// Seconds since 1970.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or_default()
}

/// The keys of a component, as its Secret has them.
///
/// # Errors
/// They cannot be read.
pub async fn keys(component: &str) -> anyhow::Result<Vec<MasterKey>> {
    let environment = Environment::get()?;
    let secrets: Api<Secret> = Api::namespaced(cluster::admin().await?, &environment.system_namespace);
    let spec = kit::shared_secret::Spec {
        name: format!("{}-{component}-keys", environment.release),
        type_: "Opaque",
        labels: [].into(),
        manager: "e2e",
    };
    Ok(rotating_keys::agree(&secrets, &spec, now()).await?)
}

/// Signs with these keys.
///
/// # Errors
/// One of them cannot be used.
pub fn signer(keys: &[MasterKey]) -> anyhow::Result<Signer> {
    let signer = Signer::default();
    signer.replace(keys)?;
    Ok(signer)
}

/// A user as Kubernetes knows them.
#[derive(Clone, Debug)]
pub struct User {
    /// User name.
    pub name: String,
    /// Groups, without those that the API server adds.
    pub groups: Vec<String>,
}

/// An answer of the portal.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// What the page shows, or the text of an answer that is no page.
    pub view: Value,
}

impl Answer {
    /// Whether one of the texts of the page contains `part`.
    pub fn says(&self, part: &str) -> bool {
        says(&self.view, part)
    }
}

fn says(view: &Value, part: &str) -> bool {
    match view {
        Value::String(text) => text.contains(part),
        Value::Array(all) => all.iter().any(|one| says(one, part)),
        Value::Object(all) => all.values().any(|one| says(one, part)),
        _ => false,
    }
}

/// The client's end of a connection.
type Sender = http1::SendRequest<Full<Bytes>>;

/// A connection to the portal, for one request at a time. It is opened anew where the portal has closed it.
pub struct Connection {
    sender: Mutex<Sender>,
    replica: Replica,
    signer: Arc<Signer>,
    origin: String,
}

/// The connection ends when its sender is dropped.
async fn connect(replica: &Replica) -> anyhow::Result<Sender> {
    let (sender, connection) = http1::handshake(TokioIo::new(replica.connect().await?)).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

impl Connection {
    /// Opens a connection to a replica.
    ///
    /// # Errors
    /// No replica is ready or can be reached.
    pub async fn open(signer: Arc<Signer>) -> anyhow::Result<Self> {
        let replica = Replica::of("portal").await?.into_iter().next();
        let replica = replica.context("no replica of the portal is ready")?;
        Ok(Self {
            sender: Mutex::new(connect(&replica).await?),
            replica,
            signer,
            origin: portal::address("")?,
        })
    }

    /// What a page shows.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn get(&self, user: &User, path: &str) -> anyhow::Result<Answer> {
        self.ask(user, Request::get(path), String::new()).await
    }

    /// Sends a form, and does not follow the redirect.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn post(&self, user: &User, path: &str, form: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let encoded = Url::parse_with_params(&self.origin, form)?;
        let body = encoded.query().unwrap_or_default().to_owned();
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::ORIGIN, &self.origin)
            .header("Sec-Fetch-Site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.ask(user, request, body).await
    }

    async fn ask(
        &self,
        user: &User,
        request: http::request::Builder,
        body: String,
    ) -> anyhow::Result<Answer> {
        let now = now();
        let claims = Claims {
            groups: Some(&user.groups),
            session_end: Some(now + SESSION),
            ..Claims::new(names::GATEWAY, names::PORTAL_AUDIENCE, &user.name, now)
        };
        let host = Url::parse(&self.origin)?
            .host_str()
            .unwrap_or_default()
            .to_owned();
        let request = request
            .header(header::HOST, host)
            .header(header::ACCEPT, "application/json")
            .header(names::ASSERTION_HEADER, self.signer.sign(&claims)?)
            .body(Full::new(Bytes::from(body)))?;
        let answer = {
            let mut sender = self.sender.lock().await;
            if sender.ready().await.is_err() {
                *sender = connect(&self.replica).await?;
            }
            sender.send_request(request).await?
        };
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer {
            status,
            view: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }
}
