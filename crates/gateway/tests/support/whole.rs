//! The gateway's binary on loopback, with an API server in memory behind a socket, and an identity provider with TLS.

use std::convert::Infallible;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use gateway::index::Follower;
use gateway::index::Freshness;
use gateway::index::{Index, Served, feed};
use gateway::metrics::Metrics;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kit::pki::{Purpose, authority, leaf};
use kit::scope::Scope;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use testkit::api_server::ApiServer;
use testkit::issuer::Issuer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::browser::{Answer, NAVIGATION};
use crate::support::proxy::{free_port, temporary_folder};

/// Namespace and release of the process.
const NAMESPACE: &str = "system";
const RELEASE: &str = "demo";
/// Time for it to start, which is long on a busy machine.
const START: Duration = Duration::from_mins(1);

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Port {
    Verify,
    Pages,
}

/// The process and its dependencies. They end with this.
pub(crate) struct Whole {
    child: Child,
    pub(crate) server: ApiServer,
    pub(crate) issuer: Issuer,
    /// Address of the provider.
    pub(crate) issuer_url: String,
    /// Host of alice's workspace, without port.
    pub(crate) host: String,
    /// Origin of the sign-in host.
    pub(crate) auth: String,
    folder: PathBuf,
    verify: u16,
    pages: u16,
    admin: u16,
    tls: Arc<ClientConfig>,
}

impl Drop for Whole {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Whole {
    /// Starts everything; the process logs at this level.
    pub(crate) async fn start(level: &str) -> Self {
        kit::tls::install_crypto_provider();
        let folder = temporary_folder();
        fs::create_dir_all(&folder).unwrap();
        let (server, client) = ApiServer::start();
        furnish(&server);
        let api = served(move |request| answered(client.clone(), request)).await;
        let (issuer, issuer_url, trusted) = provider().await;
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": format!("http://{api}")}}],
            "users": [{"name": "here", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        });
        let [verify, routes, pages, admin] = [free_port(), free_port(), free_port(), free_port()];
        let child = Command::new(env!("CARGO_BIN_EXE_jupyter-k8s-gateway"))
            .env_clear()
            .env("KUBECONFIG", file("kubeconfig", &config.to_string()))
            .env("LOG_LEVEL", level)
            .args([
                format!("--namespace={NAMESPACE}"),
                format!("--release-name={RELEASE}"),
                format!("--verify-address=127.0.0.1:{verify}"),
                format!("--routes-address=127.0.0.1:{routes}"),
                format!("--pages-address=127.0.0.1:{pages}"),
                format!("--admin-address=127.0.0.1:{admin}"),
                format!("--oidc-issuer-url={issuer_url}"),
                format!("--oidc-ca-file={}", file("ca.crt", &trusted)),
                "--oidc-client-id=gateway".to_owned(),
                format!("--oidc-client-secret-file={}", file("client-secret", "s3cret")),
                "--oidc-username-claim=preferred_username".to_owned(),
                "--oidc-username-prefix=-".to_owned(),
                "--self-signed-hosts=ws.example,*.ws.example".to_owned(),
                "--bearer-enabled".to_owned(),
                "--bearer-audiences=scripts".to_owned(),
                format!("--bearer-issuers={CLUSTER}"),
            ])
            .stdin(Stdio::null())
            .stdout(File::create(folder.join("output")).unwrap())
            .stderr(File::create(folder.join("errors")).unwrap())
            .spawn()
            .unwrap();
        let (host, auth) = places(&server).await;
        let mut whole = Self {
            child,
            issuer,
            issuer_url,
            host,
            auth,
            folder,
            verify,
            pages,
            admin,
            tls: Arc::new(
                ClientConfig::builder()
                    .with_root_certificates(RootCertStore::empty())
                    .with_no_client_auth(),
            ),
            server,
        };
        whole.until_ready().await;
        whole.tls = Arc::new(whole.as_the_proxy());
        whole
    }

