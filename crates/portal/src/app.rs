//! Settings and clients -> what every page needs; request -> its context (pure).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api::{Workspace, WorkspaceTemplate};
use arc_swap::ArcSwap;
use axum::extract::{FromRequestParts, RawPathParams};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::HeaderMap;
use http::header::ACCEPT;
use http::request::Parts as Head;
use jiff::Timestamp;
use kit::readiness::Readiness;
use kit::scope::Scope;
use kube::Client;
use rules::Settings;
use rules::form::{Form, Offer, form};
use theme::Theme;
use tokio::time::Instant;
use tower_http::request_id::RequestId;

use crate::args::Prefixes;
use crate::cluster::{AsUser, Failure, Identity, Mode, Tokens};
use crate::index::{Index, Served};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::user::{Authenticator, User};
use crate::visible::{self, Rights, VisibleWorkspace};

/// How often the lag of the index is measured.
const MEASURE: Duration = Duration::from_secs(1);

/// Longest time for which a stream is open, in seconds. Then the browser asks again, and gateway and portal decide again: so no stream
/// outlives a session or a right for longer.
const STREAM: i64 = 10;

/// Shown on the answer to a refused request.
const UNASKED: &str = "The API server was not asked who you are, because this request is refused.";

/// What every page needs.
pub struct App {
    /// What it is made of.
    pub(crate) parts: Parts,
    /// Objects in memory.
    pub(crate) index: Index,
    /// What users may do. Pages use those of their [`Context`].
    rights: Rights,
    /// Tokens of users; `None`: the portal impersonates users.
    tokens: Option<Tokens>,
    pub(crate) limits: Limits,
}

/// What an [`App`] is made of.
pub struct Parts {
    /// The portal's own client.
    pub client: Client,
    /// Namespaces whose workspaces are shown.
    pub scope: Scope,
    /// The manager that names the base domain; `None`: the one default manager.
    pub manager: Option<String>,
    /// Whether requests can be sent as the user.
    pub mode: Arc<ArcSwap<Mode>>,
    /// A client without credentials, for requests with users' own tokens; `None`: the portal impersonates users.
    pub without_credentials: Option<Client>,
    /// Namespaces in which the portal acts for users; empty: all.
    pub acts_in: BTreeSet<String>,
    /// Checks assertions.
    pub keys: Arc<dyn Authenticator>,
    /// The installation's defaults for workspaces.
    pub settings: Settings,
    /// Name, logo, help and notice of the installation.
    pub theme: Theme,
    /// What names of users and groups begin with.
    pub prefixes: Prefixes,
    /// Counts answers and changes.
    pub metrics: Metrics,
}

impl App {
    /// The application, and the watches that keep it up to date. Each opens a gate of `readiness` after its first list.
    pub fn new(parts: Parts, readiness: &Readiness) -> (Arc<Self>, BoxFuture<'static, ()>) {
        let (client, scope) = (&parts.client, &parts.scope);
        let (index, watches) = Index::new(client, scope, parts.manager.clone(), readiness);
        let app = Self {
            index,
            rights: Rights::new(client, scope),
            tokens: parts.without_credentials.clone().map(Tokens::new),
            limits: Limits::default(),
            parts,
        };
        let app = Arc::new(app);
        let measured = app.clone();
        let rights = app.rights.clone();
        let follow = async move {
            tokio::select! {
                () = watches => {}
                () = measured.measure() => {}
                () = rights.follow_roles() => {}
            }
        };
        (app, follow.boxed())
    }

    /// How the API server learns who the user of a request with these headers is.
    pub(crate) async fn identity(&self, headers: &HeaderMap, user: &Arc<User>) -> Identity {
        match &self.tokens {
            Some(tokens) => tokens.identity(headers, user).await,
            None => Identity::Impersonated,
        }
    }

    /// The same for a request that is refused: the API server is not asked, and nothing is done as the user.
    pub(crate) fn identity_for_refusal(&self) -> Identity {
        match self.tokens {
            Some(_) => Identity::Unproven(UNASKED.into()),
            None => Identity::Impersonated,
        }
    }

    /// The controls of a new workspace from this template, or of an existing one.
    pub(crate) fn form(
        &self,
        template: Option<&WorkspaceTemplate>,
        workspace: Option<&Workspace>,
        options: &BTreeMap<String, String>,
    ) -> Form {
        let offer = Offer {
            template,
            settings: &self.parts.settings,
            options,
        };
        form(&offer, workspace)
    }

