//! Subject -> activity reported by its pod (IO): its address only, limited, no redirects.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use api::names::{
    ASSERTION_HEADER, DOOR_HEADER, LAST_ACTIVITY_HEADER, OPERATOR, OUT_OF_MEMORY_HEADER, STOPS_AT_HEADER,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use kit::{
    assertion_signer::{Claims, Signer},
    tls::unverified_client_config,
};
use rules::{IdleAnswer, Question};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::TlsConnector;

use super::{
    Subject,
    read::{self, Answered, Clock, Reading, Signal, Unanswered},
    subject::IdleRule,
};

/// Time limit for all requests to one pod, including complete answers.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// How long the application alone is waited for. The rest is left for a door, which itself waits a second for its disk.
const ALONE: Duration = Duration::from_secs(3);
/// Largest answer, in bytes.
const MAX_BODY: usize = 256 * 1024;
/// Jupyter counts requests as activity unless this parameter is set.
const NO_TRACKING: &str = "?no_track_activity=1";

/// Sends activity requests to pods.
#[derive(Clone)]
pub struct Asker(Arc<dyn Fn(Arc<Subject>) -> BoxFuture<'static, Answered> + Send + Sync>);

impl Asker {
    /// Sends requests over HTTP. `now` is the clock. `signer` signs the operator's identity.
    pub fn over_http(now: fn() -> Timestamp, signer: Arc<Signer>) -> Self {
        let http = Http {
            tls: Arc::new(unverified_client_config()).into(),
            now,
            signer,
        };
        Self::new(move |subject| {
            let http = http.clone();
            async move { http.ask(&subject).await }
        })
    }

    /// Uses the function `ask` for requests.
    pub fn new<F>(ask: impl Fn(Arc<Subject>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answered> + Send + 'static,
    {
        Self(Arc::new(move |subject| Box::pin(ask(subject))))
    }

    /// The answer of a pod.
    pub fn ask(&self, subject: Arc<Subject>) -> impl Future<Output = Answered> + Send + use<> {
        (self.0)(subject)
    }
}

/// What a page states beside its content.
type Stated = (Result<Option<Signal>, Unanswered>, Option<Timestamp>);

#[derive(Clone)]
struct Http {
    /// It verifies no certificate. The address decides which pod answers, and the API server reports it as the pod's own. No authority
    /// issues certificates for such addresses. The request holds no secret, and the answer affects only the workspace itself.
    tls: TlsConnector,
    now: fn() -> Timestamp,
    signer: Arc<Signer>,
}

/// What to request of a pod.
#[derive(Clone, Copy)]
struct Target<'a> {
    port: u16,
    tls: bool,
    path: &'a str,
}

impl<'a> Target<'a> {
    fn door(subject: &'a Subject) -> Self {
        Self {
            port: subject.door.port,
            tls: false,
            path: &subject.door.path,
        }
    }
}

struct Page {
    status: StatusCode,
    date: Option<Timestamp>,
    /// Whether a door says that it tells acts of users from open pages.
    is_of_door: bool,
    /// When ssh was last used, as the image's door says.
    ssh: Option<HeaderValue>,
    /// When memory last ran out, as the image's door says.
    out_of_memory: Option<HeaderValue>,
    body: Bytes,
}

impl Http {
    /// The complete answer of the pod.
    async fn ask(&self, subject: &Subject) -> Answered {
        let until = Instant::now() + LIMIT;
        let mut reading = Reading::default();
        let answered = match &subject.idle {
            Some(rule) => self.ask_about_use(&mut reading, subject, rule, until).await,
            None => self.ask_about_disk(&mut reading, subject, until).await,
        };
        match answered {
            Ok(()) => Ok(reading),
            Err(unanswered) => Err(Unanswered {
                disk: reading.disk,
                ..unanswered
            }),
        }
    }

    /// Reads every signal of use.
    async fn ask_about_use(
        &self,
        reading: &mut Reading,
        subject: &Subject,
        rule: &IdleRule,
        until: Instant,
    ) -> Result<(), Unanswered> {
        let question = &rule.question;
        let (first, of_door) = if subject.has_door {
            (None, None)
        } else {
            let (page, of_door) = self.first(subject, rule, until).await;
            (Some(page), of_door)
        };
        let has_door =
            first.as_ref().is_none_or(tells_of_door) || of_door.as_ref().is_some_and(tells_of_door);
        let (stated, door) = if has_door {
            let page = match of_door {
                Some(page) => page,
                None => self.page(subject, Target::door(subject), until).await,
            };
            let (stated, told) = (self.stated(&page), self.door(reading, page)?);
            (stated, Some(told))
        } else {
            (
                first.as_ref().map_or((Ok(None), None), |page| self.stated(page)),
                None,
            )
        };
        let (ssh, out_of_memory) = stated;
        reading.out_of_memory = out_of_memory;
        match &question.answer {
            IdleAnswer::Timestamp { path, format } => {
                let page = match first {
                    Some(page) => page,
                    None => self.application(subject, rule, &question.path, until).await,
                };
                let read = |body: &[u8], clock| read::timestamp(body, path, *format, clock);
                self.read(reading, "endpoint", page, read)?;
            }
            IdleAnswer::Jupyter { base } if is_asked(question, base, door.as_deref()) => {
                let beside = |page: &str| format!("{base}/{page}{NO_TRACKING}");
                // Of an application behind a door only its silence is of interest: no time is left for its other pages.
                if let Some(page) = first.filter(|page| door.is_none() || page.is_err()) {
                    self.read(reading, "server", page, read::server)?;
                }
                let page = self.application(subject, rule, &beside("kernels"), until).await;
                self.read(reading, "kernels", page, read::kernels)?;
                let page = self.application(subject, rule, &beside("terminals"), until).await;
                // Servers without terminals have no such page.
                if !matches!(&page, Ok(page) if page.status == StatusCode::NOT_FOUND) {
                    self.read(reading, "terminals", page, read::terminals)?;
                }
            }
            IdleAnswer::Jupyter { .. } => {}
        }
        reading.signals.extend(ssh?);
        Ok(())
    }

    /// The application's page. Any answer says whether there is a door, and only one that is known is asked: applications without it count
    /// each request as use. But one that hangs, as on a full disk, says nothing. Then the door's page is asked for beside it.
    async fn first(
        &self,
        subject: &Subject,
        rule: &IdleRule,
        until: Instant,
    ) -> (Result<Page, String>, Option<Result<Page, String>>) {
        let application = self.application(subject, rule, &rule.question.path, until);
        tokio::pin!(application);
        match tokio::time::timeout(ALONE, &mut application).await {
            Ok(page) => (page, None),
            // Another port is not the door's.
            Err(_) if rule.port != subject.door.port => (application.await, None),
            Err(_) => {
                let door = self.page(subject, Target::door(subject), until);
                let (page, door) = tokio::join!(application, door);
                (page, Some(door))
            }
        }
    }

    /// Reads what a door tells, where nothing but the disk is of interest. Without signals: there is none.
    async fn ask_about_disk(
        &self,
        reading: &mut Reading,
        subject: &Subject,
        until: Instant,
    ) -> Result<(), Unanswered> {
        let page = self.page(subject, Target::door(subject), until).await;
        reading.out_of_memory = self.out_of_memory(&page);
        let unanswered = |why| Unanswered::new(read::DISK, why);
        match page {
            Ok(Page { is_of_door: true, .. }) => self.door(reading, page).map(drop),
            // A door whose keys are not there yet refuses all, and does not say that it is one.
            Ok(page) if page.status == StatusCode::UNAUTHORIZED => {
                check_status(page.status).map_err(unanswered)
            }
            Ok(_) => Ok(()),
            Err(why) => Err(unanswered(why)),
        }
    }

    /// Adds what a door tells to a reading. Returns the paths of its application that it lets the operator request.
    fn door(&self, reading: &mut Reading, page: Result<Page, String>) -> Result<Vec<String>, Unanswered> {
        let read = page.and_then(|page| {
            check_status(page.status)?;
            let clock = Clock::compare((self.now)(), page.date)?;
            Ok((read::door(&page.body, clock)?, clock.skew))
        });
        let (door, skew) = read.map_err(|why| Unanswered::new(read::USER, why))?;
        reading.signals.extend(door.signals);
        reading.skew = skew;
        reading.disk = door.disk;
        Ok(door.paths)
    }

    /// What a page states beside its content: use by ssh, and when memory last ran out.
    fn stated(&self, page: &Result<Page, String>) -> Stated {
        (self.ssh(page), self.out_of_memory(page))
    }

    /// The use by ssh that a page states beside its content.
    fn ssh(&self, page: &Result<Page, String>) -> Result<Option<Signal>, Unanswered> {
        let Ok(page) = page else { return Ok(None) };
        let Some(header) = &page.ssh else { return Ok(None) };
        let read =
            Clock::compare((self.now)(), page.date).and_then(|clock| read::ssh(header.as_bytes(), clock));
        read.map(Some).map_err(|why| Unanswered::new(read::SSH, why))
    }

    /// When memory last ran out. What cannot be read is left out: nothing is decided by it.
    fn out_of_memory(&self, page: &Result<Page, String>) -> Option<Timestamp> {
        let page = page.as_ref().ok()?;
        let clock = Clock::compare((self.now)(), page.date).ok()?;
        read::of_header(page.out_of_memory.as_ref()?.as_bytes(), clock).ok()
    }

    /// Adds the content of a page to a reading.
    fn read(
        &self,
        reading: &mut Reading,
        name: &'static str,
        page: Result<Page, String>,
        read: impl Fn(&[u8], Clock) -> Result<Signal, String>,
    ) -> Result<(), Unanswered> {
        let read = page.and_then(|page| {
            check_status(page.status)?;
            let clock = Clock::compare((self.now)(), page.date)?;
            Ok((read(&page.body, clock)?, clock.skew))
        });
        let (signal, skew) = read.map_err(|why| Unanswered::new(name, why))?;
        reading.signals.push(signal);
        reading.skew = skew;
        Ok(())
    }

    /// A page of the application.
    async fn application(
        &self,
        subject: &Subject,
        rule: &IdleRule,
        path: &str,
        until: Instant,
    ) -> Result<Page, String> {
        let target = Target {
            port: rule.port,
            tls: rule.question.tls,
            path,
        };
        self.page(subject, target, until).await
    }

    async fn page(&self, subject: &Subject, target: Target<'_>, until: Instant) -> Result<Page, String> {
        let answer = Box::pin(self.get(subject, target));
        let late = || Err(format!("no answer within {} s", LIMIT.as_secs()));
        tokio::time::timeout_at(until, answer)
            .await
            .unwrap_or_else(|_| late())
    }

    async fn get(&self, subject: &Subject, Target { port, tls, path }: Target<'_>) -> Result<Page, String> {
        // A numeric address, so there is never a DNS lookup.
        let address = SocketAddr::new(subject.address, port);
        let unreachable = |_| format!("no server answers at port {port}");
        let stream = TcpStream::connect(address).await.map_err(unreachable)?;
        if tls {
            let name = ServerName::IpAddress(subject.address.into());
            let stream = self.tls.connect(name, stream).await;
            let stream = stream.map_err(|_| format!("port {port} does not speak TLS"))?;
            exchange(stream, address, path, self.headers(subject)).await
        } else {
            exchange(stream, address, path, self.headers(subject)).await
        }
    }

    /// The headers of a request that depend on the workspace.
    fn headers(&self, subject: &Subject) -> [(&'static str, Option<String>); 2] {
        [
            (ASSERTION_HEADER, self.assertion(subject)),
            (STOPS_AT_HEADER, subject.announced.clone()),
        ]
    }

    /// The assertion that the operator sends the request, for this workspace only. Without a key the request is anonymous.
    fn assertion(&self, subject: &Subject) -> Option<String> {
        let now = (self.now)().as_second();
        let claims = Claims::new(OPERATOR, &subject.identity.uid, OPERATOR, now);
        self.signer.sign(&claims).ok()
    }
}

/// Whether Jupyter's pages are asked for. Unless workspace or template name them, a door says whether its application has them.
fn is_asked(question: &Question, base: &str, door: Option<&[String]>) -> bool {
    let kernels = format!("{base}/kernels");
    question.is_given || door.is_none_or(|paths| paths.contains(&kernels))
}

/// Whether an answer says that there is a door.
fn tells_of_door(page: &Result<Page, String>) -> bool {
    page.as_ref().is_ok_and(|page| page.is_of_door)
}

fn check_status(status: StatusCode) -> Result<(), String> {
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
    headers: [(&'static str, Option<String>); 2],
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
    for (name, value) in headers {
        if let Some(value) = value {
            request = request.header(name, value);
        }
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
            is_of_door: head.headers.contains_key(DOOR_HEADER),
            ssh: head.headers.get(LAST_ACTIVITY_HEADER).cloned(),
            out_of_memory: head.headers.get(OUT_OF_MEMORY_HEADER).cloned(),
            body: body.to_bytes(),
        })
    };
    // The connection drives the request. It may end before the answer is read completely, and is dropped with the answer.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

#[cfg(test)]
mod tests;
