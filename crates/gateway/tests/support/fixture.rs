//! A gateway whose dependencies are all in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::GatewaySession;
use api::workspace::{AccessType, Phase};
use axum::Router;
use axum::body::Body;
use gateway::audit::{Audit, Writer};
use gateway::clock::Clock;
use gateway::index::Follower;
use gateway::index::Freshness;
use gateway::index::{Domain, Index, Snapshot, Target};
use gateway::login;
use gateway::metrics::Metrics;
use gateway::oidc::HttpClient;
use gateway::oidc::Mapping;
use gateway::oidc::{Provider, Providers, Registered, Settings};
use gateway::router::{self, Entrance};
use gateway::server::{Rates, Throttle};
use gateway::session::Sessions;
use gateway::tokens::Assertions;
use gateway::tokens::Secret;
use gateway::tokens::cookies::StripList;
use gateway::tokens::{KeyId, KeyRing, SealingKey};
use gateway::verify::ProxyKind;
use gateway::verify::Rights;
use gateway::verify::{AppState, Bearer, BearerSettings, Grant};
use http::header::HeaderMap;
use http::{Method, Request, Response};
use kit::assertion_signer::Signer;
use kit::rotating_keys::MasterKey;
use kit::scope::Scope;
use kube::Api;
use rules::access::Policy;
use serde_json::json;
use testkit::api_server::ApiServer;
use testkit::issuer::Issuer;
use testkit::log::Log;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::support::behind_proxy::entrance;
use crate::support::browser::{Answer, Browser, split};

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const SYSTEM: &str = "jupyter-k8s-system";
pub(crate) const ISSUER: &str = "https://identity.example/realms/demo";
/// Another provider, for tests with several.
pub(crate) const PARTNERS: &str = "https://partners.example/realms/p";
pub(crate) const AUTH: &str = "https://auth.ws.example:8443";
/// Alice's own.
pub(crate) const LAB: &str = "lab-a.ws.example";
/// Bob's own.
pub(crate) const BOBS: &str = "lab-b.ws.example";
/// Bob's, open to everybody.
pub(crate) const OPEN: &str = "open-b.ws.example";
/// No workspace's.
pub(crate) const NONE: &str = "none.ws.example";

pub(crate) struct Fixture {
    pub(crate) server: ApiServer,
    pub(crate) issuer: Issuer,
    /// At [`PARTNERS`], with the same client and, by default, the same keys.
    pub(crate) partners: Issuer,
    pub(crate) clock: Clock,
    pub(crate) app: Arc<AppState>,
    pub(crate) log: Log,
    /// Writes the log until it is dropped.
    _audit: Writer,
    /// While this says so, answers of the identity provider are on their way here and do not arrive.
    pub(crate) held: watch::Sender<bool>,
    /// What becomes of a provider's answers on their way here.
    pub(crate) between: Arc<Mutex<Box<Between>>>,
    pub(crate) entrance: Router,
    /// The same, for a listener.
    pub(crate) at_entrance: Arc<Entrance>,
    pub(crate) pages: Router,
}

/// A provider's answer to this question -> what arrives.
pub(crate) type Between = dyn Fn(&Request<Vec<u8>>, Response<Vec<u8>>) -> Response<Vec<u8>> + Send;

pub(crate) fn origin(host: &str) -> String {
    format!("https://{host}:8443")
}

/// Address of alice's workspace.
pub(crate) fn lab() -> String {
    format!("{}/", origin(LAB))
}

pub(crate) fn target(host: &str, owner: &str, access_type: AccessType) -> Target {
    Target {
        uid: format!("uid-of-{host}"),
        namespace: "team".into(),
        name: host.split('.').next().unwrap().into(),
        display_name: None,
        site: host.into(),
        owner: owner.into(),
        access_type,
        shared: Arc::default(),
        run_id: String::new(),
        phase: Phase::Running,
        message: String::new(),
        status_detail: None,
        endpoint: None,
    }
}

