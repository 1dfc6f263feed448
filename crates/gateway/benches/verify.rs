//! `gateway` or `reference`, `plain` or `tls` -> a server on loopback, on one thread, for `xtask bench-gateway` (IO).
//!
//! Prints one line of JSON, its address and the headers to ask with, and serves until it is killed. The gateway is the
//! real one with 5,000 workspaces, one session and a ticket; the reference answers 200 to anything.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context as _;
use api::workspace::{AccessType, Phase};
use axum::Router;
use axum::body::Body;
use gateway::audit::Audit;
use gateway::clock::Clock;
use gateway::crypto::assertion::Assertions;
use gateway::crypto::random::random;
use gateway::crypto::seal::{KeyId, KeyRing, SealingKey};
use gateway::crypto::tokens::{TICKET_LIFE, Ticket};
use gateway::index::freshness::Freshness;
use gateway::index::{Domain, Index, Snapshot, Target};
use gateway::listen::bounds::{Bounds, Most, at_entrance};
use gateway::listen::{Limits, Listener};
use gateway::metrics::Metrics;
use gateway::oidc::Tokens;
use gateway::oidc::claims::Identity;
use gateway::relay::Relay;
use gateway::request::cookies::StripList;
use gateway::router::{self, Entrance};
use gateway::session::Sessions;
use gateway::session::content::Content;
use gateway::throttle::{Rates, Throttle};
use gateway::verify::AppState;
use gateway::verify::rights::Rights;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kit::assertion::Signer;
use kit::rotating_keys::MasterKey;
use kube::Api;
use kube::runtime::watcher::Event;
use rustls::ServerConfig;
use testkit::api_server::ApiServer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

const HOST: &str = "lab-2500.workspaces.example";
const WORKSPACES: usize = 5_000;

fn main() -> anyhow::Result<()> {
    kit::tls::install_crypto_provider();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["gateway", "plain"] => runtime.block_on(gateway(None)),
        ["gateway", "tls"] => runtime.block_on(gateway(Some(server_config()?))),
        ["reference", "plain"] => runtime.block_on(reference(None)),
        ["reference", "tls"] => runtime.block_on(reference(Some(server_config()?))),
        // `cargo bench` and `cargo test --benches` come here: the figures come from the project's tool.
        _ => {
            println!("usage: gateway|reference plain|tls, as `xtask bench-gateway` calls it");
            Ok(())
        }
    }
}

async fn bind() -> std::io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").await
}

/// Says where this server listens, and the headers of Traefik's question about a request of JupyterLab. Over HTTP/2
/// Traefik sends each cookie in a header of its own.
fn announce(socket: &TcpListener, ticket: &str, http2: bool) -> std::io::Result<()> {
    let ticket = format!("__Host-ws={ticket}");
    let cookies = [
        "_xsrf=2|a7ccf7a5|58a0ae0b0fbc4bd2bd1cdd0b94eb3cd7|1763624045",
        &ticket,
        "theme=dark",
    ];
    let mut headers = vec![
        (
            "host",
            "jupyter-k8s-gateway.jupyter-k8s-system.svc:8443".to_owned(),
        ),
        ("accept", "application/json".into()),
        ("accept-encoding", "gzip".into()),
        ("sec-fetch-dest", "empty".into()),
        ("sec-fetch-mode", "cors".into()),
        ("sec-fetch-site", "same-origin".into()),
        ("user-agent", "Go-http-client/2.0".into()),
        ("x-forwarded-for", "203.0.113.7".into()),
        ("x-forwarded-host", HOST.into()),
        ("x-forwarded-method", "GET".into()),
        ("x-forwarded-port", "443".into()),
        ("x-forwarded-proto", "https".into()),
        (
            "x-forwarded-uri",
            "/api/contents/work/analysis.ipynb?content=0&hash=0&1763624045123".into(),
        ),
    ];
    if http2 {
        headers.extend(cookies.map(|cookie| ("cookie", cookie.to_owned())));
    } else {
        headers.push(("cookie", cookies.join("; ")));
    }
    let address = socket.local_addr()?.to_string();
    println!("{}", serde_json::json!({"address": address, "headers": headers}));
    Ok(())
}

