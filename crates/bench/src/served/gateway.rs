//! Transport -> the gateway with its watches, and requests as Traefik sends them (IO).

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gateway::audit::Audit;
use gateway::clock::Clock;
use gateway::index::{Follower, Freshness, Index, Served, feed};
use gateway::metrics::Metrics;
use gateway::oidc::{Identity, Tokens};
use gateway::relay::Relay;
use gateway::router::{self, Entrance};
use gateway::server::{Bounds, Limits, Listener, Most, Owners, Rates, Throttle, at_entrance};
use gateway::session::{Content, Sessions};
use gateway::tokens::cookies::StripList;
use gateway::tokens::random;
use gateway::tokens::{Assertions, KeyId, KeyRing, RandomId, SealingKey, TICKET_LIFE, Ticket};
use gateway::verify::{AppState, Rights};
use kit::scope::Scope;
use kube::{Api, Client};
use testkit::api_server::ApiServer;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::objects::{Namespaces, uid};
use super::{listen, signer, tls};
use crate::load::{Question, Transport};

/// Workspaces, and shares.
const COUNT: usize = 10_000;
const NAMESPACES: Namespaces = Namespaces(50);
/// Number of the workspace in the requests.
const ASKED: usize = 2_500;

pub(super) async fn serve(transport: Transport) -> anyhow::Result<()> {
    let (server, client) = ApiServer::start();
    server.review(|_| true);
    server.put(&testkit::objects::manager("main"));
    for number in 0..COUNT {
        server.put(&NAMESPACES.workspace(number)?);
        server.put(&NAMESPACES.pod(number)?);
        server.put(&NAMESPACES.share(number)?);
    }
    let (app, session) = start(client).await?;
    let socket = listen(questions(&app, session, transport)?).await?;
    let metrics = app.metrics.clone();
    let relay = Relay::new(app.clone(), CancellationToken::new());
    let entrance = router::entrance(Arc::new(Entrance {
        app,
        relay: Arc::new(relay),
        // Over HTTP/1.1 the load names the address.
        own_names: ["localhost", "127.0.0.1"].map(str::to_owned).into(),
        other_proxies: vec![],
    }));
    let tls = if transport == Transport::Plain {
        None
    } else {
        Some(watch::channel(tls()?).1)
    };
    let listener = Listener {
        name: "verify",
        socket,
        tls,
        // Connections live as long as the measurement.
        limits: Limits {
            age: Duration::from_hours(1),
            ..Limits::default()
        },
        bounds: Bounds::new(Most::default(), metrics.clone()),
        kind: at_entrance,
        owners: Owners::default(),
        metrics,
    };
    listener
        .serve(move || entrance.clone(), CancellationToken::new())
        .await;
    Ok(())
}

/// A gateway whose index is complete, and the session of its user.
async fn start(client: Client) -> anyhow::Result<(Arc<AppState>, RandomId)> {
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
    let session = sessions.create(&user(&clock, &sessions)).await?;
    while sessions.peek(session).is_none() {
        tokio::task::yield_now().await;
    }
    let rights = Rights::new(client.clone(), Scope::Cluster, metrics.clone());
    let app = AppState {
        index: index.clone(),
        rights,
        freshness,
        audit: Audit::to(std::io::sink(), metrics.clone()).0,
        metrics: metrics.clone(),
        throttle: Arc::new(Throttle::new(Rates::unbounded())),
        sessions,
        bearer: None,
        keys: keys.clone(),
        providers: Arc::default(),
        assertions: Arc::new(Assertions::new(Arc::new(signer()?), clock.clone())),
        strip: StripList::default(),
        client,
        clock,
    };
    Ok((Arc::new(app), session))
}

/// Requests with a ticket that admits, one that was changed, one that has ended, and none.
fn questions(
    app: &AppState,
    session: RandomId,
    transport: Transport,
) -> anyhow::Result<Vec<(&'static str, Question)>> {
    let snapshot = app.index.load();
    anyhow::ensure!(snapshot.targets().count() == COUNT, "the index is not complete");
    let [namespace, name] = NAMESPACES.place(ASKED);
    let target = snapshot
        .targets()
        .find(|target| target.name == name && target.namespace == namespace)
        .context("no such workspace")?;
    let site = target.site.host();
    let uid = uid(ASKED);
    let ticket = |expires: i64| {
        let ticket = Ticket {
            session,
            uid: &uid,
            site,
            browser: None,
            issued: expires - TICKET_LIFE,
            expires,
        };
        ticket.seal(&app.keys, app.clock.now())
    };
    let valid = ticket(app.clock.now() + TICKET_LIFE)?;
    let mut forged = valid.clone();
    let at = forged.len() / 2;
    let other = if forged[at..].starts_with('A') { "B" } else { "A" };
    forged.replace_range(at..=at, other);
    let ended = ticket(app.clock.now() - 1)?;
    let ask = |ticket: Option<&str>| question(&format!("{site}:8443"), ticket, transport);
    Ok(vec![
        ("valid", ask(Some(&valid))),
        ("forged", ask(Some(&forged))),
        ("ended", ask(Some(&ended))),
        ("none", ask(None)),
    ])
}

/// A user in ten groups who just signed in.
fn user(clock: &Clock, sessions: &Sessions) -> Content {
    let identity = Identity {
        user_name: NAMESPACES.owner(ASKED),
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

/// Traefik's question about a request of JupyterLab; without ticket, about a user who opens a page.
fn question(authority: &str, ticket: Option<&str>, transport: Transport) -> Question {
    let [dest, mode, site, accept] = match ticket {
        Some(_) => ["empty", "cors", "same-origin", "application/json"],
        None => ["document", "navigate", "cross-site", "text/html"],
    };
    let mut headers = vec![
        ("host", "localhost".to_owned()),
        ("accept", accept.into()),
        ("accept-encoding", "gzip".into()),
        ("sec-fetch-dest", dest.into()),
        ("sec-fetch-mode", mode.into()),
        ("sec-fetch-site", site.into()),
        ("user-agent", "Go-http-client/2.0".into()),
        ("x-forwarded-for", "203.0.113.7".into()),
        ("x-forwarded-host", authority.to_owned()),
        ("x-forwarded-method", "GET".into()),
        ("x-forwarded-port", "443".into()),
        ("x-forwarded-proto", "https".into()),
        (
            "x-forwarded-uri",
            "/api/contents/work/analysis.ipynb?content=0&hash=0&1763624045123".into(),
        ),
    ];
    let ticket = ticket.map(|ticket| format!("__Host-ws={ticket}"));
    let xsrf = "_xsrf=2|a7ccf7a5|58a0ae0b0fbc4bd2bd1cdd0b94eb3cd7|1763624045".to_owned();
    let cookies: Vec<String> = [xsrf]
        .into_iter()
        .chain(ticket)
        .chain(["theme=dark".to_owned()])
        .collect();
    if transport == Transport::Http2 {
        // Traefik sends each cookie in a header of its own.
        headers.extend(cookies.into_iter().map(|cookie| ("cookie", cookie)));
    } else {
        headers.push(("cookie", cookies.join("; ")));
    }
    Question {
        path: "/verify".to_owned(),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        body: None,
    }
}