pub(crate) fn fixed_keys() -> Arc<KeyRing> {
    let key = SealingKey::derive(KeyId::new([1; 8]), 0, &[1; 32]).unwrap();
    Arc::new(KeyRing::new(vec![key]))
}

/// The provider's claims as most tests have them mapped.
pub(crate) fn mapping() -> Mapping {
    Mapping::new(ISSUER, "preferred_username", Some("-"), Some("groups"), "oidc:")
}

/// What is around a gateway, and how it is set up.
struct Given {
    cluster: (ApiServer, kube::Client),
    issuer: Issuer,
    clock: Clock,
    providers: Vec<Registered>,
    tokens: Option<BearerSettings>,
    scope: Scope,
    sends_id_tokens: bool,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            cluster: ApiServer::start(),
            issuer: Issuer::new(ISSUER, "gateway", "s3cret", NOW),
            clock: Clock::manual(NOW),
            providers: vec![Registered::only(ISSUER, mapping())],
            tokens: None,
            scope: Scope::Cluster,
            sends_id_tokens: false,
        }
    }
}

/// The public keys of every fixture.
pub(crate) fn key_set() -> String {
    signer().key_set()
}

/// The signer of assertions, which name the user to applications.
pub(crate) fn assertions(clock: &Clock) -> Arc<Assertions> {
    Arc::new(Assertions::new(Arc::new(signer()), clock.clone()))
}

fn signer() -> Signer {
    let signer = Signer::default();
    let key = MasterKey {
        id: "0101010101010101".into(),
        active_from: 0,
        bytes: [1; 32].into(),
    };
    signer.replace(&[key]).unwrap();
    signer
}

fn snapshot() -> Snapshot {
    Snapshot::new(
        Some(Domain::new("ws.example", 8443)),
        [
            target(LAB, "alice", AccessType::OwnerOnly),
            target(BOBS, "bob", AccessType::OwnerOnly),
            target(OPEN, "bob", AccessType::Public),
        ],
    )
}

