//! Request -> answer of the API server, its warnings, and what went wrong (IO).
//!
//! | file | holds |
//! |---|---|
//! | `connect.rs` | flags -> a client |
//! | `kubeconfig.rs` | flags -> the kubeconfig that counts |
//! | `credentials.rs` | user of a kubeconfig -> the credentials that count |
//! | `plugin.rs` | credential plugin -> credentials |
//! | `client.rs` | configuration and plugin -> a client |
//! | `warning.rs` | `Warning` headers -> texts |
//! | `wait.rs` | workspace -> the state that is waited for |

mod client;
mod connect;
mod credentials;
pub(crate) mod kubeconfig;
mod plugin;
pub(crate) mod wait;
mod warning;

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use http_body_util::BodyExt as _;
use kube::api::{
    DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions, ValidationDirective,
};
use kube::client::Body;
use kube::core::{Request, Status};
use kube::{Client, Resource};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::args::Connection;
use crate::console::Text;
use crate::failure::Failure;

pub(crate) use plugin::Stdin;

/// Objects of one answer to a list.
const PAGE: u32 = 500;
/// Level of `-v` from which requests are shown.
const SHOWS_REQUESTS: u8 = 6;

/// The cluster and namespace to use.
pub struct Cluster {
    client: Client,
    namespace: String,
    /// Address of the API server, if known.
    server: Option<String>,
    timeout: Option<Duration>,
    verbosity: u8,
    /// Warnings and, with `-v`, requests that were not shown yet.
    notes: Mutex<Vec<String>>,
}

/// A request without its body's type.
type Prepared = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