    /// Waits until it serves and has found its provider.
    async fn until_ready(&mut self) {
        let begin = Instant::now();
        while self
            .admin("/readyz")
            .await
            .is_none_or(|(status, _)| status != StatusCode::OK)
            || !self.errors().contains("identity provider found")
        {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && begin.elapsed() < START,
                "{ended:?}: {}",
                self.errors()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it says on its plain port, once that is open.
    pub(crate) async fn admin(&self, path: &str) -> Option<(StatusCode, String)> {
        let stream = TcpStream::connect(("127.0.0.1", self.admin)).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", "localhost")
            .body(Full::<Bytes>::default());
        let answer = sender.send_request(request.unwrap()).await.ok()?;
        let status = answer.status();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        Some((status, String::from_utf8(body.to_vec()).unwrap()))
    }

    /// TLS with the certificate that the process made for its proxy.
    fn as_the_proxy(&self) -> ClientConfig {
        let secret = self.secret(&format!("{RELEASE}-proxy-client"));
        let part = |name: &str| secret.data.as_ref().unwrap()[name].0.clone();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&part("ca.crt")).unwrap())
            .unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(&part("tls.crt")).unwrap()],
                PrivateKeyDer::from_pem_slice(&part("tls.key")).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }

    /// A Secret of the process.
    pub(crate) fn secret(&self, name: &str) -> Secret {
        self.server
            .get(Some(NAMESPACE), name)
            .unwrap_or_else(|| panic!("no Secret {name}"))
    }

    /// What it logged so far.
    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(self.folder.join("errors")).unwrap()
    }

    /// Its audit log so far.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.folder.join("output")).unwrap()
    }

    /// Memory that it holds, KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// A connection as the proxy opens it.
    pub(crate) async fn connect(&self, port: Port) -> Connection {
        let number = match port {
            Port::Verify => self.verify,
            Port::Pages => self.pages,
        };
        let stream = TcpStream::connect(("127.0.0.1", number)).await.unwrap();
        let name = ServerName::try_from(format!("{RELEASE}-gateway.{NAMESPACE}.svc")).unwrap();
        let stream = TlsConnector::from(self.tls.clone())
            .connect(name, stream)
            .await
            .unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Connection { sender }
    }
}

/// Issuer of service accounts' tokens.
pub(crate) const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";

/// One that a proxy keeps.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let mut sender = self.sender.clone();
        sender.ready().await.unwrap();
        let answer = sender.send_request(request).await.unwrap();
        Answer::of(answer.map(Body::new)).await
    }

    /// Traefik's question about a page of this URL that a user at `address` opens.
    pub(crate) async fn verify(&self, url: &str, address: &str, more: &[(&str, &str)]) -> Answer {
        let rest = url.strip_prefix("https://").unwrap();
        let (authority, path) = rest.split_at(rest.find('/').unwrap());
        let mut request = Request::get(format!("https://{RELEASE}-gateway.{NAMESPACE}.svc/verify"));
        let forwarded = [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", authority),
            ("x-forwarded-uri", path),
            ("x-forwarded-for", address),
        ];
        for (name, value) in forwarded.iter().chain(more) {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).unwrap()).await
    }

    /// A request that the proxy sends to the gateway's own pages.
    pub(crate) async fn page(
        &self,
        method: Method,
        url: &str,
        address: &str,
        (more, body): (&[(&str, &str)], &str),
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in [("x-forwarded-for", address)].iter().chain(more) {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::from(body.to_owned())).unwrap())
            .await
    }
}

/// What a browser says of a page that a user opens, with this cookie.
pub(crate) fn navigation(cookie: Option<&str>) -> Vec<(&str, &str)> {
    let mut lines: Vec<(&str, &str)> = NAVIGATION.to_vec();
    lines.extend(cookie.map(|cookie| ("cookie", cookie)));
    lines
}

