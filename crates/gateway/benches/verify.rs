//! What `xtask bench-gateway` runs: each part a process of its own with one thread (IO).
//!
//! - `gateway plain|tls`: the real gateway, fed by its watches, with 10,000 workspaces, as many shares and one session
//! - `reference plain|tls`: a bare hyper server
//! - `load FILE`: requests at a rate, or over a connection each
//!
//! A server listens on loopback, prints one line of JSON, its address and what to ask it with, and serves until it is killed.

#[path = "verify/announce.rs"]
mod announce;
#[path = "verify/cluster.rs"]
mod cluster;
#[path = "verify/load.rs"]
mod load;
#[path = "verify/reference.rs"]
mod reference;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gateway::audit::Audit;
use gateway::clock::Clock;
use gateway::crypto::assertion::Assertions;
use gateway::crypto::random::random;
use gateway::crypto::seal::{KeyId, KeyRing, SealError, SealingKey};
use gateway::crypto::tokens::{RandomId, TICKET_LIFE, Ticket};
use gateway::index::following::Follower;
use gateway::index::freshness::Freshness;
use gateway::index::{Index, feed};
use gateway::listen::bounds::{Bounds, Most, at_entrance};
use gateway::listen::{Limits, Listener, Owners};
use gateway::metrics::Metrics;
use gateway::oidc::Tokens;
use gateway::oidc::claims::Identity;
use gateway::relay::Relay;
use gateway::request::cookies::StripList;
use gateway::router::{Entrance, Gate};
use gateway::session::Sessions;
use gateway::session::content::Content;
use gateway::throttle::{Rates, Throttle};
use gateway::verify::AppState;
use gateway::verify::rights::Rights;
use kit::assertion::Signer;
use kit::rotating_keys::MasterKey;
use kube::Api;
use testkit::api_server::ApiServer;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::announce::{Headers, Tls, announce, bind};

/// Number of the workspace that is asked about.
const ASKED: usize = 2_500;

fn main() -> anyhow::Result<()> {
    kit::tls::install_crypto_provider();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let part = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    match part.as_slice() {
        ["gateway", "plain"] => runtime.block_on(serve(None)),
        ["gateway", "tls"] => runtime.block_on(serve(Some(Tls::new()?))),
        ["reference", "plain"] => runtime.block_on(reference::serve(None)),
        ["reference", "tls"] => runtime.block_on(reference::serve(Some(Tls::new()?))),
        ["load", plan] => runtime.block_on(load::run(plan)),
        // `cargo bench` and `cargo test --benches` come here: the figures come from the project's tool.
        _ => {
            println!("usage: gateway|reference plain|tls, or load FILE, as `xtask bench-gateway` calls it");
            Ok(())
        }
    }
}

/// The parts that listeners need.
struct Gateway {
    app: Arc<AppState>,
    index: Arc<Index>,
    metrics: Metrics,
    /// Authority of the workspace that is asked about, with the port that browsers use.
    authority: String,
    /// Cookie values by name of the case.
    tickets: BTreeMap<&'static str, String>,
}

