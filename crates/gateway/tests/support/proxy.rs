//! A real Traefik, started as by the chart, in front of a gateway on loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::manager::RoutingMode;
use axum::body::Body;
use bytes::Bytes;
use gateway::index::{Domain, Index, Snapshot, Target};
use gateway::server::Limits;
use gateway::verify::ProxyKind;
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kit::pki::{Pair, Purpose, authority, leaf};
use rustls::ServerConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::support::behind_proxy::{Behind, Internal};
use crate::support::chart::{Addresses, Chart, Ports, project, tool};
use crate::support::nginx;
use crate::support::rig::connector;
use crate::support::stub::Stub;

pub(crate) const BASE: &str = "workspaces.localhost";
/// Host of the bundled identity provider.
pub(crate) const PROVIDER: &str = "identity.localhost";

/// A proxy before a gateway, with everything between them that is real but the cluster.
pub(crate) struct Site {
    pub(crate) index: Arc<Index>,
    pub(crate) stub: Arc<Stub>,
    configs: watch::Sender<Arc<ServerConfig>>,
    edge: Pair,
    port: u16,
    /// Port without TLS, for a front that ends it.
    pub(crate) plain: u16,
    /// Port without TLS, for redirects to HTTPS.
    pub(crate) redirects: u16,
    folder: PathBuf,
    proxy: Child,
}

impl Site {
    pub(crate) async fn start(index: Index) -> Self {
        Self::start_with(index, Limits::default()).await
    }

    /// With workspaces in hosts or in folders, as the chart's values say.
    pub(crate) async fn start_in(mode: RoutingMode, index: Index) -> Self {
        Self::before(mode, Behind::stub(index)).await
    }

    /// With a gateway that answers all other proxies as well.
    pub(crate) async fn start_among_others(index: Index) -> Self {
        let all = vec![ProxyKind::Nginx, ProxyKind::Envoy];
        Self::before(RoutingMode::Subdomain, Behind::stub(index).among(all)).await
    }

    pub(crate) async fn start_with(index: Index, limits: Limits) -> Self {
        Self::before(RoutingMode::Subdomain, Behind::stub(index).within(limits)).await
    }

    /// nginx, with the project's sample configuration, before the gateway and one pod.
    pub(crate) async fn behind_nginx(index: Index, pod: SocketAddr) -> Self {
        let behind = Behind::stub(index).among(vec![ProxyKind::Nginx]);
        let port = free_port();
        let mut site = Self::launch(behind, [port, 0, 0], |folder, ports| {
            let configuration = nginx::configuration(folder, port, ports, pod);
            (nginx::FILE, configuration, nginx::command(folder))
        })
        .await;
        site.wait_until_ready(RoutingMode::Subdomain).await;
        site
    }

    /// Traefik, with workspaces in hosts or in folders, as the chart's values say.
    pub(crate) async fn before(mode: RoutingMode, behind: Behind) -> Self {
        Self::as_charted(Chart::render(mode), mode, behind).await
    }

    /// Traefik with the arguments and routes of this chart.
    pub(crate) async fn as_charted(chart: Chart, mode: RoutingMode, behind: Behind) -> Self {
        let addresses = Addresses {
            https: free_port(),
            plain: free_port(),
            redirects: free_port(),
            routes: free_port(),
            ping: free_port(),
        };
        let ports = [addresses.https, addresses.plain, addresses.redirects];
        let mut site = Self::launch(behind, ports, |folder, ports| {
            let mut traefik = Command::new(tool("TRAEFIK", "traefik/bin/traefik"));
            traefik.args(chart.arguments(folder, addresses));
            ("routes/routes.yaml", chart.routes(folder, ports), traefik)
        })
        .await;
        site.wait_until_ready(mode).await;
        site
    }

