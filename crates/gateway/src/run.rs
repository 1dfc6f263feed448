//! settings -> every part of the gateway, wired, until the process ends (IO).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use api::GatewaySession;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::Secret;
use kit::readiness::{self, Readiness};
use kit::scope::Scope;
use kube::{Api, Client};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::args::Args;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::index::following::Follower;
use crate::index::freshness::Freshness;
use crate::index::heartbeat::Heartbeat;
use crate::index::traefik::Routes;
use crate::index::watch;
use crate::index::{Index, Served};
use crate::login;
use crate::login::settings::SignIn;
use crate::metrics::Metrics;
use crate::oidc::clients::Client as OidcClient;
use crate::oidc::portal_users;
use crate::oidc::shared_domains;
use crate::oidc::{Providers, Registered, discovery};
use crate::pages;
use crate::relay::Relay;
use crate::router;
use crate::router::{Entrance, RouteProvider};
use crate::server::bounds::{self, Bounds, Most};
use crate::server::certificates::{Pki, TlsConfigs, own_names};
use crate::server::pairs::secret_spec;
use crate::server::throttle::Throttle;
use crate::server::{Limits, Listener, Owners};
use crate::session::Sessions;
use crate::tokens::RandomId;
use crate::tokens::assertion::Assertions;
use crate::tokens::cookies::StripList;
use crate::tokens::keys::KeyStore;
use crate::tokens::seal::KeyRing;
use crate::verify::AppState;
use crate::verify::adapters::ProxyKind;
use crate::verify::bearer::{self, Bearer};
use crate::verify::rights::Rights;
use kit::process::InvalidSetting;

/// Time between the end of readiness and the close of connections, so that Services remove the endpoint first.
const LINGER: Duration = Duration::from_secs(5);
/// Interval of retries for one of several providers that does not match its settings.
const WRONG_PROVIDER: Duration = Duration::from_mins(1);
/// Interval at which gauges are updated: Prometheus scrapes less often.
const GAUGES: Duration = Duration::from_secs(5);
/// Time for connections and sockets to close.
const DRAIN: Duration = Duration::from_secs(15);

/// Raises the limit of open files to the allowed maximum. Each websocket needs two, and most pods begin with 1,024.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files stays as it is");
    }
}

/// Serves until the process is asked to end.
///
/// # Errors
/// A setting cannot be used ([`InvalidSetting`]), an address is taken, or the API server refuses what the start needs.
pub async fn run(args: Args) -> anyhow::Result<()> {
    raise_file_limit();
    let sign_in = SignIn::new(&args.oidc, &args.session, &args.limits)?;
    pages::settings::theme(args.pages_file.as_deref(), args.pages_logo_file.as_deref())?.install();
    let clients = sign_in.clients.iter();
    let bearer = bearer::settings::read(
        &args.bearer,
        clients.map(|client| client.settings.client_id.as_str()),
    )?;
    let end = kit::shutdown::on_signal()?;
    let client = api::response::readable(kit::client::new(api::names::GATEWAY).await?);
    info!(version = env!("CARGO_PKG_VERSION"), "gateway starts");
    let metrics = Metrics::default();
    let observed = metrics.clone();
    kit::watchdog::abort_when_blocked(move |late| observed.loop_lag(late))
        .context("the watch over the event loop")?;
    let readiness = Readiness::default();
    let admin = kit::admin::serve(
        args.admin_address,
        readiness.clone(),
        metrics.registry(),
        CancellationToken::new(),
    );
    tokio::select! {
        ended = admin => ended.with_context(|| format!("--admin-address {}", args.admin_address)),
        ended = serve(&args, (sign_in, bearer), client, metrics, &readiness, end) => ended,
    }
}