impl Cluster {
    /// A cluster that `client` reaches.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            server: None,
            timeout: None,
            verbosity: 0,
            notes: Mutex::default(),
        }
    }

    /// Whether the connection failed because no cluster is configured, as for guests of a share.
    pub(crate) fn is_missing(failure: &Failure) -> bool {
        matches!(failure, Failure::Other(error) if error.is::<connect::NoCluster>())
    }

    /// Connects like kubectl: with the given file, else those of `$KUBECONFIG`, else `~/.kube/config`, else the pod's service account.
    pub(crate) async fn connect(flags: &Connection, stdin: Stdin) -> Result<Self, Failure> {
        let connected = connect::connect(flags, stdin).await?;
        Ok(Self {
            server: Some(connected.server),
            timeout: flags.timeout(),
            verbosity: flags.verbosity,
            ..Self::new(connected.client, &connected.namespace)
        })
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The namespace of commands that name none of their own.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// One object.
    pub(crate) async fn get<K: Resource<DynamicType = ()>>(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Value, Failure> {
        let request = Request::new(K::url_path(&(), namespace));
        self.send(request.get(name, &GetParams::default())).await
    }

    /// All objects of a namespace, or of all namespaces, in pages.
    pub(crate) async fn list<K: Resource<DynamicType = ()>>(
        &self,
        namespace: Option<&str>,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Vec<Value>, Failure> {
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector = labels.map(str::to_owned);
        params.field_selector = fields.map(str::to_owned);
        let mut found = Vec::new();
        loop {
            let request = Request::new(K::url_path(&(), namespace));
            let mut page = self.send(request.list(&params)).await?;
            let next = page["metadata"]["continue"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            if let Value::Array(items) = page["items"].take() {
                found.extend(items);
            }
            if next.is_empty() {
                break;
            }
            params.continue_token = Some(next);
        }
        // The items of a list leave out what they all share.
        for object in &mut found {
            object["apiVersion"] = json!(K::api_version(&()));
            object["kind"] = json!(K::kind(&()));
        }
        Ok(found)
    }

    /// Creates an object; with `dry_run` the server only checks it. A field that the server does not know is refused.
    pub(crate) async fn create<K: Resource<DynamicType = ()>>(
        &self,
        namespace: Option<&str>,
        object: &Value,
        dry_run: bool,
    ) -> Result<Value, Failure> {
        let params = PostParams {
            dry_run,
            field_manager: Some(api::names::CLI.to_owned()),
        };
        let request = Request::new(K::url_path(&(), namespace));
        let prepared = request.create(&params, object.to_string().into_bytes());
        self.send(prepared.and_then(api::request::strict)).await
    }

    /// Changes an object by a merge patch. A field that the server does not know is refused.
    pub(crate) async fn merge<K: Resource<DynamicType = ()>>(
        &self,
        namespace: Option<&str>,
        name: &str,
        change: &Value,
    ) -> Result<Value, Failure> {
        let params = PatchParams {
            field_manager: Some(api::names::CLI.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let request = Request::new(K::url_path(&(), namespace));
        self.send(request.patch(name, &params, &Patch::Merge(change)))
            .await
    }

    /// Asks the server whether it would take an object, new or changed. It keeps nothing.
    pub(crate) async fn dry_run_apply<K: Resource<DynamicType = ()>>(
        &self,
        namespace: &str,
        name: &str,
        object: &Value,
    ) -> Result<(), Failure> {
        let params = PatchParams::apply(api::names::CLI).force().dry_run();
        let params = PatchParams {
            field_validation: Some(ValidationDirective::Strict),
            ..params
        };
        let request = Request::new(K::url_path(&(), Some(namespace)));
        self.send(request.patch(name, &params, &Patch::Apply(object)))
            .await
            .map(drop)
    }

    /// What a path of the API server answers.
    pub(crate) async fn path(&self, path: &str) -> Result<Value, Failure> {
        let request = http::Request::get(path).body(Vec::new());
        self.send(request.map_err(kube::core::request::Error::BuildRequest))
            .await
    }

    /// Deletes an object if it is still the one with this UID.
    pub(crate) async fn delete<K: Resource<DynamicType = ()>>(
        &self,
        namespace: Option<&str>,
        name: &str,
        uid: Option<&str>,
    ) -> Result<Value, Failure> {
        let params = DeleteParams {
            preconditions: uid.map(|uid| Preconditions {
                uid: Some(uid.to_owned()),
                ..Preconditions::default()
            }),
            ..DeleteParams::default()
        };
        let request = Request::new(K::url_path(&(), namespace));
        self.send(request.delete(name, &params)).await
    }

    /// Shows what was not shown yet: warnings and, with `-v`, requests.
    pub(crate) fn show_notes(&self, err: &mut Text<'_>) -> std::io::Result<()> {
        let notes = std::mem::take(&mut *self.notes.lock());
        for note in notes {
            writeln!(err, "{note}")?;
        }
        Ok(())
    }

    fn note(&self, line: String) {
        self.notes.lock().push(line);
    }

    /// Sends a request. Warnings count also when the API server refuses.
    ///
    /// The request is hand-written, because the typed interface does not return response headers.
    pub(crate) async fn send(&self, request: Prepared) -> Result<Value, Failure> {
        let request = request.context("the request cannot be made")?;
        let shown = format!("{} {}", request.method(), request.uri());
        let begin = Instant::now();
        let exchange = self.exchange(request);
        let outcome = match self.timeout {
            None => exchange.await,
            Some(limit) => tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
                Err(self.unreachable(anyhow!("no answer within {limit:?} (--request-timeout)")))
            }),
        };
        if self.verbosity >= SHOWS_REQUESTS {
            let result = match &outcome {
                Ok(_) => "done".to_owned(),
                Err(Failure::Refused(status)) => status.code.to_string(),
                Err(_) => "failed".to_owned(),
            };
            self.note(format!("{shown} {result} in {} ms", begin.elapsed().as_millis()));
        }
        outcome
    }

    async fn exchange(&self, request: http::Request<Vec<u8>>) -> Result<Value, Failure> {
        let response = self
            .client()
            .send(request.map(Body::from))
            .await
            .map_err(|error| self.unreachable(error.into()))?;
        for text in warning::texts(response.headers()) {
            self.note(format!("Warning: {text}"));
        }
        let code = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .context("the answer of the API server breaks off")?
            .to_bytes();
        if code.is_success() {
            return Ok(
                serde_json::from_slice(&body).context("the answer of the API server is not a JSON object")?
            );
        }
        let status = serde_json::from_slice(&body).unwrap_or_else(|_| {
            Status::failure(&String::from_utf8_lossy(&body), "").with_code(code.as_u16())
        });
        Err(Failure::Refused(Box::new(status)))
    }

    pub(crate) fn unreachable(&self, cause: anyhow::Error) -> Failure {
        Failure::Unreachable {
            address: self.server.clone(),
            cause,
        }
    }
}
