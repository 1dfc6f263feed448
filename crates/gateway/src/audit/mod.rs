//! who signed in, who was let in or refused, by which rule -> a log whose lines vouch for each other (IO).
//!
//! `record` is what can be told, `chain` makes and checks the lines, `flood` bounds refusals, `visits` knows what was told
//! before; `command` checks a file.

pub mod chain;
pub mod command;
mod flood;
mod record;
mod visits;

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use rules::access::Allowed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use tokio::time::Instant;

use self::chain::Chain;
use self::flood::{Floods, Whom};
pub use self::record::{Place, Record, Who};
use self::visits::{Visit, Visits};
use crate::crypto::tokens::RandomId;
use crate::index::Target;
use crate::metrics::Metrics;
use crate::random::random;
use crate::request::id;
use crate::session::Session;

/// Records that wait to be written.
const WAITING: usize = 10_000;
/// How often what has no record of its own is summed up.
const SUM: Duration = Duration::from_secs(1);
/// Time for what waits to be written at the end.
const LAST: Duration = Duration::from_secs(5);
/// How often it is looked whether that is done.
const PAUSE: Duration = Duration::from_millis(5);

/// The audit log. Every clone writes to the same one; nothing here waits for the writing.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    records: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
    floods: Arc<Mutex<Floods>>,
    visits: Visits,
    metrics: Metrics,
}

enum Entry {
    Record(Box<Record>, Timestamp),
    End,
}

