//! A portal without sockets, whose users are named by their assertion: `alice|group,group`, in which `~` stands for `ë`.

use std::sync::Arc;
use std::time::Duration;

use api::WorkspaceManager;
use api::response::readable;
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kit::readiness::Readiness;
use kit::scope::Scope;
use portal::app::{App, Parts};
use portal::args::Prefixes;
use portal::cluster::Mode;
use portal::user::{Authenticator, NoUser, User};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Call};
use testkit::objects::template;
use tokio::time::timeout;
use tower::ServiceExt as _;

pub(crate) const ORIGIN: &str = "https://portal.workspaces.localhost:8443";

pub(crate) const ALICE: &[(&str, &str, &str, &str)] = &[
    ("alice", "create", "workspaces", "team"),
    ("alice", "patch", "workspaces", "team"),
    ("alice", "use", "workspacetemplates", "team"),
];

struct Names;

impl Authenticator for Names {
    fn user(&self, assertion: &str, now: i64) -> Result<User, NoUser> {
        let (name, groups) = assertion.split_once('|').ok_or(NoUser::NotSignedIn)?;
        // `alice@2|` is valid for two seconds.
        let (name, seconds) = name.split_once('@').unwrap_or((name, "60"));
        let seconds: i64 = seconds.parse().map_err(|_| NoUser::NotSignedIn)?;
        let name = decoded(name);
        let groups = groups.replace('~', "ë");
        let groups = groups.split(',').filter(|group| !group.is_empty());
        Ok(User {
            name,
            groups: groups.map(str::to_owned).collect(),
            session_end: Some(now + 3600),
            assertion_end: now + seconds,
        })
    }
}

/// A name in which bytes may be escaped as in an address.
fn decoded(name: &str) -> String {
    let parsed: Vec<(String, String)> = serde_urlencoded::from_str(name).unwrap_or_default();
    parsed
        .into_iter()
        .next()
        .map(|(name, _)| name)
        .unwrap_or_default()
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn location(&self) -> &str {
        self.headers["location"].to_str().unwrap()
    }
}

pub(crate) struct Portal {
    pub(crate) server: ApiServer,
    pub(crate) mode: Arc<ArcSwap<Mode>>,
    router: Router,
    registry: Registry,
}

impl Portal {
    /// Serves what `prepare` puts into the API server, and the default manager. No user has rights until [`Self::grant`].
    pub(crate) async fn start(prepare: impl FnOnce(&ApiServer)) -> Self {
        Self::start_in(Scope::Cluster, prepare).await
    }

    /// The same for workspaces of all namespaces, or of one.
    pub(crate) async fn start_in(scope: Scope, prepare: impl FnOnce(&ApiServer)) -> Self {
        Self::start_acting_in(&[], scope, prepare).await
    }

    /// The same for a portal that acts for users in these namespaces alone; none: in all.
    pub(crate) async fn start_acting_in(
        namespaces: &[&str],
        scope: Scope,
        prepare: impl FnOnce(&ApiServer),
    ) -> Self {
        Self::start_by((namespaces, false), scope, prepare).await
    }

    /// The same for a portal that acts with users' own tokens.
    pub(crate) async fn start_by_token(prepare: impl FnOnce(&ApiServer)) -> Self {
        Self::start_by((&[], true), Scope::Cluster, prepare).await
    }

    async fn start_by(
        (namespaces, is_by_token): (&[&str], bool),
        scope: Scope,
        prepare: impl FnOnce(&ApiServer),
    ) -> Self {
        let (server, client) = ApiServer::start();
        server.put(&testkit::objects::manager("main"));
        server.review(|_| false);
        prepare(&server);
        let mode = Arc::new(ArcSwap::from_pointee(Mode::AsUser));
        let metrics = portal::metrics::Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let parts = Parts {
            client: readable(client),
            manager: scope.namespace().map(|_| "main".to_owned()),
            scope,
            mode: mode.clone(),
            without_credentials: is_by_token.then(|| readable(server.connect(None))),
            acts_in: namespaces.iter().map(|&namespace| namespace.to_owned()).collect(),
            keys: Arc::new(Names),
            settings: rules::Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap(),
            theme: theme::Theme::default(),
            prefixes: Prefixes {
                users: vec!["oidc:".to_owned()],
                groups: vec!["oidc:".to_owned()],
            },
            metrics,
        };
        let readiness = Readiness::default();
        let (app, watches) = App::new(parts, &readiness);
        tokio::spawn(watches);
        while !readiness.missing().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.take_calls();
        Self {
            server,
            mode,
            router: portal::router::router(app),
            registry,
        }
    }

