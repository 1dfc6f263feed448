//! Transport -> the portal, and requests for lists of an owner and of an administrator (IO).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use assertion::Verifier;
use k8s_openapi::api::core::v1::Namespace;
use kit::assertion_signer::Claims;
use kit::readiness::Readiness;
use kit::scope::Scope;
use portal::app::{App, Parts};
use portal::args::Prefixes;
use portal::cluster::Mode;
use portal::user::{Authenticator, NoUser, User};
use serde_json::json;
use testkit::api_server::ApiServer;
use tokio_util::sync::CancellationToken;

use super::objects::Namespaces;
use super::{listen, signer, tls};
use crate::load::Question;

const WORKSPACES: usize = 5_000;
const NAMESPACES: Namespaces = Namespaces(200);
const ADMINISTRATOR: &str = "administrator";

/// As the portal itself reads assertions, with keys that never change.
struct Keys(Verifier);

impl Authenticator for Keys {
    fn user(&self, assertion: &str, now: i64) -> Result<User, NoUser> {
        let claims = self
            .0
            .check(assertion, api::names::GATEWAY, api::names::PORTAL_AUDIENCE, now)
            .map_err(|_| NoUser::NotSignedIn)?;
        Ok(User {
            name: claims.subject,
            groups: claims.groups,
            session_end: claims.session_end,
            assertion_end: claims.ends,
        })
    }
}

pub(super) async fn serve() -> anyhow::Result<()> {
    let (server, client) = ApiServer::start();
    // Others may list no namespace: they see what they own, and what is shared with them.
    server.review(|spec| spec["user"] == ADMINISTRATOR);
    server.put(&testkit::objects::manager("main"));
    server.put(&testkit::objects::template("jupyterlab"));
    for number in 0..NAMESPACES.0 {
        let [namespace, _] = NAMESPACES.place(number);
        let labels = json!({"workspaces.jupyter.org/workspaces": "true"});
        let namespace = json!({"metadata": {"name": namespace, "labels": labels}});
        server.put(&serde_json::from_value::<Namespace>(namespace)?);
    }
    for number in 0..WORKSPACES {
        server.put(&NAMESPACES.workspace(number)?);
        server.put(&NAMESPACES.share(number)?);
    }
    let signer = signer()?;
    let parts = Parts {
        client,
        manager: None,
        scope: Scope::Cluster,
        mode: Arc::new(ArcSwap::from_pointee(Mode::AsUser)),
        without_credentials: None,
        acts_in: [].into(),
        keys: Arc::new(Keys(Verifier::new(&signer.key_set())?)),
        settings: rules::Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}")?,
        theme: theme::Theme::default(),
        prefixes: Prefixes {
            users: vec![],
            groups: vec!["oidc:".to_owned()],
        },
        metrics: portal::metrics::Metrics::default(),
    };
    let readiness = Readiness::default();
    let (app, watches) = App::new(parts, &readiness);
    tokio::spawn(watches);
    while !readiness.missing().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let now = jiff::Timestamp::now().as_second();
    let list = |user: &str| -> anyhow::Result<Question> {
        let claims = Claims {
            ends: now + 3600,
            session_end: Some(now + 3600),
            ..Claims::new(api::names::GATEWAY, api::names::PORTAL_AUDIENCE, user, now)
        };
        let headers = [
            (api::names::ASSERTION_HEADER, signer.sign(&claims)?),
            ("accept", "text/html".to_owned()),
            ("accept-encoding", "gzip, br".to_owned()),
        ];
        Ok(Question {
            path: "/".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body: None,
        })
    };
    let questions = vec![
        ("owner", list(&NAMESPACES.owner(0))?),
        ("administrator", list(ADMINISTRATOR)?),
    ];
    let socket = listen(questions).await?;
    let router = portal::router::router(app);
    kit::https::serve(socket, tls()?, router, kit::https::IDLE, CancellationToken::new()).await;
    Ok(())
}