async fn serve(
    args: &Args,
    (sign_in, bearer): (SignIn, Option<bearer::BearerSettings>),
    client: Client,
    metrics: Metrics,
    readiness: &Readiness,
    end: CancellationToken,
) -> anyhow::Result<()> {
    let serving = readiness.gate("the end");
    let listening = readiness.gate("certificates and encryption keys");
    let watched = readiness.gate("the login sessions");
    let indexed = readiness.gate("the workspaces and their manager");
    let sockets = Sockets::bind(args).await?;
    let secrets = Api::namespaced(client.clone(), &args.namespace);
    let mut tasks = JoinSet::new();
    let stop = CancellationToken::new();

    let (tls, own_authority, keep_certificates) = pki(args, &secrets, &metrics).open().await?;
    let sign_in = trusting(sign_in, args, own_authority)?;
    tasks.spawn(keep_certificates);
    let keys = secret_spec(&args.release_name, "gateway-keys", "Opaque");
    let public = Api::namespaced(client.clone(), &args.namespace);
    let keys = KeyStore::open(secrets, keys, public, Clock::System, metrics.clone()).await?;
    let ring = keys.ring();
    let assertions = Arc::new(Assertions::new(keys.signer(), Clock::System));
    tasks.spawn(keys.maintain());

    let index = Arc::new(Index::default());
    let scope = Scope::from_namespace(args.watch_namespace.clone());
    let manager = args.manager.clone().filter(|name| !name.is_empty());
    let freshness = Arc::new(Freshness::new(Duration::from_secs(args.max_staleness_seconds)));
    let follower = Follower::new(freshness.clone(), metrics.clone());
    tasks.spawn(heartbeat(args, &client, follower.clone())?.beat());
    tasks.spawn(watch::feed(
        client.clone(),
        scope.clone(),
        Served {
            manager,
            is_alone: !scope.is_cluster(),
            has_portal: args.portal_enabled,
            portal_acts_in: args.portal_acts_in.clone().into(),
        },
        index.clone(),
        follower.clone(),
    ));
    tasks.spawn(open_when_known(index.clone(), indexed, sign_in.providers.clone()));
    tasks.spawn(warn_of_portal_users(args, &client, &sign_in));
    let routes = Arc::new(Routes::default());
    tasks.spawn(routes.clone().follow(index.clone()));
    let (audit, log) = Audit::to(std::io::stdout(), metrics.clone());
    let audit = audit.naming_clients(args.audit_client_address);
    let objects = Api::namespaced(client.clone(), &args.namespace);
    let observers = (audit.clone(), metrics.clone());
    let sessions = sessions(objects, ring.clone(), (args, &sign_in), observers);
    let mut renewals = JoinSet::new();
    maintain(&sessions, (&mut tasks, &mut renewals), (follower, watched), &stop);

    let rights = Rights::new(client.clone(), scope, metrics.clone());
    tasks.spawn(rights.clone().follow_roles());
    let app = Arc::new(AppState {
        index,
        rights,
        freshness,
        audit,
        metrics: metrics.clone(),
        throttle: Arc::new(Throttle::new(sign_in.rates.clone())),
        sessions,
        bearer: bearer.map(|settings| bearer_of(settings, &sign_in, &client, &metrics)),
        keys: ring,
        providers: sign_in.providers.clone(),
        assertions,
        strip: strip_list(args),
        client,
        clock: Clock::System,
    });
    tasks.spawn(update_gauges(app.clone()));
    let relay = Arc::new(Relay::new(app.clone(), stop.clone()));
    let routes = RouteProvider {
        routes,
        metrics: metrics.clone(),
        stop: stop.clone(),
    };
    let mut listeners = sockets.serve(&app, &relay, routes, &tls, &metrics, &stop);
    listening.open();
    serving.open();

    tokio::select! {
        () = end.cancelled() => {}
        wrong = discover_providers(&app, sign_in.clients) => return Err(wrong.into()),
        Some(ended) = tasks.join_next() => bail!("a part of the gateway ended: {ended:?}"),
        Some(ended) = listeners.join_next() => bail!("a listener ended: {ended:?}"),
        Some(ended) = renewals.join_next() => bail!("a part of the gateway ended: {ended:?}"),
    }
    serving.close();
    sleep(LINGER).await;
    stop.cancel();
    let drained = async {
        listeners.join_all().await;
        relay.drain().await;
        renewals.join_all().await;
    };
    if timeout(DRAIN, drained).await.is_err() {
        warn!("requests were still in progress when the drain time ended");
    }
    tokio::task::spawn_blocking(|| drop(log)).await?;
    info!("gateway ended");
    Ok(())
}

fn pki(args: &Args, secrets: &Api<Secret>, metrics: &Metrics) -> Pki {
    Pki {
        secrets: secrets.clone(),
        release: args.release_name.clone(),
        namespace: args.namespace.clone(),
        hosts: kit::process::non_empty(&args.self_signed_hosts),
        has_portal: args.portal_enabled,
        metrics: metrics.clone(),
    }
}

