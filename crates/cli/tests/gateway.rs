//! A gateway and a workspace behind it, as the program meets them (IO: a local socket with TLS).

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::{SinkExt as _, StreamExt as _};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::jiff::fmt::rfc2822;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use crate::process::plugin;
use crate::workspace::in_phase;

pub(crate) const TOKEN: &str = "token-of-alice";

/// A refusal of the gateway, once.
struct Once {
    path: &'static str,
    status: u16,
    error: &'static str,
    retry_after: u32,
}

#[derive(Default)]
struct State {
    /// Where it listens.
    port: u16,
    /// Of the sign-in that waits.
    challenge: String,
    signed_out: bool,
    /// Sign-ins after the end of one.
    later: usize,
    stopped: bool,
    /// Status with which the workspace declines ssh.
    declines: Option<u16>,
    /// Code with which the workspace closes connections by ssh at once.
    closes: Option<u16>,
    tickets: usize,
    /// How often all tickets so far were made void.
    voided: usize,
    refusals: Vec<Once>,
    /// Connections by ssh so far.
    connections: usize,
    /// What first came by ssh.
    first: Vec<u8>,
    /// How far its clock is behind.
    behind: SignedDuration,
    /// What the API server was asked.
    asked: Vec<Asked>,
}

/// A request to the API server, and who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) authorization: String,
    pub(crate) has_certificate: bool,
    pub(crate) body: String,
}

/// Whether a connection showed a client's certificate.
#[derive(Clone, Copy)]
struct HasCertificate(bool);