impl Audit {
    /// Writes to `out`, one line per record, from a thread of its own: a reader that is slow holds up no request.
    ///
    /// # Errors
    /// The system gives no thread or no random bytes.
    pub fn to(out: impl Write + Send + 'static, metrics: Metrics) -> std::io::Result<(Self, Writer)> {
        let id = random::<8>().map_err(std::io::Error::other)?;
        let (records, waiting) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let floods = Arc::new(Mutex::new(Floods::new(Instant::now())));
        let mut scribe = Scribe {
            out,
            chain: Chain::new(format!("{:016x}", u64::from_be_bytes(id))),
            lost: Arc::clone(&lost),
            floods: Arc::clone(&floods),
            metrics: metrics.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || scribe.write_all(&waiting))?;
        let audit = Self(Arc::new(Inner {
            records,
            lost,
            floods,
            visits: Visits::default(),
            metrics,
        }));
        audit.tell(Record::Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        let writer = Writer {
            audit: audit.clone(),
            thread,
        };
        Ok((audit, writer))
    }

    /// Adds a record. One that finds no room is counted, and the count is in the log.
    pub fn tell(&self, record: Record) {
        let entry = Entry::Record(Box::new(record), Timestamp::now());
        if self.0.records.try_send(entry).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Somebody signed in: the person's Kubernetes name and groups, and the end of the session in Unix seconds.
    pub fn login(&self, session: RandomId, user: &str, groups: &[String], end: i64) {
        self.0.metrics.sign_in("signed_in");
        self.tell(Record::Login {
            who: Who::new(user, session),
            groups: groups.to_vec(),
            ends: end,
        });
    }

    /// Somebody did not get a session. `reason`: one stable word.
    pub fn login_refused(&self, reason: &'static str) {
        self.0.metrics.sign_in(reason);
        if self.has_room(Whom::Stranger) {
            self.tell(Record::LoginRefused { reason });
        }
    }

    /// Somebody is kept out for whom `issuer` vouches. `rule`: one stable word.
    pub(crate) fn not_admitted(&self, user: &str, issuer: &str, rule: &'static str) {
        if self.has_room(Whom::Stranger) {
            self.tell(Record::NotAdmitted {
                user: user.to_owned(),
                issuer: issuer.to_owned(),
                rule,
            });
        }
    }

    /// The token of a request does not count. `reason`: one stable word.
    pub(crate) fn token_refused(&self, reason: &'static str) {
        if self.has_room(Whom::Stranger) {
            self.tell(Record::TokenRefused {
                reason,
                request: id::current(),
            });
        }
    }

    /// A session ended before its time. `user`: Kubernetes user name, empty if it is not known. `by`: one stable word.
    pub fn logout(&self, session: RandomId, user: &str, by: &'static str) {
        self.0.metrics.session_ended(by);
        self.tell(Record::Logout {
            who: Who::new(user, session),
            by,
        });
    }

    /// The identity provider ended so many sessions of the person that it calls `subject`, if it names one.
    pub fn provider_logout(&self, subject: Option<&str>, sessions: usize) {
        self.tell(Record::ProviderLogout {
            subject: subject.unwrap_or_default().to_owned(),
            sessions,
        });
    }

    /// Somebody was let in: told once per session, workspace and rule, an administrator's access once a minute.
    pub(crate) fn allowed(&self, session: &Session, target: &Target, rule: Allowed) {
        match self.0.visits.visit(session.id, &target.uid, rule, Instant::now()) {
            Visit::Told => {}
            Visit::New => self.opened(session, target, rule, id::current()),
            Visit::Again(requests) => self.administered(session, target, requests, id::current()),
        }
    }

    fn opened(&self, session: &Session, target: &Target, rule: Allowed, request: String) {
        self.tell(Record::Opened {
            who: who(session),
            workspace: Place::of(target),
            rule: rule.reason(),
            request: request.clone(),
        });
        if rule == Allowed::Administrator {
            self.administered(session, target, 1, request);
        }
    }

    /// Somebody had the API server start a workspace.
    pub(crate) fn started(&self, session: &Session, target: &Target, rule: Allowed) {
        self.tell(Record::Started {
            who: who(session),
            workspace: Place::of(target),
            rule: rule.reason(),
            request: id::current(),
        });
    }

    fn administered(&self, session: &Session, target: &Target, requests: u64, request: String) {
        self.tell(Record::Administered {
            who: who(session),
            workspace: Place::of(target),
            requests,
            request,
        });
    }

    /// Whether a refusal gets a record of its own.
    fn has_room(&self, who: Whom) -> bool {
        let mut floods = self.0.floods.lock().unwrap_or_else(PoisonError::into_inner);
        floods.admits(who, Instant::now())
    }

    /// Somebody who is signed in was not let in.
    pub(crate) fn denied(&self, session: &Session, host: &str, target: Option<&Target>, rule: &'static str) {
        if self.has_room(Whom::Session(session.id)) {
            self.tell(Record::Denied {
                who: who(session),
                host: host.to_owned(),
                workspace: target.map(Place::of),
                rule,
                request: id::current(),
            });
        }
    }
}

fn who(session: &Session) -> Who {
    Who {
        token: session.credential.word(),
        ..Who::new(&session.identity.user_name, session.id)
    }
}

/// Ends the log in order.
pub struct Writer {
    audit: Audit,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Writes what waits and the record of the end. Blocks until that is done, but not for a reader that takes nothing.
    pub fn finish(self) {
        self.finish_within(LAST);
    }

    fn finish_within(self, patience: Duration) {
        let end = std::time::Instant::now() + patience;
        let mut is_told = false;
        while !self.thread.is_finished() && std::time::Instant::now() < end {
            // No room for it while the log is full.
            is_told = is_told || self.audit.0.records.try_send(Entry::End).is_ok();
            std::thread::sleep(PAUSE);
        }
        if !self.thread.is_finished() {
            tracing::error!("the end of the audit log is not written: nobody reads standard output");
        }
    }
}

/// The thread that writes.
struct Scribe<W> {
    out: W,
    chain: Chain,
    lost: Arc<AtomicU64>,
    floods: Arc<Mutex<Floods>>,
    metrics: Metrics,
}

impl<W: Write> Scribe<W> {
    fn write_all(&mut self, waiting: &Receiver<Entry>) {
        let mut summed = std::time::Instant::now();
        loop {
            let entry = waiting.recv_timeout(SUM);
            if summed.elapsed() >= SUM || matches!(entry, Ok(Entry::End)) {
                summed = std::time::Instant::now();
                self.sum_up();
            }
            match entry {
                Ok(Entry::Record(record, time)) => self.write(&record, time),
                Ok(Entry::End) => return self.write(&Record::End, Timestamp::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn sum_up(&mut self) {
        let more = {
            let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
            floods.take()
        };
        if more.strangers > 0 {
            let count = more.strangers;
            self.write(&Record::LoginRefusedMore { count }, Timestamp::now());
        }
        if more.sessions > 0 {
            let count = more.sessions;
            self.write(&Record::DeniedMore { count }, Timestamp::now());
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.metrics.audit_lost(lost);
            self.write(&Record::Lost { count: lost }, Timestamp::now());
        }
    }

    fn write(&mut self, record: &Record, time: Timestamp) {
        let line = match self.chain.line(record, time) {
            Ok(line) => line,
            Err(error) => {
                // Told by the next sum, in the log itself.
                self.lost.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "a record of the audit log cannot be written");
                return;
            }
        };
        match writeln!(self.out, "{line}").and_then(|()| self.out.flush()) {
            Ok(()) => self.metrics.audited(),
            Err(error) => {
                self.metrics.audit_lost(1);
                tracing::error!(%error, "the audit log cannot be written");
            }
        }
    }
}

#[cfg(test)]
mod tests;