impl Fixture {
    /// The audit records of this event, once there are `count`.
    pub(crate) async fn records(&self, event: &str, count: usize) -> Vec<serde_json::Value> {
        // A thread of its own writes.
        for _ in 0..5_000 {
            let text = self.log.text();
            let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
            let found: Vec<serde_json::Value> = records
                .filter(|record: &serde_json::Value| record["event"] == event)
                .collect();
            if found.len() >= count {
                return found;
            }
            tokio::task::yield_now().await;
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("no {count} records of {event}: {}", self.log.text());
    }

    /// A gateway that found its identity provider.
    pub(crate) async fn new() -> Self {
        Self::around(Given::default()).found().await
    }

    pub(crate) fn without_provider() -> Self {
        Self::around(Given::default())
    }

    /// A gateway that serves one namespace.
    pub(crate) async fn in_namespace(namespace: &str) -> Self {
        let scope = Scope::Namespace(namespace.to_owned());
        let given = Given {
            scope,
            ..Given::default()
        };
        Self::around(given).found().await
    }

    /// A gateway that sends users' ID tokens to the portal.
    pub(crate) async fn sending_id_tokens() -> Self {
        let given = Given {
            sends_id_tokens: true,
            ..Given::default()
        };
        Self::around(given).found().await
    }

    /// The same gateway with these providers, none of them found.
    pub(crate) fn with_providers(providers: Vec<Registered>) -> Self {
        Self::around(Given {
            providers,
            ..Given::default()
        })
    }

    /// A gateway that takes tokens as these settings say, with this one provider.
    pub(crate) async fn taking_tokens(settings: BearerSettings, provider: Registered) -> Self {
        let given = Given {
            providers: vec![provider],
            tokens: Some(settings),
            ..Given::default()
        };
        Self::around(given).found().await
    }

    async fn found(self) -> Self {
        self.find_provider().await;
        self.issuer.take_requests();
        self
    }

    /// The identity provider answers, and the gateway finds it.
    pub(crate) async fn find_provider(&self) {
        let provider = self.discover_at(ISSUER, &self.issuer).await;
        self.app.providers.by_issuer(ISSUER).unwrap().set(provider);
    }

    /// Another replica, which has heard of nothing yet.
    pub(crate) async fn replica(&self) -> Self {
        let replica = Self::around(Given {
            cluster: (self.server.clone(), self.app.client.clone()),
            issuer: self.issuer.clone(),
            clock: self.clock.clone(),
            ..Given::default()
        });
        replica.find_provider().await;
        replica
    }

    /// Follows the sessions' objects from now on.
    pub(crate) async fn watch(&self) {
        let synced = Arc::new(Notify::new());
        let (sessions, notify) = (self.app.sessions.clone(), synced.clone());
        let follower = Follower::new(self.app.freshness.clone(), Metrics::default());
        tokio::spawn(async move { sessions.watch(&follower, || notify.notify_one()).await });
        synced.notified().await;
    }

    fn around(given: Given) -> Self {
        let Given {
            cluster: (server, client),
            issuer,
            clock,
            providers,
            tokens,
            scope,
            sends_id_tokens,
        } = given;
        let (keys, providers) = (fixed_keys(), Arc::new(Providers::new(providers)));
        let log = Log::default();
        let (audit, writer) = Audit::to(log.clone(), Metrics::default());
        let freshness = Arc::new(Freshness::new(Duration::from_mins(1)));
        // Everybody holds the right to connect, until a test says otherwise.
        server.review(|_| true);
        let sessions = Sessions::new(
            Api::namespaced(client.clone(), SYSTEM),
            keys.clone(),
            clock.clone(),
        )
        .renewed_by(providers.clone())
        .keeping_id_tokens(sends_id_tokens)
        .on_logout({
            let audit = audit.clone();
            move |session, user, by| audit.logout(session, user, by)
        });
        let sessions = Arc::new(sessions);
        let keeping = sessions.clone();
        tokio::spawn(async move { keeping.maintain(CancellationToken::new()).await });
        let app = Arc::new(AppState {
            index: Arc::new(Index::with(snapshot())),
            rights: Rights::new(client.clone(), scope, Metrics::default()),
            freshness,
            audit,
            metrics: Metrics::default(),
            throttle: Arc::new(Throttle::new(Rates::unbounded())),
            sessions,
            bearer: tokens.map(|settings| {
                let (providers, clock) = (providers.clone(), clock.clone());
                Bearer::new(settings, providers, client.clone(), clock, Metrics::default())
            }),
            keys,
            providers,
            assertions: assertions(&clock),
            strip: StripList::new(["SMSESSION".to_owned()]),
            client,
            clock: clock.clone(),
        });
        let all = vec![ProxyKind::Nginx, ProxyKind::Envoy];
        let at_entrance = entrance(&app, "gateway.system.svc", all);
        let pages = router::pages(
            app.clone(),
            login::auth(app.clone()),
            login::workspace(app.clone()),
        );
        Self {
            server,
            issuer,
            partners: Issuer::new(PARTNERS, "gateway", "s3cret", NOW),
            clock,
            app,
            log,
            _audit: writer,
            held: watch::Sender::new(false),
            between: Arc::new(Mutex::new(Box::new(|_, answer| answer))),
            entrance: router::entrance(Arc::clone(&at_entrance)),
            at_entrance,
            pages,
        }
    }

    /// The partners' provider answers, and the gateway finds it.
    pub(crate) async fn find_partners(&self) {
        let provider = self.discover_at(PARTNERS, &self.partners).await;
        self.app.providers.by_issuer(PARTNERS).unwrap().set(provider);
    }

    /// The provider of this address.
    async fn discover_at(&self, url: &str, issuer: &Issuer) -> Provider {
        let settings = Settings {
            issuer_url: url.into(),
            client_id: "gateway".into(),
            client_secret: Some(Secret::new("s3cret".into())),
            scopes: vec!["profile".into()],
            optional_scopes: vec!["groups".into()],
            signing_algs: vec!["RS256".parse().unwrap()],
        };
        let (issuer, held, between) = (issuer.clone(), self.held.subscribe(), self.between.clone());
        let http = HttpClient::new(move |request| {
            let (issuer, mut held, between) = (issuer.clone(), held.clone(), between.clone());
            async move {
                if issuer.is_silent() {
                    std::future::pending::<()>().await;
                }
                let answer = issuer.answer(&request);
                let answer = between.lock().unwrap()(&request, answer);
                let _ = held.wait_for(|held| !held).await;
                Ok(answer)
            }
        });
        Provider::discover(settings, http, self.clock.clone())
            .await
            .unwrap()
    }

    /// Lets time pass, here and at the identity provider.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(seconds);
        for issuer in [&self.issuer, &self.partners] {
            issuer.change(|issuer| issuer.now += seconds);
        }
    }

