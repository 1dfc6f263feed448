//! The real gateway with its watches -> the state of its listeners, and the listener for `/verify` (IO).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gateway::audit::Audit;
use gateway::clock::Clock;
use gateway::index::Follower;
use gateway::index::Freshness;
use gateway::index::{Index, Served, feed};
use gateway::metrics::Metrics;
use gateway::oidc::Identity;
use gateway::oidc::Tokens;
use gateway::relay::Relay;
use gateway::router::{Entrance, Gate};
use gateway::server::{Answers, Limits, Listener, Owners};
use gateway::server::{Bounds, Kind, Most, at_entrance};
use gateway::server::{Rates, Throttle};
use gateway::session::Content;
use gateway::session::Sessions;
use gateway::tokens::Assertions;
use gateway::tokens::cookies::StripList;
use gateway::tokens::random;
use gateway::tokens::{KeyId, KeyRing, SealingKey};
use gateway::tokens::{RandomId, TICKET_LIFE, Ticket};
use gateway::verify::AppState;
use gateway::verify::Rights;
use http::HeaderMap;
use kit::assertion::Signer;
use kit::rotating_keys::MasterKey;
use kit::scope::Scope;
use kube::Api;
use rustls::ServerConfig;
use testkit::api_server::ApiServer;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::announce::{Headers, Tls, announce, bind};
use crate::cluster::{self, Workspaces};

/// Workspaces, and shares, where decisions are measured.
const COUNT: usize = 10_000;
/// Number of the workspace in the authorization requests.
const ASKED: usize = 2_500;

/// The settings of a listener, as they change.
pub(crate) type TlsConfigs = watch::Receiver<Arc<ServerConfig>>;

/// The parts that listeners need.
pub(crate) struct Gateway {
    pub(crate) app: Arc<AppState>,
    pub(crate) index: Arc<Index>,
    pub(crate) metrics: Metrics,
    /// The API server's other side.
    pub(crate) server: ApiServer,
    keys: Arc<KeyRing>,
    session: RandomId,
    bounds: Bounds,
}

impl Gateway {
    /// A gateway whose index is complete.
    pub(crate) async fn start(workspaces: Workspaces) -> anyhow::Result<Self> {
        let (server, client) = ApiServer::start();
        server.review(|_| true);
        server.put(&testkit::objects::manager("main"));
        let client = cluster::client(client, workspaces);
        let clock = Clock::System;
        let key = SealingKey::derive(KeyId::new(random()?), 0, &random()?)?;
        let keys = Arc::new(KeyRing::new(vec![key]));
        let metrics = Metrics::default();
        let freshness = Arc::new(Freshness::new(Duration::from_mins(1)));
        let follower = Follower::new(freshness.clone(), metrics.clone());
        let index = Arc::new(Index::default());
        let mut changes = index.subscribe();
        tokio::spawn(feed(
            client.clone(),
            Scope::Cluster,
            Served::default(),
            index.clone(),
            follower.clone(),
        ));
        let sessions = Arc::new(Sessions::new(
            Api::namespaced(client.clone(), "system"),
            keys.clone(),
            clock.clone(),
        ));
        let (synced, watched) = (Arc::new(Notify::new()), sessions.clone());
        let notify = synced.clone();
        tokio::spawn(async move { watched.watch(&follower, || notify.notify_one()).await });
        synced.notified().await;
        while index.load().domain().is_none() {
            changes.changed().await?;
        }
        let content = user(&clock, &sessions);
        let session = sessions.create(&content).await?;
        while sessions.peek(session).is_none() {
            tokio::task::yield_now().await;
        }
        anyhow::ensure!(
            index.load().targets().count() == workspaces.count,
            "the index is not complete"
        );
        let signer = Signer::default();
        signer.replace(&[MasterKey {
            id: "0101010101010101".into(),
            active_from: 0,
            bytes: [1; 32].into(),
        }])?;
        let rights = Rights::new(client.clone(), Scope::Cluster, metrics.clone());
        tokio::spawn(rights.clone().renew(Duration::from_mins(2)));
        let app = AppState {
            index: index.clone(),
            rights,
            freshness,
            audit: Audit::to(std::io::sink(), metrics.clone())?.0,
            metrics: metrics.clone(),
            throttle: Arc::new(Throttle::new(Rates::unbounded())),
            sessions,
            bearer: None,
            keys: keys.clone(),
            providers: Arc::default(),
            assertions: Arc::new(Assertions::new(Arc::new(signer), clock.clone())),
            strip: StripList::default(),
            client,
            clock,
        };
        Ok(Self {
            app: Arc::new(app),
            index,
            bounds: Bounds::new(Most::default(), metrics.clone()),
            metrics,
            server,
            keys,
            session,
        })
    }