/// Listens at `*.ws.localhost`, and has a folder with the user's home. Dropping it removes the folder.
pub(crate) struct Gateway {
    pub(crate) port: u16,
    folder: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Gateway {
    pub(crate) fn start(test: &str) -> Self {
        Self::with(test, 4000)
    }

    /// One with a certificate that has expired.
    pub(crate) fn expired(test: &str) -> Self {
        Self::with(test, 2020)
    }

    /// `expires`: the year in which its certificate does.
    fn with(test: &str, expires: i32) -> Self {
        let folder = std::env::temp_dir().join(format!("cli-gateway-{}-{test}", std::process::id()));
        fs::create_dir_all(folder.join("home")).unwrap();
        let acceptor = acceptor(&folder.join("ca.pem"), expires);
        let state: Arc<Mutex<State>> = Arc::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        state.lock().unwrap().port = port;
        let shared = state.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime
                .block_on(async { serve(TcpListener::from_std(listener).unwrap(), acceptor, shared).await });
        });
        Self { port, folder, state }
    }

    /// The program, with this gateway's folder as home and state directory.
    pub(crate) fn plugin(&self) -> Command {
        let mut command = plugin();
        command
            .env("HOME", self.home())
            .env("XDG_STATE_HOME", self.folder.join("state"))
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("HTTPS_PROXY");
        command
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate of the authority for clients, and its key.
    pub(crate) fn client_certificate(&self) -> [PathBuf; 2] {
        ["leaf.pem", "leaf.key"].map(|name| self.folder.join(name))
    }

    /// What the API server was asked since the last call.
    pub(crate) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    pub(crate) fn state_folder(&self) -> PathBuf {
        self.folder.join("state/kubectl-workspace")
    }

    /// The address of a host of the installation.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }

    /// The challenge of the page that was opened.
    pub(crate) fn opened(&self, challenge: &str) {
        challenge.clone_into(&mut self.state.lock().unwrap().challenge);
    }

    /// Puts a sign-in into the state directory, as `login` does.
    pub(crate) fn signed_in(&self) {
        self.signed_in_at("auth.ws.localhost");
    }

    pub(crate) fn signed_in_at(&self, auth: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = self.state_folder();
        fs::create_dir_all(&folder).unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(&folder, 0o700);
        let file = folder.join(format!("{auth}_{}.json", self.port));
        let kept = json!({
            "url": self.url(auth), "user": "alice", "token": token(&self.state.lock().unwrap()), "expiresAt": "2999-01-01T00:00:00Z",
            "certificateAuthority": fs::read_to_string(self.authority()).unwrap(),
        });
        fs::write(&file, kept.to_string()).unwrap();
        set(&file, 0o600);
    }

    pub(crate) fn sign_out(&self) {
        self.state.lock().unwrap().signed_out = true;
    }

    /// Puts another sign-in into the state directory after the end of the first.
    pub(crate) fn signed_in_anew(&self) {
        {
            let mut state = self.state.lock().unwrap();
            (state.signed_out, state.later, state.voided) = (false, state.later + 1, state.voided + 1);
        }
        self.signed_in();
    }

    pub(crate) fn is_signed_out(&self) -> bool {
        self.state.lock().unwrap().signed_out
    }

    pub(crate) fn stop_workspace(&self) {
        self.state.lock().unwrap().stopped = true;
    }

    /// The workspace declines ssh with this status, as the gateway passes it on.
    pub(crate) fn decline_ssh(&self, status: Option<u16>) {
        self.state.lock().unwrap().declines = status;
    }

    /// The workspace opens connections by ssh, and closes them with this code and words of its own.
    pub(crate) fn close_ssh(&self, code: Option<u16>) {
        self.state.lock().unwrap().closes = code;
    }

    /// The next request to this path is refused.
    pub(crate) fn refuse_once(&self, path: &'static str, status: u16, error: &'static str, retry_after: u32) {
        self.state.lock().unwrap().refusals.push(Once {
            path,
            status,
            error,
            retry_after,
        });
    }

    /// No ticket so far is valid any more.
    pub(crate) fn void_tickets(&self) {
        self.state.lock().unwrap().voided += 1;
    }

    /// How many refusals are left, and how many connections by ssh there were.
    pub(crate) fn left_and_connections(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.refusals.len(), state.connections)
    }

    pub(crate) fn set_clock_behind(&self, behind: SignedDuration) {
        self.state.lock().unwrap().behind = behind;
    }

    /// The first bytes of the last connection by ssh.
    pub(crate) fn first_bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().first.clone()
    }

    pub(crate) fn tickets(&self) -> usize {
        self.state.lock().unwrap().tickets
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn acceptor(authority: &Path, expires: i32) -> TlsAcceptor {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap();
    fs::write(authority, root.pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let names = ["ws.localhost", "*.ws.localhost", "*.ws.example"].map(str::to_owned);
    let leaf_key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(names).unwrap();
    leaf.not_after = date_time_ymd(expires, 1, 1);
    let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
    fs::write(authority.with_file_name("leaf.pem"), leaf.pem()).unwrap();
    fs::write(authority.with_file_name("leaf.key"), leaf_key.serialize_pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(leaf_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let clients = clients.allow_unauthenticated().build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<Mutex<State>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, state) = (acceptor.clone(), state.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let has_certificate = HasCertificate(stream.get_ref().1.peer_certificates().is_some());
            let service = service_fn(move |mut request: Request<Incoming>| {
                let state = state.clone();
                request.extensions_mut().insert(has_certificate);
                async move { Ok::<_, Infallible>(answer(&state, request).await) }
            });
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _ = serving.with_upgrades().await;
        });
    }
}

fn reply(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn problem(status: u16, error: &str, message: &str) -> Response<Full<Bytes>> {
    reply(
        status,
        &json!({"error": error, "message": message, "requestId": "r"}),
    )
}

/// The refusal that waits for a request to this path.
fn take_refusal(state: &Mutex<State>, path: &str) -> Option<Response<Full<Bytes>>> {
    let refusals = &mut state.lock().unwrap().refusals;
    let at = refusals.iter().position(|once| path.ends_with(once.path))?;
    let once = refusals.remove(at);
    let message = format!("Refused once. Try again in {} s.", once.retry_after);
    let mut response = problem(once.status, once.error, &message);
    response
        .headers_mut()
        .insert("retry-after", once.retry_after.into());
    Some(response)
}

/// The token that is valid now.
fn token(state: &State) -> String {
    match state.later {
        0 => TOKEN.to_owned(),
        later => format!("{TOKEN}-{later}"),
    }
}

/// The ticket that is valid now.
fn valid_ticket(state: &State) -> String {
    format!("ticket-of-lab-{}", state.voided)
}

/// What an API server answers whose certificate is the same: the workspace `lab`, a list, or the object that it was sent.
async fn of_api_server(state: &Mutex<State>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let authorization = request.headers().get("authorization");
    let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
    let is_read = request.method() == "GET";
    let is_lab = request.uri().path().ends_with("/workspaces/lab");
    let has_certificate = request.extensions().get::<HasCertificate>().unwrap().0;
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let list = json!({"metadata": {}, "items": [{"metadata": {"name": "demo"}}]});
    let mut state = state.lock().unwrap();
    let answer = match is_read {
        true if is_lab => {
            let mut lab = serde_json::to_value(in_phase("lab", "Running", "Running")).unwrap();
            lab["status"]["url"] = json!(format!(
                "https://lab-ukb5wakby6jim56e.ws.localhost:{}/",
                state.port
            ));
            lab
        }
        true => list,
        false => serde_json::from_str(&body).unwrap(),
    };
    state.asked.push(Asked {
        authorization: authorization.unwrap_or_default(),
        has_certificate,
        body,
    });
    reply(200, &answer)
}

async fn answer(state: &Arc<Mutex<State>>, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let host = header("host");
    let host = host.split(':').next().unwrap_or_default();
    let host = host.replace(".example", ".localhost");
    let path = request.uri().path().to_owned();
    if let Some(refusal) = take_refusal(state, &path) {
        return refusal;
    }
    // kubectl does not find names below localhost.
    if ["api.ws.localhost", "127.0.0.1"].contains(&host.as_str()) {
        return of_api_server(state, request).await;
    }
    if host == "auth.ws.localhost" {
        let token = header("authorization");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut state = state.lock().unwrap();
        let mut response = of_gateway(&mut state, &path, &token, &body);
        let now =
            rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&(Timestamp::now() - state.behind));
        response
            .headers_mut()
            .insert("date", now.unwrap().parse().unwrap());
        return response;
    }
    let is_lab = host == "lab-ukb5wakby6jim56e.ws.localhost"
        || (host == "ws.localhost" && path.starts_with("/workspaces/team/lab/"));
    let is_valid = {
        let state = state.lock().unwrap();
        header("workspace-ticket") == valid_ticket(&state) && !state.signed_out
    };
    if !is_lab || !is_valid {
        return problem(401, "SignInRequired", "You are not signed in");
    }
    if state.lock().unwrap().stopped {
        return problem(503, "WorkspaceNotReady", "The workspace is stopped.");
    }
    let key = header("sec-websocket-key");
    let declines = state.lock().unwrap().declines;
    if let Some(status) = declines {
        let message = "the workspace's server declined the websocket";
        return problem(status, "Declined", message);
    }
    if path.ends_with("/jupyter-k8s/ssh") || path.ends_with("/socket") {
        assert_eq!(header("upgrade"), "websocket");
        return of_websocket(state, &mut request, &key);
    }
    let redirect = |to: &str| {
        Response::builder()
            .status(302)
            .header("location", to)
            .body(Full::default())
            .unwrap()
    };
    match path.as_str() {
        "/away" => redirect("https://auth.ws.localhost/enter?t=x"),
        "/near" => redirect(&format!("https://{}/lab", header("host"))),
        "/cookies" => {
            let mut response = reply(200, &json!({}));
            for cookie in ["_xsrf=of-the-workspace; Path=/", "kubectl-workspace-1=x; Path=/"] {
                response
                    .headers_mut()
                    .append("set-cookie", cookie.parse().unwrap());
            }
            response
        }
        _ => {
            let headers = request.headers().iter();
            let headers = headers.map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())));
            let headers: serde_json::Map<_, _> = headers.collect();
            let target = request.uri().to_string();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            reply(200, &json!({"target": target, "headers": headers, "body": body}))
        }
    }
}