    /// Grants these rights: user, verb, resource (with subresource), namespace or `*` for all.
    pub(crate) fn grant(&self, rights: &'static [(&str, &str, &str, &str)]) {
        self.server.review(move |spec| {
            let asked = &spec["resourceAttributes"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let mut resource = text(&asked["resource"]);
            if let Some(sub) = asked["subresource"].as_str() {
                resource = format!("{resource}/{sub}");
            }
            let namespace = text(&asked["namespace"]);
            rights.iter().any(|(user, verb, of, place)| {
                spec["user"] == *user
                    && asked["verb"] == *verb
                    && resource == *of
                    && (*place == "*" || !namespace.is_empty() && namespace == *place)
            })
        });
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Reply {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// The open answer, for streams.
    pub(crate) async fn open(&self, user: &str, path: &str) -> Body {
        let response = self.router.clone().oneshot(get(user, path)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body()
    }

    /// Keeps a stream open as a browser does: when it has ended, it is opened again.
    pub(crate) fn keep_open(&self, user: &str, path: &str, mut body: Body) {
        let (router, user, path) = (self.router.clone(), user.to_owned(), path.to_owned());
        tokio::spawn(async move {
            loop {
                while body.frame().await.is_some() {}
                tokio::time::sleep(Duration::from_millis(250)).await;
                let response = router.clone().oneshot(get(&user, &path)).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
                body = response.into_body();
            }
        });
    }

    /// An open answer for an assertion that ends in some seconds.
    pub(crate) async fn open_for(&self, user: &str, path: &str, seconds: u32) -> Body {
        self.open(&format!("{user}@{seconds}|"), path).await
    }

    pub(crate) async fn get(&self, user: &str, path: &str) -> Reply {
        self.send(get(user, path)).await
    }

    pub(crate) async fn json(&self, user: &str, path: &str) -> Value {
        let mut request = get(user, path);
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().insert("accept", json);
        self.send(request).await.json()
    }

    pub(crate) async fn post(&self, user: &str, path: &str, form: &str) -> Reply {
        self.send(posted(user, path, form.to_owned())).await
    }

    /// The portal's metrics.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// Calls of others than the portal itself.
    pub(crate) fn calls_as_users(&self) -> Vec<Call> {
        let mut calls = self.server.take_calls();
        calls.retain(|call| call.as_user.is_some());
        calls
    }
}

pub(crate) fn get(user: &str, path: &str) -> Request<Body> {
    let assertion = if user.contains('|') {
        user.to_owned()
    } else {
        format!("{user}|")
    };
    Request::builder()
        .uri(path)
        .header("workspace-assertion", assertion)
        .body(Body::empty())
        .unwrap()
}

/// A form that a page of the portal sends.
pub(crate) fn posted(user: &str, path: &str, form: impl Into<Body>) -> Request<Body> {
    let (mut head, _) = get(user, path).into_parts();
    head.method = Method::POST;
    let form_type = "application/x-www-form-urlencoded";
    for (name, value) in [("origin", ORIGIN), ("content-type", form_type)] {
        head.headers.insert(name, http::HeaderValue::from_static(value));
    }
    Request::from_parts(head, form.into())
}

/// The next event of a stream that is no comment; `None` at its end.
pub(crate) async fn next(body: &mut Body) -> Option<String> {
    loop {
        let frame = timeout(Duration::from_secs(20), body.frame()).await.unwrap()?;
        let text = String::from_utf8_lossy(&frame.unwrap().into_data().unwrap()).into_owned();
        if !text.starts_with(':') {
            return Some(text);
        }
    }
}

/// A template, and a namespace for workspaces.
pub(crate) fn prepare(server: &ApiServer) {
    server.put(&template("jupyterlab"));
    server.put(&namespace("team"));
}

/// A namespace for workspaces.
pub(crate) fn namespace(name: &str) -> Namespace {
    let labels = json!({"workspaces.jupyter.org/workspaces": "true"});
    serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()
}

/// The default manager with these rules of sharing.
pub(crate) fn sharing(rules: &Value) -> WorkspaceManager {
    let mut manager = testkit::objects::manager("main");
    manager.spec.authorization = serde_json::from_value(json!({ "sharing": rules })).unwrap();
    manager
}

/// A namespace whose quota of pods is used up.
pub(crate) async fn full() -> Portal {
    let quota = json!({
        "metadata": {"name": "small", "namespace": "team"},
        "spec": {"hard": {"pods": "1"}},
        "status": {"hard": {"pods": "1"}, "used": {"pods": "1"}},
    });
    let portal = Portal::start(|server| {
        prepare(server);
        server.put(&serde_json::from_value::<ResourceQuota>(quota).unwrap());
    })
    .await;
    portal.grant(ALICE);
    portal
}