/// The same settings, with `authority` (PEM) trusted for the main provider if it is behind the proxy whose certificate that authority
/// signed. This is the bundled provider: any other one lies elsewhere.
fn trusting(sign_in: SignIn, args: &Args, authority: Option<String>) -> Result<SignIn, InvalidSetting> {
    let main = sign_in
        .clients
        .first()
        .map(|client| client.settings.issuer_host());
    let is_behind_proxy = main
        .transpose()?
        .is_some_and(|host| args.self_signed_hosts.contains(&host));
    if authority.is_none() || !is_behind_proxy || args.oidc.ca_file.is_some() {
        return Ok(sign_in);
    }
    let mut oidc = args.oidc.clone();
    oidc.own_authority = authority;
    SignIn::new(&oidc, &args.session, &args.limits)
}

/// Updates the gauges of current counts forever.
async fn update_gauges(app: Arc<AppState>) {
    loop {
        let (sealing_keys, since) = app.keys.state(app.clock.now());
        app.metrics.sessions(app.sessions.count());
        app.metrics.sealing_keys(sealing_keys, since.unwrap_or_default());
        sleep(GAUGES).await;
    }
}

/// Measures the index's age.
fn heartbeat(args: &Args, client: &Client, follower: Follower) -> anyhow::Result<Heartbeat> {
    let lease = format!("{}-gateway-heartbeat", args.release_name);
    let replica = RandomId::new()?.to_string();
    Ok(Heartbeat::new(
        client,
        &args.namespace,
        lease,
        &replica[..16],
        follower,
    ))
}

/// Watches and removes sessions until the end of the process, and renews them until `stop`.
fn maintain(
    sessions: &Arc<Sessions>,
    (tasks, renewals): (&mut JoinSet<()>, &mut JoinSet<()>),
    (follower, watched): (Follower, readiness::Gate),
    stop: &CancellationToken,
) {
    let (watching, sweeping, keeping) = (sessions.clone(), sessions.clone(), sessions.clone());
    tasks.spawn(async move { watching.watch(&follower, || watched.open()).await });
    tasks.spawn(async move { sweeping.cleanup().await });
    let stop = stop.clone();
    renewals.spawn(async move { keeping.maintain(stop).await });
}

fn sessions(
    objects: Api<GatewaySession>,
    keys: Arc<KeyRing>,
    (args, sign_in): (&Args, &SignIn),
    (audit, metrics): (Audit, Metrics),
) -> Arc<Sessions> {
    let sessions = Sessions::new(objects, keys, Clock::System)
        .counted(metrics)
        .keeping_id_tokens(args.portal_id_tokens)
        .within(sign_in.limits)
        .renewed_by(sign_in.providers.clone())
        .on_logout(move |session, user, by| audit.logout(session, user, by));
    Arc::new(sessions)
}

/// Cookies and headers of clients that never reach a workspace.
fn strip_list(args: &Args) -> StripList {
    StripList::new(args.cookie_strip.iter().cloned()).with_headers(args.header_strip.iter().cloned())
}

fn bearer_of(
    settings: bearer::BearerSettings,
    sign_in: &SignIn,
    client: &Client,
    metrics: &Metrics,
) -> Bearer {
    let (providers, client) = (sign_in.providers.clone(), client.clone());
    Bearer::new(settings, providers, client, Clock::System, metrics.clone())
}

/// The three ports that the proxy uses.
struct Sockets {
    verify: TcpListener,
    routes: TcpListener,
    pages: TcpListener,
    own_names: Vec<String>,
    other_proxies: Vec<ProxyKind>,
}

impl Sockets {
    async fn bind(args: &Args) -> Result<Self, InvalidSetting> {
        Ok(Self {
            verify: bind("verify-address", args.verify_address).await?,
            routes: bind("routes-address", args.routes_address).await?,
            pages: bind("pages-address", args.pages_address).await?,
            own_names: own_names(&args.release_name, &args.namespace),
            other_proxies: args.foreign_proxies.clone(),
        })
    }