/// A websocket whose messages come back.
fn of_websocket(
    state: &Arc<Mutex<State>>,
    request: &mut Request<Incoming>,
    key: &str,
) -> Response<Full<Bytes>> {
    let upgrade = hyper::upgrade::on(request);
    let state = state.clone();
    let closes = {
        let mut state = state.lock().unwrap();
        state.first.clear();
        state.connections += 1;
        state.closes
    };
    tokio::spawn(async move {
        let socket = TokioIo::new(upgrade.await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
        if let Some(code) = closes {
            let (code, reason) = (code.into(), "send your password to evil.example".into());
            socket.close(Some(CloseFrame { code, reason })).await.unwrap();
        }
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(bytes) = &message {
                remember(&state, bytes);
                // No server of ssh is here. The words of tests come back.
                if bytes.starts_with(b"SSH-") {
                    socket.close(None).await.unwrap();
                    return;
                }
                socket.send(message).await.unwrap();
            }
        }
    });
    let response = Response::builder()
        .status(101)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()));
    response.body(Full::default()).unwrap()
}

fn remember(state: &Mutex<State>, bytes: &[u8]) {
    let first = &mut state.lock().unwrap().first;
    if first.is_empty() {
        first.extend_from_slice(bytes);
    }
}

fn of_gateway(state: &mut State, path: &str, token: &str, body: &Value) -> Response<Full<Bytes>> {
    let is_signed_in = token == format!("Bearer {}", self::token(state)) && !state.signed_out;
    match path {
        "/programs/token" => {
            let verifier = body["verifier"].as_str().unwrap();
            let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
            if body["code"] != "code-1" || challenge != state.challenge {
                return problem(400, "BadRequest", "The code is not valid.");
            }
            state.challenge.clear();
            reply(
                200,
                &json!({"token": TOKEN, "user": "alice", "expiresAt": "2999-01-01T00:00:00Z"}),
            )
        }
        _ if !is_signed_in => problem(401, "SignInRequired", "You are not signed in"),
        "/programs/sign-out" => {
            state.signed_out = true;
            reply(204, &Value::Null)
        }
        "/programs/ticket" => {
            let sites = [
                ("lab-ukb5wakby6jim56e.ws.localhost", ""),
                ("lab-ukb5wakby6jim56e.ws.example", ""),
                ("ws.localhost", "/workspaces/team/lab"),
            ];
            // The gateway finds a workspace by host and port.
            let port = state.port;
            let named = |(host, folder): &(&str, &str)| format!("{host}:{port}{folder}");
            if !sites.iter().any(|site| body["host"] == named(site)) {
                return problem(
                    403,
                    "NoAccess",
                    "There is no such workspace, or you may not open it.",
                );
            }
            state.tickets += 1;
            let end = Timestamp::now() + SignedDuration::from_mins(15);
            reply(
                200,
                &json!({"ticket": valid_ticket(state), "expiresAt": end.to_string(), "ssh": "Enabled"}),
            )
        }
        _ => problem(404, "NotFound", "There is no such page."),
    }
}
