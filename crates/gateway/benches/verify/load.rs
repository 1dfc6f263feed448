//! A plan -> requests, and a line about each: when it was due in microseconds, status, microseconds until it was answered (IO).
//!
//! At a rate, each request is due at a fixed time, and its duration counts from that time. So a server that stalls gets
//! as many requests as before, and the figures include the wait.
//!
//! Timers are too coarse for microseconds, and waking up takes as long as an answer. So the generator sleeps only while
//! no request is pending, and wakes up before the next one is due.
//!
//! It does not spin all the time. The scheduler preempts a process that never sleeps, and moves other processes to the
//! server's processor.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinSet, yield_now};
use tokio_rustls::TlsConnector;

/// Requests at a time over one HTTP/2 connection: as many as the gateway admits.
const STREAMS: usize = 100;
/// How long before a request is due the generator is awake: longer than a timer is late and a processor takes to wake up.
const AHEAD: Duration = Duration::from_micros(200);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    address: SocketAddr,
    /// Name that the server's certificate is for.
    name: String,
    /// Who signed it, PEM; absent: without TLS.
    authority: Option<String>,
    http2: bool,
    /// Connections. Over HTTP/1.1 each has one request at a time.
    connections: usize,
    /// Whether each request has a connection of its own; `connections` then bounds those at a time.
    fresh: bool,
    /// Requests per second; absent: each as soon as there is room.
    rate: Option<f64>,
    /// How many requests, in all.
    count: usize,
    path: String,
    headers: Vec<(String, String)>,
    /// Where the lines go.
    log: PathBuf,
}

/// One answer.
pub(crate) struct Answer {
    /// When it was due.
    pub(crate) due: Instant,
    /// HTTP status.
    pub(crate) status: u16,
    /// Since it was due.
    pub(crate) took: Duration,
}

/// A connection.
#[derive(Debug)]
enum Wire {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

/// Connects as the plan says.
struct Dialer {
    plan: Plan,
    tls: Option<TlsConnector>,
    /// Requests that were sent, or are due, and are not answered.
    under_way: AtomicUsize,
}

pub(crate) async fn run(plan: &str) -> anyhow::Result<()> {
    let plan: Plan = serde_json::from_str(&fs::read_to_string(plan)?).context("the plan")?;
    let tls = plan
        .authority
        .as_deref()
        .map(|pem| client(pem, plan.http2))
        .transpose()?;
    let dialer = Arc::new(Dialer {
        plan,
        tls,
        under_way: AtomicUsize::new(0),
    });
    let begin = Instant::now();
    let answers = if dialer.plan.fresh {
        fresh(&dialer, begin).await?
    } else {
        kept(&dialer).await?
    };
    write(&answers, begin, &dialer.plan.log)
}

/// Writes a line about each answer.
pub(crate) fn write(answers: &[Answer], begin: Instant, log: &Path) -> anyhow::Result<()> {
    let mut lines = String::new();
    for Answer { due, status, took } in answers {
        let due = due.saturating_duration_since(begin).as_micros();
        writeln!(lines, "{due}\t{status}\t{}", took.as_micros())?;
    }
    fs::write(log, lines).with_context(|| log.display().to_string())
}

/// The name that the certificate of a host and port is for.
pub(crate) fn server_name(authority: &str) -> anyhow::Result<ServerName<'static>> {
    let host = authority.split(':').next().unwrap_or_default();
    Ok(ServerName::try_from(host.to_owned())?)
}

/// Requests on connections that are kept.
async fn kept(dialer: &Arc<Dialer>) -> anyhow::Result<Vec<Answer>> {
    let (jobs, waiting) = mpsc::unbounded_channel::<Instant>();
    let waiting = Arc::new(Mutex::new(waiting));
    let mut workers = JoinSet::new();
    for _ in 0..dialer.plan.connections {
        let first = dialer.connect().await?;
        for mut wire in first.shared() {
            let (dialer, waiting) = (dialer.clone(), waiting.clone());
            workers.spawn(async move {
                let mut answers = Vec::new();
                loop {
                    let due = waiting.lock().await.recv().await;
                    let Some(due) = due else { return Ok(answers) };
                    let status = wire.ask(&dialer.plan).await?;
                    let took = due.elapsed();
                    dialer.under_way.fetch_sub(1, Ordering::Relaxed);
                    answers.push(Answer { due, status, took });
                }
            });
        }
    }
    let begin = Instant::now();
    for number in 0..dialer.plan.count {
        let due = dialer.due(begin, number).await;
        dialer.under_way.fetch_add(1, Ordering::Relaxed);
        let _ = jobs.send(due);
    }
    drop(jobs);
    gather(workers).await
}