async fn gateway(tls: Option<Arc<ServerConfig>>) -> anyhow::Result<()> {
    let (server, client) = ApiServer::start();
    server.review(|_| true);
    let clock = Clock::System;
    let key = SealingKey::derive(KeyId::new(random()?), 0, &random()?)?;
    let keys = Arc::new(KeyRing::new(vec![key]));
    let sessions = Arc::new(Sessions::new(
        Api::namespaced(client.clone(), "system"),
        keys.clone(),
        clock.clone(),
    ));
    sessions.apply(Event::Init).await;
    sessions.apply(Event::InitDone).await;
    let identity = Identity {
        user_name: "alice".into(),
        groups: vec!["oidc:data-science".into()],
    };
    let content = Content::new(
        "https://identity.example",
        "1",
        identity,
        &Tokens {
            renew_in: 300,
            ..Tokens::default()
        },
        (clock.now(), sessions.limits().life),
    );
    let session = sessions.create(&content).await?;
    assert!(
        sessions.peek(session).is_some(),
        "the session must be known without asking"
    );

    let index = Arc::new(Index::with(snapshot()));
    let uid = index
        .load()
        .target(&HOST.into())
        .context("no such workspace")?
        .uid
        .clone();
    let now = clock.now();
    let ticket = Ticket {
        session,
        uid: &uid,
        site: HOST,
        issued: now,
        expires: now + TICKET_LIFE,
    };
    let ticket = ticket.seal(&keys, now)?;

    let signer = Signer::default();
    signer.replace(&[MasterKey {
        id: "0101010101010101".into(),
        active_from: 0,
        bytes: [1; 32].into(),
    }])?;
    let strip = StripList::default();
    let metrics = Metrics::default();
    let app = Arc::new(AppState {
        index: index.clone(),
        rights: Rights::new(client.clone(), metrics.clone()),
        freshness: Arc::new(Freshness::new(std::time::Duration::from_mins(1))),
        audit: Audit::to(std::io::sink(), metrics.clone())?.0,
        metrics: metrics.clone(),
        throttle: Arc::new(Throttle::new(Rates::unbounded())),
        sessions,
        keys,
        providers: Arc::default(),
        assertions: Arc::new(Assertions::new(Arc::new(signer), clock.clone())),
        strip: strip.clone(),
        client,
        clock,
    });
    let relay = Relay::new(
        app.clone(),
        index.clone(),
        strip,
        metrics.clone(),
        CancellationToken::new(),
    );
    let entrance = Entrance {
        doorkeeper: app,
        relay: Arc::new(relay),
        // Over HTTP/1.1 the load generator names the address.
        own_names: ["jupyter-k8s-gateway.jupyter-k8s-system.svc", "127.0.0.1"]
            .map(str::to_owned)
            .into(),
        metrics: metrics.clone(),
    };
    let router: Router = router::entrance(Arc::new(entrance));
    let socket = bind().await?;
    announce(&socket, &ticket, tls.is_some())?;
    let tls = tls.map(|config| watch::channel(config).1);
    // Connections live as long as the measurement.
    let limits = Limits {
        age: std::time::Duration::from_hours(1),
        ..Limits::default()
    };
    let listener = Listener {
        name: "verify",
        socket,
        tls,
        limits,
        bounds: Bounds::new(Most::default(), metrics.clone()),
        kind: at_entrance,
        metrics,
    };
    listener
        .serve(move || router.clone(), CancellationToken::new())
        .await;
    Ok(())
}

fn snapshot() -> Snapshot {
    let targets = (0..WORKSPACES).map(|number| Target {
        uid: format!("7f3c1a52-9d0e-4b7b-8a3e-{number:012}"),
        namespace: format!("team-{}", number % 50),
        name: format!("lab-{number}"),
        site: format!("lab-{number}.workspaces.example").into(),
        owner: "alice".into(),
        access_type: AccessType::OwnerOnly,
        shared: Arc::default(),
        run_id: String::new(),
        phase: Phase::Running,
        message: String::new(),
        story: None,
        endpoint: Some(([10, 0, 0, 1], 8888).into()),
    });
    Snapshot::new(Some(Domain::new("workspaces.example", 443)), targets)
}

async fn reference(tls: Option<Arc<ServerConfig>>) -> anyhow::Result<()> {
    let socket = bind().await?;
    announce(&socket, &"A".repeat(230), tls.is_some())?;
    let answer = service_fn(async |_| Ok::<_, Infallible>(http::Response::new(Body::empty())));
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        match tls.clone() {
            None => {
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
            Some(config) => {
                tokio::spawn(async move {
                    let stream = TlsAcceptor::from(config).accept(stream).await?;
                    let server = http2::Builder::new(TokioExecutor::new());
                    server.serve_connection(TokioIo::new(stream), answer).await?;
                    anyhow::Ok(())
                });
            }
        }
    }
}

/// Without client certificates, which cost nothing after the handshake.
fn server_config() -> anyhow::Result<Arc<ServerConfig>> {
    let now = jiff::Timestamp::now();
    let authority = kit::pki::authority("bench", now)?;
    let names = ["localhost".to_owned()];
    let pair = kit::pki::leaf(&authority, "localhost", &names, kit::pki::Purpose::Server, now)?;
    let certificate = kit::tls::Certificate::default();
    certificate.set(&pair)?;
    Ok(Arc::new(kit::tls::server_config(certificate, None)?))
}
