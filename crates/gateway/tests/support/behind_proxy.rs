//! The gateway behind a proxy: its three listeners on loopback, with mutual certificates.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use gateway::index::Index;
use gateway::index::Routes;
use gateway::login;
use gateway::metrics::Metrics;
use gateway::relay::Relay;
use gateway::router::{self, Entrance, RouteProvider};
use gateway::server::{Bounds, Kind, Limits, Listener, Most, Owners, at_entrance, at_pages, at_routes};
use gateway::verify::{AppState, ProxyKind};
use http::HeaderMap;
use kit::pki::{Pair, Purpose, authority, leaf};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::chart::{GATEWAY, Ports};
use crate::support::fixture::Fixture;
use crate::support::stub::{self, Stub};

/// What a proxy is put before.
pub(crate) struct Behind {
    pub(crate) app: Arc<AppState>,
    pub(crate) stub: Arc<Stub>,
    auth: Router,
    own_paths: Router,
    limits: Limits,
    other_proxies: Vec<ProxyKind>,
}

impl Behind {
    /// A gateway whose decisions are the stub's, which says what it was asked.
    pub(crate) fn stub(index: Index) -> Self {
        let app = AppState {
            index: Arc::new(index),
            ..AppState::clone(&Fixture::without_provider().app)
        };
        Self {
            app: Arc::new(app),
            stub: Arc::new(Stub::answering()),
            auth: Router::new(),
            own_paths: Router::new(),
            limits: Limits::default(),
            other_proxies: vec![],
        }
    }

    /// All that decides and signs users in, as the process wires it.
    pub(crate) fn gateway(app: &Arc<AppState>) -> Self {
        Self {
            app: Arc::clone(app),
            stub: Arc::default(),
            auth: login::auth(Arc::clone(app)),
            own_paths: login::workspace(Arc::clone(app)),
            limits: Limits::default(),
            other_proxies: vec![],
        }
    }

    pub(crate) fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Answers on the sign-in host by this router.
    pub(crate) fn signing_in_by(self, auth: Router) -> Self {
        Self { auth, ..self }
    }

    /// Answers these proxies as well.
    pub(crate) fn among(self, other_proxies: Vec<ProxyKind>) -> Self {
        Self {
            other_proxies,
            ..self
        }
    }

    /// Starts the listeners.
    pub(crate) async fn serve(self, tls: &watch::Receiver<Arc<ServerConfig>>) -> Ports {
        let Self {
            app,
            stub,
            auth,
            own_paths,
            limits,
            other_proxies,
        } = self;
        let metrics = Metrics::default();
        let stop = CancellationToken::new();
        let entrance = router::entrance(entrance(&app, GATEWAY, other_proxies))
            .layer(from_fn_with_state(stub, stub::at_entrance));
        let routes = Arc::new(Routes::default());
        tokio::spawn(Arc::clone(&routes).follow(Arc::clone(&app.index)));
        let provider = RouteProvider {
            routes,
            metrics: metrics.clone(),
            stop: stop.clone(),
        };
        let pages = router::pages(Arc::clone(&app), auth, own_paths)
            .layer(from_fn_with_state(Arc::clone(&app), stub::at_pages));
        let listen = async |kind| {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = socket.local_addr().unwrap().port();
            let listener = Listener {
                name: "test",
                socket,
                tls: Some(tls.clone()),
                limits,
                bounds: Bounds::new(Most::default(), metrics.clone()),
                kind,
                owners: Owners {
                    index: Arc::clone(&app.index),
                    strip: app.strip.clone(),
                },
                metrics: metrics.clone(),
            };
            (port, listener)
        };
        let (verify, listener) = listen(at_entrance as fn(&str, &HeaderMap) -> Kind).await;
        tokio::spawn(listener.serve(move || entrance.clone(), stop.clone()));
        let (routes, listener) = listen(at_routes).await;
        tokio::spawn(listener.serve(move || router::provider(provider.clone()), stop.clone()));
        let (pages_port, listener) = listen(at_pages).await;
        tokio::spawn(listener.serve(move || pages.clone(), stop));
        Ports {
            verify,
            routes,
            pages: pages_port,
        }
    }
}

/// What stands at the entrance, as the process wires it.
pub(crate) fn entrance(app: &Arc<AppState>, own_name: &str, other_proxies: Vec<ProxyKind>) -> Arc<Entrance> {
    let relay = Relay::new(Arc::clone(app), CancellationToken::new());
    Arc::new(Entrance {
        app: Arc::clone(app),
        relay: Arc::new(relay),
        own_names: vec![own_name.to_owned()],
        other_proxies,
    })
}

/// The authority between gateway and proxy, and what it signed.
pub(crate) struct Internal {
    pub(crate) authority: Pair,
    server: Pair,
    pub(crate) proxy: Pair,
}

impl Internal {
    pub(crate) fn new() -> Self {
        let now = jiff::Timestamp::now();
        let authority = authority("gateway", now).unwrap();
        Self {
            server: leaf(&authority, GATEWAY, &[GATEWAY.to_owned()], Purpose::Server, now).unwrap(),
            proxy: leaf(&authority, "proxy", &[], Purpose::Client, now).unwrap(),
            authority,
        }
    }

    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        let certificate = kit::tls::Certificate::default();
        certificate.set(&self.server).unwrap();
        Arc::new(kit::tls::server_config(certificate, Some(&self.authority.certificate)).unwrap())
    }

    pub(crate) fn proxy_files(&self) -> [(&'static str, &str); 3] {
        [
            ("proxy-client/ca.crt", &self.authority.certificate),
            ("proxy-client/tls.crt", &self.proxy.certificate),
            ("proxy-client/tls.key", &self.proxy.key),
        ]
    }
}