/// Requests on a connection each.
async fn fresh(dialer: &Arc<Dialer>, begin: Instant) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    let mut under_way = JoinSet::new();
    for number in 0..dialer.plan.count {
        if under_way.len() >= dialer.plan.connections
            && let Some(answer) = under_way.join_next().await
        {
            answers.push(answer??);
        }
        let due = dialer.due(begin, number).await;
        let dialer = dialer.clone();
        dialer.under_way.fetch_add(1, Ordering::Relaxed);
        under_way.spawn(async move {
            let status = dialer.connect().await?.ask(&dialer.plan).await?;
            let took = due.elapsed();
            dialer.under_way.fetch_sub(1, Ordering::Relaxed);
            anyhow::Ok(Answer { due, status, took })
        });
    }
    while let Some(answer) = under_way.join_next().await {
        answers.push(answer??);
    }
    Ok(answers)
}

async fn gather(mut workers: JoinSet<anyhow::Result<Vec<Answer>>>) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    while let Some(part) = workers.join_next().await {
        answers.extend(part??);
    }
    Ok(answers)
}

impl Plan {
    fn request(&self) -> anyhow::Result<Request<Empty<Bytes>>> {
        let mut request = Request::get(&self.path);
        for (name, value) in &self.headers {
            if name == "host" && self.http2 {
                request = request
                    .uri(format!("https://{value}{}", self.path))
                    .version(Version::HTTP_2);
            } else {
                request = request.header(name, value);
            }
        }
        Ok(request.body(Empty::new())?)
    }
}

impl Dialer {
    /// Waits until request `number` is due.
    async fn due(&self, begin: Instant, number: usize) -> Instant {
        let Some(rate) = self.plan.rate else {
            return Instant::now();
        };
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let due = begin + Duration::from_secs_f64(number as f64 / rate);
        loop {
            // What answers are still to do comes first.
            yield_now().await;
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return due;
            }
            if let Some(sleep) = left.checked_sub(AHEAD)
                && self.under_way.load(Ordering::Relaxed) == 0
            {
                // No task waits for this thread.
                thread::sleep(sleep);
            }
        }
    }

    async fn connect(&self) -> anyhow::Result<Wire> {
        let stream = TcpStream::connect(self.plan.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => self.handshake(stream).await,
            Some(tls) => {
                let name = server_name(&self.plan.name)?;
                self.handshake(tls.connect(name, stream).await?).await
            }
        }
    }

    async fn handshake<S>(&self, stream: S) -> anyhow::Result<Wire>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        if self.plan.http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            Ok(Wire::Http2(sender))
        } else {
            let (sender, connection) = http1::handshake(stream).await?;
            tokio::spawn(connection);
            Ok(Wire::Http1(sender))
        }
    }
}

impl Wire {
    /// One for each request that it carries at a time.
    fn shared(self) -> Vec<Self> {
        match self {
            Self::Http1(_) => vec![self],
            Self::Http2(sender) => (0..STREAMS).map(|_| Self::Http2(sender.clone())).collect(),
        }
    }

    async fn ask(&mut self, plan: &Plan) -> anyhow::Result<u16> {
        let request = plan.request()?;
        let answer = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let status = answer.status().as_u16();
        answer.into_body().collect().await?;
        Ok(status)
    }
}

/// TLS towards a server whose certificate was signed by this authority.
pub(crate) fn client(pem: &str, http2: bool) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(authority?)?;
    }
    ensure!(!roots.is_empty(), "no authority");
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![if http2 {
        b"h2".to_vec()
    } else {
        b"http/1.1".to_vec()
    }];
    // A handshake of its own for every connection.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
