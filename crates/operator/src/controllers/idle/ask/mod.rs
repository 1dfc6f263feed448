//! Subject -> what its pod says of its use (IO): bounded in time and size, at its own address, following nothing.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use api::names::{ASSERTION_HEADER, OPERATOR};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use kit::assertion::{Claims, Signer};
use rules::Answer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};

use super::{
    Subject,
    read::{self, Clock, Reading, Signal},
    tls::Tls,
};

/// Time for all that a pod is asked at once, and its whole answers.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// Largest answer, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// Jupyter counts requests as activity, unless they ask it not to.
const UNCOUNTED: &str = "?no_track_activity=1";

/// Why a pod did not say whether it is used. It says nothing about whether it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The signal that is missing.
    pub name: &'static str,
    /// For people; without anything of the answer.
    pub why: String,
}

/// What a pod says, or the first thing that could not be read.
pub type Answered = Result<Reading, Unanswered>;

/// Asks pods.
#[derive(Clone)]
pub struct Asker(Arc<dyn Fn(Arc<Subject>) -> BoxFuture<'static, Answered> + Send + Sync>);

impl Asker {
    /// Over HTTP, telling the time by `now` and who asks by `signer`.
    pub fn over_http(now: fn() -> Timestamp, signer: Arc<Signer>) -> Self {
        let http = Http {
            tls: Tls::new(),
            now,
            signer,
        };
        Self::new(move |subject| {
            let http = http.clone();
            async move { http.ask(&subject).await }
        })
    }

    /// By `ask`.
    pub fn new<F>(ask: impl Fn(Arc<Subject>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answered> + Send + 'static,
    {
        Self(Arc::new(move |subject| Box::pin(ask(subject))))
    }

    /// What a pod says.
    pub fn ask(&self, subject: Arc<Subject>) -> impl Future<Output = Answered> + Send + use<> {
        (self.0)(subject)
    }
}

#[derive(Clone)]
struct Http {
    tls: Tls,
    now: fn() -> Timestamp,
    signer: Arc<Signer>,
}

struct Page {
    status: StatusCode,
    date: Option<Timestamp>,
    body: Bytes,
}

impl Http {
    /// What the pod says, read to the end.
    async fn ask(&self, subject: &Subject) -> Answered {
        let until = Instant::now() + LIMIT;
        let question = &subject.question;
        let mut reading = Reading::default();
        match &question.answer {
            Answer::Timestamp { path, format } => {
                let page = self.page(subject, &question.path, until).await;
                let read = |body: &[u8], clock| read::timestamp(body, path, *format, clock);
                self.read(&mut reading, "endpoint", page, read)?;
            }
            Answer::Jupyter { base } => {
                let beside = |page: &str| format!("{base}/{page}{UNCOUNTED}");
                let page = self.page(subject, &question.path, until).await;
                self.read(&mut reading, "server", page, read::server)?;
                let page = self.page(subject, &beside("kernels"), until).await;
                self.read(&mut reading, "kernels", page, read::kernels)?;
                let page = self.page(subject, &beside("terminals"), until).await;
                // Servers without terminals have no such page.
                if !matches!(&page, Ok(page) if page.status == StatusCode::NOT_FOUND) {
                    self.read(&mut reading, "terminals", page, read::terminals)?;
                }
            }
        }
        Ok(reading)
    }

    /// Adds to a reading what a page says.
    fn read(
        &self,
        reading: &mut Reading,
        name: &'static str,
        page: Result<Page, String>,
        read: impl Fn(&[u8], Clock) -> Result<Signal, String>,
    ) -> Result<(), Unanswered> {
        let read = page.and_then(|page| {
            accepted(page.status)?;
            let clock = Clock::compare((self.now)(), page.date)?;
            Ok((read(&page.body, clock)?, clock.skew))
        });
        let (signal, skew) = read.map_err(|why| Unanswered { name, why })?;
        reading.signals.push(signal);
        reading.skew = skew;
        Ok(())
    }

    async fn page(&self, subject: &Subject, path: &str, until: Instant) -> Result<Page, String> {
        let answer = Box::pin(self.get(subject, path));
        let late = || Err(format!("no answer within {} s", LIMIT.as_secs()));
        tokio::time::timeout_at(until, answer)
            .await
            .unwrap_or_else(|_| late())
    }

    async fn get(&self, subject: &Subject, path: &str) -> Result<Page, String> {
        // A number, so that no name is ever looked up.
        let address = SocketAddr::new(subject.address, subject.port);
        let unreachable = |_| format!("nobody can be reached at port {}", subject.port);
        let stream = TcpStream::connect(address).await.map_err(unreachable)?;
        if subject.question.tls {
            let stream = self.tls.connect(stream, subject.address).await;
            let stream = stream.map_err(|_| format!("port {} does not speak TLS", subject.port))?;
            exchange(stream, address, path, self.assertion(subject)).await
        } else {
            exchange(stream, address, path, self.assertion(subject)).await
        }
    }

    /// That the operator asks, for this workspace alone. Without a key it asks as anybody would.
    fn assertion(&self, subject: &Subject) -> Option<String> {
        let now = (self.now)().as_second();
        let claims = Claims::new(OPERATOR, &subject.identity.uid, OPERATOR, now);
        self.signer.sign(&claims).ok()
    }
}

fn accepted(status: StatusCode) -> Result<(), String> {
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(format!(
            "the answer is {}: the application must answer this without a sign-in of its own",
            status.as_u16()
        )),
        _ => Err(format!("the answer is {}, not 200", status.as_u16())),
    }
}

async fn exchange<S>(
    stream: S,
    address: SocketAddr,
    path: &str,
    assertion: Option<String>,
) -> Result<Page, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |_| "the connection broke".to_owned();
    let mut request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, OPERATOR)
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close");
    if let Some(assertion) = assertion {
        request = request.header(ASSERTION_HEADER, assertion);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|_| "the path cannot be asked for".to_owned())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answer = async {
        let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                format!("the answer is longer than {} KiB", MAX_BODY / 1024)
            } else {
                "the connection broke".to_owned()
            }
        })?;
        let date = head.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        Ok(Page {
            status: head.status,
            date: date.and_then(read::date),
            body: body.to_bytes(),
        })
    };
    // The connection does the work; it may end before the answer is read out, and is dropped with it.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

#[cfg(test)]
mod tests;