/// A manager, alice's workspace and what the chart makes for the gateway.
fn furnish(server: &ApiServer) {
    server.review(|_| true);
    server.authenticate(|_| json!({"authenticated": false, "error": "invalid bearer token"}));
    server.put(&testkit::objects::manager("main"));
    let mut workspace = serde_json::to_value(testkit::objects::workspace("lab")).unwrap();
    workspace["status"] = json!({
        "observedGeneration": 1, "phase": "Running", "runID": "b5c1d7", "owner": "alice",
        "endpoint": {"podName": "workspace-lab", "podIP": "10.0.0.7", "port": 8888},
        "resolved": {"manager": "main", "accessType": "OwnerOnly", "image": "registry.example/jupyter:1"},
    });
    let workspace: api::Workspace = serde_json::from_value(workspace).unwrap();
    server.put(&workspace);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {
            "name": "workspace-lab", "namespace": workspace.metadata.namespace,
            "labels": {api::names::WORKSPACE_LABEL: "lab"},
        },
        "status": {"phase": "Running", "podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}]},
    }))
    .unwrap();
    server.put(&pod);
    let mut lease = Lease::default();
    lease.metadata.name = Some(format!("{RELEASE}-gateway-heartbeat"));
    lease.metadata.namespace = Some(NAMESPACE.to_owned());
    server.put(&lease);
}

/// Host of the workspace and origin of the sign-in host, as any gateway works them out.
async fn places(server: &ApiServer) -> (String, String) {
    let index = Arc::new(Index::default());
    let mut changes = index.subscribe();
    let follower = Follower::new(
        Arc::new(Freshness::new(Duration::from_mins(1))),
        Metrics::default(),
    );
    let feeding = tokio::spawn(feed(
        server.connect(None),
        Scope::Cluster,
        Served::default(),
        index.clone(),
        follower,
    ));
    while index.load().domain().is_none() || index.load().targets().next().is_none() {
        changes.changed().await.unwrap();
    }
    feeding.abort();
    let known = index.load();
    let host = known.targets().next().unwrap().site.host().to_owned();
    (host, known.domain().unwrap().auth_origin())
}

/// A server of plain HTTP on loopback.
async fn served<A>(answer: impl Fn(Request<Incoming>) -> A + Clone + Send + 'static) -> SocketAddr
where
    A: Future<Output = kube::Result<Response<kube::client::Body>>> + Send + 'static,
{
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let serving =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
            tokio::spawn(serving);
        }
    });
    address
}

/// The API server's answer to a request from a socket.
async fn answered(
    client: kube::Client,
    request: Request<Incoming>,
) -> kube::Result<Response<kube::client::Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(kube::Error::HyperError)?.to_bytes();
    client.send(Request::from_parts(head, body.to_vec().into())).await
}

/// An identity provider, its address, and who signed its certificate.
async fn provider() -> (Issuer, String, String) {
    let now = jiff::Timestamp::now();
    let signer = authority("provider", now).unwrap();
    let names = ["localhost".to_owned()];
    let pair = leaf(&signer, "localhost", &names, Purpose::Server, now).unwrap();
    let certificate = kit::tls::Certificate::default();
    certificate.set(&pair).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(kit::tls::server_config(certificate, None).unwrap()));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", socket.local_addr().unwrap().port());
    let issuer = Issuer::new(&url, "gateway", "s3cret", now.as_second());
    let (answering, own) = (issuer.clone(), url.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let (issuer, own, acceptor) = (answering.clone(), own.clone(), acceptor.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(move |request: Request<Incoming>| {
                    let (issuer, own) = (issuer.clone(), own.clone());
                    async move {
                        let (mut head, body) = request.into_parts();
                        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
                        head.uri = format!("{own}{path}").parse().unwrap();
                        let body = body
                            .collect()
                            .await
                            .map(|body| body.to_bytes().to_vec())
                            .unwrap_or_default();
                        let answer = issuer.answer(&Request::from_parts(head, body));
                        Ok::<_, Infallible>(answer.map(|body| Full::new(Bytes::from(body))))
                    }
                });
                let protocol = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = protocol.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (issuer, url, signer.certificate)
}

/// The cookies that an answer sets, as a browser sends them back.
pub(crate) fn cookies_of(headers: &HeaderMap) -> String {
    let lines = headers.get_all("set-cookie").iter();
    let pairs = lines.filter_map(|line| line.to_str().unwrap().split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}