    /// Starts a proxy, which `configure` gives a file and its command. Its ports: with TLS, for a front, for redirects.
    async fn launch(
        behind: Behind,
        [port, plain, redirects]: [u16; 3],
        configure: impl FnOnce(&Path, Ports) -> (&'static str, String, Command),
    ) -> Self {
        kit::tls::install_crypto_provider();
        let (index, stub) = (Arc::clone(&behind.app.index), Arc::clone(&behind.stub));
        let internal = Internal::new();
        let (configs, tls) = watch::channel(internal.server_config());
        let ports = behind.serve(&tls).await;
        let now = jiff::Timestamp::now();
        let edge = authority("edge", now).unwrap();
        let names = [format!("*.{BASE}"), BASE.to_owned(), PROVIDER.to_owned()];
        let certificate = leaf(&edge, "edge", &names, Purpose::Server, now).unwrap();
        let folder = temporary_folder();
        let (file, text, mut command) = configure(&folder, ports);
        let files = [
            (file, text.as_str()),
            ("tls/tls.crt", &certificate.certificate),
            ("tls/tls.key", &certificate.key),
        ];
        project(&folder, 1, files.into_iter().chain(internal.proxy_files()));
        let log = fs::File::create(folder.with_extension("log")).unwrap();
        let proxy = command
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            index,
            stub,
            configs,
            edge,
            port,
            plain,
            redirects,
            folder,
            proxy,
        }
    }

    /// Waits until the proxy has the gateway's routes: before, it knows no host at all.
    async fn wait_until_ready(&mut self, mode: RoutingMode) {
        let start = Instant::now();
        let label = match mode {
            RoutingMode::Subdomain => "unknown",
            RoutingMode::Path => "",
        };
        loop {
            if let Ok((status, _, _)) = self.try_get(label, "/workspaces/team/unknown/", &[]).await
                && status == StatusCode::UNAUTHORIZED
            {
                return;
            }
            let ended = self.proxy.try_wait().unwrap();
            assert!(
                ended.is_none() && start.elapsed() < Duration::from_secs(20),
                "{}",
                self.log()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.with_extension("log")).unwrap_or_default()
    }

    /// What the proxy holds in memory, in KiB.
    pub(crate) fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.proxy.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
            .unwrap()
    }