/// A gateway whose index is complete. `pod`: the address of every workspace's pod.
async fn gateway(pod: SocketAddr) -> anyhow::Result<Gateway> {
    let (server, client) = ApiServer::start();
    server.review(|_| true);
    server.put(&testkit::objects::manager("main"));
    let client = cluster::client(client, pod);
    let clock = Clock::System;
    let key = SealingKey::derive(KeyId::new(random()?), 0, &random()?)?;
    let keys = Arc::new(KeyRing::new(vec![key]));
    let metrics = Metrics::default();
    let freshness = Arc::new(Freshness::new(Duration::from_mins(1)));
    let follower = Follower::new(freshness.clone(), metrics.clone());
    let index = Arc::new(Index::default());
    let mut changes = index.subscribe();
    tokio::spawn(feed(client.clone(), None, index.clone(), follower.clone()));
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
    let content = person(&clock, &sessions);
    let session = sessions.create(&content).await?;
    while sessions.peek(session).is_none() {
        tokio::task::yield_now().await;
    }
    let [namespace, name, uid] = cluster::named(ASKED);
    let target = index
        .load()
        .targets()
        .find(|target| target.name == name && target.namespace == namespace)
        .cloned()
        .context("no such workspace")?;
    anyhow::ensure!(
        index.load().targets().count() == cluster::COUNT,
        "the index is not complete"
    );
    let host = target.site.host();
    let tickets = tickets(&keys, clock.now(), (session, &uid, host))?;
    let signer = Signer::default();
    signer.replace(&[MasterKey {
        id: "0101010101010101".into(),
        active_from: 0,
        bytes: [1; 32].into(),
    }])?;
    let rights = Rights::new(client.clone(), metrics.clone());
    tokio::spawn(rights.clone().renew());
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
    Ok(Gateway {
        app: Arc::new(app),
        authority: format!("{host}:8443"),
        index,
        metrics,
        tickets,
    })
}

/// Somebody in ten groups who just signed in.
fn person(clock: &Clock, sessions: &Sessions) -> Content {
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
        (clock.now(), sessions.limits().life),
    )
}

/// A ticket that admits, one that was changed, and one that has ended.
fn tickets(
    keys: &KeyRing,
    now: i64,
    (session, uid, host): (RandomId, &str, &str),
) -> Result<BTreeMap<&'static str, String>, SealError> {
    let ticket = |expires: i64| {
        let issued = expires - TICKET_LIFE;
        let ticket = Ticket {
            session,
            uid,
            site: host,
            browser: None,
            issued,
            expires,
        };
        ticket.seal(keys, now)
    };
    let valid = ticket(now + TICKET_LIFE)?;
    let mut forged = valid.clone();
    let at = forged.len() / 2;
    let other = if forged[at..].starts_with('A') { "B" } else { "A" };
    forged.replace_range(at..=at, other);
    Ok(BTreeMap::from([
        ("valid", valid),
        ("forged", forged),
        ("expired", ticket(now - 1)?),
    ]))
}

impl Gateway {
    /// Serves `/verify` and websockets for ever.
    async fn entrance(&self, socket: TcpListener, tls: Option<&Tls>) {
        let relay = Relay::new(
            self.app.clone(),
            self.index.clone(),
            StripList::default(),
            self.metrics.clone(),
            CancellationToken::new(),
        );
        let entrance = Entrance {
            doorkeeper: self.app.clone(),
            relay: Arc::new(relay),
            // Over HTTP/1.1 the load generator names the address.
            own_names: ["localhost", "127.0.0.1"].map(str::to_owned).into(),
            foreign: vec![],
            metrics: self.metrics.clone(),
        };
        let gate = Gate::new(Arc::new(entrance));
        self.listen("verify", socket, tls)
            .serve(move || gate.clone(), CancellationToken::new())
            .await;
    }

    fn listen(&self, name: &'static str, socket: TcpListener, tls: Option<&Tls>) -> Listener {
        Listener {
            name,
            socket,
            tls: tls.map(|tls| watch::channel(tls.config.clone()).1),
            // Connections live as long as the measurement.
            limits: Limits {
                age: Duration::from_hours(1),
                ..Limits::default()
            },
            bounds: Bounds::new(Most::default(), self.metrics.clone()),
            kind: at_entrance,
            owners: Owners::default(),
            metrics: self.metrics.clone(),
        }
    }
}

/// Serves `/verify`.
async fn serve(tls: Option<Tls>) -> anyhow::Result<()> {
    let gateway = gateway(([10, 0, 0, 1], 8888).into()).await?;
    let socket = bind().await?;
    let headers = Headers {
        authority: &gateway.authority,
        tickets: &gateway.tickets,
        http2: tls.is_some(),
    };
    announce(&socket, &headers, tls.as_ref())?;
    gateway.entrance(socket, tls.as_ref()).await;
    Ok(())
}