    /// Keeps the metric of the index's lag up to date, forever.
    async fn measure(&self) {
        loop {
            self.parts.metrics.index_lag(self.index.lag());
            tokio::time::sleep(MEASURE).await;
        }
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

/// One request of a signed-in user.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) app: Arc<App>,
    pub(crate) user: Arc<User>,
    /// How the API server learns who the user is.
    pub(crate) identity: Identity,
    /// What users may do.
    pub(crate) rights: Rights,
    pub(crate) served: Served,
    /// Identifier of the request, for logs and error pages.
    pub(crate) request: String,
    /// Path and query.
    pub(crate) address: String,
    /// The namespace that the page is about, if it is about one.
    pub(crate) namespace: Option<String>,
    /// Whether the view model is wanted as JSON. For tests: it is no contract.
    pub(crate) is_json: bool,
    pub(crate) now: Timestamp,
}

impl Context {
    /// When a stream ends that answers this request.
    pub(crate) fn stream_end(&self) -> Instant {
        let left = self.user.assertion_end - self.now.as_second();
        Instant::now() + Duration::from_secs(left.clamp(0, STREAM).unsigned_abs())
    }

    /// Requests as the user of this request.
    pub(crate) fn as_user(&self) -> AsUser {
        let client = match &self.app.tokens {
            Some(tokens) => &tokens.client,
            None => &self.app.parts.client,
        };
        AsUser {
            client: client.clone(),
            user: self.user.clone(),
            identity: self.identity.clone(),
            metrics: Some(self.app.parts.metrics.clone()),
        }
    }

    /// A line of the log about a change. The audit log of the API server has the whole of it.
    pub(crate) fn log<T>(&self, action: &str, namespace: &str, name: &str, outcome: &Result<T, Failure>) {
        let result = if outcome.is_ok() { "done" } else { "failed" };
        self.app.parts.metrics.count_change(action, result);
        let user = &*self.user.name;
        tracing::info!(
            user,
            action,
            namespace,
            name,
            result,
            request = self.request,
            "change"
        );
    }

    /// The workspace of that name, if the user sees it.
    pub(crate) async fn visible_workspace(&self, namespace: &str, name: &str) -> Option<VisibleWorkspace> {
        visible::one(&self.app.index, &self.rights, &self.user, (namespace, name)).await
    }

    /// The workspace of that name, if the user sees all of it.
    pub(crate) async fn readable_workspace(&self, namespace: &str, name: &str) -> Option<VisibleWorkspace> {
        let seen = self.visible_workspace(namespace, name).await;
        seen.filter(|seen| !seen.is_guest())
    }

    /// The command to show where nothing can be changed on this page. Empty: it can.
    pub(crate) fn command_instead(&self, command: impl FnOnce() -> String) -> String {
        self.read_only().map(|_| command()).unwrap_or_default()
    }

    /// Why nothing can be changed on this page; `None` if it can.
    pub(crate) fn read_only(&self) -> Option<String> {
        self.read_only_at(self.namespace.as_deref())
    }

    /// The same for a namespace that the page shows among others.
    pub(crate) fn read_only_in(&self, namespace: &str) -> Option<String> {
        self.read_only_at(Some(namespace))
    }

    /// The same for a namespace, or for all.
    pub(crate) fn read_only_at(&self, namespace: Option<&str>) -> Option<String> {
        let Parts { mode, acts_in, .. } = &self.app.parts;
        match &self.identity {
            Identity::Unproven(why) => Some(why.to_string()),
            _ => mode.load().read_only(namespace, acts_in),
        }
    }
}

impl FromRequestParts<Arc<App>> for Context {
    type Rejection = std::convert::Infallible;

    /// The router has checked user and addresses before.
    async fn from_request_parts(parts: &mut Head, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        let known = parts.extensions.get::<(Arc<User>, Identity, Served)>().cloned();
        #[expect(
            clippy::expect_used,
            reason = "the router's layer inserts it for every route with this extractor"
        )]
        let (user, identity, served) = known.expect("the layer `authenticate` is above every page");
        let path = RawPathParams::from_request_parts(parts, app).await.ok();
        let namespace = path.and_then(|path| {
            let found = path.iter().find(|(name, _)| *name == "namespace");
            found.map(|(_, namespace)| namespace.to_owned())
        });
        let id = parts.extensions.get::<RequestId>();
        let id = id
            .and_then(|id| id.header_value().to_str().ok())
            .unwrap_or_default();
        let accepts = |mime: &str| {
            let accepted = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok());
            accepted.is_some_and(|accepted| accepted.starts_with(mime))
        };
        Ok(Self {
            app: app.clone(),
            rights: app.rights.clone(),
            user,
            identity,
            served,
            request: id.to_owned(),
            address: parts
                .uri
                .path_and_query()
                .map_or("/", |address| address.as_str())
                .to_owned(),
            namespace,
            is_json: accepts("application/json"),
            now: Timestamp::now(),
        })
    }
}