    fn serve(
        self,
        app: &Arc<AppState>,
        relay: &Arc<Relay>,
        routes: RouteProvider,
        tls: &TlsConfigs,
        metrics: &Metrics,
        stop: &CancellationToken,
    ) -> JoinSet<()> {
        let entrance = router::entrance(Arc::new(Entrance {
            app: app.clone(),
            relay: relay.clone(),
            own_names: self.own_names,
            other_proxies: self.other_proxies,
        }));
        let (auth, own_paths) = (login::auth(app.clone()), login::workspace(app.clone()));
        let pages = router::pages(app.clone(), auth, own_paths);
        let bounds = Bounds::new(Most::default(), metrics.clone()).among(app.throttle.clone());
        let owners = Owners {
            index: app.index.clone(),
            strip: app.strip.clone(),
        };
        let listener = |name, socket, kind| Listener {
            name,
            socket,
            tls: Some(tls.clone()),
            limits: Limits::default(),
            bounds: bounds.clone(),
            kind,
            owners: owners.clone(),
            metrics: metrics.clone(),
        };
        let mut listeners = JoinSet::new();
        let verify = listener("verify", self.verify, bounds::at_entrance);
        listeners.spawn(verify.serve(move || entrance.clone(), stop.clone()));
        // Each connection of a proxy remembers the routes that it received.
        let provider = move || router::provider(routes.clone());
        listeners.spawn(listener("routes", self.routes, bounds::at_routes).serve(provider, stop.clone()));
        let mut listener = listener("pages", self.pages, bounds::at_pages);
        // An identity provider may take as long.
        listener.limits.aged = router::ANSWER_TIMEOUT;
        listeners.spawn(listener.serve(move || pages.clone(), stop.clone()));
        listeners
    }
}

async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, InvalidSetting> {
    let wrong = |error| InvalidSetting::new(setting, format!("cannot listen on {address}: {error}"));
    kit::bind(address).await.map_err(wrong)
}

/// Opens `gate` once the domain is known, and warns about providers with a shared domain.
async fn open_when_known(index: Arc<Index>, gate: readiness::Gate, providers: Arc<Providers>) {
    let mut changes = index.subscribe();
    while index.load().domain().is_none() && changes.changed().await.is_ok() {}
    gate.open();
    if let Some(domain) = index.load().domain() {
        shared_domains::warn(domain, &providers);
    }
    std::future::pending::<()>().await;
}

/// Warns of what Kubernetes makes of users as whom the portal acts, at the start.
fn warn_of_portal_users(args: &Args, client: &Client, sign_in: &SignIn) -> impl Future<Output = ()> + use<> {
    let (client, providers) = (client.clone(), sign_in.providers.clone());
    let clients = sign_in.clients.iter();
    let clients: Vec<_> = clients.map(|client| client.settings.client_id.clone()).collect();
    // In one namespace this account may not review tokens.
    let by_tokens = args.portal_id_tokens && args.watch_namespace.is_none();
    let acts = !args.portal_acts_in.is_empty();
    async move {
        if acts {
            portal_users::warn(&client, &providers, &clients, by_tokens).await;
        }
        std::future::pending::<()>().await;
    }
}

/// Discovers each identity provider, and enables logins with it. Until then signed-in users can continue to work: a provider may be
/// behind the proxy that waits for this process. Returns a wrong setting if no provider is left to sign in with.
async fn discover_providers(app: &AppState, clients: Vec<OidcClient>) -> InvalidSetting {
    let is_single = app.providers.single().is_some();
    let found = app.providers.iter().zip(clients);
    let mut searches: FuturesUnordered<_> = found
        .map(|(registered, client)| {
            let http = client.http.with_metrics(app.metrics.clone());
            find(registered, OidcClient { http, ..client }, is_single)
        })
        .collect();
    loop {
        match searches.next().await {
            Some(Some(wrong)) => return wrong,
            Some(None) => {}
            None => std::future::pending().await,
        }
    }
}

/// Discovers one provider. A wrong setting of one among several is logged and retried: the provider may be at fault.
async fn find(registered: &Registered, client: OidcClient, is_single: bool) -> Option<InvalidSetting> {
    loop {
        let (settings, http) = (client.settings.clone(), client.http.clone());
        match discovery::discover(settings, http, Clock::System).await {
            Ok(provider) => {
                info!(issuer = provider.issuer(), "identity provider found");
                registered.set(provider);
                return None;
            }
            Err(error) if is_single => return Some(error),
            Err(error) => {
                error!(provider = registered.name, %error, "no user can sign in with this identity provider");
                sleep(WRONG_PROVIDER).await;
            }
        }
    }
}