    /// Authority of a workspace, with the port that browsers use, and a ticket for it that ends then.
    pub(crate) fn ticket(&self, number: usize, expires: i64) -> anyhow::Result<(String, String)> {
        let [namespace, name, uid] = cluster::named(number);
        let index = self.index.load();
        let target = index
            .targets()
            .find(|target| target.name == name && target.namespace == namespace)
            .context("no such workspace")?;
        let site = target.site.host();
        let ticket = Ticket {
            session: self.session,
            uid: &uid,
            site,
            browser: None,
            issued: expires - TICKET_LIFE,
            expires,
        };
        let ticket = ticket.seal(&self.keys, self.app.clock.now())?;
        Ok((format!("{site}:8443"), ticket))
    }

    /// As [`Gateway::ticket`], one that is new.
    pub(crate) fn good_ticket(&self, number: usize) -> anyhow::Result<(String, String)> {
        self.ticket(number, self.app.clock.now() + TICKET_LIFE)
    }

    /// Serves `/verify` and websockets for ever.
    pub(crate) async fn entrance(&self, socket: TcpListener, tls: Option<TlsConfigs>) {
        let relay = Relay::new(
            self.app.clone(),
            self.index.clone(),
            StripList::default(),
            self.metrics.clone(),
            CancellationToken::new(),
        );
        let entrance = Entrance {
            authorizer: self.app.clone(),
            relay: Arc::new(relay),
            // Over HTTP/1.1 the load generator names the address.
            own_names: ["localhost", "127.0.0.1"].map(str::to_owned).into(),
            other_proxies: vec![],
            metrics: self.metrics.clone(),
        };
        let gate = Gate::new(Arc::new(entrance));
        self.listen("verify", at_entrance, (socket, tls), move || gate.clone())
            .await;
    }

    /// Serves for ever.
    pub(crate) async fn listen<A: Answers>(
        &self,
        name: &'static str,
        kind: fn(&str, &HeaderMap) -> Kind,
        (socket, tls): (TcpListener, Option<TlsConfigs>),
        router: impl Fn() -> A,
    ) {
        let listener = Listener {
            name,
            socket,
            tls,
            // Connections live as long as the measurement.
            limits: Limits {
                age: Duration::from_hours(1),
                ..Limits::default()
            },
            bounds: self.bounds.clone(),
            kind,
            owners: Owners::default(),
            metrics: self.metrics.clone(),
        };
        listener.serve(router, CancellationToken::new()).await;
    }
}

/// A user in ten groups who just signed in.
fn user(clock: &Clock, sessions: &Sessions) -> Content {
    let identity = Identity {
        user_name: "alice".into(),
        groups: (0..10)
            .map(|number| format!("oidc:department-{number}"))
            .collect(),
    };
    let tokens = Tokens {
        renew_in: 300,
        ..Tokens::default()
    };
    Content::new(
        "https://identity.example",
        "1",
        identity,
        &tokens,
        clock.now()..clock.now() + sessions.limits().life,
    )
}

/// Serves `/verify`, with a ticket that admits, one that was changed, and one that has ended.
pub(crate) async fn serve(tls: Option<Tls>) -> anyhow::Result<()> {
    let workspaces = Workspaces {
        count: COUNT,
        stopped: 0,
        pod: ([10, 0, 0, 1], 8888).into(),
    };
    let gateway = Gateway::start(workspaces).await?;
    let (authority, valid) = gateway.good_ticket(ASKED)?;
    let mut forged = valid.clone();
    let at = forged.len() / 2;
    let other = if forged[at..].starts_with('A') { "B" } else { "A" };
    forged.replace_range(at..=at, other);
    let (_, expired) = gateway.ticket(ASKED, gateway.app.clock.now() - 1)?;
    let tickets = BTreeMap::from([("valid", valid), ("forged", forged), ("expired", expired)]);
    let socket = bind().await?;
    let headers = Headers {
        authority: &authority,
        tickets: &tickets,
        http2: tls.is_some(),
    };
    announce(&socket, &headers, tls.as_ref())?;
    let configs = tls.map(|tls| watch::channel(tls.config).1);
    gateway.entrance(socket, configs).await;
    Ok(())
}