    pub(crate) fn sessions(&self) -> Vec<GatewaySession> {
        self.server.all()
    }

    /// Replaces the workspaces by those of another domain or policy.
    pub(crate) fn serve(&self, domain: Domain, policy: Policy, targets: impl IntoIterator<Item = Target>) {
        let snapshot = Snapshot::new(Some(domain), targets);
        self.app.index.publish(snapshot.under(policy));
    }

    /// Replaces the workspaces.
    pub(crate) fn publish(&self, targets: Vec<Target>) {
        self.app
            .index
            .publish(Snapshot::new(Some(Domain::new("ws.example", 8443)), targets));
    }

    /// A browser whose user signs in as `name` when asked.
    pub(crate) fn browser(&self, name: &'static str) -> Browser<'_> {
        Browser {
            fixture: self,
            claims: json!({"sub": format!("id-of-{name}"), "preferred_username": name, "groups": ["users"]})
                .as_object()
                .unwrap()
                .clone(),
            jar: Mutex::default(),
        }
    }

    /// A browser whose user has signed in and opened the workspace of this host.
    pub(crate) async fn signed_in(&self, name: &'static str, host: &str) -> Browser<'_> {
        let browser = self.browser(name);
        let landing = browser.open(&format!("{}/", origin(host))).await;
        assert!(landing.is_inside(), "{landing:?}");
        browser
    }

    /// The answer that the proxy receives about a request.
    pub(crate) async fn verify(&self, method: &str, url: &str, headers: HeaderMap) -> Answer {
        let (host, path) = split(url);
        let mut request = Request::get("/verify").header("host", "gateway.system.svc:8443");
        for (name, value) in [
            ("x-forwarded-method", method),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", &format!("{host}:8443")),
            ("x-forwarded-uri", path),
        ] {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        for (name, value) in &headers {
            request.headers_mut().append(name, value.clone());
        }
        self.ask_verify(request).await
    }

    pub(crate) async fn ask_verify(&self, request: Request<Body>) -> Answer {
        Answer::of(self.entrance.clone().oneshot(request).await.unwrap()).await
    }

    /// What admits a websocket with these headers, if anything does.
    pub(crate) async fn handshake(&self, host: &str, headers: &HeaderMap) -> Option<Grant> {
        self.handshake_at(host, "/", headers).await.ok()
    }

    /// The same for this path, or the refusal.
    pub(crate) async fn handshake_at(
        &self,
        host: &str,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Grant, axum::response::Response> {
        let admitted = self.app.admit_socket(&host.into(), path, headers).await;
        admitted.map(|(_, grant)| grant)
    }

    /// A request that the proxy sends to the gateway's own pages.
    pub(crate) async fn page(&self, method: Method, url: &str, headers: HeaderMap, body: String) -> Answer {
        let (host, path) = split(url);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", format!("{host}:8443"))
            .body(Body::from(body))
            .unwrap();
        request.headers_mut().extend(headers);
        Answer::of(self.pages.clone().oneshot(request).await.unwrap()).await
    }
}