    /// A connection without TLS to where the proxy listens.
    pub(crate) async fn connect_bare(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// A connection of a browser.
    pub(crate) async fn connect(&self, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_as(host, "http/1.1").await
    }

    /// A connection that speaks this protocol.
    pub(crate) async fn connect_as(
        &self,
        host: &str,
        protocol: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        connector(&self.edge, protocol, None).connect(name, stream).await
    }

    /// GET as a browser sends it, to the host with this label.
    pub(crate) async fn get(&self, label: &str, path: &str, headers: &[(&'static str, &str)]) -> Answer {
        self.try_get(label, path, headers).await.unwrap()
    }

    async fn try_get(
        &self,
        label: &str,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Answer, String> {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(label, request.body(Body::empty()).unwrap()).await
    }

    /// Bytes of the answer to a GET whose path is sent as it is, however odd; empty if there was none.
    pub(crate) async fn raw(&self, label: &str, path: impl AsRef<[u8]>, headers: &[(&str, &str)]) -> String {
        self.raw_at(&host(label), path, headers).await
    }

    /// The same at a host of any name.
    pub(crate) async fn raw_at(
        &self,
        host: &str,
        path: impl AsRef<[u8]>,
        headers: &[(&str, &str)],
    ) -> String {
        let mut rest = format!(" HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in headers {
            rest.extend([*name, ": ", *value, "\r\n"]);
        }
        let request = [&b"GET "[..], path.as_ref(), rest.as_bytes(), b"\r\n"].concat();
        let mut stream = self.connect(host).await.unwrap();
        stream.write_all(&request).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Any request, to the host with this label, or to the base domain itself.
    pub(crate) async fn send(&self, label: &str, request: Request<Body>) -> Result<Answer, String> {
        self.send_in(Version::HTTP_11, label, request).await
    }

    /// The same in this version of HTTP.
    pub(crate) async fn send_in(
        &self,
        version: Version,
        label: &str,
        request: Request<Body>,
    ) -> Result<Answer, String> {
        let answer = async {
            let (parts, body) = self.begin(version, label, request).await?.into_parts();
            let body = body.collect().await.map_err(error_text)?.to_bytes();
            Ok((parts.status, parts.headers, body))
        };
        timeout(Duration::from_secs(10), answer)
            .await
            .map_err(|_| "no answer in 10 s".to_owned())?
    }

    /// The beginning of the answer, whose body is still to be read.
    pub(crate) async fn begin(
        &self,
        version: Version,
        label: &str,
        mut request: Request<Body>,
    ) -> Result<http::Response<Incoming>, String> {
        let host = host(label);
        if version == Version::HTTP_2 {
            let path = request.uri().path_and_query().unwrap().as_str();
            *request.uri_mut() = format!("https://{host}{path}").parse().unwrap();
            let stream = self.connect_as(&host, "h2").await.map_err(error_text)?;
            let mut client = http2::Builder::new(TokioExecutor::new());
            // As much as browsers take. The gateway's page about cookies has hundreds of lines.
            client.max_header_list_size(256 * 1024);
            let (mut sender, connection) =
                client.handshake(TokioIo::new(stream)).await.map_err(error_text)?;
            tokio::spawn(connection);
            return sender.send_request(request).await.map_err(error_text);
        }
        request.headers_mut().insert("host", host.parse().unwrap());
        let stream = self.connect(&host).await.map_err(error_text)?;
        let client = http1::Builder::new()
            .max_headers(500)
            .handshake(TokioIo::new(stream));
        let (mut sender, connection) = client.await.map_err(error_text)?;
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(error_text)
    }

    /// Waits until a request is answered with this status, and says how long that took.
    pub(crate) async fn until(
        &self,
        label: &str,
        headers: &[(&'static str, &str)],
        wanted: StatusCode,
    ) -> Duration {
        self.until_at(label, "/", headers, wanted).await
    }

    /// As [`Site::until`], at a path.
    pub(crate) async fn until_at(
        &self,
        label: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        wanted: StatusCode,
    ) -> Duration {
        let start = Instant::now();
        loop {
            let answer = self.try_get(label, path, headers).await;
            if answer.as_ref().is_ok_and(|(status, _, _)| *status == wanted) {
                return start.elapsed();
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{answer:?}\n{}",
                self.log()
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Replaces the authority between proxy and gateway with all certificates, as the kubelet brings a changed Secret.
    pub(crate) fn renew_certificates(&self) {
        let internal = Internal::new();
        let before = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap();
        let kept = ["routes/routes.yaml", "tls/tls.crt", "tls/tls.key"].map(|name| (name, before(name)));
        let files = kept.iter().map(|(name, text)| (*name, text.as_str()));
        project(&self.folder, 2, files.chain(internal.proxy_files()));
        self.configs.send_replace(internal.server_config());
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
            let _ = fs::remove_file(self.folder.with_extension("log"));
        }
    }
}

pub(crate) type Answer = (StatusCode, HeaderMap, Bytes);

fn error_text(error: impl std::error::Error) -> String {
    error.to_string()
}

/// The host with this label; the base domain if it is empty.
pub(crate) fn host(label: &str) -> String {
    match label {
        "" => BASE.to_owned(),
        label => format!("{label}.{BASE}"),
    }
}

/// A running workspace at `pod`.
pub(crate) fn running(label: &str, pod: SocketAddr) -> Target {
    Target {
        site: format!("{label}.{BASE}").into(),
        name: label.to_owned(),
        uid: label.to_owned(),
        ..crate::support::workspace::target(Some(pod))
    }
}

pub(crate) fn snapshot(targets: impl IntoIterator<Item = Target>) -> Snapshot {
    Snapshot::new(Some(Domain::new(BASE, 443)), targets)
}

pub(crate) fn temporary_folder() -> PathBuf {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "gateway-{}-{}",
        std::process::id(),
        MADE.fetch_add(1, Ordering::Relaxed)
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A port that no process listens on, and that no other process gets: below those that the kernel chooses for itself (32768 and up on
/// Linux), so that no connection takes it before the process listens for which it is meant.
pub(crate) fn free_port() -> u16 {
    const FIRST: usize = 20_000;
    const COUNT: usize = 12_000;
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    // Where another process of tests begins, is somewhere else.
    let begin = std::process::id() as usize * 64;
    loop {
        let number = begin + TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + number % COUNT).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
